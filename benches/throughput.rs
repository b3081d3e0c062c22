//! Records per second, end to end: from the first call until every record is in the file.
//!
//! `cargo bench --bench throughput` gives a criterion report, then a table of interleaved rounds (each
//! round runs every row once, so that a busy minute of the machine hurts all rows alike).
#![allow(clippy::expect_used, clippy::print_stdout)]

#[cfg(unix)]
mod baseline;
#[cfg(unix)]
mod workers;

#[cfg(unix)]
fn main() {
    if workers::worked() {
        return;
    }
    let mut criterion = criterion::Criterion::default().configure_from_args();
    throughput::report(&mut criterion);
    criterion.final_summary();
    throughput::table();
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod throughput {
    use std::time::Duration;

    use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};

    use crate::workers::{Approach, Outcome, Pace, measuring, median, rounds, run};

    const ROWS: [(Approach, u64); 7] = [
        (Approach::FileLock, 1),
        (Approach::FileLock, 2),
        (Approach::FileLock, 4),
        (Approach::Crlog, 1),
        (Approach::Crlog, 2),
        (Approach::Crlog, 4),
        (Approach::BigWrites, 1),
    ];

    fn rows() -> impl Iterator<Item = (Approach, u64)> {
        ROWS.into_iter().filter(|(approach, _)| approach.available())
    }

    /// About half a second of work each.
    fn records(approach: Approach) -> u64 {
        match approach {
            _ if !measuring() => 4_000,
            Approach::FileLock => 100_000,
            Approach::Crlog | Approach::BigWrites => 5_000_000,
        }
    }

    fn once(approach: Approach, processes: u64) -> Outcome {
        run(approach, Pace::FlatOut, processes, records(approach))
    }

    pub(super) fn report(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("throughput");
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(5));
        for (approach, processes) in rows() {
            group.throughput(Throughput::Elements(records(approach)));
            group.bench_function(BenchmarkId::new(approach.name(), processes), |bencher| {
                bencher.iter_custom(|runs| (0..runs).map(|_| once(approach, processes).wall).sum());
            });
        }
        group.finish();
    }

    pub(super) fn table() {
        let mut seen: Vec<_> = rows().map(|row| (row, Vec::new(), Vec::new())).collect();
        let rounds = rounds();
        for _ in 0..rounds {
            for ((approach, processes), speeds, cpu) in &mut seen {
                let outcome = once(*approach, *processes);
                speeds.push(outcome.records_per_s());
                cpu.push(outcome.cpu_s_per_million());
            }
        }
        let lock: Vec<_> = seen
            .iter()
            .filter(|((approach, _), ..)| *approach == Approach::FileLock)
            .map(|((_, processes), speeds, _)| (*processes, median(&mut speeds.clone())))
            .collect();
        println!("\n100-byte lines in the file, rotation at 100 MiB, medians of {rounds} interleaved rounds");
        println!(
            "{:<12} {:>9} {:>12} {:>23} {:>10} {:>12}",
            "", "processes", "records/s", "lowest - highest", "CPU s/M", "x file lock"
        );
        for ((approach, processes), speeds, cpu) in &mut seen {
            let middle = median(speeds);
            let against =
                lock.iter().find(|(p, _)| p == processes).map_or(f64::NAN, |(_, speed)| middle / speed);
            let range = format!("{:.0} - {:.0}", speeds[0], speeds[speeds.len() - 1]);
            println!(
                "{:<12} {processes:>9} {middle:>12.0} {range:>23} {:>10.3} {against:>12.1}",
                approach.name(),
                median(cpu)
            );
        }
    }
}
