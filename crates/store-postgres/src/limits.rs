//! Bounds of the connections and of what is tried again.

use std::time::Duration;

/// Connections a node opens unless told otherwise. A server with few cores does the most work with few of them at once.
pub const CONNECTIONS_MAX: usize = 16;
/// How long a call waits for a connection before it is refused: whoever waits longer is better off asking another node.
pub const WAIT_MAX: Duration = Duration::from_millis(500);
/// How long it may take to open a connection and to prepare every query on it.
pub const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long the server works on one statement.
pub const STATEMENT_MAX: Duration = Duration::from_secs(5);
/// How long a statement waits for a row that another holds.
pub const LOCK_MAX: Duration = Duration::from_secs(2);
/// How long a transaction may stand open with nothing to do before the server ends it.
pub const IDLE_IN_TRANSACTION_MAX: Duration = Duration::from_secs(5);
/// What a call waits beyond the statement's own time before the server counts as gone.
pub const ANSWER_SLACK: Duration = Duration::from_secs(1);
/// After so long without a word the other side of a connection is asked whether it is still there.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// How long a change of the schema waits for a table that is in use: whoever comes behind it waits as well.
pub const MIGRATION_LOCK_MAX: Duration = Duration::from_secs(2);
/// How long a node waits for another one that changes the schema.
pub const MIGRATION_WAIT_MAX: Duration = Duration::from_mins(10);
/// Groups of changes a node commits at a time: while one waits for the disk, the database works on the other. More of them are
/// smaller, and wait for each other's rows.
pub const COMMITTERS: usize = 2;
/// Changes of a group. With half as many a tenth fewer orders a second were placed.
pub const GROUP_MAX: usize = 32;
/// How long a group waits for a row that another holds: a commit of another node takes less, and who holds one longer does not hold up those
/// who want something else.
pub const GROUP_LOCK_MAX: Duration = Duration::from_millis(200);
/// Changes that wait to be taken into a group. More would wait longer than [`WAIT_MAX`].
pub const QUEUE_MAX: usize = 4096;
/// How often a group is tried, smaller each time, before its changes are committed one by one.
pub const ROUNDS_MAX: usize = 3;
/// How often a transaction that lost to another (serialization failure, deadlock) is tried.
pub const TRIES_MAX: usize = 5;
/// Before the second try; doubled from there, with jitter.
pub const RETRY_AFTER: Duration = Duration::from_millis(2);
/// How long a node tries to find out what became of a commit whose connection broke: a server restarts in that time, and a
/// replica takes over.
pub const RESOLVE_MAX: Duration = Duration::from_secs(10);
/// How long it waits before it asks again; doubled from there up to the second, with jitter.
pub const RESOLVE_AFTER: Duration = Duration::from_millis(20);
pub const RESOLVE_EVERY: Duration = Duration::from_secs(1);
/// A read is tried once more on another connection when its own turns out to be broken: a server that was restarted breaks all.
pub const READ_TRIES_MAX: usize = 3;
/// How long it may take to connect to a replica, and how long it may work on a statement: then the primary is asked.
pub const REPLICA_MAX: Duration = Duration::from_secs(1);
/// How long a replica that has failed is left alone, before one read tries it.
pub const REPLICA_PAUSE: Duration = Duration::from_secs(3);
/// Ids of commits that are forgotten at a time: there are more of them than of answers.
pub const COMMITS_FORGOTTEN_MAX: i64 = 10_000;
/// How often the copy in memory is compared with what other nodes have committed, if nobody says that there is something:
/// their moves of stock are seen after this long, and nobody is told of each of a thousand sales a second.
pub const POLL: Duration = Duration::from_millis(500);
/// An older copy is stale: good for showing, and for what was chosen before. The database is away then, for longer than a
/// restart takes.
pub const COPY_AGE_MAX: Duration = Duration::from_secs(10);
/// How long it may take to read everything that is kept in memory.
pub const READ_ALL_MAX: Duration = Duration::from_mins(2);
/// How long a save waits until it is in the copy in memory, or why it was refused: what is shown next is as new as its answer.
pub const CATCH_UP_MAX: Duration = Duration::from_secs(10);
/// Those who wait for one read.
pub const ASKS_MAX: usize = 256;
/// Before the copy's connection is opened again; longer after each failure, with jitter.
pub const RECONNECT_AFTER: Duration = Duration::from_millis(50);
pub const RECONNECT_AFTER_MAX: Duration = Duration::from_secs(2);
/// Every so many reads of the outbox, its floor is looked after.
pub const FLOOR_EVERY: u64 = 16;
/// Bytes of a searched word that count: the server takes 2046.
pub const WORD_MAX: usize = 2000;
