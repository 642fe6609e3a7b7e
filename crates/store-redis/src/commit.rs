//! Making a change true: one call when it is of one partition, a transaction when it is of several; again, with what was
//! learned, when the store asks for more; and the truth about it when an answer was lost on the way.

use crate::RedisStore;
use crate::copies::Stamps;
use crate::hash::{Field, WriteName, is_another_known};
use crate::limits::{PAUSE_MIN, REBUILDS_MAX};
use crate::node::jittered;
use crate::part::{Op, Outcome, Part, bytes, decode_answer, encode_answer};
use crate::servers::GivenUp;
use crate::transaction::Ended;
use app::ports::Answer;
use domain::ids::{CartId, Version};
use domain::time::Timestamp;
use redis::cmd;
use tokio::time::Instant;

/// One change, however often it is tried: it is known by the name of its write.
pub struct Attempt {
    pub write: WriteName,
    /// Of the carts and sessions it was about, when it has been made or refused.
    pub stamps: Stamps,
    until: Instant,
    repeated: bool,
}

/// What a change came to.
pub enum Made {
    Done,
    /// The write of this id expected another version; what is there.
    Conflict(u128, Vec<Field>),
    OwnerHas(CartId),
    Answered(Answer),
    /// A cart has to be written whole.
    OtherBase,
}

impl RedisStore {
    pub(crate) fn attempt(&self) -> Attempt {
        Attempt {
            write: fastrand::u64(..).to_be_bytes(),
            stamps: Stamps::default(),
            until: Instant::now() + self.servers().patience,
            repeated: false,
        }
    }

    /// Makes all parts true, or none.
    pub(crate) async fn commit(&self, parts: &mut [Part], attempt: &mut Attempt, now: Timestamp) -> Result<Made, GivenUp> {
        for _ in 0..REBUILDS_MAX {
            let writing = self.copies().writing(parts.iter().flat_map(|part| part.ops.iter().filter_map(Op::id)));
            let ended = match &*parts {
                [] => return Ok(Made::Done),
                [part] => self.make(part, attempt.write, now).await?,
                parts => self.transact(parts, attempt.write, now).await?,
            };
            attempt.stamps = match (&*parts, &ended.outcome) {
                // News of it would come on a connection that is not listened to.
                _ if self.servers().wait_for_replicas() => Stamps::default(),
                ([_], Outcome::Done) => writing.done(),
                ([_], _) => writing.nothing(),
                // Seals come and go.
                _ => Stamps::default(),
            };
            attempt.repeated |= ended.repeated;
            let part = &mut parts[ended.part];
            match ended.outcome {
                Outcome::Done => return Ok(Made::Done),
                Outcome::OtherBase => return Ok(Made::OtherBase),
                Outcome::Sealed(seal) => self.settle_in_time(part.partition, &seal, attempt.until).await?,
                Outcome::MayHave(other) => self.name_other(part, CartId(other)),
                Outcome::Aborted => wait_a_moment(attempt.until).await?,
                Outcome::Answered(op, first) => return answered(part, op, &first, attempt),
                Outcome::OwnerHas(id) => return Ok(self.first_answer(parts).await?.map_or(Made::OwnerHas(CartId(id)), Made::Answered)),
                Outcome::Conflict(op, fields) => {
                    let (id, expected) = written(part, op)?;
                    if let Some(first) = self.first_answer(parts).await? {
                        return Ok(Made::Answered(first));
                    }
                    return if attempt.repeated && !is_another(&fields, expected) {
                        Err(GivenUp::untold("an answer was lost, and too much has been written since to tell what it was"))
                    } else {
                        Ok(Made::Conflict(id, fields))
                    };
                }
            }
        }
        Err(GivenUp::busy("a change was decided anew too often"))
    }

    async fn make(&self, part: &Part, write: WriteName, now: Timestamp) -> Result<Ended, GivenUp> {
        let arguments = part.arguments(self.keys(), write, now);
        let mut call = self.library().call(if part.shrinks() { "shrink" } else { "save" }, &arguments.keys);
        arguments.add_to(&mut call);
        let reply = self.servers().write(part.partition, &call).await?;
        Ok(Ended { part: 0, outcome: Outcome::read(reply.value)?, repeated: reply.repeated })
    }

    /// Lets the function see the cart that a new cart's owner may have.
    fn name_other(&self, part: &mut Part, other: CartId) {
        let key = self.keys().cart(other);
        for op in &mut part.ops {
            if let Op::Put(put) = op
                && put.expected == Version(0)
            {
                put.other = Some(key.clone());
            }
        }
    }

    /// An answer wins over whatever else stands in the way: here also when it lies in another partition than that.
    async fn first_answer(&self, parts: &[Part]) -> Result<Option<Answer>, GivenUp> {
        if parts.len() < 2 {
            return Ok(None);
        }
        for part in parts {
            for op in &part.ops {
                if let Op::Answer(answer) = op
                    && let Some(first) = self.remembered(answer.mark.key).await?
                {
                    return Ok(Some(first));
                }
            }
        }
        Ok(None)
    }

    /// The first answer to an idempotency key.
    pub(crate) async fn remembered(&self, key: [u8; 16]) -> Result<Option<Answer>, GivenUp> {
        let found = self.servers().call(domain::ids::Partition(key[0]), cmd("GET").arg(self.keys().answer(key))).await?;
        let Some(stored) = bytes(found.value) else { return Ok(None) };
        decode_answer(key, &stored).map(Some).ok_or_else(|| GivenUp::nonsense("a stored answer cannot be read"))
    }
}

/// When it is the very answer that was to be remembered, an earlier try has made the change.
fn answered(part: &Part, op: usize, first: &[u8], attempt: &Attempt) -> Result<Made, GivenUp> {
    let Some(Op::Answer(answer)) = part.ops.get(op) else { return Err(GivenUp::nonsense("an answer that nobody gave")) };
    if attempt.repeated && encode_answer(answer) == first {
        return Ok(Made::Done);
    }
    decode_answer(answer.mark.key, first).map(Made::Answered).ok_or_else(|| GivenUp::nonsense("a stored answer cannot be read"))
}

fn written(part: &Part, op: usize) -> Result<(u128, Version), GivenUp> {
    match part.ops.get(op) {
        Some(Op::Put(put)) => Ok((put.id, put.expected)),
        Some(Op::Delete(delete)) => Ok((delete.id, delete.expected.unwrap_or_default())),
        Some(Op::Answer(_)) | None => Err(GivenUp::nonsense("a conflict about nothing")),
    }
}

/// Somebody else has certainly written what this call would have.
fn is_another(fields: &[Field], expected: Version) -> bool {
    let history = fields.iter().find(|(name, _)| name == b"w").map_or(&[][..], |(_, writes)| writes);
    is_another_known(history, expected)
}

async fn wait_a_moment(until: Instant) -> Result<(), GivenUp> {
    if Instant::now() >= until {
        return Err(GivenUp::busy("another change of the same carts was faster, again and again"));
    }
    #[expect(clippy::disallowed_methods, reason = "two changes that stopped each other must not meet again at once")]
    tokio::time::sleep(jittered(PAUSE_MIN)).await;
    Ok(())
}
