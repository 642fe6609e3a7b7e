//! Runs seeds and says which of them broke what.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its report is what it prints")]

use clap::Parser;
use sim::{Options, Report, run};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "sim", about = "Simulates the whole application on one thread, from a seed")]
struct Cli {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// What each shopper does in one run
    #[arg(long, default_value_t = 60)]
    steps: u32,
    /// Prints everything that happens
    #[arg(long)]
    trace: bool,
    /// Plants a fault that must be seen [needs the feature `planted`]
    #[cfg(feature = "planted")]
    #[arg(long)]
    planted: Option<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    #[cfg(feature = "planted")]
    domain::plant(cli.planted.clone().map(|name| &*name.leak()));
    let (mut sum, mut broken) = (Report::default(), 0_u64);
    for seed in cli.seed..cli.seed.saturating_add(cli.seeds) {
        match run(&Options { seed, steps: cli.steps, trace: cli.trace }) {
            Ok(report) => {
                sum.polls += report.polls;
                sum.commits += report.commits;
                sum.events += report.events;
                sum.crashes += report.crashes;
                sum.faults += report.faults;
            }
            Err(violation) => {
                broken += 1;
                eprintln!("{violation}");
            }
        }
    }
    let Report { polls, commits, events, crashes, faults, .. } = sum;
    println!("{} seeds, {broken} broken; {polls} polls, {commits} commits, {events} events, {faults} faults, {crashes} crashes", cli.seeds);
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
