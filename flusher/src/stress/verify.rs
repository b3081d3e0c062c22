//! Reads what a run has written and compares it with what its processes were told.
//!
//! | rule | broken |
//! |---|---|
//! | every acknowledged record is in the files | lost |
//! | ... once | doubled |
//! | records of one process are in the order in which it wrote them | disordered |
//! | every line is one whole record | torn |
//! | ... with the bytes that were written | altered |
//! | of a killed process at most one record more than were acknowledged, of others none | unacknowledged |
//! | every line is of a process of the run | stranger |

use super::record::{self, Maker};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// What a process of the run says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its incarnation.
    pub id: u32,
    /// Records whose call returned.
    pub acknowledged: u64,
    /// Whether it was killed; then one more may be there.
    pub killed: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Verdict {
    pub lines: u64,
    pub bytes: u64,
    pub acknowledged: u64,
    pub lost: u64,
    pub doubled: u64,
    pub disordered: u64,
    pub torn: u64,
    pub altered: u64,
    pub stranger: u64,
    pub unacknowledged: u64,
    /// Records that were written although their process was killed before it was told so: allowed.
    pub finished_after_death: u64,
    /// The first few faults, in words.
    pub examples: Vec<String>,
}

impl Verdict {
    /// The faults by name.
    pub fn faults(&self) -> [(&'static str, u64); 7] {
        [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("disordered", self.disordered),
            ("torn", self.torn),
            ("altered", self.altered),
            ("stranger", self.stranger),
            ("unacknowledged", self.unacknowledged),
        ]
    }

    /// True if no rule is broken.
    pub fn verified(&self) -> bool {
        self.faults().iter().all(|(_, n)| *n == 0)
    }

    fn example(&mut self, text: String) {
        if self.examples.len() < 10 {
            self.examples.push(text);
        }
    }
}

#[derive(Default)]
struct Seen {
    next: u64,
    missing: BTreeSet<u64>,
}

/// Takes line after line, in the order of the files.
pub struct Verifier {
    maker: Maker,
    claims: BTreeMap<u32, Claim>,
    seen: BTreeMap<u32, Seen>,
    verdict: Verdict,
    expected: Vec<u8>,
}

impl Verifier {
    /// For a run of these processes.
    pub fn new(maker: Maker, claims: &[Claim]) -> Verifier {
        Verifier {
            maker,
            claims: claims.iter().map(|c| (c.id, *c)).collect(),
            seen: BTreeMap::new(),
            verdict: Verdict::default(),
            expected: Vec::new(),
        }
    }

    /// The next line, with its line feed if it has one.
    pub fn line(&mut self, line: &[u8], place: &str) {
        self.verdict.lines += 1;
        self.verdict.bytes += line.len() as u64;
        let at = |what: &str| {
            format!(
                "{place}, line {}: {what}",
                String::from_utf8_lossy(&line[..line.len().min(60)]).trim_end()
            )
        };
        let Some(text) = line.strip_suffix(b"\n") else {
            self.verdict.torn += 1;
            return self.verdict.example(at("torn: has no end"));
        };
        let Some((id, seq, length)) = record::parse(text) else {
            self.verdict.torn += 1;
            return self.verdict.example(at("torn: is no record"));
        };
        self.maker.make(id, seq, &mut self.expected);
        if text.len() != length {
            self.verdict.torn += 1;
            self.verdict.example(at(&format!("torn: has {} bytes of {length}", text.len())));
        } else if text != self.expected {
            self.verdict.altered += 1;
            self.verdict.example(at("altered"));
        } else if !self.claims.contains_key(&id) {
            self.verdict.stranger += 1;
            self.verdict.example(at("of no process of this run"));
        } else {
            self.in_order(id, seq, at);
        }
    }

    fn in_order(&mut self, id: u32, seq: u64, at: impl Fn(&str) -> String) {
        let seen = self.seen.entry(id).or_default();
        if seq >= seen.next {
            seen.missing.extend(seen.next..seq);
            seen.next = seq + 1;
        } else if seen.missing.remove(&seq) {
            self.verdict.disordered += 1;
            self.verdict.example(at("comes after a later one of its process"));
        } else {
            self.verdict.doubled += 1;
            self.verdict.example(at("is there twice"));
        }
    }

    /// After the last line.
    pub fn end(mut self) -> Verdict {
        for claim in self.claims.values() {
            let seen = self.seen.remove(&claim.id).unwrap_or_default();
            let within = seen.missing.range(..claim.acknowledged).count() as u64;
            let lost = within + claim.acknowledged.saturating_sub(seen.next);
            let more = seen.next.saturating_sub(claim.acknowledged);
            self.verdict.acknowledged += claim.acknowledged;
            self.verdict.lost += lost;
            if lost > 0 {
                let first = seen.missing.first().copied().unwrap_or(seen.next).min(seen.next);
                self.verdict.example(format!(
                    "p{:05}: {lost} of {} lost, the first is s{first:010}",
                    claim.id, claim.acknowledged
                ));
            }
            if claim.killed && more == 1 {
                self.verdict.finished_after_death += 1;
            } else if more > 0 {
                self.verdict.unacknowledged += more;
                self.verdict.example(format!(
                    "p{:05}: {more} more than the {} acknowledged",
                    claim.id, claim.acknowledged
                ));
            }
        }
        self.verdict
    }
}

/// A log file and its rotated files, oldest first.
pub fn files_of(log: &Path) -> io::Result<Vec<PathBuf>> {
    let dir = log.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        match file.strip_prefix(&name) {
            Some("") => found.insert(0, entry.path()),
            Some(rest) => rest
                .strip_prefix('.')
                .and_then(|n| n.parse().ok())
                .filter(|n| *n > 0)
                .and_then(|n: u32| found.insert(n, entry.path())),
            None => None,
        };
    }
    Ok(found.into_values().rev().collect())
}

/// Verifies all files of a log.
pub fn verify(log: &Path, maker: Maker, claims: &[Claim]) -> io::Result<Verdict> {
    verify_files(&files_of(log)?, maker, claims)
}

/// Verifies these files, oldest first.
pub fn verify_files(files: &[PathBuf], maker: Maker, claims: &[Claim]) -> io::Result<Verdict> {
    let mut verifier = Verifier::new(maker, claims);
    let mut line = Vec::new();
    for path in files {
        let place = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            verifier.line(&line, &place);
        }
    }
    Ok(verifier.end())
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
