//! A change of several partitions: a merge puts the customer's cart and deletes the guest's, which may lie on two servers,
//! and no call works on both.
//!
//! One of the partitions decides. The steps, each of them one call:
//!
//! 1. **Begin**: the deciding partition checks its own part and notes that the transaction is open.
//! 2. **Prepare**: each other partition checks its part, keeps all of it as an intention, and seals what it touches: nobody
//!    else writes that any more.
//! 3. **Commit**: the deciding partition checks its part again, makes it true, and notes in the same call that the
//!    transaction is committed. This is the instant at which it happens. If the part does not hold any more, or the note
//!    "open" is gone, nothing happens.
//! 4. **Finish**: each other partition makes its intention true, or drops it, and breaks its seals.
//! 5. **Forget**: the deciding partition drops its note. Everybody knows by then.
//!
//! Whoever meets a seal asks the deciding partition. Committed: he finishes it himself. No note: it was given up, or has been
//! finished; he drops the intention. Still open: he comes again in a moment; when that has lasted too long ([`OPEN_MAX`]),
//! he takes the note away, so that the transaction cannot commit any more, and drops the intention. A reader who meets a
//! seal on an open transaction reads what is there: nothing has happened yet.
//!
//! So a node may die between any two steps. Before the commit nothing has happened, and the seals are broken by whoever
//! comes next; after it, whoever comes next finishes it. Nobody has to come: [`RedisStore::recover`] looks for what was
//! left behind whenever carts are swept.
//!
//! What is late does no harm: a second commit finds its own write, a second finish no intention, and an intention that
//! arrives after the end finds no note, so it will be dropped. A committed note stays until all have finished, however long
//! that takes.

use crate::RedisStore;
use crate::hash::WriteName;
use crate::keys::partitions;
use crate::limits::{COMMITTED_KEEP, OPEN_MAX, PAUSE_MAX, PAUSE_MIN, RECOVERED_MAX};
use crate::node::jittered;
use crate::part::{Arguments, Outcome, Part, Seal, bytes, fields};
use crate::servers::GivenUp;
use domain::ids::Partition;
use domain::time::Timestamp;
use futures_util::future::join_all;
use redis::{Value, cmd};
use tokio::time::Instant;

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Committed,
    Aborted,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted => "aborted",
        }
    }
}

/// How a try of a transaction ended, and in which part.
pub struct Ended {
    pub part: usize,
    pub outcome: Outcome,
    /// A call before this one went without an answer.
    pub repeated: bool,
}

impl RedisStore {
    /// Makes all parts true, or none. The first one's partition decides.
    pub(crate) async fn transact(&self, parts: &[Part], write: WriteName, now: Timestamp) -> Result<Ended, GivenUp> {
        let calls: Vec<Arguments> = parts.iter().map(|part| part.arguments(self.keys(), write, now)).collect();
        let seal = Seal { transaction: format!("{:032x}", fastrand::u128(..)), decided_in: parts[0].partition };
        let others: Vec<_> = parts[1..].iter().map(|part| part.partition.0.to_string()).collect();
        let begun = self.step(0, "begin", &seal, vec![others.join(",").into_bytes()], parts, &calls).await?;
        if !matches!(begun.outcome, Outcome::Done) {
            return Ok(begun);
        }
        let prepare = |part: usize| {
            let intention = calls[part].pack(self.library().version());
            self.step(part, "prepare", &seal, vec![seal.text().into_bytes(), intention], parts, &calls)
        };
        let prepared = join_all((1..parts.len()).map(prepare)).await;
        let mut repeated = begun.repeated;
        for one in prepared {
            match one {
                Ok(ended) if matches!(ended.outcome, Outcome::Done) => repeated |= ended.repeated,
                not => {
                    self.give_up(&seal, parts, &calls).await;
                    return not;
                }
            }
        }
        let committed = self.step(0, "commit", &seal, vec![], parts, &calls).await?;
        let verdict = if matches!(committed.outcome, Outcome::Done) { Verdict::Committed } else { Verdict::Aborted };
        // What is left undone here is done by whoever meets it.
        if self.finish_all(&seal, parts, &calls, verdict).await.is_ok() {
            drop(self.forget(&seal).await);
        }
        Ok(Ended { repeated: repeated | committed.repeated, ..committed })
    }

    /// One step in one part.
    async fn step(
        &self,
        part: usize,
        function: &str,
        seal: &Seal,
        extra: Vec<Vec<u8>>,
        parts: &[Part],
        calls: &[Arguments],
    ) -> Result<Ended, GivenUp> {
        let partition = parts[part].partition;
        let notes = if function == "prepare" { self.keys().prepared(partition) } else { self.keys().decisions(partition) };
        let mut keys = vec![notes];
        keys.extend(calls[part].keys.iter().cloned());
        let mut call = self.library().call(function, &keys);
        call.arg(&seal.transaction).arg(extra);
        calls[part].add_to(&mut call);
        let reply = self.servers().write(partition, &call).await?;
        Ok(Ended { part, outcome: Outcome::read(reply.value)?, repeated: reply.repeated })
    }

    /// Nothing has happened, and nothing will.
    async fn give_up(&self, seal: &Seal, parts: &[Part], calls: &[Arguments]) {
        // In this order: while the note stands, the transaction might still commit.
        if self.forget(seal).await.is_ok() {
            drop(self.finish_all(seal, parts, calls, Verdict::Aborted).await);
        }
    }

    async fn finish_all(&self, seal: &Seal, parts: &[Part], calls: &[Arguments], verdict: Verdict) -> Result<(), GivenUp> {
        let finish = |part: usize| self.finish(parts[part].partition, seal, self.library().version(), &calls[part], verdict);
        join_all((1..parts.len()).map(finish)).await.into_iter().collect()
    }

    async fn finish(&self, partition: Partition, seal: &Seal, version: &str, call: &Arguments, verdict: Verdict) -> Result<(), GivenUp> {
        let mut keys = vec![self.keys().prepared(partition)];
        keys.extend(call.keys.iter().cloned());
        let mut command = self.library().call_of(version, "finish", &keys);
        command.arg(&seal.transaction).arg(verdict.word());
        call.add_to(&mut command);
        let finished = self.servers().write(partition, &command).await.map(drop);
        self.copies().changed_keys(&call.keys);
        finished
    }

    async fn forget(&self, seal: &Seal) -> Result<(), GivenUp> {
        let forget = cmd("HDEL").arg(self.keys().decisions(seal.decided_in)).arg(&seal.transaction).take();
        self.servers().write(seal.decided_in, &forget).await.map(drop)
    }

    /// What became of a transaction; `None` while it is open.
    async fn verdict(&self, seal: &Seal) -> Result<Option<Verdict>, GivenUp> {
        let mut call = self.library().call("resolve", &[self.keys().decisions(seal.decided_in)]);
        call.arg(&seal.transaction).arg(u64::try_from(OPEN_MAX.as_millis()).unwrap_or(u64::MAX));
        match bytes(self.servers().write(seal.decided_in, &call).await?.value).as_deref() {
            Some(b"committed") => Ok(Some(Verdict::Committed)),
            Some(b"aborted") => Ok(Some(Verdict::Aborted)),
            Some(b"open") => Ok(None),
            _ => Err(GivenUp::nonsense("a transaction is neither open nor over")),
        }
    }

    /// Ends a transaction in a partition where its seal was met; says whether it is over.
    pub(crate) async fn settle(&self, partition: Partition, seal: &Seal) -> Result<bool, GivenUp> {
        let Some(verdict) = self.verdict(seal).await? else { return Ok(false) };
        let intention = cmd("HGET").arg(self.keys().prepared(partition)).arg(&seal.transaction).take();
        let Some(intention) = bytes(self.servers().call(partition, &intention).await?.value) else { return Ok(true) };
        let (version, call) = Arguments::unpack(&intention).ok_or_else(|| GivenUp::nonsense("an intention cannot be read"))?;
        self.finish(partition, seal, &version, &call, verdict).await?;
        Ok(true)
    }

    /// Waits until a transaction is over that stands in somebody's way.
    pub(crate) async fn settle_in_time(&self, partition: Partition, seal: &Seal, until: Instant) -> Result<(), GivenUp> {
        let mut pause = PAUSE_MIN;
        while !self.settle(partition, seal).await? {
            if Instant::now() + pause >= until {
                return Err(GivenUp::busy("another change of the same carts does not come to an end"));
            }
            #[expect(clippy::disallowed_methods, reason = "a bounded pause while another change is made")]
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Ok(())
    }

    /// Ends transactions whose node did not. Cheap when there is nothing to do: two short questions a partition.
    pub(crate) async fn recover(&self) -> Result<(), GivenUp> {
        let all: Vec<Partition> = partitions().collect();
        let ask = |key: String| cmd("HLEN").arg(key).take();
        let prepared = all.iter().map(|p| (*p, ask(self.keys().prepared(*p))));
        let decided = all.iter().map(|p| (*p, ask(self.keys().decisions(*p))));
        let questions: Vec<_> = prepared.chain(decided).collect();
        let counts = self.servers().call_all(&questions).await;
        let mut recovered = 0;
        for (place, (count, (partition, _))) in counts.into_iter().zip(&questions).enumerate() {
            if matches!(count?, Value::Int(0)) || recovered >= RECOVERED_MAX {
                continue;
            }
            recovered += 1;
            if place < all.len() { self.settle_all(*partition).await? } else { self.forget_finished(*partition).await? }
        }
        Ok(())
    }

    async fn notes(&self, partition: Partition, key: String) -> Result<Vec<(String, Vec<u8>)>, GivenUp> {
        let read = self.servers().call(partition, cmd("HGETALL").arg(key)).await?;
        let notes = fields(read.value).ok_or_else(|| GivenUp::nonsense("notes of transactions are no hash"))?;
        Ok(notes.into_iter().map(|(transaction, note)| (String::from_utf8_lossy(&transaction).into_owned(), note)).collect())
    }

    /// Ends what has sealed something in a partition.
    async fn settle_all(&self, partition: Partition) -> Result<(), GivenUp> {
        for (_, seal) in self.notes(partition, self.keys().sealed(partition)).await? {
            if let Some(seal) = Seal::parse(&seal) {
                self.settle(partition, &seal).await?;
            }
        }
        Ok(())
    }

    /// Drops notes of transactions that were committed a while ago and are finished everywhere, and of those that were left open.
    async fn forget_finished(&self, partition: Partition) -> Result<(), GivenUp> {
        let now = self.server_time(partition).await?;
        for (transaction, note) in self.notes(partition, self.keys().decisions(partition)).await? {
            let seal = Seal { transaction, decided_in: partition };
            let Some((since, others)) = parse_note(&note) else { continue };
            if self.verdict(&seal).await? != Some(Verdict::Committed) || now.saturating_sub(since) < COMMITTED_KEEP.as_millis() {
                continue;
            }
            for other in others {
                self.settle(other, &seal).await?;
            }
            self.forget(&seal).await?;
        }
        Ok(())
    }

    /// Milliseconds, by the clock of a partition's server.
    async fn server_time(&self, partition: Partition) -> Result<u128, GivenUp> {
        let told = self.servers().call(partition, &cmd("TIME")).await?;
        let (seconds, micros): (u128, u128) = redis::from_redis_value(told.value).map_err(|e| GivenUp::nonsense(e.to_string()))?;
        Ok(seconds * 1000 + micros / 1000)
    }
}

/// Since when, and which other partitions take part: `committed 1750000000000 17,18`.
fn parse_note(note: &[u8]) -> Option<(u128, Vec<Partition>)> {
    let mut words = std::str::from_utf8(note).ok()?.split(' ').skip(1);
    let since = words.next()?.parse().ok()?;
    let others = words.next()?.split(',').filter(|other| !other.is_empty()).map(|other| other.parse().map(Partition));
    Some((since, others.collect::<Result<_, _>>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_the_functions_write_them() {
        assert_eq!(parse_note(b"committed 1750000000000 17,255"), Some((1_750_000_000_000, vec![Partition(17), Partition(255)])));
        assert_eq!(parse_note(b"open 5 0"), Some((5, vec![Partition(0)])));
        assert_eq!(parse_note(b"open"), None);
        assert_eq!(parse_note(b"open 5 256"), None);
    }
}
