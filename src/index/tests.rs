#![allow(clippy::unwrap_used, clippy::panic)]
//! The bytes, the judge on made-up histories, and the index of a flusher that is killed at every step.
mod death;
mod world;

use super::code::{Damaged, Entries, HEADER_BYTES, put};
use super::judge::judge;
use super::verdict::{Finding, Reason};
use super::*;
use proptest::prelude::*;
use world::World;

fn header() -> Header {
    Header { uuid: [7; 16], serial: 3, begun: 2, file: 1, start: 99, backups: 5, ..Header::default() }
}

fn run() -> impl Strategy<Value = Run> {
    (any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>(), any::<u64>())
        .prop_map(|(writer, pid, start, slot, first, count)| Run { writer, pid, start, slot, first, count })
}

fn entry() -> impl Strategy<Value = Entry> {
    let skip =
        (any::<u64>(), any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(writer, first, count, sum)| {
            Skip { writer, first, count, why: if sum { Skipped::Checksum } else { Skipped::Corrupt } }
        });
    let drops = (any::<u64>(), any::<u64>(), any::<[u64; 6]>());
    let drops = drops.prop_map(|(pid, start, records)| Drops { pid, start, records });
    let died = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    let died = died.prop_map(|(pid, start, records, unfinished)| Died { pid, start, records, unfinished });
    let few = 0..4usize;
    let lists = (
        prop::collection::vec(run(), few.clone()),
        prop::collection::vec(skip, few.clone()),
        prop::collection::vec(drops, few.clone()),
        prop::collection::vec(died, few),
    );
    let batch = (any::<(u64, u64, u64, u64, u32)>(), lists).prop_map(|(n, (runs, skips, drops, deaths))| {
        let (batch, ms, offset, len, crc) = n;
        Entry::Batch(Batch { batch, ms, offset, len, crc, runs, skips, drops, deaths })
    });
    prop_oneof![
        batch,
        any::<(u64, u64)>().prop_map(|(dev, ino)| Entry::Retire { dev, ino }),
        any::<u64>().prop_map(|batch| Entry::Close { batch }),
    ]
}

fn file(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = header().encode().to_vec();
    entries.iter().for_each(|e| put(e, header().seed(), &mut bytes));
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn entries_come_back_as_they_were(entries in prop::collection::vec(entry(), 0..6)) {
        let bytes = file(&entries);
        let back: Vec<_> = Entries::of(&bytes, &header()).map(Result::unwrap).collect();
        prop_assert_eq!(back, entries);
    }

    #[test]
    fn a_changed_byte_ends_the_file_before_its_entry(
        entries in prop::collection::vec(entry(), 1..5), at in any::<prop::sample::Index>(), bit in 0..8u8
    ) {
        let mut bytes = file(&entries);
        let at = HEADER_BYTES as usize + at.index(bytes.len() - HEADER_BYTES as usize);
        bytes[at] ^= 1 << bit;
        let mut whole = HEADER_BYTES as usize;
        let mut back = Entries::of(&bytes, &header());
        for e in &entries {
            let mut one = Vec::new();
            put(e, 0, &mut one);
            if at < whole + one.len() {
                prop_assert_eq!(back.next(), Some(Err(Damaged(whole as u64))));
                prop_assert_eq!(back.next(), None);
                break;
            }
            whole += one.len();
            prop_assert_eq!(back.next(), Some(Ok(e.clone())));
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_damaged_or_ends_with_an_entry(
        entries in prop::collection::vec(entry(), 1..4), at in any::<prop::sample::Index>()
    ) {
        let bytes = file(&entries);
        let cut = HEADER_BYTES as usize + at.index(bytes.len() - HEADER_BYTES as usize);
        let back: Vec<_> = Entries::of(&bytes[..cut], &header()).collect();
        let whole = back.iter().filter(|e| e.is_ok()).count();
        prop_assert!(file(&entries[..whole]).len() <= cut);
        prop_assert_eq!(file(&entries[..whole]).len() == cut, back.len() == whole);
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(
        junk in prop::collection::vec(any::<u8>(), 0..400), entries in prop::collection::vec(entry(), 0..6)
    ) {
        let mut world = World::new(3);
        world.begin(Why::Segment);
        world.batch(&[(0, 3)]);
        let seed = world.header.seed();
        let bytes = world.index.get_mut(&1).unwrap();
        entries.iter().for_each(|e| put(e, seed, bytes));
        bytes.extend(junk);
        let v = judge(&world.facts(), &mut world);
        prop_assert!(v.indexed);
    }

    /// A history of batches, rotations, restarts is complete; with one thing changed it is not.
    #[test]
    fn a_history_is_complete_and_one_change_is_found(
        steps in prop::collection::vec((0..4u64, 1..5u64, 0..8u8), 1..40),
        change in 0..6usize, which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()
    ) {
        let mut world = World::history(&steps);
        let v = judge(&world.facts(), &mut world);
        prop_assert_eq!(&v.findings, &vec![]);
        prop_assert_eq!(v.records, world.records_in_files());
        let done = world.change(change, which, at);
        let v = judge(&world.facts(), &mut world);
        prop_assert_eq!(done, !v.is_complete(), "change {}: {:?}", change, v.findings);
    }
}

#[test]
fn a_header_comes_back_and_a_damaged_one_does_not() {
    let bytes = header().encode();
    assert_eq!(Header::decode(&bytes), Some(header()));
    for i in 0..bytes.len() {
        let mut b = bytes;
        b[i] ^= 1;
        assert_eq!(Header::decode(&b), None, "byte {i}");
    }
}

#[test]
fn an_entry_of_another_file_is_not_taken_for_one_of_this() {
    let mut bytes = header().encode().to_vec();
    put(&Entry::Close { batch: 1 }, Header { serial: 4, ..header() }.seed(), &mut bytes);
    assert_eq!(Entries::of(&bytes, &header()).next(), Some(Err(Damaged(HEADER_BYTES))));
}

#[test]
fn places_and_names_come_back() {
    for place in [Place { serial: 1, end: 0 }, Place { serial: (1 << 28) - 1, end: (1 << 36) - 1 }] {
        assert_eq!(Place::unpack(place.pack()), Some(place));
        assert_eq!(parse_name(&name(place.serial)), Some(place.serial));
    }
    assert_eq!(Place::unpack(0), None);
    for stranger in ["1.idx", "0000000001.idx.bak", "x.idx", ".idx", "+000000001.idx"] {
        assert_eq!(parse_name(stranger), None, "{stranger}");
    }
}

#[test]
fn a_gap_in_a_writers_numbers_is_named_with_its_reason() {
    let missing = |world: &mut World| {
        let v = judge(&world.facts(), world);
        v.findings
            .into_iter()
            .filter_map(|f| match f {
                Finding::Missing { span, reason } => {
                    Some((span.producer.writer, span.first, span.last, reason))
                }
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let mut world = World::new(3);
    world.begin(Why::Segment);
    world.batch(&[(0, 3), (1, 2)]);
    world.lose(0, 2);
    world.batch(&[(0, 1), (1, 1)]);
    assert_eq!(missing(&mut world), [(0, 3, 4, Reason::Unknown)]);
    world.lose(1, 4);
    world.begin(Why::Interrupted);
    world.batch(&[(1, 1)]);
    assert_eq!(missing(&mut world), [(0, 3, 4, Reason::Unknown), (1, 3, 6, Reason::Interrupted)]);
    world.skip(1, 1, Skipped::Checksum);
    assert_eq!(missing(&mut world)[2], (1, 8, 8, Reason::Checksum));
}

#[test]
fn the_first_records_of_a_writer_may_not_be_missing_unless_rotation_took_them() {
    let mut world = World::new(1);
    world.begin(Why::Segment);
    world.lose(0, 1);
    world.batch(&[(0, 1)]);
    assert_eq!(judge(&world.facts(), &mut world).findings.len(), 1);
    let mut world = World::new(1);
    world.begin(Why::Segment);
    for _ in 0..5 {
        world.batch(&[(0, 3)]);
        world.rotate();
    }
    assert_eq!(world.index.first_key_value().unwrap().0, &5, "the index of what is gone is gone");
    assert_eq!(judge(&world.facts(), &mut world).findings, []);
}

#[test]
fn a_file_removed_by_rotation_is_not_one_removed_by_somebody() {
    let mut world = World::new(2);
    world.begin(Why::Segment);
    for _ in 0..3 {
        world.batch(&[(0, 3)]);
        world.rotate();
    }
    // Killed between the removal of the oldest and the next index file.
    world.batch(&[(0, 3)]);
    let oldest = world.logs.last().unwrap().0;
    world.retire(oldest);
    world.logs.pop();
    let v = judge(&world.facts(), &mut world);
    assert_eq!((v.findings, v.retired), (vec![], 1));
    let number_1 = world.logs.remove(1).0;
    let v = judge(&world.facts(), &mut world);
    assert!(matches!(&v.findings[..], [Finding::FileGone { age: 1, .. }]), "{number_1}: {:?}", v.findings);
}

#[test]
fn a_segment_that_was_not_closed_is_lost_unless_it_is_there() {
    let mut world = World::new(2);
    world.begin(Why::Segment);
    world.batch(&[(0, 3)]);
    assert_eq!(judge(&world.facts(), &mut world).findings, []);
    world.journal = false;
    let lost = Finding::SegmentLost { uuid: world.header.uuid };
    assert_eq!(judge(&world.facts(), &mut world).findings, std::slice::from_ref(&lost));
    world.next_segment();
    world.begin(Why::Segment);
    world.batch(&[(0, 3)]);
    world.journal = true;
    assert_eq!(judge(&world.facts(), &mut world).findings, [lost]);
}
