//! A log with its index in vectors, written as the flusher writes them, and changed as nobody should.
use super::super::code::put;
use super::super::judge::{Facts, Files, Journal, LogFact};
use super::super::*;
use proptest::sample::Index;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(super) struct World {
    /// Inode and bytes, the live log first.
    pub(super) logs: Vec<(u64, Vec<u8>)>,
    pub(super) index: BTreeMap<u64, Vec<u8>>,
    pub(super) header: Header,
    /// There is a segment.
    pub(super) journal: bool,
    next: BTreeMap<u64, u64>,
    backups: usize,
    inodes: u64,
    batches: u64,
    /// Records in each file, by inode.
    records: BTreeMap<u64, u64>,
}

impl World {
    pub(super) fn new(backups: usize) -> World {
        World {
            logs: vec![(1, Vec::new())],
            index: BTreeMap::new(),
            header: Header { uuid: [1; 16], ..Header::default() },
            journal: true,
            next: BTreeMap::new(),
            backups,
            inodes: 1,
            batches: 0,
            records: BTreeMap::new(),
        }
    }

    /// Batches of `(writer, records)`, and what comes after each: nothing, a rotation, a restart.
    pub(super) fn history(steps: &[(u64, u64, u8)]) -> World {
        let mut world = World::new(3);
        world.begin(Why::Segment);
        for &(writer, records, then) in steps {
            world.batch(&[(writer, records), (9, 1)]);
            match then {
                0 => world.rotate(),
                1 => {
                    world.add(&Entry::Close { batch: world.batches });
                    world.next_segment();
                    world.begin(Why::Segment);
                }
                _ => {}
            }
        }
        world.batch(&[(0, 1)]);
        world
    }

    pub(super) fn next_segment(&mut self) {
        self.header.uuid[0] += 1;
        self.next.clear();
    }

    pub(super) fn begin(&mut self, why: Why) {
        let (ino, bytes) = &self.logs[0];
        let prev = self.header.clone();
        let new = prev.serial == 0 || prev.ino != *ino;
        self.header = Header {
            serial: prev.serial + 1,
            begun: prev.begun + u64::from(new),
            ino: *ino,
            start: bytes.len() as u64,
            prev_end: if why == Why::Next { self.index[&prev.serial].len() as u64 } else { 0 },
            prev_begun: prev.begun,
            backups: self.backups as u32,
            why,
            ..prev
        };
        self.index.insert(self.header.serial, self.header.encode().to_vec());
        let past = self.header.begun.saturating_sub(self.backups as u64);
        self.index.retain(|_, bytes| Header::decode(bytes).unwrap().begun >= past);
    }

    fn add(&mut self, entry: &Entry) {
        put(entry, self.header.seed(), self.index.get_mut(&self.header.serial).unwrap());
    }

    fn empty(&mut self) -> Batch {
        self.batches += 1;
        Batch { batch: self.batches, offset: self.logs[0].1.len() as u64, ..Batch::default() }
    }

    pub(super) fn batch(&mut self, runs: &[(u64, u64)]) {
        let mut batch = self.empty();
        let from = self.logs[0].1.len();
        for &(writer, count) in runs {
            let next = self.next.entry(writer).or_default();
            let run = Run { writer, pid: 100 + writer, start: 5, slot: 0, first: *next, count };
            for i in *next..*next + count {
                self.logs[0].1.extend(format!("writer {writer} record {i}\n").bytes());
            }
            *next += count;
            *self.records.entry(self.logs[0].0).or_default() += count;
            batch.runs.push(run);
        }
        let bytes = &self.logs[0].1[from..];
        (batch.len, batch.crc) = (bytes.len() as u64, crc32c::crc32c(bytes));
        self.add(&Entry::Batch(batch));
    }

    /// Records that never arrive.
    pub(super) fn lose(&mut self, writer: u64, n: u64) {
        *self.next.entry(writer).or_default() += n;
    }

    /// Records that the flusher skips.
    pub(super) fn skip(&mut self, writer: u64, count: u64, why: Skipped) {
        let mut batch = self.empty();
        let first = self.next[&writer];
        batch.runs.push(Run { writer, pid: 100 + writer, start: 5, slot: 0, first, count });
        batch.skips.push(Skip { writer, first, count, why });
        self.lose(writer, count);
        self.add(&Entry::Batch(batch));
    }

    pub(super) fn retire(&mut self, ino: u64) {
        self.add(&Entry::Retire { dev: 0, ino });
    }

    pub(super) fn rotate(&mut self) {
        if self.logs.len() > self.backups {
            let (oldest, _) = self.logs.pop().unwrap();
            self.retire(oldest);
        }
        self.inodes += 1;
        self.logs.insert(0, (self.inodes, Vec::new()));
        self.begin(Why::Next);
    }

    pub(super) fn records_in_files(&self) -> u64 {
        self.logs.iter().filter_map(|(ino, _)| self.records.get(ino)).sum()
    }

    /// Changes one thing; false if there is nothing of that kind to change.
    pub(super) fn change(&mut self, kind: usize, which: Index, at: Index) -> bool {
        let log = which.index(self.logs.len());
        let bytes = &mut self.logs[log].1;
        if bytes.is_empty() && kind < 4 {
            return false;
        }
        let i = at.index(bytes.len().max(1));
        match kind {
            0 => bytes[i] ^= 1,
            1 => bytes.truncate(i),
            2 => {
                bytes.remove(i);
            }
            3 if log > 0 => {
                self.logs.remove(log);
            }
            4 => {
                let serial = *which.get(&self.index.keys().copied().collect::<Vec<_>>());
                let index = self.index.get_mut(&serial).unwrap();
                let i = at.index(index.len());
                index[i] ^= 0x10;
            }
            5 if log > 0 => self.logs[log].1.extend(b"forged\n"),
            _ => return false,
        }
        true
    }

    pub(super) fn facts(&self) -> Facts {
        let logs = self.logs.iter().enumerate().map(|(i, (ino, bytes))| LogFact {
            name: format!("app.log.{i}"),
            number: i as u32,
            packed: false,
            begun: None,
            id: (0, *ino),
            len: bytes.len() as u64,
        });
        let journal = Journal {
            uuid: self.header.uuid,
            id: (0, self.header.ino),
            end: self.logs[0].1.len() as u64,
            indexed: true,
            place: self.index.last_key_value().map(|(s, b)| Place { serial: *s, end: b.len() as u64 }),
        };
        Facts {
            logs: logs.collect(),
            headers: self.index.iter().map(|(s, b)| (*s, Header::decode(b))).collect(),
            journal: self.journal.then_some(journal),
            waiting: None,
            untold: Vec::new(),
        }
    }
}

impl Files for World {
    fn index(&mut self, serial: u64) -> Option<Vec<u8>> {
        self.index.get(&serial).cloned()
    }
    fn crc(&mut self, log: usize, offset: u64, len: u64) -> Option<u32> {
        let bytes = self.logs[log].1.get(offset as usize..offset.checked_add(len)? as usize)?;
        Some(crc32c::crc32c(bytes))
    }
}
