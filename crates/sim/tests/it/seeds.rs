use crate::run;

/// In four tests, so that they run next to each other.
fn hold(seeds: std::ops::Range<u64>) {
    let broken: Vec<_> = seeds.filter_map(|seed| run(seed).err()).map(|violation| violation.to_string()).collect();
    assert!(broken.is_empty(), "{} seeds are broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn seeds_up_to_50_hold() {
    hold(1..51);
}

#[test]
fn seeds_up_to_100_hold() {
    hold(51..101);
}

#[test]
fn seeds_up_to_150_hold() {
    hold(101..151);
}

#[test]
fn seeds_up_to_200_hold() {
    hold(151..201);
}

/// A line of `seeds.txt` is a seed, its steps, and what it once broke.
#[test]
fn every_seed_that_ever_failed_holds() {
    let rows = include_str!("../../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    for row in rows {
        let mut words = row.split_whitespace().map(str::parse);
        let (Some(Ok(seed)), Some(Ok(steps))) = (words.next(), words.next()) else { panic!("not a seed and its steps: {row}") };
        let steps = u32::try_from(steps).expect("few steps");
        if let Err(violation) = sim::run(&sim::Options { seed, steps, trace: false }) {
            panic!("{row}\n{violation}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run_and_another_seed_another() {
    let runs = [run(7), run(7), run(8)].map(|run| run.expect("a run that holds"));
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0].trace, runs[2].trace);
    assert!(runs[0].commits > 50 && runs[0].events > 50, "next to nothing happened: {:?}", runs[0]);
}
