//! The ring on plain memory: what it does, and what is left when a role dies at any step.
mod death;
mod hostile;
mod normal;
mod notes;

use super::append::{Line, Producer, Refused};
use super::layout::{Counter, Geometry, counter};
use super::mem::Mem;
use super::model::{Flusher, PlainMem};
use super::reclaim::{Identity, register};

pub(super) const SMALL: Geometry = Geometry::new(4, 4, 128).unwrap();

pub(super) fn line(bytes: &[u8]) -> Line<'_> {
    Line { bytes, end: b"\n" }
}

pub(super) fn segment(geometry: Geometry) -> PlainMem {
    let mem = PlainMem::new(geometry);
    for slot in 0..geometry.slots() {
        assert!(register(&mem, geometry, slot, &Identity::default()));
    }
    mem
}

/// Everything the segment still holds, on top of what is in `file`.
pub(super) fn drain_all(mem: &PlainMem, geometry: Geometry, file: &mut Vec<u8>) {
    let mut f = Flusher::take_over(mem, geometry, file);
    for slot in 0..geometry.slots() {
        f.drainer.reap(mem, slot, || true);
    }
    for _ in 0..3 {
        f.sweep(mem, file, u64::MAX).unwrap();
    }
}

pub(super) fn lines(file: &[u8]) -> Vec<String> {
    assert!(file.is_empty() || file.ends_with(b"\n"), "the file ends in the middle of a line");
    String::from_utf8(file.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

pub(super) fn append(p: &mut Producer, mem: &PlainMem, text: &str) -> Result<u64, Refused> {
    p.append(mem, 0, &line(text.as_bytes()))
}

pub(super) fn counted(mem: &PlainMem, c: Counter) -> u64 {
    mem.load(counter(c), core::sync::atomic::Ordering::Relaxed)
}
