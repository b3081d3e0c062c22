//! Sizes, times and names as people type them. Each function returns a value, or a sentence that
//! says what can be typed instead.

use crlog::{
    Compression, Escape, Fsync, Names, Notes, OnStart, Options, SegmentKind, Severity, SizeRule, WhenFull,
};
use std::path::PathBuf;
use std::time::Duration;

const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("k", 1000),
    ("K", 1000),
    ("kB", 1000),
    ("KB", 1000),
    ("M", 1_000_000),
    ("MB", 1_000_000),
    ("G", 1_000_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// The names of a unit of time, and its milliseconds.
const TIMES: &[(&[&str], u64)] = &[
    (&["ms", "msec", "millisecond", "milliseconds"], 1),
    (&["s", "sec", "second", "seconds"], 1000),
    (&["m", "min", "minute", "minutes"], 60_000),
    (&["h", "hour", "hours"], 3_600_000),
    (&["d", "day", "days"], 86_400_000),
    (&["w", "week", "weeks"], 604_800_000),
];

const TOO_LARGE: &str = "the number is too large";

/// Digits and what follows them, with the reason if there are no digits or too many.
fn split<'a>(text: &'a str, example: &str) -> Result<(u64, &'a str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if unit.starts_with(['.', ',']) {
        return Err(format!("no fractions: write it in a smaller unit, for example {example}"));
    }
    if digits.is_empty() {
        return Err(format!("digits and a unit are expected, for example {example}"));
    }
    let number = digits.parse().map_err(|_| TOO_LARGE.to_string())?;
    Ok((number, unit.trim_start()))
}

/// `10MB` or `10 MB` (powers of 1000), `8MiB` (powers of 1024), or plain bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text.trim(), "1500kB")?;
    let Some((_, factor)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        return Err(format!(
            "unit {unit:?} is not known: use B, kB, MB, GB (powers of 1000) or KiB, MiB, GiB (powers of 1024)"
        ));
    };
    number.checked_mul(*factor).ok_or_else(|| TOO_LARGE.to_string())
}

/// `500ms`, `1s`, `2 min`, `1 h 30 min`, `7 days`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (mut rest, mut sum) = (text.trim(), 0u64);
    loop {
        let (number, tail) = split(rest, "1500ms")?;
        let end = tail.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let Some((_, factor)) = TIMES.iter().find(|(names, _)| names.contains(&unit)) else {
            return Err(format!("unit {unit:?} is not known: use ms, s, m or h, days or weeks"));
        };
        let part = number.checked_mul(*factor).and_then(|part| sum.checked_add(part));
        sum = part.ok_or_else(|| TOO_LARGE.to_string())?;
        rest = tail.trim_start();
        if rest.is_empty() {
            return Ok(Duration::from_millis(sum));
        }
    }
}

/// Two sizes with a dash between them, or one.
pub fn size_range(text: &str) -> Result<(u64, u64), String> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let range = (size(low)?, size(high)?);
    if range.0 > range.1 {
        return Err("the smaller number comes first, for example 32-512".into());
    }
    Ok(range)
}

/// Permission bits in octal: `0640`.
pub fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("three octal digits are expected, for example 0640".into()),
    }
}

/// Names or numbers of a user and a group.
pub type Owner = (Option<String>, Option<String>);

/// `USER`, `USER:GROUP`, `:GROUP`, or `none`.
pub fn owner(text: &str) -> Result<Owner, String> {
    let expected = || "use USER, USER:GROUP, :GROUP or none".to_owned();
    let (user, group) = match text.split_once(':') {
        _ if text == "none" => return Ok((None, None)),
        None => (text, None),
        Some((_, "")) => return Err(expected()),
        Some((user, group)) => (user, Some(group.to_owned())),
    };
    if user.is_empty() && group.is_none() || text.contains(|c: char| c.is_control()) {
        return Err(expected());
    }
    Ok((Some(user.to_owned()).filter(|user| !user.is_empty()), group))
}

/// As [`owner`] reads it.
pub fn show_owner(user: Option<&str>, group: Option<&str>) -> String {
    match (user, group) {
        (None, None) => "none".into(),
        (user, None) => user.unwrap_or_default().into(),
        (user, Some(group)) => format!("{}:{group}", user.unwrap_or_default()),
    }
}

/// A program and its arguments, or `none`.
pub fn command(text: &str) -> Result<Vec<String>, String> {
    if text == "none" {
        return Ok(Vec::new());
    }
    match shlex::split(text) {
        Some(words) if words.first().is_some_and(|program| !program.is_empty()) && !text.contains('\0') => {
            Ok(words)
        }
        None => Err("a quotation mark, or what follows a backslash, is missing".into()),
        Some(_) => Err("a program and its arguments are expected, or none".into()),
    }
}

/// As [`command`] reads it.
pub fn show_command(argv: &[String]) -> String {
    match argv {
        [] => "none".into(),
        [word] if word == "none" => "'none'".into(),
        words => shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" ")),
    }
}

/// `strict` or `check-before`.
pub fn size_rule(text: &str) -> Result<SizeRule, String> {
    match text {
        "strict" => Ok(SizeRule::Strict),
        "check-before" => Ok(SizeRule::CheckBefore),
        _ => Err("use strict or check-before".into()),
    }
}

/// `none`, `interval:1s` or `batch`.
pub fn fsync(text: &str) -> Result<Fsync, String> {
    match text.split_once(':') {
        None if text == "none" => Ok(Fsync::None),
        None if text == "batch" => Ok(Fsync::Batch),
        Some(("interval", time)) => match duration(time)? {
            Duration::ZERO => Err("an interval of 0 is not possible: use batch".into()),
            time => Ok(Fsync::Interval(time)),
        },
        _ => Err("use none, batch, or interval:TIME such as interval:1s".into()),
    }
}

/// `block`, `block:2s`, `drop` or `write-through`, for all severities or, after `error=`, for one.
pub fn when_full(text: &str) -> Result<(Option<Severity>, WhenFull), String> {
    let (level, policy) = match text.split_once('=') {
        Some((level, policy)) => (Some(severity(level.trim_end())?), policy.trim_start()),
        None => (None, text),
    };
    let policy = match policy.split_once(':') {
        None if policy == "block" => WhenFull::Block,
        None if policy == "drop" => WhenFull::Drop,
        None if policy == "write-through" => WhenFull::WriteThrough,
        Some(("block", time)) => WhenFull::BlockFor(duration(time)?),
        _ => {
            return Err(
                "use block, block:TIME, drop or write-through, after SEVERITY= for one severity: debug=drop"
                    .into(),
            );
        }
    };
    Ok((level, policy))
}

/// Several of these with commas between them: `drop, error=block`.
pub fn when_full_list(text: &str) -> Result<Vec<(Option<Severity>, WhenFull)>, String> {
    text.split(',').map(|one| when_full(one.trim())).collect()
}

/// A time as it is typed; one that cannot be, of a part of a millisecond, is rounded up.
pub fn show_exact_time(time: Duration) -> String {
    match time.subsec_nanos() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_nanos().div_ceil(1_000_000)),
    }
}

/// A policy as it is typed.
pub fn show_when_full(policy: WhenFull) -> String {
    match policy {
        WhenFull::Block => "block".into(),
        WhenFull::BlockFor(time) => format!("block:{}", show_exact_time(time)),
        WhenFull::Drop => "drop".into(),
        WhenFull::WriteThrough => "write-through".into(),
        other => format!("{other:?}"),
    }
}

/// When to sync, as it is typed.
pub fn show_fsync(fsync: Fsync) -> String {
    match fsync {
        Fsync::None => "none".into(),
        Fsync::Interval(time) => format!("interval:{}", show_exact_time(time)),
        Fsync::Batch => "batch".into(),
        other => format!("{other:?}"),
    }
}

/// `yes` or `no`, and other words for it.
pub fn yes(text: &str) -> Result<bool, String> {
    match text {
        "yes" | "true" | "on" => Ok(true),
        "no" | "false" | "off" => Ok(false),
        _ => Err("use yes or no".into()),
    }
}

/// `text`, `json` or `off`.
pub fn notes(text: &str) -> Result<Notes, String> {
    match text {
        "text" => Ok(Notes::Text),
        "json" => Ok(Notes::Json),
        "off" => Ok(Notes::Off),
        _ => Err("use text, json or off".into()),
    }
}

/// Times of rotation, as [`Options::rotate_at`] takes them.
pub fn times(text: &str) -> Result<String, String> {
    Options::check_times(text).map(|()| text.to_owned())
}

/// `numbered`, `dated`, or a template.
pub fn names(text: &str) -> Result<Names, String> {
    match text {
        "numbered" => Ok(Names::Numbered),
        "dated" => Ok(Names::Dated),
        // What depends on the log's name is asked of each log: none is called like this.
        _ if text.contains('{') => {
            Options::check_names(text, "-.x").map(|()| Names::Template(text.to_owned()))
        }
        _ => Err("use numbered, dated, or a template such as '{stem}.{date:%Y-%m-%d}{ext}'".into()),
    }
}

/// The same as it is typed.
pub fn show_names(names: &Names) -> String {
    match names {
        Names::Numbered => "numbered".into(),
        Names::Dated => "dated".into(),
        Names::Template(text) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// `append`, `rotate` or `truncate`.
pub fn on_start(text: &str) -> Result<OnStart, String> {
    match text {
        "append" => Ok(OnStart::Append),
        "rotate" => Ok(OnStart::Rotate),
        "truncate" => Ok(OnStart::Truncate),
        _ => Err("use append, rotate or truncate".into()),
    }
}

/// `none`, `controls` or `lines`.
pub fn escape(text: &str) -> Result<Escape, String> {
    match text {
        "none" => Ok(Escape::None),
        "controls" => Ok(Escape::Controls),
        "lines" => Ok(Escape::Lines),
        _ => Err("use none, controls or lines".into()),
    }
}

/// `none`, `gzip`, `gzip:9`, `zstd`, `zstd:19`.
pub fn compress(text: &str) -> Result<Compression, String> {
    let (kind, level) = text.split_once(':').map_or((text, None), |(kind, level)| (kind, Some(level)));
    let level = |most: u32, usual: u32| match level.map(str::parse) {
        None => Ok(usual),
        Some(Ok(level)) if (1..=most).contains(&level) => Ok(level),
        Some(_) => Err(format!("levels of {kind} are 1 to {most}, for example {kind}:{usual}")),
    };
    match kind {
        "none" if text == kind => Ok(Compression::None),
        "gzip" => Ok(Compression::Gzip { level: level(9, 6)? }),
        "zstd" => Ok(Compression::Zstd { level: level(19, 3)? }),
        _ => Err("use none, gzip, gzip:LEVEL, zstd or zstd:LEVEL".into()),
    }
}

/// `lf`, `crlf`, `nul` or `none`.
pub fn terminator(text: &str) -> Result<&'static [u8], String> {
    match text {
        "lf" => Ok(b"\n"),
        "crlf" => Ok(b"\r\n"),
        "nul" => Ok(b"\0"),
        "none" => Ok(b""),
        _ => Err("use lf, crlf, nul or none".into()),
    }
}

/// `shm`, or the path of a file.
pub fn segment(text: &str) -> Result<SegmentKind, String> {
    match text {
        "" => Err("use shm, or the path of a file".into()),
        "shm" => Ok(SegmentKind::Shm),
        path => Ok(SegmentKind::File(PathBuf::from(path))),
    }
}

/// The six names, lower case.
pub fn severity(text: &str) -> Result<Severity, String> {
    match text {
        "trace" => Ok(Severity::Trace),
        "debug" => Ok(Severity::Debug),
        "info" => Ok(Severity::Info),
        "warn" => Ok(Severity::Warn),
        "error" => Ok(Severity::Error),
        "critical" => Ok(Severity::Critical),
        _ => Err("use trace, debug, info, warn, error or critical".into()),
    }
}

/// A size for people: three digits or so, powers of 1000.
pub fn show_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    let places = usize::from(unit != "B" && value < 99.95);
    format!("{value:.places$} {unit}")
}

/// A time for people.
pub fn show_time(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 0.001 => format!("{:.0} us", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// A name chosen by another process, without what could steer a terminal.
pub fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A number with its thousands apart.
pub fn show_count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_what_they_say() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("2k", 2000),
            ("2kB", 2000),
            ("2KB", 2000),
            ("10MB", 10_000_000),
            ("8MiB", 8 << 20),
            ("8 MiB", 8 << 20),
            ("1GiB", 1 << 30),
            ("3G", 3_000_000_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_what_to_type() {
        for (text, reason) in [
            ("1.5MB", "no fractions"),
            ("1,5MB", "no fractions"),
            ("MB", "digits and a unit"),
            ("", "digits and a unit"),
            ("-1", "digits and a unit"),
            ("10mb", "\"mb\" is not known"),
            ("10 parsecs", "use B, kB"),
            ("99999999999999999999", "too large"),
            ("99999999999GiB", "too large"),
        ] {
            let said = size(text);
            assert!(said.as_ref().is_err_and(|e| e.contains(reason)), "{text}: {said:?}");
        }
    }

    #[test]
    fn times_and_fsync() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for (text, seconds) in [
            ("1 h 30 min", 5400),
            ("1h30m", 5400),
            (" 7 days ", 604_800),
            ("1week 1 d", 691_200),
            ("1 second 2 minutes", 121),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for (text, reason) in [
            ("", "digits and a unit"),
            ("1 h and 30 min", "digits and a unit"),
            ("1.5 h", "no fractions"),
            ("1 h 30", "unit \"\" is not known"),
            ("3 months", "\"months\" is not known"),
            ("30500568905 weeks", "too large"),
            ("30500568904 weeks 7 days", "too large"),
        ] {
            assert!(duration(text).is_err_and(|e| e.contains(reason)), "{text}");
        }
        assert!(duration("5").is_err_and(|e| e.contains("ms, s, m or h")));
        assert_eq!(fsync("interval:1s"), Ok(Fsync::Interval(Duration::from_secs(1))));
        assert_eq!(fsync("batch"), Ok(Fsync::Batch));
        for bad in ["interval", "interval:", "interval:0s", "always", "none:1s"] {
            assert!(fsync(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_of_policies_is_read_in_its_order() {
        let all = when_full_list("drop, error = block,critical=block: 2 s");
        let want = vec![
            (None, WhenFull::Drop),
            (Some(Severity::Error), WhenFull::Block),
            (Some(Severity::Critical), WhenFull::BlockFor(Duration::from_secs(2))),
        ];
        assert_eq!(all, Ok(want));
        for bad in ["", "drop,", "drop;block", "loud=drop"] {
            assert!(when_full_list(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn when_to_sync_is_shown_as_it_is_typed() {
        for text in ["none", "batch", "interval:1s", "interval:1500ms"] {
            assert_eq!(fsync(text).map(show_fsync), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_policy_is_shown_as_it_is_typed() {
        for text in ["block", "drop", "write-through", "block:250ms", "block:1500ms", "block:2s", "block:0s"]
        {
            let all = when_full(text);
            assert_eq!(all.map(|(_, policy)| show_when_full(policy)), Ok(text.to_owned()));
            let one = when_full(&format!("warn={text}"));
            assert_eq!(one.map(|(s, p)| (s, show_when_full(p))), Ok((Some(Severity::Warn), text.to_owned())));
        }
        assert_eq!(show_when_full(WhenFull::BlockFor(Duration::from_micros(1200))), "block:2ms");
    }

    #[test]
    fn modes_and_ranges() {
        assert_eq!(mode("0640"), Ok(0o640));
        assert_eq!(mode("600"), Ok(0o600));
        for bad in ["rw-r-----", "0999", "17777", ""] {
            assert!(mode(bad).is_err(), "{bad}");
        }
        assert_eq!(size_range("32-512"), Ok((32, 512)));
        assert_eq!(size_range("1kB"), Ok((1000, 1000)));
        assert!(size_range("512-32").is_err());
    }

    #[test]
    fn compression_is_a_kind_and_a_level() {
        assert_eq!(compress("none"), Ok(Compression::None));
        assert_eq!((compress("gzip"), compress("zstd")), (Ok(Compression::GZIP), Ok(Compression::ZSTD)));
        assert_eq!(compress("gzip:9"), Ok(Compression::Gzip { level: 9 }));
        assert_eq!(compress("zstd:19"), Ok(Compression::Zstd { level: 19 }));
        for text in ["", "none:1", "gzip:", "gzip:0", "gzip:10", "gzip:-1", "zstd:20", "zstd:x", "bzip2"] {
            assert!(compress(text).is_err(), "{text}");
        }
        assert!(compress("gzip:12").is_err_and(|e| e.contains("gzip:6")));
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(show_count(1_234_567), "1,234,567");
        assert_eq!(show_count(100), "100");
        assert_eq!(show_bytes(999), "999 B");
        assert_eq!(show_bytes(10_485_760), "10.5 MB");
        assert_eq!(show_bytes(999_999), "1.0 MB");
        assert_eq!(show_time(Duration::from_micros(1500)), "1.5 ms");
    }
}
