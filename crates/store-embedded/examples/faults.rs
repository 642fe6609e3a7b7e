use app::ports::*;
use conformance::fixtures::*;
use store_embedded::EmbeddedStore;
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let dir = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let ballast = dir.join("ballast");
    let store = match EmbeddedStore::open(&dir.join("db")) { Ok(s) => s, Err(e) => { println!("open: {e}"); return } };
    let (mut ok, mut full) = (0u128, 0);
    for n in 1..60_000u128 {
        match Carts::save(&store, save_cart(&cart_of(n, guest(n), START), 0), START).await {
            Ok(Saved::Done) => { ok += 1; if full > 0 && full < 1000 { println!("writes again after {full} refusals at {n}"); full = 1000; } }
            Ok(Saved::Conflict { .. }) => {}
            Ok(o) => panic!("{o:?}"),
            Err(e) if e.kind == PortErrorKind::Full => { full += 1; assert!(Carts::load(&store, domain::ids::CartId(1), START).await.unwrap().is_some());
                if full == 1 { println!("full after {ok}: {e}"); }
                if full == 20 { std::fs::remove_file(&ballast).ok(); } if full > 1100 { break } }
            Err(e) => { println!("{n}: {e} {:?}", e.did_it_happen); 
                let p = tokio::time::timeout(std::time::Duration::from_secs(1), store.poisoned()).await; println!("poisoned {p:?}; reads {}", Carts::load(&store, domain::ids::CartId(1), START).await.is_ok()); break }
        }
    }
    println!("ok {ok}");
    drop(store);
    println!("{:?}", store_embedded::verify(&dir.join("db")));
}
