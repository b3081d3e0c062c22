//! Is the log complete? Collects what there is (the files, the index, the segment) and asks the checker.
//!
//! Everything is looked at while others write: [`view`] has the files as of one commit of the journal, held open by
//! descriptors. What stands behind the committed ends is not looked at.

mod bytes;
mod view;

use crate::attached::{Attached, Target};
use crate::error::OpenError;
use crate::index::judge::{Facts, Waiting, judge};
use crate::index::verdict::{Finding, ProducerId, SegmentAccount, Verdict};
use crate::index::{Drops, directory};
use crate::log::Log;
use crate::manifest::naming;
use crate::options::Options;
use crate::ring::journal::{self, Found};
use crate::ring::layout::{DrainWord, LEVELS, Phase, SlotWord, State, lease, slot};
use crate::ring::mem::Mem;
use crate::ring::reclaim::{drops, last_occupant, reported};
use crate::stats::Stats;
use bytes::{Bytes, Opened};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};
use view::Where;

/// How long a consistent view of a log that is in use is tried for.
const VIEW_LIMIT: Duration = Duration::from_secs(10);
/// How long a segment that was not closed is waited for, if there is another one: 2 s.
const LOOKS_WHILE_MOVING: u32 = 40;
const PAUSE_WHILE_MOVING: Duration = Duration::from_millis(50);

impl Options {
    /// Says whether the log is complete, or what of whose records is missing. Only looks; the log may be in use.
    ///
    /// With an index (see [`Options::index`]) every record is accounted for; without one, only what files and
    /// segment say of themselves can be compared. Tries for 10 s to see the log in one state; see
    /// [`Options::verify_within`].
    pub fn verify(self) -> Result<Verdict, OpenError> {
        self.verify_within(VIEW_LIMIT)
    }

    /// The same with another limit for the time in which a log that is written and rotated must be seen in one
    /// state. If that is not possible, the only finding is [`Finding::Unsettled`], and nothing is said about gaps.
    pub fn verify_within(self, limit: Duration) -> Result<Verdict, OpenError> {
        let target = Target::new(&self)?;
        let (dir, log_name) = (target.dir.clone(), target.name.clone());
        let failed = |cause| OpenError::Path { path: target.spec.log_path.clone(), cause };
        let log = match self.attach() {
            Ok(log) => Some(log),
            Err(OpenError::NotOpen { .. }) => None,
            Err(e) => return Err(e),
        };
        let config = match &log {
            Some(log) => Some(log.attached()?.0.configuration().0),
            None => None,
        };
        let naming = naming(&dir, &log_name, config.as_ref());
        let place = Where { index: dir.join(directory(&log_name)), dir, naming };
        let Some(log) = log else {
            let (facts, mut files) = place.look().map_err(failed)?;
            let mut verdict = judge(&facts, &mut files);
            if !verdict.indexed {
                without_index(&mut verdict, &facts, &mut files, b"\n");
            }
            return Ok(verdict);
        };
        verify_live(&log, &place, limit).map_err(|e| match e {
            Failed::Io(cause) => failed(cause),
            Failed::Open(e) => e,
        })
    }
}

enum Failed {
    Io(io::Error),
    Open(OpenError),
}

fn verify_live(log: &Log, place: &Where, limit: Duration) -> Result<Verdict, Failed> {
    let at = log.attached().map_err(Failed::Open)?;
    let at: &Attached = &at.0;
    let now = Instant::now();
    let end = now.checked_add(limit).unwrap_or(now + Duration::from_secs(1 << 30));
    let mut moving = 0;
    loop {
        let number = file_number(at);
        let Some((facts, mut files)) = place.look_live(at, end).map_err(Failed::Io)? else { break };
        let mut verdict = judge(&facts, &mut files);
        // The users of a removed segment may be moving to its successor at this moment.
        let lost = |f: &Finding| matches!(f, Finding::SegmentLost { .. });
        if moving < LOOKS_WHILE_MOVING && verdict.findings.iter().any(lost) {
            moving += 1;
            std::thread::sleep(PAUSE_WHILE_MOVING);
            continue;
        }
        // A file that is emptied in place meanwhile has not been read in one state.
        if at.configuration().0.policy.backups > 0 || file_number(at) == number {
            account(&mut verdict, &log.stats().map_err(Failed::Open)?);
            if !verdict.indexed {
                without_index(&mut verdict, &facts, &mut files, &at.config.terminator);
            }
            return Ok(verdict);
        }
        if Instant::now() >= end {
            break;
        }
    }
    Ok(Verdict { findings: vec![Finding::Unsettled { limit }], ..Verdict::default() })
}

fn file_number(at: &Attached) -> u64 {
    match journal::read(at.mem()).1 {
        Found::Cell(cell) => cell.file,
        _ => 0,
    }
}

/// What is in the ring and not yet in the file, as of batch `commit`.
fn waiting(at: &Attached, commit: u64) -> Vec<Waiting> {
    let (mem, g) = (at.mem(), at.geometry);
    let mut all = Vec::new();
    for chunk in 0..g.chunks() {
        // ORDER commit/acquire: as the flusher reads them, but only to count.
        let state = State(mem.load(g.state(chunk), Acquire));
        if !matches!(state.phase(), Some(Phase::Open | Phase::Busy | Phase::Sealed)) {
            continue;
        }
        let count = state.count().min(g.records_max());
        let done = DrainWord(mem.load(g.drain(chunk), Relaxed)).effective(state.generation(), commit);
        let word = |what| mem.load(g.lease(chunk, what), Relaxed);
        let producer =
            ProducerId { pid: word(lease::PID), start: word(lease::START), writer: word(lease::WRITER) };
        let first = word(lease::FIRST).wrapping_add(u64::from(done));
        let now = State(mem.load(g.state(chunk), Acquire));
        if now.generation() == state.generation() && count > done {
            all.push(Waiting { producer, first, count: u64::from(count - done) });
        }
    }
    all
}

/// Drops that neither a line nor the index tells of yet.
fn untold(at: &Attached) -> Vec<Drops> {
    let (mem, g) = (at.mem(), at.geometry);
    let of = |slot: u32| {
        if SlotWord(mem.load(g.slot(slot) + slot::WORD, Relaxed)) == SlotWord(0) {
            return None; // never used
        }
        let told = reported(mem, g, slot);
        let all = drops(mem, g, slot);
        let records: [u64; LEVELS] = std::array::from_fn(|i| {
            u64::try_from((all[i] as u32).wrapping_sub(told[i] as u32) as i32).unwrap_or(0)
        });
        let id = last_occupant(mem, g, slot);
        (records != [0; LEVELS]).then_some(Drops { pid: id.pid, start: id.start, records })
    };
    (0..g.slots()).filter_map(of).collect()
}

fn account(v: &mut Verdict, stats: &Stats) {
    v.segment = Some(SegmentAccount {
        records: stats.counters.records,
        waiting: stats.lag_records,
        skipped: stats.counters.lost_corrupt,
        drops: stats.drops,
    });
}

/// What can be said without an index: what files and segment say of themselves.
fn without_index(v: &mut Verdict, facts: &Facts, files: &mut Opened, terminator: &[u8]) {
    let live = facts.journal.filter(|j| j.id != (0, 0));
    for (fact, file) in facts.logs.iter().zip(&mut files.logs) {
        let Bytes::Plain(file) = file else {
            v.packed.push(fact.name.clone());
            continue;
        };
        let committed = live.filter(|j| j.id == fact.id).map(|j| j.end);
        if let Some(committed) = committed.filter(|end| fact.len < *end) {
            v.findings.push(Finding::Short { file: fact.name.clone(), len: fact.len, committed });
        } else if !ends_with(file, committed.unwrap_or(fact.len), terminator) {
            v.findings.push(Finding::Torn { file: fact.name.clone() });
        }
    }
    let Some(account) = v.segment else { return };
    if account.skipped > 0 {
        v.findings.push(Finding::Skipped { records: account.skipped });
    }
    if account.drops != [0; LEVELS] {
        v.findings.push(Finding::Dropped { pid: 0, start: 0, records: account.drops });
    }
}

fn ends_with(file: &mut File, len: u64, terminator: &[u8]) -> bool {
    if len == 0 || terminator.is_empty() {
        return true;
    }
    let mut end = vec![0; terminator.len()];
    let at = len.checked_sub(end.len() as u64);
    let found = at.and_then(|at| file.seek(SeekFrom::Start(at)).ok());
    found.and_then(|_| file.read_exact(&mut end).ok()).is_some() && end == terminator
}
