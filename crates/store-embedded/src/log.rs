//! The write-ahead log as a file. Its form is [SQLite's](https://www.sqlite.org/fileformat2.html#walformat): a head,
//! and frames of a page each, which belong to it as long as they carry its salt.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

const HEAD: usize = 32;
/// In the head.
const PAGE: Range<usize> = 8..12;
const SALT: Range<usize> = 16..24;
const FRAME_HEAD: usize = 24;
/// In a frame.
const FRAME_SALT: Range<usize> = 8..16;
/// Frames that are written at once: about a megabyte.
const FRAMES: usize = 256;

/// Writes what the log holds again, as it reads, and syncs it, before anything goes on from it.
///
/// After a sync that failed, the kernel takes what it could not write for written and goes on showing it: a new
/// process would recover it, add to it, and have only the addition written. With a hole before it, that is lost in
/// the next power cut. Nothing tells such a log from a good one, so every start does this. Moving the log into the
/// database instead would not do: cut off halfway, the database would hold pages of a log that has a hole.
///
/// # Errors
/// The log cannot be read, written or synced.
pub fn write_again(dir: &Path) -> io::Result<()> {
    let log = match File::options().read(true).write(true).open(dir.join("cartwright.db-wal")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut head = [0; HEAD];
    if log.read_at(&mut head, 0)? < HEAD {
        return Ok(());
    }
    log.write_all_at(&head, 0)?;
    let page = head[PAGE].iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
    let mut piece = vec![0; (FRAME_HEAD + page.min(1 << 16)) * FRAMES];
    let mut at = HEAD as u64;
    loop {
        let read = log.read_at(&mut piece, at)?;
        let frames = piece[..read].chunks(piece.len() / FRAMES);
        let ours: usize = frames.take_while(|frame| frame.get(FRAME_SALT) == Some(&head[SALT])).map(<[u8]>::len).sum();
        log.write_all_at(&piece[..ours], at)?;
        if ours < piece.len() {
            return log.sync_all();
        }
        at += ours as u64;
    }
}
