//! The judge: compares the index with itself, with the log's bytes, with the journal and with the ring.
//!
//! It goes through the index files in the order in which they were begun. For each log file it follows the bytes
//! (every batch must begin where the one before ended, and have its checksum), for each writer the sequence
//! numbers. What is missing is named with the reason that stands nearest: a skip that the flusher wrote down,
//! a part of the index that is not there, or none.

use super::code::{Damaged, Entries};
use super::verdict::{FileVerdict, Finding, ProducerId, Reason, Span, Verdict};
use super::{Batch, Drops, Entry, Header, Place, Run, Skipped, Why};
use std::collections::{BTreeMap, BTreeSet};

/// A file of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFact {
    /// Its name.
    pub name: String,
    /// 0 for the live log, 1 for the newest archive.
    pub number: u32,
    /// It is compressed, and nothing is known of what it was made of.
    pub packed: bool,
    /// Its device and inode; of a compressed one, those that it had before.
    pub id: (u64, u64),
    /// Of a compressed one, its number in the index.
    pub begun: Option<u64>,
    /// Its length, not compressed.
    pub len: u64,
}

/// What the segment's journal says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// The segment's.
    pub uuid: [u8; 16],
    /// Device and inode of the log file; zeros if nothing has been committed.
    pub id: (u64, u64),
    /// Committed end of the log file.
    pub end: u64,
    /// Whether this segment is to have an index.
    pub indexed: bool,
    /// Committed end of the index.
    pub place: Option<Place>,
}

/// Records of a chunk that are not yet in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Whose.
    pub producer: ProducerId,
    /// Sequence number of the first.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The log and its archives.
    pub logs: Vec<LogFact>,
    /// Numbers of the index files, ascending, with their headers; `None`: not readable.
    pub headers: Vec<(u64, Option<Header>)>,
    /// The journal, if there is a segment.
    pub journal: Option<Journal>,
    /// What waits in the ring, if it could be looked at.
    pub waiting: Option<Vec<Waiting>>,
    /// Dropped records that the index does not tell of yet.
    pub untold: Vec<Drops>,
}

/// What the judge asks for.
pub trait Files {
    /// The bytes of an index file.
    fn index(&mut self, serial: u64) -> Option<Vec<u8>>;
    /// CRC-32C of `len` bytes of log file number `log` of the facts, if it has that many.
    fn crc(&mut self, log: usize, offset: u64, len: u64) -> Option<u32>;
}

/// Judges.
pub fn judge(facts: &Facts, files: &mut dyn Files) -> Verdict {
    let mut judge = Judge::new(facts);
    judge.missing_serials();
    for i in 0..facts.headers.len() {
        judge.index_file(i, files);
    }
    judge.end()
}

/// A name for a writer that holds across segments.
type Key = ([u8; 16], u64);

/// Sequence numbers by writer, neighbours joined.
#[derive(Debug, Default)]
struct Spans(BTreeMap<Key, Vec<Span>>);

impl Spans {
    fn add(&mut self, key: Key, span: Span) {
        let spans = self.0.entry(key).or_default();
        match spans.last_mut() {
            Some(last) if last.last.checked_add(1) == Some(span.first) => last.last = span.last,
            _ => spans.push(span),
        }
    }
    fn merge(&mut self, other: Spans) {
        for (key, spans) in other.0 {
            spans.into_iter().for_each(|span| self.add(key, span));
        }
    }
    fn list(self) -> Vec<Span> {
        self.0.into_values().flatten().collect()
    }
}

/// A log file, as far as the index covers it.
#[derive(Debug)]
struct Cover {
    begun: u64,
    serial: u64,
    uuid: [u8; 16],
    id: (u64, u64),
    log: Option<usize>,
    end: u64,
    covered: u64,
    records: u64,
    spans: Spans,
    changed: Option<(u64, u64, Spans)>,
}

struct Writer {
    producer: ProducerId,
    next: u64,
    holes: usize,
}

struct Judge<'a> {
    facts: &'a Facts,
    v: Verdict,
    writers: BTreeMap<Key, Writer>,
    /// Where the index is not complete, so far; `None`: what is not there was removed by rotation.
    holes: Vec<Option<Reason>>,
    cover: Option<Cover>,
    gone: Vec<Cover>,
    /// Index file, device and inode.
    retired: Vec<(u64, (u64, u64))>,
    /// Segments that were met, and whether they were closed.
    segments: BTreeMap<[u8; 16], bool>,
    /// Segments whose beginning was met.
    whole: BTreeSet<[u8; 16]>,
    drops: BTreeMap<(u64, u64), [u64; 6]>,
    seen_logs: BTreeSet<usize>,
    newest: u64,
    /// Which log files each identity has been, the newest counts.
    last_begun: BTreeMap<(u64, u64), u64>,
}

impl<'a> Judge<'a> {
    fn new(facts: &'a Facts) -> Judge<'a> {
        let mut last_begun = BTreeMap::new();
        for h in facts.headers.iter().filter_map(|(_, h)| h.as_ref()) {
            last_begun.insert((h.dev, h.ino), h.begun);
        }
        let files = facts.logs.iter();
        let files =
            files.map(|l| FileVerdict { name: l.name.clone(), bytes: l.len, ..FileVerdict::default() });
        let v = Verdict {
            indexed: !facts.headers.is_empty(),
            files: files.collect(),
            ring_seen: facts.waiting.is_some(),
            ..Verdict::default()
        };
        Judge {
            facts,
            v,
            writers: BTreeMap::new(),
            holes: Vec::new(),
            cover: None,
            gone: Vec::new(),
            retired: Vec::new(),
            segments: BTreeMap::new(),
            whole: BTreeSet::new(),
            drops: BTreeMap::new(),
            seen_logs: BTreeSet::new(),
            newest: last_begun.values().copied().max().unwrap_or(0),
            last_begun,
        }
    }

    fn age(&self, begun: u64) -> u64 {
        self.newest.saturating_sub(begun)
    }

    fn headers(&self) -> impl Iterator<Item = &'a Header> {
        self.facts.headers.iter().filter_map(|(_, h)| h.as_ref())
    }

    /// Whether a rotation has given up log file `begun`, or would have by now.
    fn is_past(&self, begun: u64) -> bool {
        self.headers().any(|h| h.begun.saturating_sub(begun) > u64::from(h.backups))
    }

    /// Numbers that are not there although their log files are not past.
    fn missing_serials(&mut self) {
        let mut expected = 1;
        let mut gone = Vec::new();
        for (serial, header) in &self.facts.headers {
            let Some(h) = header else { continue };
            let unreadable =
                self.facts.headers.iter().any(|(s, h)| h.is_none() && (expected..*serial).contains(s));
            if *serial > expected && !unreadable && !self.is_past(h.prev_begun) && h.prev_begun > 0 {
                gone.push(Finding::IndexGone { first: expected, last: serial - 1 });
            }
            expected = serial + 1;
        }
        self.v.findings.extend(gone);
    }

    fn index_file(&mut self, i: usize, files: &mut dyn Files) {
        let Some((serial, header)) = self.facts.headers.get(i) else { return };
        let prev = i.checked_sub(1).and_then(|i| self.facts.headers.get(i));
        if prev.map_or(1, |(s, _)| s + 1) != *serial {
            let past = header.as_ref().is_some_and(|h| self.is_past(h.prev_begun));
            self.holes.push((!past).then_some(Reason::IndexLost));
        }
        let next = self.facts.headers.get(i + 1).filter(|(s, _)| *s == serial + 1);
        let next = next.and_then(|(_, h)| h.as_ref());
        let (Some(h), Some(mut bytes)) = (header, files.index(*serial)) else {
            self.damaged(*serial, 0);
            return;
        };
        self.begin(h);
        let committed = match (next, self.facts.journal) {
            (Some(next), _) if next.why == Why::Next && next.prev_end > 0 => Some(next.prev_end),
            (None, Some(Journal { place: Some(p), .. })) if p.serial == *serial => Some(p.end),
            _ => None,
        };
        let committed = committed.map(|end| usize::try_from(end).unwrap_or(usize::MAX));
        bytes.truncate(committed.unwrap_or(usize::MAX));
        let cut_short = committed.is_some_and(|end| bytes.len() < end);
        let mut damage = cut_short.then_some(bytes.len() as u64);
        for entry in Entries::of(&bytes, h) {
            match entry {
                Ok(Entry::Batch(b)) => self.batch(h, &b, files),
                Ok(Entry::Retire { dev, ino }) => self.retired.push((*serial, (dev, ino))),
                Ok(Entry::Close { .. }) => {
                    self.segments.insert(h.uuid, true);
                }
                Err(Damaged(at)) => damage = Some(at),
            }
        }
        // What an interruption left behind the last entry is told with the interruption.
        if let Some(at) = damage.filter(|_| next.is_none_or(|n| n.why != Why::Interrupted)) {
            self.damaged(*serial, at);
        }
    }

    fn damaged(&mut self, serial: u64, at: u64) {
        self.v.findings.push(Finding::IndexDamaged { serial, at });
        self.holes.push(Some(Reason::IndexLost));
    }

    /// A header: of a new log file, or the same one goes on.
    fn begin(&mut self, h: &Header) {
        self.segments.entry(h.uuid).or_insert(false);
        if h.why == Why::Segment {
            self.whole.insert(h.uuid);
        }
        self.time(h.made_ns);
        if h.why == Why::Interrupted {
            let from = self.cover.as_ref().map(|c| (self.age(c.begun), c.end));
            let to = Some((self.age(h.begun), h.start));
            self.v.findings.push(Finding::Interrupted { from, to });
            self.holes.push(Some(Reason::Interrupted));
        }
        if let Some(c) = self.cover.as_mut().filter(|c| c.begun == h.begun) {
            let end = c.end;
            (c.end, c.serial, c.uuid) = (h.start, h.serial, h.uuid);
            if h.start > end && h.why != Why::Interrupted {
                let log = c.log;
                self.uncovered(log, end, h.start);
            }
            return;
        }
        self.close_cover(h.why == Why::Interrupted);
        let id = (h.dev, h.ino);
        let is_last = self.last_begun.get(&id) == Some(&h.begun);
        let is_it =
            |l: &LogFact| l.id == id && !l.packed && l.begun.map_or(is_last, |begun| begun == h.begun);
        let log = self.facts.logs.iter().position(is_it);
        if h.prev_begun == 0 {
            self.v.before = self.v.before.saturating_add(h.start);
        } else if h.start > 0 && h.prev_begun < h.begun && h.why != Why::Interrupted {
            self.uncovered(log, 0, h.start);
        }
        self.seen_logs.extend(log);
        self.cover = Some(Cover {
            begun: h.begun,
            serial: h.serial,
            uuid: h.uuid,
            id,
            log,
            end: h.start,
            covered: 0,
            records: 0,
            spans: Spans::default(),
            changed: None,
        });
    }

    fn uncovered(&mut self, log: Option<usize>, from: u64, to: u64) {
        let Some(fact) = log.and_then(|log| self.facts.logs.get(log)) else { return };
        let to = to.min(fact.len);
        if from < to {
            self.v.findings.push(Finding::Uncovered { file: fact.name.clone(), from, to });
        }
    }

    fn time(&mut self, ns: u64) {
        if self.v.from_unix_ns == 0 {
            self.v.from_unix_ns = ns;
        }
        self.v.to_unix_ns = self.v.to_unix_ns.max(ns);
    }

    fn batch(&mut self, h: &Header, b: &Batch, files: &mut dyn Files) {
        self.time(h.made_ns.saturating_add(b.ms.saturating_mul(1_000_000)));
        let Some(mut c) = self.cover.take() else { return };
        if b.offset > c.end {
            self.uncovered(c.log, c.end, b.offset);
        }
        c.end = b.offset.saturating_add(b.len);
        c.covered = c.covered.saturating_add(b.len);
        let mut spans = Spans::default();
        let mut records = 0u64;
        for run in b.runs.iter().filter(|run| run.count > 0) {
            let (key, span) = (key(h, run.writer), span_of(run));
            self.sequence(key, run);
            spans.add(key, span);
            records = records.saturating_add(run.count);
        }
        for skip in b.skips.iter().filter(|skip| skip.count > 0) {
            let producer = self.writers.get(&key(h, skip.writer)).map(|w| w.producer).unwrap_or_default();
            let last = skip.first.saturating_add(skip.count - 1);
            let reason = match skip.why {
                Skipped::Corrupt => Reason::Corrupt,
                Skipped::Checksum => Reason::Checksum,
            };
            self.missing(Span { producer, first: skip.first, last }, reason);
            records = records.saturating_sub(skip.count);
        }
        for d in &b.drops {
            self.dropped(d);
        }
        self.v.died = self.v.died.saturating_add(b.deaths.len() as u64);
        self.v.unfinished =
            b.deaths.iter().map(|d| d.unfinished).fold(self.v.unfinished, u64::saturating_add);
        let intact = c.log.is_some_and(|log| b.len == 0 || files.crc(log, b.offset, b.len) == Some(b.crc));
        if intact {
            c.records = c.records.saturating_add(records);
            self.tell_changed(&mut c);
        } else if c.log.is_some() {
            let (from, to, mut all) = c.changed.take().unwrap_or((b.offset, c.end, Spans::default()));
            all.merge(spans);
            c.changed = Some((from.min(b.offset), to.max(c.end), all));
            self.cover = Some(c);
            return;
        }
        c.spans.merge(spans);
        self.cover = Some(c);
    }

    fn dropped(&mut self, d: &Drops) {
        let sum = self.drops.entry((d.pid, d.start)).or_default();
        for (sum, n) in sum.iter_mut().zip(d.records) {
            *sum = sum.saturating_add(n);
        }
    }

    fn tell_changed(&mut self, c: &mut Cover) {
        let Some((from, to, spans)) = c.changed.take() else { return };
        let file = c.log.and_then(|log| self.facts.logs.get(log)).map(|l| l.name.clone()).unwrap_or_default();
        self.v.findings.push(Finding::Changed { file, from, to, spans: spans.list() });
    }

    /// The next records of a writer: are they those that come next?
    fn sequence(&mut self, key: Key, run: &Run) {
        let producer = ProducerId { pid: run.pid, start: run.start, writer: run.writer };
        let end = run.first.saturating_add(run.count);
        let holes = self.holes.len();
        let whole = self.whole.contains(&key.0);
        let w = self.writers.entry(key).or_insert_with(|| Writer {
            producer,
            // What retention has removed is not looked for.
            next: if whole { 0 } else { run.first },
            holes: if whole { 0 } else { holes },
        });
        let (next, new) = (w.next, self.holes.get(w.holes..).unwrap_or_default());
        (w.next, w.holes) = (w.next.max(end), holes);
        if run.first > next {
            if !new.contains(&None) {
                let reason = new.last().copied().flatten().unwrap_or(Reason::Unknown);
                self.missing(Span { producer, first: next, last: run.first - 1 }, reason);
            }
        } else if run.first < next {
            let last = end.min(next) - 1;
            self.v.findings.push(Finding::Twice { span: Span { producer, first: run.first, last } });
        }
    }

    fn missing(&mut self, span: Span, reason: Reason) {
        if let Some(Finding::Missing { span: last, reason: same }) = self.v.findings.last_mut()
            && *same == reason
            && last.producer == span.producer
            && last.last.checked_add(1) == Some(span.first)
        {
            last.last = span.last;
            return;
        }
        self.v.findings.push(Finding::Missing { span, reason });
    }

    /// The index has nothing more to say of a log file.
    fn close_cover(&mut self, interrupted: bool) {
        let Some(mut c) = self.cover.take() else { return };
        self.tell_changed(&mut c);
        let Some(log) = c.log else {
            self.gone.push(c);
            return;
        };
        let packed = self.facts.logs.get(log).is_some_and(|l| l.begun.is_some());
        let live = self.facts.journal.filter(|j| j.id == c.id && !packed);
        let len = self.facts.logs.get(log).map_or(0, |l| l.len);
        let end = live.map_or(len, |j| j.end.min(len));
        if !interrupted && !live.is_some_and(|j| j.indexed && j.place.is_none()) {
            self.uncovered(Some(log), c.end, end);
        }
        if let Some(file) = self.v.files.get_mut(log) {
            (file.covered, file.records) = (c.covered, c.records);
        }
        self.v.records = self.v.records.saturating_add(c.records);
    }

    fn end(mut self) -> Verdict {
        if let Some(Journal { indexed: true, place: None, id, .. }) = self.facts.journal
            && id != (0, 0)
            && self.v.indexed
        {
            let from = self.cover.as_ref().map(|c| (self.age(c.begun), c.end));
            self.v.findings.push(Finding::Interrupted { from, to: None });
            self.holes.push(Some(Reason::Interrupted));
        }
        self.close_cover(false);
        self.strangers();
        self.gone_files();
        self.ring();
        for drops in &self.facts.untold {
            self.dropped(drops);
        }
        let open = self.facts.journal.map(|j| j.uuid);
        let lost = self.segments.iter().filter(|(uuid, closed)| !**closed && Some(**uuid) != open);
        self.v.findings.extend(lost.map(|(uuid, _)| Finding::SegmentLost { uuid: *uuid }));
        for (&(pid, start), &records) in &self.drops {
            self.v.findings.push(Finding::Dropped { pid, start, records });
        }
        self.v.writers = self.writers.len() as u64;
        let processes: BTreeSet<_> =
            self.writers.values().map(|w| (w.producer.pid, w.producer.start)).collect();
        self.v.processes = processes.len() as u64;
        self.v
    }

    /// Files of which the index knows nothing at all.
    fn strangers(&mut self) {
        if !self.v.indexed {
            return;
        }
        let oldest = self.seen_logs.iter().filter_map(|i| self.facts.logs.get(*i)).map(|l| l.number).max();
        for (i, log) in self.facts.logs.iter().enumerate() {
            if self.seen_logs.contains(&i) {
                continue;
            }
            if log.packed {
                self.v.packed.push(log.name.clone());
            } else if oldest.is_some_and(|oldest| log.number < oldest) {
                self.uncovered(Some(i), 0, log.len);
            } else {
                self.v.before = self.v.before.saturating_add(log.len);
            }
        }
    }

    fn gone_files(&mut self) {
        for c in std::mem::take(&mut self.gone) {
            let age = self.age(c.begun);
            let packed = |l: &LogFact| l.packed && u64::from(l.number) == age;
            if c.covered == 0 || self.facts.logs.iter().any(packed) {
                continue;
            }
            let given_up = self.retired.iter().any(|(serial, id)| *serial >= c.serial && *id == c.id);
            if given_up || self.is_past(c.begun) {
                self.v.retired += 1;
            } else {
                self.v.findings.push(Finding::FileGone { age, spans: c.spans.list() });
            }
        }
    }

    /// What waits in the ring comes next, too.
    fn ring(&mut self) {
        let (Some(journal), Some(waiting)) = (self.facts.journal, &self.facts.waiting) else { return };
        let mut waiting = waiting.clone();
        waiting.sort_by_key(|w| (w.producer.writer, w.first));
        let mut spans = Spans::default();
        for w in waiting.iter().filter(|w| w.count > 0) {
            let ProducerId { pid, start, writer } = w.producer;
            let run = Run { writer, pid, start, slot: 0, first: w.first, count: w.count };
            let key = (journal.uuid, writer);
            if journal.indexed && self.v.indexed {
                self.sequence(key, &run);
            }
            spans.add(key, span_of(&run));
        }
        self.v.waiting = spans.list();
    }
}

fn key(h: &Header, writer: u64) -> Key {
    (h.uuid, writer)
}

fn span_of(run: &Run) -> Span {
    let producer = ProducerId { pid: run.pid, start: run.start, writer: run.writer };
    Span { producer, first: run.first, last: run.first.saturating_add(run.count.max(1) - 1) }
}
