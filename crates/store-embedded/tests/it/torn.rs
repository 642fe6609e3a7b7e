//! Files that a crash, a copy or a disk has damaged at their end: what opens is a state that was once
//! acknowledged, and what does not open says why.

use app::ports::{AtLeast, Carts};
use conformance::fixtures::{START, at, cart_of, guest, save_cart};
use domain::cart::Cart;
use domain::ids::CartId;
use std::path::Path;
use store_embedded::{EmbeddedStore, verify};
use tempfile::TempDir;

const CARTS: u128 = 60;
const PAGE: usize = 4096;

/// A store of [`CARTS`] carts saved one after the other, all of it in the log; with the length of the log at
/// each answer. `closed` moves the log into the database.
async fn saved(closed: bool) -> (TempDir, Vec<u64>) {
    let dir = TempDir::new().expect("a temporary directory");
    let store = EmbeddedStore::open(dir.path()).expect("a store");
    let mut ends = Vec::new();
    for n in 1..=CARTS {
        Carts::save(&store, save_cart(&made(n), 0), START).await.expect("a save");
        ends.push(std::fs::metadata(dir.path().join("cartwright.db-wal")).expect("a log").len());
    }
    if closed {
        drop(store);
        return (dir, ends);
    }
    let copy = TempDir::new().expect("a temporary directory");
    for name in ["cartwright.db", "cartwright.db-wal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).expect("copied");
    }
    (copy, ends)
}

fn made(n: u128) -> domain::cart::Decided {
    cart_of(n, guest(n), START)
}

/// A damage: what it is called, and what it does to a file; gives where it begins.
type Damage = (&'static str, fn(&mut Vec<u8>, usize) -> usize);

const DAMAGES: [Damage; 4] = [
    ("cut off", |bytes, at| {
        bytes.truncate(at);
        at
    }),
    ("cut off at a page", |bytes, at| {
        bytes.truncate(at / PAGE * PAGE);
        at / PAGE * PAGE
    }),
    ("a page of zeros", |bytes, at| {
        let from = at / PAGE * PAGE;
        let to = (from + PAGE).min(bytes.len());
        bytes[from..to].fill(0);
        from
    }),
    ("a bit", |bytes, at| {
        bytes[at] ^= 1 << (at % 8);
        at
    }),
];

/// Places near the end of a file, from a seed.
fn places(len: usize, pages: usize, count: usize) -> impl Iterator<Item = usize> {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let last = (pages * PAGE).min(len);
    std::iter::repeat_with(move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        len - 1 - usize::try_from(seed % last as u64).expect("small")
    })
    .take(count)
}

fn damaged(from: &Path, file: &str, damage: fn(&mut Vec<u8>, usize) -> usize, place: usize) -> (TempDir, usize) {
    let dir = TempDir::new().expect("a temporary directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("copied");
    }
    let path = dir.path().join(file);
    let mut bytes = std::fs::read(&path).expect("a file");
    let begins = damage(&mut bytes, place);
    std::fs::write(&path, bytes).expect("written");
    (dir, begins)
}

/// Each cart as it can be read now.
async fn read(store: &EmbeddedStore) -> Vec<Result<Option<Cart>, String>> {
    let mut read = Vec::new();
    for n in 1..=CARTS {
        let loaded = Carts::load(store, CartId(n), AtLeast::Now, at(1)).await;
        read.push(loaded.map(|cart| cart.map(|c| (*c).clone())).map_err(|e| e.to_string()));
    }
    read
}

#[tokio::test]
async fn a_torn_log_opens_as_it_was_at_an_earlier_answer() {
    let (dir, ends) = saved(false).await;
    let len = std::fs::metadata(dir.path().join("cartwright.db-wal")).expect("a log").len();
    let len = usize::try_from(len).expect("small");
    for (name, damage) in DAMAGES {
        for place in places(len, 12, 25) {
            let (copy, begins) = damaged(dir.path(), "cartwright.db-wal", damage, place);
            let store = EmbeddedStore::open(copy.path()).unwrap_or_else(|e| panic!("{name} at {place}: {e}"));
            let there = read(&store).await;
            let whole = ends.iter().take_while(|end| **end <= begins as u64).count();
            let found = there.iter().take_while(|cart| matches!(cart, Ok(Some(_)))).count();
            assert!(found >= whole, "{name} at {place}: {whole} were whole, {found} are there");
            for (n, cart) in (1..).zip(&there) {
                let expected = (n <= found as u128).then(|| made(n).cart);
                assert_eq!(cart.as_ref().expect("readable"), &expected, "{name} at {place}: cart {n}");
            }
            let next = Carts::save(&store, save_cart(&made(CARTS + 1), 0), START).await;
            assert!(next.is_ok(), "{name} at {place}: it goes on");
            drop(store);
            verify(copy.path()).unwrap_or_else(|e| panic!("{name} at {place}: {e}"));
        }
    }
}

/// A flipped bit is left out: SQLite keeps no sums of its pages, so one inside a record may go unnoticed.
#[tokio::test]
async fn a_torn_database_gives_what_was_saved_or_an_error_or_is_found_unsound() {
    let (dir, _) = saved(true).await;
    let len = std::fs::metadata(dir.path().join("cartwright.db")).expect("a database").len();
    let len = usize::try_from(len).expect("small");
    let mut found = 0;
    for (name, damage) in &DAMAGES[..3] {
        for place in places(len, 24, 40) {
            let (copy, _) = damaged(dir.path(), "cartwright.db", *damage, place);
            let sound = verify(copy.path()).is_ok();
            found += usize::from(!sound);
            let Ok(store) = EmbeddedStore::open(copy.path()) else { continue };
            for (n, cart) in (1..).zip(read(&store).await) {
                let as_saved = cart.is_err() || cart == Ok(Some(made(n).cart));
                assert!(as_saved || !sound, "{name} at {place}: cart {n} is wrong, and nobody noticed");
            }
        }
    }
    assert!(found > 100, "of 120 damages only {found} were found");
}
