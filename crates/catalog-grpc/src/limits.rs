//! Every bound of a catalog at the other end of a wire, with its reason.

use std::time::Duration;

/// How old a copy may be for new decisions, unless the shop says otherwise: a node that is started anew is back by then.
pub const COPY_AGE_MAX: Duration = Duration::from_secs(30);
/// How often a copy asks what has changed: what a shopper does not notice. An ask without news is a few bytes.
pub const REFRESH: Duration = Duration::from_millis(250);
/// How long the other node may take for each part of an answer, and for a question with all its tries. Shoppers wait for it.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a save may take: a batch of books is written in one piece, and a shopkeeper waits longer than a shopper.
pub const SAVE_TIME_MAX: Duration = Duration::from_secs(15);
/// How long a connection may take to be made: within a shop's own network, longer is never.
pub const CONNECT_MAX: Duration = Duration::from_secs(1);
/// A connection that is silent is asked for a sign of life this often, and given up when none comes.
pub const PING_EVERY: Duration = Duration::from_secs(5);
pub const PING_TIME_MAX: Duration = Duration::from_secs(3);
/// The pause before the stream is begun anew; it doubles, and chance takes off up to half.
pub const ANEW_PAUSE_MIN: Duration = Duration::from_millis(100);
pub const ANEW_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Bytes of a part of an answer, unless one record has more: parts are all in memory at both ends.
pub const PART_BYTES: usize = 512 << 10;
/// Bytes of any message: the largest record fits many times, and so does an import's batch of a thousand books.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Parts of one answer: enough for millions of books, and no stream without end.
pub const PARTS_MAX: usize = 16_384;
/// Nodes that keep a copy: each costs a list of all levels. More than any shop has.
pub const FOLLOWERS_MAX: usize = 64;
/// Calls under way on one connection: a node's own calls are fewer (`outbound`).
pub const STREAMS_MAX: u32 = 128;
/// Searches at once by looking at every book of a copy: each takes a core for as long as it lasts.
pub const OWN_SEARCHES_MAX: usize = 2;
/// Lines of a price history in one answer.
pub const PRICES_MAX: usize = 1000;
/// Books in one call of BookWorm's: more than a basket holds.
pub const BOOKS_ASKED_MAX: usize = 500;
/// Characters of the token nodes know each other by: shorter ones can be guessed.
pub const TOKEN_MIN: usize = 16;
pub const TOKEN_MAX: usize = 256;
