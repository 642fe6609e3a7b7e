//! Workers share out what goes on beside the requests, on a clock of their own.

use app::ports::{Leases, NodeName};
use app::{TEND_PAUSE, Work, Worker};
use domain::limits::LEASE_KEEP;
use domain::text::Text;
use domain::time::Timestamp;
use memory::MemoryLeases;
use std::sync::Arc;
use std::time::Duration;

const START: Timestamp = Timestamp(1_700_000_000_000_000);

fn name(n: usize) -> NodeName {
    Text::parse(&format!("node {n}")).expect("a name")
}

struct Crew {
    leases: Arc<dyn Leases>,
    workers: Vec<Worker>,
    now: Timestamp,
}

impl Crew {
    fn of(workers: usize) -> Self {
        let mut crew = Self { leases: Arc::new(MemoryLeases::default()), workers: vec![], now: START };
        (0..workers).for_each(|_| crew.join());
        crew
    }

    fn join(&mut self) {
        let name = name(self.workers.len());
        self.workers.push(Worker::new(Arc::clone(&self.leases), name, Work::all(2)));
    }

    /// All of them look after their jobs, but for those who sleep; time goes by.
    async fn round(&mut self, sleepers: &[usize]) {
        for (_, worker) in self.workers.iter().enumerate().filter(|(n, _)| !sleepers.contains(n)) {
            worker.tend(self.now).await.expect("leases");
            self.nothing_is_held_twice();
        }
        self.now = self.now.plus(TEND_PAUSE);
    }

    fn held(&self) -> Vec<usize> {
        self.workers.iter().map(|worker| worker.holds(self.now).len()).collect()
    }

    fn nothing_is_held_twice(&self) {
        let mut held: Vec<Work> = self.workers.iter().flat_map(|worker| worker.holds(self.now)).collect();
        held.sort_unstable();
        let many = held.len();
        held.dedup();
        assert_eq!(held.len(), many, "{held:?}");
    }
}

#[tokio::test]
async fn one_alone_does_everything_at_once() {
    let mut crew = Crew::of(1);
    crew.round(&[]).await;
    assert_eq!(crew.held(), [5]);
}

#[tokio::test]
async fn each_has_its_part_whoever_came_first() {
    let mut crew = Crew::of(1);
    crew.round(&[]).await;
    crew.join();
    crew.join();
    for _ in 0..3 {
        crew.round(&[]).await;
    }
    let mut held = crew.held();
    held.sort_unstable();
    assert_eq!(held, [1, 2, 2]);
    let settled: Vec<Vec<Work>> = crew.workers.iter().map(|worker| worker.holds(crew.now)).collect();
    for _ in 0..20 {
        crew.round(&[]).await;
    }
    let later: Vec<Vec<Work>> = crew.workers.iter().map(|worker| worker.holds(crew.now)).collect();
    let sorted = |all: Vec<Vec<Work>>| {
        all.into_iter()
            .map(|mut held| {
                held.sort_unstable();
                held
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(sorted(later), sorted(settled), "nobody hands over what is well where it is");
}

#[tokio::test]
async fn the_jobs_of_one_that_dies_are_taken_over_within_a_lease_and_a_pause() {
    let mut crew = Crew::of(3);
    for _ in 0..4 {
        crew.round(&[]).await;
    }
    let died = crew.now;
    while crew.held()[1..].iter().sum::<usize>() < 5 {
        crew.round(&[0]).await;
        assert!(died.until(crew.now) <= LEASE_KEEP + TEND_PAUSE + TEND_PAUSE, "{:?}", crew.held());
    }
    assert_eq!(crew.held()[0], 0, "a worker that sleeps holds nothing when it wakes up");
    // It wakes up, and has its part again.
    for _ in 0..3 {
        crew.round(&[]).await;
    }
    assert!(crew.held().iter().all(|held| *held >= 1), "{:?}", crew.held());
}

#[tokio::test]
async fn one_that_leaves_is_followed_at_the_next_look() {
    let mut crew = Crew::of(2);
    for _ in 0..3 {
        crew.round(&[]).await;
    }
    crew.workers[0].leave().await.expect("leases");
    crew.round(&[0]).await;
    assert_eq!(crew.held(), [0, 5]);
}

#[tokio::test]
async fn a_slot_is_done_by_one_however_many_believe_it_is_theirs() {
    let leases: Arc<dyn Leases> = Arc::new(MemoryLeases::default());
    let [first, second] = [0, 1].map(|n| Worker::new(Arc::clone(&leases), name(n), vec![Work::Expire]));
    first.tend(START).await.expect("leases");
    assert!(first.may(Work::Expire, START).await.expect("leases"));
    assert!(first.may(Work::Expire, START).await.expect("leases"), "there may be more to do in it");
    // The clock of the second is ahead: by it the first has lost the job.
    let ahead = START.plus(LEASE_KEEP);
    second.tend(ahead).await.expect("leases");
    let slot = START.plus(Duration::from_secs(5));
    assert_eq!(first.holds(slot), [Work::Expire]);
    assert!(!first.may(Work::Expire, slot).await.expect("leases"), "its fence is an old one");
    assert!(second.may(Work::Expire, ahead).await.expect("leases"));
    assert!(!first.may(Work::Expire, slot).await.expect("leases"), "the slot is begun");
}

#[tokio::test]
async fn what_is_not_held_is_not_done() {
    let crew = Crew::of(1);
    assert!(!crew.workers[0].may(Work::Drive, crew.now).await.expect("leases"));
}
