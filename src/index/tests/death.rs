//! A flusher with an index, killed before each of its steps: what is committed in one is committed in both.
use super::super::code::put;
use super::super::judge::{Facts, Files, Journal, LogFact, judge};
use super::super::*;
use crate::ring::append::{Lessee, Line, Producer};
use crate::ring::journal::{Cell, Found};
use crate::ring::layout::Geometry;
use crate::ring::mem::Mem;
use crate::ring::model::{Killed, Mortal, PlainMem, Steps};
use crate::ring::reclaim::{Identity, register, take_over};
use crate::ring::sweep::Piece;
use std::panic::{AssertUnwindSafe, catch_unwind};

const G: Geometry = Geometry::new(2, 16, 128).unwrap();

#[derive(Default)]
struct Disk {
    log: Vec<u8>,
    index: Vec<u8>,
    end: u64,
    place: Option<Place>,
}

fn header() -> Header {
    Header { uuid: [3; 16], serial: 1, begun: 1, ino: 8, backups: 1, ..Header::default() }
}

/// Half of the bytes, a place to die, the other half.
fn write(mem: &impl Steps, to: &mut Vec<u8>, bytes: &[u8]) {
    let half = bytes.len() / 2;
    to.extend_from_slice(&bytes[..half]);
    mem.file_step();
    to.extend_from_slice(&bytes[half..]);
    mem.file_step();
}

/// One flusher's turn, in the order of the driver: cut both, then log bytes, entry, COMMIT. With `late`, the
/// mistake: the entry after the commit.
fn turn<M: Mem + Steps>(mem: &M, disk: &mut Disk, late: bool) {
    let mut t = take_over(mem, G);
    let mut cell = match t.found {
        Found::Cell(cell) => cell,
        _ => Cell::default(),
    };
    mem.file_step();
    disk.log.truncate(cell.end as usize);
    match Place::unpack(cell.index) {
        Some(place) => disk.index.truncate(place.end as usize),
        None => {
            disk.index.clear();
            write(mem, &mut disk.index, &header().encode());
            cell.index = Place { serial: 1, end: HEADER_BYTES }.pack();
            t.drainer.commit(mem, &cell).unwrap();
        }
    }
    for _ in 0..3 {
        t.drainer.collect(mem);
        loop {
            let mut left = 3;
            let full = |_, _| {
                left -= 1;
                left < 0
            };
            if t.drainer.next_batch(mem, full).is_none() {
                break;
            }
            t.drainer.prepare(mem);
            let mut bytes = Vec::new();
            for piece in t.drainer.pieces() {
                match *piece {
                    Piece::Ring { at, len } => mem.get(at, len, &mut bytes),
                    Piece::Staged { at, len } => bytes.extend_from_slice(&t.drainer.staging()[at..at + len]),
                }
            }
            write(mem, &mut disk.log, &bytes);
            let runs = t.drainer.runs(mem).map(|r| Run {
                writer: r.writer,
                pid: r.pid,
                start: r.start,
                slot: r.slot,
                first: r.first,
                count: u64::from(r.count),
            });
            let batch = Batch {
                offset: cell.end,
                len: bytes.len() as u64,
                crc: crc32c::crc32c(&bytes),
                runs: runs.collect(),
                ..Batch::default()
            };
            let mut entry = Vec::new();
            put(&Entry::Batch(batch), header().seed(), &mut entry);
            let place = Place::unpack(cell.index).unwrap();
            cell.index = Place { end: place.end + entry.len() as u64, ..place }.pack();
            cell.end += bytes.len() as u64;
            if !late {
                write(mem, &mut disk.index, &entry);
            }
            t.drainer.commit(mem, &cell).unwrap();
            if late {
                write(mem, &mut disk.index, &entry);
            }
        }
        for slot in 0..G.slots() {
            t.drainer.reap(mem, slot, || true);
        }
    }
    (disk.end, disk.place) = (cell.end, Place::unpack(cell.index));
}

impl Files for Disk {
    fn index(&mut self, _: u64) -> Option<Vec<u8>> {
        Some(self.index.clone())
    }
    fn crc(&mut self, _: usize, offset: u64, len: u64) -> Option<u32> {
        Some(crc32c::crc32c(self.log.get(offset as usize..(offset + len) as usize)?))
    }
}

fn busy() -> PlainMem {
    let mem = PlainMem::new(G);
    for slot in 0..2 {
        assert!(register(&mem, G, slot, &Identity::default()));
        let who = Lessee { writer: u64::from(slot), pid: 70 + u64::from(slot), start: 1 };
        let mut p = Producer::new(G, slot, slot * 5).named(who, false);
        for i in 0..7 {
            let text = if i == 2 { "x".repeat(200) } else { format!("{slot} {i}") };
            p.append(&mem, 0, &Line { bytes: text.as_bytes(), end: b"\n" }).unwrap();
        }
    }
    mem
}

/// Kills a flusher before step `life`, lets a successor do the rest; whether it is complete then.
fn survives(life: u64, late: bool) -> (bool, bool) {
    let (mem, mut disk) = (busy(), Disk::default());
    let mortal = Mortal::new(&mem, life);
    let died = match catch_unwind(AssertUnwindSafe(|| turn(&mortal, &mut disk, late))) {
        Ok(()) => false,
        Err(e) if e.is::<Killed>() => true,
        Err(e) => std::panic::resume_unwind(e),
    };
    turn(&mem, &mut disk, late);
    let log =
        LogFact { name: "app.log".into(), id: (0, 8), len: disk.log.len() as u64, ..LogFact::default() };
    let journal = Journal { uuid: [3; 16], id: (0, 8), end: disk.end, indexed: true, place: disk.place };
    let facts = Facts {
        logs: vec![log],
        headers: vec![(1, Header::decode(&disk.index))],
        journal: Some(journal),
        ..Facts::default()
    };
    let v = judge(&facts, &mut disk);
    (died, v.is_complete() && v.records == 14 && v.writers == 2)
}

#[test]
fn a_flusher_with_an_index_may_die_at_any_step() {
    for life in 0.. {
        let (died, complete) = survives(life, false);
        assert!(complete, "killed at step {life}");
        if !died {
            assert!(life > 200, "the loop has met every step");
            break;
        }
    }
}

#[test]
fn an_entry_written_after_its_commit_would_be_found_out() {
    let first_loss = (0..2000).find(|life| !survives(*life, true).1);
    assert!(first_loss.is_some());
}
