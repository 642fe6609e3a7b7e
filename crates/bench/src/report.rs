//! What a run says at the end: a table in markdown, medians of the rounds.

use crate::client::{Latencies, NO_ANSWER};
use crate::run::{Round, to_f64};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub struct Report {
    pub title: String,
    pub rounds: Vec<Round>,
    pub bare: Option<Beside>,
    /// Before and after.
    pub memory: Option<(Memory, Memory)>,
}

/// What a bare endpoint did with answers of `bytes` each.
pub struct Beside {
    pub bytes: u64,
    pub rounds: Vec<Round>,
}

/// Requests per second, microseconds of the server's processor time a request, then p50, p95, p99 and p99.9 in milliseconds.
type Figures = [f64; 6];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.title)?;
        writeln!(f, "| requests | /s | processor µs | p50 ms | p95 ms | p99 ms | p99.9 ms |\n|---|---:|---:|---:|---:|---:|---:|")?;
        let ours = whole(&self.rounds);
        row(f, "all", ours)?;
        let labels: Vec<_> = self.rounds.first().into_iter().flat_map(|r| r.tally.latencies.keys()).collect();
        for label in labels.iter().filter(|_| labels.len() > 1) {
            row(f, &format!("– {label}"), of_label(&self.rounds, label))?;
        }
        if let Some(bare) = &self.bare {
            let theirs = whole(&bare.rounds);
            row(f, &format!("bare axum, {} bytes", bare.bytes), theirs)?;
            row_of(f, "ratio", ours.iter().zip(theirs).map(|(ours, theirs)| cell(ours / theirs, 2)))?;
        }
        writeln!(f, "\nerrors: {}", errors(&self.rounds))?;
        if let Some((before, after)) = &self.memory {
            writeln!(f, "server memory: {before} before, {after} after")?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, figures: Figures) -> fmt::Result {
    let [rate, processor, latencies @ ..] = figures;
    row_of(f, name, [cell(rate, 0), cell(processor, 1)].into_iter().chain(latencies.map(|ms| cell(ms, 2))))
}

/// A figure nobody knows is a dash.
fn cell(figure: f64, digits: usize) -> String {
    if figure.is_nan() { "–".to_owned() } else { format!("{figure:.digits$}") }
}

fn row_of(f: &mut fmt::Formatter<'_>, name: &str, cells: impl Iterator<Item = String>) -> fmt::Result {
    writeln!(f, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "))
}

fn whole(rounds: &[Round]) -> Figures {
    let all: Vec<Latencies> = rounds.iter().map(Round::all).collect();
    medians(rounds.iter().zip(&all).map(|(round, latencies)| figures(round, latencies, round.processor_each())).collect())
}

/// The processor time is known of all requests together only.
fn of_label(rounds: &[Round], label: &str) -> Figures {
    let of = |round: &Round| round.tally.latencies.get(label).map(|latencies| figures(round, latencies, None));
    medians(rounds.iter().filter_map(of).collect())
}

fn figures(round: &Round, latencies: &Latencies, processor: Option<Duration>) -> Figures {
    let ms = |quantile| to_f64(latencies.value_at_quantile(quantile)) / 1000.0;
    let processor = processor.map_or(f64::NAN, |time| time.as_secs_f64() * 1e6);
    [round.rate(latencies.len()), processor, ms(0.5), ms(0.95), ms(0.99), ms(0.999)]
}

/// Each figure's own median.
fn medians(rounds: Vec<Figures>) -> Figures {
    std::array::from_fn(|column| {
        let mut values: Vec<f64> = rounds.iter().map(|r| r[column]).collect();
        values.sort_by(f64::total_cmp);
        match (values.len(), values.len() / 2) {
            (0, _) => f64::NAN,
            (n, middle) if n % 2 == 1 => values[middle],
            (_, middle) => f64::midpoint(values[middle - 1], values[middle]),
        }
    })
}

fn errors(rounds: &[Round]) -> String {
    let mut sums = BTreeMap::new();
    for (status, n) in rounds.iter().flat_map(|r| &r.tally.errors) {
        *sums.entry(*status).or_insert(0) += n;
    }
    let name = |status: u16| if status == NO_ANSWER { "no answer".to_owned() } else { status.to_string() };
    let parts: Vec<String> = sums.into_iter().map(|(status, n)| format!("{n} × {}", name(status))).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// How much processor time a process has taken: whole hundredths of a second (proc(5), `utime` and `stime`).
pub fn processor(pid: u32) -> Option<Duration> {
    ticks(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?).map(|ticks| Duration::from_millis(ticks * 10))
}

fn ticks(stat: &str) -> Option<u64> {
    // The name of the process comes second, in brackets, and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// A process's resident memory in KiB, now and at its highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    resident: u64,
    highest: u64,
}

impl Memory {
    pub fn of(pid: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).and_then(|l| l.trim().strip_suffix(" kB")?.parse().ok());
        Some(Self { resident: field("VmRSS:")?, highest: field("VmHWM:")? })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB (highest {})", self.resident / 1024, self.highest / 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Reply, Tally};
    use bytes::Bytes;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_in_the_middle() {
        for (values, median) in [(vec![3.0], 3.0), (vec![9.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0, 2.0, 9.0], 3.0)] {
            let rounds = values.iter().map(|v| [*v; 6]).collect();
            assert_eq!(medians(rounds), [median; 6], "{values:?}");
        }
        assert!(medians(Vec::new())[0].is_nan());
    }

    #[test]
    fn memory_is_read_from_the_status_file() {
        let status = "Name:\tcartwright\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
        assert_eq!(Memory::parse(status), Some(Memory { resident: 10_240, highest: 20_480 }));
        assert_eq!(Memory::parse("Name:\tx\n"), None);
    }

    #[test]
    fn processor_time_is_read_behind_whatever_a_process_is_called() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 9 0 0 0 120 30 0 0 20 0 1 0 5 1000";
        assert_eq!(ticks(stat), Some(150));
        assert_eq!(ticks("7 (x) S 1"), None);
    }

    /// `requests` of one millisecond each, in one second; every tenth is refused.
    fn second_of(label: &'static str, requests: u64) -> Round {
        let mut tally = Tally::default();
        for n in 0..requests {
            let status = if n % 10 == 0 { 409 } else { 201 };
            tally.count(label, true, Duration::from_millis(1), &Reply { status, body: Bytes::from_static(b"{}"), retry_after: None });
        }
        Round { tally, elapsed: Duration::from_secs(1), processor: Some(Duration::from_millis(requests)) }
    }

    #[test]
    fn a_report_shows_medians_the_ratio_and_the_errors() {
        let rounds = vec![second_of("add", 100), second_of("add", 300), second_of("add", 200)];
        let bare = Some(Beside { bytes: 1500, rounds: vec![second_of("write", 400)] });
        let text = Report { title: "cart-add".into(), rounds, bare, memory: None }.to_string();
        for line in [
            "| all | 200 | 1000.0 | 1.00 |",
            "| bare axum, 1500 bytes | 400 | 1000.0 |",
            "| ratio | 0.50 | 1.00 | 1.00 |",
            "errors: 60 × 409",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("– add"), "one label needs no line of its own");
    }

    #[test]
    fn a_round_knows_its_mean_body_and_its_share_of_writes() {
        let round = second_of("add", 50);
        assert_eq!((round.mean_body(), round.writes_percent()), (2, 100));
    }
}
