//! How long a producer's call takes, beside the floors: the clock alone and a bare copy.
//!
//! Each call is timed with [`baseline::Ticks`]; what that costs is the row "clock alone" and is included in every
//! other row. Producers write in bursts (see [`workers::Pace::Bursts`]), so a flusher is awake and a
//! ring is not full. Rounds are interleaved, their histograms added up.
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
    latency::report(&mut criterion);
    criterion.final_summary();
    latency::table();
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod latency {
    use std::time::Duration;

    use criterion::{BenchmarkId, Criterion, SamplingMode};
    use hdrhistogram::Histogram;

    use crate::baseline::{Ticks, clock_floor, memcpy_floor, nanoseconds};
    use crate::workers::{Approach, Pace, measuring, rounds, run};

    #[derive(Clone, Copy)]
    enum Row {
        Clock,
        Memcpy,
        Producers(Approach, u64),
    }

    const ROWS: [Row; 6] = [
        Row::Clock,
        Row::Memcpy,
        Row::Producers(Approach::Crlog, 1),
        Row::Producers(Approach::Crlog, 2),
        Row::Producers(Approach::FileLock, 1),
        Row::Producers(Approach::FileLock, 2),
    ];

    fn rows() -> impl Iterator<Item = Row> {
        ROWS.into_iter().filter(|row| !matches!(row, Row::Producers(approach, _) if !approach.available()))
    }

    impl Row {
        fn name(self) -> String {
            match self {
                Row::Clock => "clock alone".into(),
                Row::Memcpy => "memcpy of 100 bytes".into(),
                Row::Producers(approach, n) => {
                    format!("{}, {n} process{}", approach.name(), if n > 1 { "es" } else { "" })
                }
            }
        }

        fn calls(self) -> u64 {
            match self {
                _ if !measuring() => 4_000,
                Row::Producers(Approach::FileLock, _) => 100_000,
                _ => 1_000_000,
            }
        }

        fn measure(self, ticks: Ticks) -> Histogram<u64> {
            match self {
                Row::Clock => clock_floor(self.calls(), ticks),
                Row::Memcpy => memcpy_floor(self.calls(), 100, ticks).expect("shared memory"),
                Row::Producers(approach, n) => run(approach, Pace::Bursts, n, self.calls()).latency,
            }
        }
    }

    /// criterion's view: the mean of a call, from the same histograms.
    pub(super) fn report(criterion: &mut Criterion) {
        let ticks = Ticks::calibrated();
        let mut group = criterion.benchmark_group("latency");
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(5));
        for row in rows() {
            group.bench_function(BenchmarkId::from_parameter(row.name()), |bencher| {
                bencher.iter_custom(|calls| {
                    Duration::from_secs_f64(row.measure(ticks).mean() * calls as f64 / 1e9)
                });
            });
        }
        group.finish();
    }

    pub(super) fn table() {
        let ticks = Ticks::calibrated();
        let rounds = rounds();
        let mut seen: Vec<_> = rows().map(|row| (row, nanoseconds())).collect();
        for _ in 0..rounds {
            for (row, all) in &mut seen {
                all.add(row.measure(ticks)).expect("same bounds");
            }
        }
        println!("\nnanoseconds a call, clock included, {rounds} interleaved rounds added up");
        println!(
            "{:<26} {:>10} {:>9} {:>9} {:>9} {:>9} {:>11}",
            "", "calls", "p50", "p90", "p99", "p99.9", "longest"
        );
        for (row, all) in &seen {
            let at = |quantile| all.value_at_quantile(quantile);
            let (p50, p90, p99, p999) = (at(0.5), at(0.9), at(0.99), at(0.999));
            println!(
                "{:<26} {:>10} {p50:>9} {p90:>9} {p99:>9} {p999:>9} {:>11}",
                row.name(),
                all.len(),
                all.max()
            );
        }
    }
}
