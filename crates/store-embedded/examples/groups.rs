use app::ports::*;
use conformance::fixtures::*;
use std::time::Instant;
use store_embedded::EmbeddedStore;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let callers: u32 = std::env::args().nth(1).unwrap().parse().unwrap();
    let total: u32 = std::env::args().nth(2).unwrap().parse().unwrap();
    let dir = tempfile::TempDir::new_in("/work").unwrap_or_else(|_| tempfile::TempDir::new().unwrap());
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let n_carts = 10_000u128;
    let mut carts = Vec::new();
    for n in 1..=n_carts {
        let id = (n * 0x9E3779B97F4A7C15) << 40 | n;
        let mut base = cart_of(n, guest(n), START); base.cart.id = domain::ids::CartId(id); base.cart.owner = guest(id);
        let c = changed(&base.cart, &[add(30011, 1), add(30012, 2), add(30013, 1), add(30014, 1)], START);
        carts.push(c.cart);
    }
    for chunk in carts.chunks(200) {
        let writes = chunk.iter().map(|c| put_cart(c, 0)).collect::<Vec<_>>();
        Carts::save(&store, cart_writes(writes), START).await.unwrap();
    }
    println!("cart bytes {}", records_len(&carts[0]));
    let per = total / callers;
    let t = Instant::now();
    let c0 = cpu();
    let carts = std::sync::Arc::new(carts);
    let lat = race(callers, |caller| {
        let store = store.clone();
        let carts = carts.clone();
        async move {
            let mine: Vec<usize> = (0..carts.len()).filter(|i| *i as u32 % callers == caller).collect();
            let mut lat = Vec::with_capacity(per as usize);
            for round in 0..per as usize {
                let id = carts[mine[(round * 7919) % mine.len()]].id;
                let t = Instant::now();
                let current = Carts::load(&store, id, START).await.unwrap().unwrap();
                let next = changed(&current, &[domain::cart::Command::Set { item: domain::ids::EditionId(30011).into(), quantity: Some(copies(current.items[1].quantity.get() % 900 + 1)) }], START);
                match Carts::save(&store, save_cart(&next, current.version.0), START).await.unwrap() { Saved::Done => {}, o => panic!("{o:?}") }
                lat.push(t.elapsed().as_micros() as u64);
            }
            lat
        }
    }).await;
    let el = t.elapsed().as_secs_f64();
    let c1 = cpu();
    let mut l: Vec<u64> = lat.into_iter().flatten().collect();
    l.sort();
    println!("callers {callers}: {:.0} ops/s p50 {}us p99 {}us p99.9 {}us max {}us cpu/op {:.1}us", l.len() as f64 / el, l[l.len()/2], l[l.len()*99/100], l[l.len()*999/1000], l.last().unwrap(), (c1 - c0) * 1e6 / l.len() as f64);
    println!("wal {}", std::fs::metadata(dir.path().join("cartwright.db-wal")).unwrap().len());
    let db = std::fs::metadata(dir.path().join("cartwright.db")).unwrap().len();
    drop(store);
    println!("db {} -> {}", db, std::fs::metadata(dir.path().join("cartwright.db")).unwrap().len());
    let t = Instant::now();
    let s = EmbeddedStore::open(dir.path()).unwrap();
    println!("open {:?}", t.elapsed());
    drop(s);
}
fn records_len(c: &domain::cart::Cart) -> usize { let t = Instant::now(); for _ in 0..10000 { std::hint::black_box(records::encode_cart(c)); } let e = t.elapsed(); let b = records::encode_cart(c); let t = Instant::now(); for _ in 0..10000 { std::hint::black_box(records::decode_cart(&b).unwrap()); } println!("encode {:?} decode {:?} /10k", e, t.elapsed()); b.len() }
