//! The provider's memory on disk: a line of JSON for each change, appended and synced before anybody hears
//! of it. One thread writes; whoever waits at the same moment shares a sync.

use super::PORT;
use super::account::{Change, Words};
use app::ports::{PortError, PortErrorKind};
use domain::ids::AttemptId;
use domain::limits::JOURNAL_WAITING_MAX;
use serde::{Serialize, Serializer};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Line {
    #[serde(serialize_with = "write_key")]
    pub key: AttemptId,
    /// When, in microseconds, if the shop is to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    #[serde(flatten)]
    pub change: Change,
}

#[derive(Debug)]
pub(super) struct Journal {
    /// Gone once the journal is being closed.
    queue: Option<mpsc::Sender<Entry>>,
    writer: Option<JoinHandle<()>>,
    /// Why nothing can be written any more.
    broken: Arc<OnceLock<io::Error>>,
}

/// A line, or only the wish to know that everything before it is on disk.
#[derive(Debug)]
struct Entry {
    line: Option<Line>,
    written: oneshot::Sender<()>,
}

/// A place in the queue: taken before anything is decided, so that what is decided can be written in that order.
pub(super) struct Place<'a> {
    permit: mpsc::Permit<'a, Entry>,
    journal: &'a Journal,
}

pub(super) struct Written<'a> {
    written: oneshot::Receiver<()>,
    journal: &'a Journal,
}

impl Journal {
    /// Opens or creates a journal; tells each line it has so far.
    pub fn open(path: &Path, tell: impl FnMut(&Line)) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = cut_off_what_is_torn(&bytes);
        read(whole, tell)?;
        file.set_len(whole.len() as u64)?;
        write_again(&mut file, whole)?;
        sync_directory(path)?;
        Self::start(file)
    }

    fn start(file: File) -> io::Result<Self> {
        let (queue, entries) = mpsc::channel(JOURNAL_WAITING_MAX);
        let broken = Arc::new(OnceLock::new());
        let why = Arc::clone(&broken);
        let writer = std::thread::Builder::new().name("payment-journal".to_owned()).spawn(move || write_down(file, entries, &why))?;
        Ok(Self { queue: Some(queue), writer: Some(writer), broken })
    }

    /// Waits for a place in the queue.
    pub async fn place(&self) -> Result<Place<'_>, PortError> {
        let queue = self.queue.as_ref().expect("invariant: the queue is there until the journal is dropped");
        let permit = queue.reserve().await.map_err(|_| PortError::unavailable(PORT, self.reason()))?;
        Ok(Place { permit, journal: self })
    }

    fn reason(&self) -> String {
        self.broken.get().map_or_else(|| "the journal is closed".to_owned(), |error| format!("the journal is broken: {error}"))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to write.
            let _ = writer.join();
        }
    }
}

impl<'a> Place<'a> {
    pub fn write(self, line: Option<Line>) -> Written<'a> {
        let (sender, written) = oneshot::channel();
        self.permit.send(Entry { line, written: sender });
        Written { written, journal: self.journal }
    }
}

impl Written<'_> {
    /// Waits until the line and all before it are on disk.
    pub async fn durable(self) -> Result<(), PortError> {
        let lost = |_| PortError::unknown(PORT, PortErrorKind::Unavailable, self.journal.reason());
        self.written.await.map_err(lost)
    }
}

fn write_down(mut file: File, mut queue: mpsc::Receiver<Entry>, broken: &OnceLock<io::Error>) {
    let mut waiting = Vec::new();
    while queue.blocking_recv_many(&mut waiting, JOURNAL_WAITING_MAX) > 0 {
        if let Err(error) = append(&mut file, waiting.iter().filter_map(|e| e.line.as_ref())) {
            // Whoever waits, and whoever comes, finds the queue gone and this as the reason.
            broken.get_or_init(|| error);
            drop(queue);
            return;
        }
        for entry in waiting.drain(..) {
            // Whoever went away needs no answer.
            let _ = entry.written.send(());
        }
    }
}

fn append<'a>(file: &mut File, lines: impl Iterator<Item = &'a Line>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
    }
    if bytes.is_empty() {
        return Ok(());
    }
    file.write_all(&bytes)?;
    file.sync_data()
}

/// Every line that was written in full: what follows was never answered.
fn cut_off_what_is_torn(bytes: &[u8]) -> &[u8] {
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    &bytes[..whole]
}

fn read(lines: &[u8], mut tell: impl FnMut(&Line)) -> io::Result<()> {
    for (line, n) in lines.split_inclusive(|b| *b == b'\n').zip(1..) {
        let words: Words<'_> = serde_json::from_slice(line).map_err(|error| unreadable(n, &error.to_string()))?;
        tell(&words.line().ok_or_else(|| unreadable(n, "it says nothing that is known"))?);
    }
    Ok(())
}

/// Writes the last lines again and syncs them. After a sync that failed, the kernel takes what it could not write for
/// written and goes on showing it: with only what is added afterwards on disk, a power cut would leave a hole. One
/// sync is for as many lines as may wait, and after one that failed nothing more was written.
fn write_again(file: &mut File, whole: &[u8]) -> io::Result<()> {
    let ends = whole.iter().enumerate().rev().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
    let from = ends.skip(1).nth(JOURNAL_WAITING_MAX - 1).unwrap_or(0);
    file.seek(SeekFrom::Start(from as u64))?;
    file.write_all(&whole[from..])?;
    file.sync_all()
}

fn unreadable(line: usize, error: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("line {line} of the payment journal: {error}"))
}

/// A file is only there for good once its directory says so.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn write_key<S: Serializer>(key: &AttemptId, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::ports::DidItHappen;

    fn flaked() -> Option<Line> {
        Some(Line { key: AttemptId(1), at: None, change: Change::Flaked })
    }

    #[tokio::test]
    async fn after_a_failed_write_nothing_is_answered_any_more() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let journal = Journal::start(File::open(file.path()).unwrap()).unwrap();
        let first = journal.place().await.unwrap().write(flaked()).durable().await.unwrap_err();
        assert_eq!((first.kind, first.did_it_happen), (PortErrorKind::Unavailable, DidItHappen::Unknown));
        let Err(second) = journal.place().await else { panic!("a broken journal takes nothing") };
        assert_eq!((second.kind, second.did_it_happen), (PortErrorKind::Unavailable, DidItHappen::No));
        for error in [first, second] {
            assert!(error.to_string().contains("the journal is broken"), "{error}");
        }
    }
}
