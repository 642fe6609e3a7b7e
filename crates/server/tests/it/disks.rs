//! Disks that fail: the power is cut, a sync fails, there is no room. They are file systems of their own, mounted
//! over loop devices, so this needs root; without it a test says that it was skipped.
//!
//! `POWER_CUTS=500 cargo nextest run -p server the_power_is_cut` cuts as often.

use crate::column::Column;
use crate::crashes::{Told, add_until_it_dies, buy_until_it_dies, sequences};
use crate::fail_points::{LATER, heal, journal};
use crate::hostile::Dice;
use crate::shop::{Client, Shop, command, dir, scale};
use app::ports::{AtLeast, Carts, Ledger, OrderFilter};
use domain::ids::{CartId, EditionId, OrderId};
use domain::order::PaymentStatus;
use domain::time::Timestamp;
use futures_util::FutureExt;
use hyper::Method;
use serde_json::{Value, json};
use std::os::unix::fs::FileExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store_embedded::EmbeddedStore;
use tempfile::TempDir;

/// Copies of the one book on sale.
const ON_HAND: i64 = 1_000_000;
/// Cuts after which the store begins anew, so that looking at all of it stays quick.
const CUTS_OF_A_STORE: usize = 10;

#[expect(clippy::print_stderr, reason = "a skipped test says so, and a long one what it did")]
pub fn say(text: &str) {
    eprintln!("{text}");
}

pub fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| format!("{program}: {e}"))?;
    let said = || format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(said()) }
}

/// A file system that is there until dropped.
pub struct Mounted(pub PathBuf);

impl Mounted {
    pub fn new(at: PathBuf, arguments: &[&str]) -> Result<Self, String> {
        std::fs::create_dir_all(&at).map_err(|e| e.to_string())?;
        let path = at.to_str().expect("text").to_owned();
        run("mount", &[arguments, &[path.as_str()]].concat())?;
        Ok(Self(at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(run("umount", &[self.0.to_str().expect("text")]));
    }
}

/// An ext4 disk whose image is on an XFS, where a copy of it is made in an instant. What the kernel has not
/// written back yet is not in the copy, as after a power cut; what was synced is.
struct Disk {
    store: Mounted,
    images: Mounted,
    dir: TempDir,
}

impl Disk {
    fn new() -> Result<Self, String> {
        let dir = dir();
        let at = |name: &str| dir.path().join(name);
        let sized = |path: &Path, bytes: u64| std::fs::File::create(path).and_then(|f| f.set_len(bytes)).map_err(|e| e.to_string());
        let (base, disk) = (at("base.img"), at("images/disk.img"));
        sized(&base, 4 << 30)?;
        run("mkfs.xfs", &["-q", "-f", "-m", "reflink=1", base.to_str().expect("text")])?;
        let images = Mounted::new(at("images"), &["-o", "loop", base.to_str().expect("text")])?;
        sized(&disk, 1 << 30)?;
        run("mkfs.ext4", &["-q", "-F", disk.to_str().expect("text")])?;
        let store = Mounted::new(at("store"), &["-o", "loop,data=ordered", disk.to_str().expect("text")])?;
        Ok(Self { store, images, dir })
    }

    /// The disk as a power cut now would leave it.
    fn cut(&self) {
        let image = |name: &str| self.images.0.join(name);
        let disk = std::fs::File::open(image("disk.img")).expect("a disk");
        let copy = std::fs::File::create(image("cut.img")).expect("a file");
        rustix::fs::ioctl_ficlone(copy, disk).expect("copied");
    }

    /// Takes whole blocks of a file from the disk, from the second-last on as many as this, and leaves them in the
    /// kernel's memory: what is left of a write that failed.
    fn lose_blocks_of(&self, file: &Path, count: u64) {
        let output = Command::new("filefrag").args(["-v", "-b4096"]).arg(file).output().expect("filefrag runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // "0:  0..  255:  34816..  35071:  256:": the piece's number, where it is in the file, and where on the disk.
        let numbers = |line: &str| line.split([':', '.']).filter_map(|n| n.trim().parse().ok()).collect::<Vec<u64>>();
        let pieces: Vec<_> = text.lines().map(numbers).filter(|n| n.len() >= 6).collect();
        let last = std::fs::metadata(file).expect("a file").len() / 4096 - 1;
        let disk = std::fs::File::options().write(true).open(self.images.0.join("disk.img")).expect("a disk");
        for block in last - count..last {
            let piece = pieces.iter().find(|p| (p[1]..=p[2]).contains(&block)).unwrap_or_else(|| panic!("block {block} in {text}"));
            disk.write_all_at(&[0; 4096], (piece[3] + block - piece[1]) * 4096).expect("written");
        }
    }

    /// What is on the disk after the cut.
    fn after_the_cut(&self) -> Mounted {
        let image = self.images.0.join("cut.img");
        Mounted::new(self.dir.path().join("cut"), &["-o", "loop", image.to_str().expect("text")]).expect("mounted")
    }
}

async fn keep_adding(client: Client, book: String, told: Arc<Mutex<Told>>) {
    loop {
        add_until_it_dies(client.guest().await, book.clone(), told.clone()).await;
    }
}

async fn keep_buying(client: Client, book: String, told: Arc<Mutex<Told>>) {
    loop {
        buy_until_it_dies(client.clone(), book.clone(), told.clone()).await;
    }
}

/// What is left is at least what was told before the cut, and balances. It only reads.
async fn look(dir: &Path, edition: EditionId, before: &Told, after: &Told) {
    let store = EmbeddedStore::open_read_only(dir).expect("a store");
    for (id, (_, acknowledged, _)) in &before.carts {
        let cart =
            store.load(CartId::parse(id).expect("an id"), AtLeast::Now, Timestamp(0)).await.expect("read").expect("a cart that was told");
        let copies: u64 = cart.items.iter().map(|i| u64::from(i.quantity.get())).sum();
        let asked = after.carts[id].2;
        assert!((*acknowledged..=asked).contains(&copies), "{id}: {acknowledged} told, {asked} asked for, {copies} there");
    }
    for id in before.orders.keys() {
        let order = store.order(OrderId::parse(id).expect("an id")).await.expect("read").expect("an order that was told");
        assert_eq!(order.payment, PaymentStatus::Captured, "{id}");
    }
    let orders = store.orders(&OrderFilter::default(), 1_000_000).await.expect("read");
    assert!(orders.iter().all(|o| o.payment == PaymentStatus::Captured));
    assert_eq!(journal(dir), orders.iter().map(|o| o.quote.total.minor()).sum::<i64>(), "money");
    let level = store.stock(edition).await.expect("read");
    assert_eq!((i64::from(level.on_hand), level.reserved), (ON_HAND - i64::try_from(orders.len()).expect("few"), 0), "stock");
    for (subject, numbers) in sequences(dir) {
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{subject}: every event, in order, once");
    }
}

fn sound(dir: &Path) {
    let checked = command(dir).arg("check").output().expect("check runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// Syncs that each thread makes before they begin to do nothing, where they do: there is a store by then.
const SYNCS_BEFORE_LIES: u32 = 20;

/// How the store under load is started: as it is, or in a world where syncs soon do nothing and say they did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Syncs {
    Work,
    Lie,
}

impl Syncs {
    fn start(self, dir: &Path) -> Shop {
        let real = command(dir);
        let command = match self {
            Self::Work => real,
            Self::Lie => {
                let mut traced = Command::new("strace");
                traced.args(["-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null"]);
                let lie = format!("inject=fsync,fdatasync:retval=0:when={}+", SYNCS_BEFORE_LIES + 1);
                traced.args(["-e", "trace=fsync,fdatasync", "-e", &lie]);
                traced.arg(real.get_program()).args(real.get_args());
                traced
            }
        };
        // It is stopped now and then, for longer than a customer would wait.
        let patient = ("CARTWRIGHT_CHECKOUT__ANSWER_WITHIN", "10m");
        Shop::try_start_by(command, &[("CARTWRIGHT_DEMO_CATALOG", "false"), patient]).expect("the store gets ready")
    }
}

/// Everything that must hold on what is left after a cut: it is sound, it recovers, and it has what was told.
async fn hold(copy: &Path, edition: EditionId, before: &Told, after: &Told) {
    sound(copy);
    let again = tokio::task::block_in_place(|| Shop::start(copy, &[LATER]));
    heal(Column::Embedded, copy).await;
    look(copy, edition, before, after).await;
    assert_eq!(again.stop(), Some(0));
    sound(copy);
}

/// What came of cuts.
#[derive(Default)]
struct Cuts {
    made: usize,
    /// Told by the last cut.
    orders: usize,
    adds: u64,
    /// What did not hold, after each cut where something did not.
    lost: Vec<String>,
}

/// Runs a store under load on the disk and cuts the power a few times.
async fn cut(disk: &Disk, syncs: Syncs, cuts: usize, dice: &mut Dice, all: &mut Cuts) {
    let data = tempfile::tempdir_in(&disk.store.0).expect("a directory");
    let name = data.path().file_name().expect("a name").to_owned();
    let shop = syncs.start(data.path());
    let (book, edition) = shop.admin(data.path()).new_book("POWER", 1000, u32::try_from(ON_HAND).expect("fits")).await;
    let edition = EditionId::parse(&edition).expect("an id");
    let told = Arc::new(Mutex::new(Told::default()));
    let adding = (0..8).map(|_| tokio::spawn(keep_adding(shop.client(), book.clone(), told.clone())));
    let buying = (0..4).map(|_| tokio::spawn(keep_buying(shop.client(), book.clone(), told.clone())));
    let load: Vec<_> = adding.chain(buying).collect();
    let now = || told.lock().expect("not poisoned").clone();
    let mut before = now();
    for _ in 0..cuts {
        tokio::time::sleep(Duration::from_millis(50 + dice.roll(600) as u64)).await;
        before = now();
        tokio::task::block_in_place(|| disk.cut());
        let after = now();
        // Looking is for a store that does not grow meanwhile.
        let _paused = shop.pause();
        let mounted = tokio::task::block_in_place(|| disk.after_the_cut());
        let held = AssertUnwindSafe(hold(&mounted.0.join(&name), edition, &before, &after)).catch_unwind().await;
        all.lost.extend(held.err().map(|why| why.downcast_ref::<String>().cloned().unwrap_or_default()));
        all.made += 1;
    }
    load.iter().for_each(tokio::task::JoinHandle::abort);
    shop.kill();
    all.orders += before.orders.len();
    all.adds += before.carts.values().map(|(_, acknowledged, _)| acknowledged).sum::<u64>();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_power_is_cut_what_was_told_is_on_the_disk() {
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(why) => return say(&format!("skipped: no disk to cut the power of ({why})")),
    };
    let cuts = scale("POWER_CUTS", 4);
    let (mut dice, mut all) = (Dice(0x0ff), Cuts::default());
    while all.made < cuts {
        cut(&disk, Syncs::Work, CUTS_OF_A_STORE.min(cuts - all.made), &mut dice, &mut all).await;
        say(&format!("{} power cuts; {} orders and {} adds were told; {} lost something", all.made, all.orders, all.adds, all.lost.len()));
    }
    assert_eq!(all.lost, Vec::<String>::new());
}

/// The proof that the cuts can see: a store whose syncs do nothing loses what it told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_power_is_cut_syncs_that_did_nothing_are_found_out() {
    let disk = match run("strace", &["-V"]).and_then(|()| Disk::new()) {
        Ok(disk) => disk,
        Err(why) => return say(&format!("skipped: no disk to cut the power of ({why})")),
    };
    let mut all = Cuts::default();
    cut(&disk, Syncs::Lie, scale("POWER_CUTS_UNSYNCED", 2), &mut Dice(0x0ff), &mut all).await;
    say(&format!("{} power cuts without syncs; {} lost something:\n{}", all.made, all.lost.len(), all.lost.join("\n")));
    assert!(!all.lost.is_empty(), "nothing was lost, and nothing was synced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_ends_the_process_and_loses_nothing_it_told() {
    if let Err(why) = run("strace", &["-V"]) {
        return say(&format!("skipped: no syncs to fail ({why})"));
    }
    for nth in [9, 23] {
        let dir = dir();
        let shop = Shop::start(dir.path(), &[("CARTWRIGHT_DEMO_CATALOG", "false")]);
        let (book, _) = shop.admin(dir.path()).new_book("SYNC", 1000, 1000).await;
        let guest = shop.guest().await;
        let path = format!("/cart/{}", guest.cart(json!([])).await);
        shop.kill();

        let real = command(dir.path());
        let mut traced = Command::new("strace");
        let fail = format!("inject=fsync,fdatasync:error=EIO:when={nth}");
        traced
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &fail])
            .arg(real.get_program())
            .args(real.get_args());
        let mut shop = Shop::try_start_by(traced, &[]).expect("ready");
        let client = shop.client().with(guest.token().to_owned());
        let add = json!({ "productId": book, "quantity": 1 }).to_string();
        let (mut told, mut asked) = (0, 0);
        while asked < 100 {
            asked += 1;
            match client.send(Method::POST, &format!("{path}/items"), &[], add.clone()).await {
                Ok(answer) if answer.status == 201 => told += 1,
                // The sync that failed was of a write before it, one of the shop's own.
                Ok(answer) if answer.code() == "STORE_UNAVAILABLE" => {
                    asked -= 1;
                    break;
                }
                Ok(answer) => {
                    assert_eq!((answer.status, answer.code()), (503, "OUTCOME_UNKNOWN"), "{}", answer.text);
                    break;
                }
                Err(_) => break,
            }
        }
        assert!(told > 0 && told < 100, "{told} adds before sync {nth} failed");
        let ended = shop.ended_within(Duration::from_secs(30)).await.expect("it ends by itself");
        assert_eq!(ended.code(), Some(1));

        let shop = Shop::start(dir.path(), &[]);
        let cart = shop.client().with(guest.token().to_owned()).get(&path).await.expect(200);
        let copies = cart["items"][0]["quantity"].as_u64().expect("a quantity");
        assert!((told..=asked).contains(&copies), "{told} told, {asked} asked for, {copies} there");
        assert_eq!(shop.stop(), Some(0));
        sound(dir.path());
    }
}

/// After a sync that failed, the next process reads what the disk does not have, and nobody writes it again by
/// himself: what is acknowledged from then on must not need it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_sync_left_in_memory_is_on_the_disk_before_anything_builds_on_it() {
    let disk = match run("filefrag", &["-V"]).and_then(|()| Disk::new()) {
        Ok(disk) => disk,
        Err(why) => return say(&format!("skipped: no disk to cut the power of ({why})")),
    };
    let data = tempfile::tempdir_in(&disk.store.0).expect("a directory");
    let name = data.path().file_name().expect("a name").to_owned();
    let told = Arc::new(Mutex::new(Told::default()));
    let now = || told.lock().expect("not poisoned").clone();
    let shop = Shop::start(data.path(), &[("CARTWRIGHT_DEMO_CATALOG", "false")]);
    let (book, edition) = shop.admin(data.path()).new_book("HOLE", 1000, u32::try_from(ON_HAND).expect("fits")).await;
    buy_more(shop, &book, &told, 40).await;
    for (file, count) in [("cartwright.db-wal", 8), ("payment-simulator.jsonl", 1)] {
        disk.lose_blocks_of(&data.path().join(file), count);
    }

    let before = now();
    buy_more(Shop::start(data.path(), &[]), &book, &told, 10).await;
    let after = now();
    assert!(before.orders.len() >= 40 && after.orders.len() >= before.orders.len() + 10);
    tokio::task::block_in_place(|| disk.cut());
    let mounted = tokio::task::block_in_place(|| disk.after_the_cut());
    hold(&mounted.0.join(&name), EditionId::parse(&edition).expect("an id"), &after, &now()).await;
}

/// Buyers and fillers of carts at work, until this many more orders are told; then a kill -9.
async fn buy_more(shop: Shop, book: &str, told: &Arc<Mutex<Told>>, orders: usize) {
    let count = || told.lock().expect("not poisoned").orders.len();
    let enough = count() + orders;
    let adding = tokio::spawn(add_until_it_dies(shop.client().guest().await, book.to_owned(), told.clone()));
    let buying = tokio::spawn(buy_until_it_dies(shop.client(), book.to_owned(), told.clone()));
    while count() < enough {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shop.kill();
    adding.await.expect("clients end with the store");
    buying.await.expect("clients end with the store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_goes_on_reading_and_writes_again_when_there_is_room() {
    let dir = dir();
    let small = match Mounted::new(dir.path().join("small"), &["-t", "tmpfs", "-o", "size=3m", "tmpfs"]) {
        Ok(mounted) => mounted,
        Err(why) => return say(&format!("skipped: no disk to fill ({why})")),
    };
    let shop = Shop::start(&small.0, &[("CARTWRIGHT_DEMO_CATALOG", "false")]);
    let (book, _) = shop.admin(&small.0).new_book("FULL", 1000, 1000).await;
    let guest = shop.guest().await;
    let path = format!("/cart/{}", guest.cart(json!([])).await);
    let add = json!({ "productId": book, "quantity": 1 });
    let add = async || guest.post(&format!("{path}/items"), add.clone()).await;
    let copies = async |guest: &Client| {
        let cart: Value = guest.get(&path).await.expect(200);
        cart["items"][0]["quantity"].as_u64().expect("a quantity")
    };
    let mut told = 0;
    let refused = loop {
        let answer = add().await;
        if answer.status != 201 {
            break answer;
        }
        told += 1;
    };
    assert_eq!((refused.status, refused.code()), (507, "STORAGE_FULL"), "{}", refused.text);
    assert_eq!(copies(&guest).await, told, "a refused write has no effect, and reads go on");
    assert_eq!(shop.client().get("/health/live").await.status, 200);

    run("mount", &["-o", "remount,size=64m", small.0.to_str().expect("text")]).expect("more room");
    add().await.expect(201);
    assert_eq!(copies(&guest).await, told + 1);
    shop.kill();
    let shop = Shop::start(&small.0, &[]);
    assert_eq!(copies(&shop.client().with(guest.token().to_owned())).await, told + 1);
    assert_eq!(shop.stop(), Some(0));
    sound(&small.0);
}
