//! Events that wait to be published: one stream a partition, written in the call that changes a cart or a session, read by
//! the relay. What is delivered is deleted; nothing else ever is.

use crate::RedisStore;
use crate::keys::partitions;
use crate::limits::{PARTITIONS, PENDING_TIMES};
use crate::part::bytes;
use crate::servers::GivenUp;
use app::ports::{Outbox, Pending, PortError, Position};
use async_trait::async_trait;
use domain::ids::Partition;
use domain::time::Timestamp;
use redis::{Value, cmd};

const PORT: &str = "outbox";

/// A place in a stream: the server's milliseconds when it was written, and a number among those of the same.
type Place = (u64, u64);

struct Entry {
    place: Place,
    partition: Partition,
    event: Vec<u8>,
}

fn position(entry: &Entry) -> Position {
    let (milliseconds, number) = entry.place;
    let bytes = [&[entry.partition.0][..], &milliseconds.to_be_bytes(), &number.to_be_bytes()].concat();
    Position(bytes.into())
}

fn place_of(position: &Position) -> Option<(Partition, Place)> {
    let (partition, rest) = position.0.split_first()?;
    let (milliseconds, number) = rest.split_first_chunk::<8>()?;
    Some((Partition(*partition), (u64::from_be_bytes(*milliseconds), u64::from_be_bytes(number.try_into().ok()?))))
}

/// The entries of `XRANGE`: `[["1750000000000-0", ["e", event]], …]`.
fn entries(partition: Partition, told: Value) -> Option<Vec<Entry>> {
    let Value::Array(told) = told else { return None };
    let entry = |entry: Value| {
        let Value::Array(entry) = entry else { return None };
        let mut entry = entry.into_iter();
        let id = bytes(entry.next()?)?;
        let (milliseconds, number) = std::str::from_utf8(&id).ok()?.split_once('-')?;
        let Value::Array(fields) = entry.next()? else { return None };
        let event = bytes(fields.into_iter().nth(1)?)?;
        Some(Entry { place: (milliseconds.parse().ok()?, number.parse().ok()?), partition, event })
    };
    told.into_iter().map(entry).collect()
}

/// What was found, and where to go on in the partitions that have more.
#[derive(Default)]
struct Waiting {
    entries: Vec<Entry>,
    more: Vec<(Partition, Place)>,
}

impl RedisStore {
    /// A share from every partition; when that is not enough, more from those that have more. The oldest of what was read come
    /// first, as far as the servers' clocks agree; those of one subject lie in one partition and come in their sequence.
    async fn waiting(&self, limit: usize) -> Result<Vec<Entry>, GivenUp> {
        let share = (PENDING_TIMES * limit).div_ceil(PARTITIONS).min(limit);
        let mut found = self.read_events(partitions().map(|p| (p, (0, 0))).collect(), share).await?;
        if found.entries.len() < limit && !found.more.is_empty() {
            found.entries.extend(self.read_events(found.more, limit).await?.entries);
        }
        let mut entries = found.entries;
        entries.sort_by_key(|entry| (entry.place, entry.partition));
        entries.truncate(limit);
        Ok(entries)
    }

    /// At most `share` events of each partition after a place.
    async fn read_events(&self, from: Vec<(Partition, Place)>, share: usize) -> Result<Waiting, GivenUp> {
        let ask = |(partition, (milliseconds, number)): (Partition, Place)| {
            let after = format!("({milliseconds}-{number}");
            (partition, cmd("XRANGE").arg(self.keys().events(partition)).arg(after).arg("+").arg("COUNT").arg(share).take())
        };
        let questions: Vec<_> = from.into_iter().map(ask).collect();
        let mut waiting = Waiting::default();
        for (told, (partition, _)) in self.servers().ask_all(&questions).await?.into_iter().zip(&questions) {
            let Some(told) = told else { continue };
            let entries = entries(*partition, told).ok_or_else(|| GivenUp::nonsense("a stream of events cannot be read"))?;
            if let Some(last) = entries.last()
                && entries.len() == share
            {
                waiting.more.push((*partition, last.place));
            }
            waiting.entries.extend(entries);
        }
        Ok(waiting)
    }

    async fn delete_events(&self, positions: &[Position]) -> Result<(), GivenUp> {
        let mut places: Vec<_> = positions.iter().filter_map(place_of).collect();
        places.sort_unstable();
        let delete = |places: &[(Partition, Place)]| {
            let mut delete = cmd("XDEL");
            delete.arg(self.keys().events(places[0].0));
            for (_, (milliseconds, number)) in places {
                delete.arg(format!("{milliseconds}-{number}"));
            }
            (places[0].0, delete)
        };
        let deletes: Vec<_> = places.chunk_by(|a, b| a.0 == b.0).map(delete).collect();
        self.servers().call_all(&deletes).await.into_iter().try_for_each(|deleted| deleted.map(drop))
    }
}

#[async_trait]
impl Outbox for RedisStore {
    async fn pending(&self, limit: usize) -> Result<Vec<Pending>, PortError> {
        let waiting = self.waiting(limit).await.map_err(|e| e.of_port(PORT))?;
        let event = |entry: &Entry| records::decode_outgoing(&entry.event).map(|event| Pending { position: position(entry), event });
        waiting.iter().map(|entry| event(entry).map_err(|damaged| PortError::corrupt(PORT, damaged))).collect()
    }

    async fn delivered(&self, positions: &[Position], _: Timestamp) -> Result<(), PortError> {
        self.delete_events(positions).await.map_err(|e| e.of_port(PORT))
    }

    async fn forget_delivered(&self, _: Timestamp, _: usize) -> Result<usize, PortError> {
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_says_where_an_event_lies() {
        let entry = Entry { place: (1_750_000_000_000, 7), partition: Partition(200), event: vec![] };
        assert_eq!(place_of(&position(&entry)), Some((Partition(200), (1_750_000_000_000, 7))));
        assert_eq!(place_of(&Position::numbered(7)), None);
    }
}
