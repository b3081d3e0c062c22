//! A run in words and in JSON.

use super::plan::Plan;
use super::run::Outcome;
use super::watch::quantile;
use crate::units::{show_bytes, show_count, show_time};
use serde_json::{Value, json};
use std::fmt::Write;

/// What is about to happen.
pub fn beginning(plan: &Plan) -> String {
    let mut harm = Vec::new();
    harm.extend(plan.kill_producers.then_some("producers are killed"));
    harm.extend(plan.kill_flushers.then_some("flushers are killed"));
    harm.extend(plan.stop_producers.then_some("producers are stopped"));
    let harm = if harm.is_empty() { "nobody is harmed".into() } else { harm.join(", ") };
    format!("{} processes, {} sidecars, seed {}: {harm}", plan.processes, plan.sidecars, plan.seed)
}

/// Records for each second of writing.
pub fn rate(outcome: &Outcome) -> u64 {
    (outcome.verdict.acknowledged as f64 / outcome.writing.as_secs_f64().max(1e-9)) as u64
}

/// Said beside a rate that is no measurement.
pub fn pace(outcome: &Outcome) -> &'static str {
    if outcome.paced { " (held back, so that the files keep everything)" } else { "" }
}

/// What came of it.
pub fn table(o: &Outcome) -> String {
    let mut t = String::new();
    let v = &o.verdict;
    let files = format!(
        "{} lines, {}, {} rotations",
        show_count(v.lines),
        show_bytes(v.bytes),
        show_count(o.stats.counters.rotations)
    );
    let written = format!(
        "{} records acknowledged in {}, {} a second{}",
        show_count(v.acknowledged),
        show_time(o.writing),
        show_count(rate(o)),
        pace(o)
    );
    let killed = format!(
        "{} producers, {} flushers; {} processes wrote in all",
        show_count(o.blows.producers_killed),
        show_count(o.blows.flushers_killed),
        show_count(o.incarnations)
    );
    let stopped = format!(
        "{} times anywhere, {} times inside a record",
        show_count(o.blows.stopped),
        show_count(o.blows.stopped_inside)
    );
    let rows = [
        ("written", written),
        ("files", files),
        ("killed", killed),
        ("stopped", stopped),
        ("take-over", takeovers(o)),
        ("silence", format!("{} at most without an acknowledgement", show_time(o.silence))),
        (
            "in flight",
            format!(
                "{} records of killed processes were finished although unacknowledged",
                show_count(v.finished_after_death)
            ),
        ),
    ];
    for (name, value) in rows {
        let _ = writeln!(t, "{name:<13} {value}");
    }
    t.push_str(&judgement(o));
    t
}

fn takeovers(o: &Outcome) -> String {
    match o.takeovers.as_slice() {
        [] => "none was needed".into(),
        times => format!(
            "{} times, median {}, p99 {}, max {}",
            show_count(times.len() as u64),
            show_time(quantile(times, 500)),
            show_time(quantile(times, 990)),
            show_time(quantile(times, 1000))
        ),
    }
}

/// The verdict, and the first faults.
pub fn judgement(o: &Outcome) -> String {
    let mut t = String::new();
    if o.verdict.verified() {
        let _ = writeln!(
            t,
            "verified      every acknowledged record is in the files exactly once, whole and in order"
        );
    } else {
        let faults: Vec<_> = o
            .verdict
            .faults()
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(name, n)| format!("{} {name}", show_count(*n)))
            .collect();
        let _ = writeln!(t, "NOT VERIFIED  {}", faults.join(", "));
        for example in &o.verdict.examples {
            let _ = writeln!(t, "  {example}");
        }
    }
    t
}

/// All numbers; times in nanoseconds.
pub fn to_json(plan: &Plan, o: &Outcome) -> Value {
    let v = &o.verdict;
    let ns = |d: std::time::Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    json!({
        "verified": v.verified(),
        "seed": plan.seed,
        "processes": plan.processes,
        "sidecars": plan.sidecars,
        "acknowledged": v.acknowledged,
        "lines": v.lines,
        "bytes": v.bytes,
        "writing_ns": ns(o.writing),
        "records_per_second": rate(o),
        "paced": o.paced,
        "incarnations": o.incarnations,
        "producers_killed": o.blows.producers_killed,
        "flushers_killed": o.blows.flushers_killed,
        "stopped": o.blows.stopped,
        "stopped_inside": o.blows.stopped_inside,
        "finished_after_death": v.finished_after_death,
        "silence_max_ns": ns(o.silence),
        "takeovers": o.takeovers.len(),
        "takeover_median_ns": ns(quantile(&o.takeovers, 500)),
        "takeover_p99_ns": ns(quantile(&o.takeovers, 990)),
        "takeover_max_ns": ns(quantile(&o.takeovers, 1000)),
        "faults": v.faults().iter().map(|(name, n)| ((*name).to_string(), json!(n))).collect::<serde_json::Map<_, _>>(),
        "examples": v.examples,
        "log": crate::stat::to_json(&o.stats),
    })
}
