use app::ports::{Bus, Clock, DidItHappen, Entropy};
use conformance::fixtures::{cart_of, guest};
use memory::{ManualClock, MemoryBus, SeededEntropy};
use std::time::Duration;

#[tokio::test]
async fn a_bus_remembers_what_it_was_given_while_it_was_not_broken() {
    let bus = MemoryBus::new();
    let events = cart_of(1, guest(1), ManualClock::START).events;
    bus.publish(&events[..1]).await.unwrap();
    bus.break_down();
    let error = bus.publish(&events[1..]).await.unwrap_err();
    assert_eq!((error.did_it_happen, bus.published()), (DidItHappen::No, events[..1].to_vec()));
    bus.repair();
    bus.clone().publish(&events[1..]).await.unwrap();
    assert_eq!(bus.published(), events);
}

#[test]
fn a_clock_moves_only_when_it_is_told() {
    let clock = ManualClock::new();
    let same = clock.clone();
    assert_eq!((clock.now(), clock.now()), (ManualClock::START, ManualClock::START));
    clock.advance(Duration::from_millis(1500));
    assert_eq!(same.now(), ManualClock::START.plus(Duration::from_millis(1500)));
}

#[test]
fn chance_is_the_same_for_the_same_seed() {
    let draw = |seed, n: usize| {
        let entropy = SeededEntropy::new(seed);
        let mut bytes = vec![0; n];
        entropy.fill(&mut bytes);
        bytes
    };
    // The reference output of splitmix64 for seed 0.
    assert_eq!(draw(0, 8), 0xE220_A839_7B1D_CDAF_u64.to_le_bytes());
    assert_eq!(draw(7, 21), draw(7, 21));
    assert_ne!(draw(7, 21), draw(8, 21));
    let entropy: &dyn Entropy = &SeededEntropy::new(7);
    assert_ne!((entropy.bits(), entropy.bits64()), (entropy.bits(), entropy.bits64()));
}
