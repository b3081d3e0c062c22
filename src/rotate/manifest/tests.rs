//! The codec believes nothing that it would not have written; numbers are given once.
use super::line::{OtherVersion, put_entry};
use super::stamps::KEPT;
use super::*;
use proptest::prelude::*;

pub(in crate::rotate) fn any_form() -> impl Strategy<Value = Option<Form>> {
    let name =
        prop_oneof![Just(Name::Log), Just(Name::Chain), "[a-z.0-9]{1,8}|.{0,12}".prop_map(Name::Fixed)];
    let form = (0..3u64, 0..40u64, any::<u64>(), any::<u64>(), name)
        .prop_map(|(dev, ino, born_ns, bytes, name)| Form { id: FileId { dev, ino }, born_ns, bytes, name });
    prop::option::weighted(0.8, form)
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let state = prop::sample::select(vec![State::Live, State::Archived, State::Packed, State::Removed]);
    let dated = prop::option::of(("2026-05-[0-3][0-9]|.{0,6}", any::<u32>()))
        .prop_map(|d| d.map(|(stamp, copy)| Stamped { stamp, copy }));
    (
        (0..20u64, 0..3u32, state, any::<u128>(), any::<u64>()),
        (any::<Option<(u64, u64)>>(), any::<u64>(), any::<u64>(), dated),
        (any_form(), any_form()),
    )
        .prop_map(
            |((number, part, state, segment, file), (keys, begun_ns, ended_ns, dated), (plain, packed))| {
                let serial = Serial { number, part };
                Entry { serial, state, segment, file, keys, begun_ns, ended_ns, dated, plain, packed }
            },
        )
}

fn any_history() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec(any_entry(), 0..40)
}

fn after(history: &[Entry]) -> Manifest {
    let mut manifest = Manifest::default();
    history.iter().for_each(|entry| manifest.apply(entry));
    manifest
}

fn lines(history: &[Entry]) -> Vec<u8> {
    let mut out = Manifest::default().encode();
    history.iter().for_each(|entry| put_entry(entry, &mut out));
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn what_is_appended_or_rewritten_is_read_again(history in any_history()) {
        let manifest = after(&history);
        let read = Manifest::decode(&lines(&history)).unwrap();
        prop_assert_eq!((&read.manifest, read.damaged), (&manifest, 0));
        let read = Manifest::decode(&manifest.encode()).unwrap();
        prop_assert_eq!((read.manifest, read.damaged), (manifest, 0));
    }

    #[test]
    fn a_file_cut_anywhere_is_the_state_of_the_lines_before_the_cut(history in any_history(), cut: prop::sample::Index) {
        let bytes = lines(&history);
        let cut = cut.index(bytes.len() + 1);
        let read = Manifest::decode(&bytes[..cut]).unwrap();
        let whole = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
        prop_assert_eq!(read.lines, whole as u64);
        // The first two lines are no entries.
        prop_assert_eq!(read.manifest, after(&history[..whole.saturating_sub(2)]));
        prop_assert_eq!(read.damaged, u64::from(cut > 0 && bytes[cut - 1] != b'\n'));
    }

    #[test]
    fn a_damaged_line_is_skipped_and_the_others_count(
        history in prop::collection::vec(any_entry(), 1..20),
        which: prop::sample::Index,
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let which = which.index(history.len());
        let mut bytes = lines(&history[..which]);
        let from = bytes.len();
        put_entry(&history[which], &mut bytes);
        let at = from + at.index(bytes.len() - from);
        bytes[at] ^= 1 << bit;
        let made_a_line_end = bytes[at] == b'\n';
        let lost_its_end = at == bytes.len() - 1;
        history[which + 1..].iter().for_each(|entry| put_entry(entry, &mut bytes));
        let read = Manifest::decode(&bytes).unwrap();
        let mut believed = history.clone();
        believed.remove(which);
        if lost_its_end && which < believed.len() {
            // The line behind it hangs on it.
            believed.remove(which);
        }
        prop_assert_eq!(read.manifest, after(&believed));
        prop_assert_eq!(read.damaged, 1 + u64::from(made_a_line_end));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), texts in prop::collection::vec("(file|stamp|next|forgotten|crlog-manifest|[0-9]{1,3}|-|[a-f:=%*.-]{1,9}| ){0,16}", 0..5)) {
        let _ = Manifest::decode(&bytes);
        let line = |text: &String| format!("{:08x} {text}\n", crc32c::crc32c(text.as_bytes()));
        let text: String = texts.iter().map(line).collect();
        if let Ok(read) = Manifest::decode(text.as_bytes()) {
            // What is believed is written again just so.
            let again = Manifest::decode(&read.manifest.encode()).unwrap();
            prop_assert_eq!((again.manifest, again.damaged), (read.manifest, 0));
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn a_number_is_never_given_twice_whatever_is_removed_and_forgotten(
        days in prop::collection::vec((0..200u32, prop::bool::weighted(0.02), prop::bool::weighted(0.2), prop::bool::weighted(0.2)), 1..250),
    ) {
        let mut manifest = Manifest::default();
        let mut given = BTreeSet::new();
        for (i, (day, packed, stays, tidy)) in days.into_iter().enumerate() {
            let stamp = format!("{day:03}");
            let copy = manifest.next_copy(&stamp, [], None).unwrap();
            prop_assert!(given.insert((stamp.clone(), copy)), "{stamp}.{copy} was given before");
            let last = given.iter().rfind(|(s, _)| *s == stamp).unwrap().1;
            prop_assert_eq!(last, copy, "younger files have higher numbers");
            let form = Form { id: FileId { dev: 1, ino: i as u64 }, born_ns: 1, bytes: 0, name: Name::Log };
            let entry = Entry::begun(manifest.next_serial(), 0, 0, form, 0);
            let entry = entry.reserved("x", Stamped { stamp, copy });
            manifest.apply(&entry);
            if !stays {
                manifest.apply(&entry.removed());
            }
            if tidy {
                manifest.tidy();
            }
            if packed {
                manifest = Manifest::decode(&manifest.encode()).unwrap().manifest;
            }
        }
    }
}

fn form(ino: u64) -> Form {
    Form { id: FileId { dev: 0xfe01, ino }, born_ns: 5, bytes: 0, name: Name::Log }
}

fn dated(stamp: &str, copy: u32) -> Stamped {
    Stamped { stamp: stamp.into(), copy }
}

#[test]
fn a_line_looks_as_it_is_described() {
    let entry = Entry::begun(Serial::begun(57), 0xabc, 3, form(0x12), 1000)
        .reserved("app.log.2026-05-01.2", dated("2026-05-01", 2))
        .archived(
            Name::Fixed("app.log.2026-05-01.2".into()),
            Ended { bytes: 77, keys: Some((1, 9)), ns: 2000 },
        )
        .packing(Form { name: Name::Fixed("my log.2 %".into()), ..form(0x13) });
    let mut out = Vec::new();
    put_entry(&entry, &mut out);
    let text = "file 57 archived 00000000000000000000000000000abc 3 1-9 1000-2000 2026-05-01:2 \
                fe01:12:5:77:=app.log.2026-05-01.2 fe01:13:5:0:=my%20log.2%20%25";
    let line = format!("{:08x} {text}\n", crc32c::crc32c(text.as_bytes()));
    assert_eq!(String::from_utf8(out).unwrap(), line);
    let none = String::from_utf8(Manifest::default().encode()).unwrap();
    let bodies: Vec<&str> = none.lines().map(|line| &line[9..]).collect();
    assert_eq!(bodies, ["crlog-manifest 3", "next 1"]);
}

#[test]
fn lines_that_nobody_of_ours_writes_are_not_believed() {
    for text in [
        "",
        "next",
        "next 07",
        "next +7",
        "next 7 ",
        "next 7 8",
        "next 99999999999999999999",
        "stamp 2026-05-01 -1",
        "stamp %2E 1",
        "stamp %zz 1",
        "file 1 alive 0 0 - 0-0 - - -",
        "file 1 live 0 0 - 0-0 - - -",
        "file 1.0 live 00000000000000000000000000000000 0 - 0-0 - - -",
        "file 1 live 00000000000000000000000000000000 0 - 0-0 - 1:2:3:4:5 -",
        "file 1 live 00000000000000000000000000000000 0 - 0-0 - 1:2:3:4:-:6 -",
    ] {
        let line = format!("{:08x} {text}\n", crc32c::crc32c(text.as_bytes()));
        let read = Manifest::decode(line.as_bytes()).unwrap();
        assert_eq!((read.manifest, read.lines, read.damaged), (Manifest::default(), 0, 1), "{text:?}");
    }
    let good = "file 1 live 00000000000000000000000000000000 0 - 0-0 - 1:2:3:4:- -";
    let line = format!("{:08x} {good}\n", crc32c::crc32c(good.as_bytes()));
    assert_eq!(Manifest::decode(line.as_bytes()).unwrap().manifest.entries().count(), 1);
}

#[test]
fn another_version_is_refused_as_a_whole() {
    let of = |version| {
        let text = format!("crlog-manifest {version}");
        Manifest::decode(format!("{:08x} {text}\n", crc32c::crc32c(text.as_bytes())).as_bytes())
    };
    for version in [0, 4, 99] {
        assert_eq!(of(version), Err(OtherVersion(version)));
    }
    for version in [1, 2, 3] {
        assert_eq!(of(version).map(|read| (read.lines, read.damaged)), Ok((1, 0)), "{version}");
    }
}

#[test]
fn the_last_templates_are_remembered_each_once_the_youngest_last() {
    let mut manifest = Manifest::default();
    assert!(manifest.learn("{name}.{seq} ü%"));
    assert!(!manifest.learn("{name}.{seq} ü%"), "nothing new");
    assert!(manifest.learn("{stem}.{n}{ext}"));
    assert!(manifest.learn("{name}.{seq} ü%"), "again the youngest");
    let of = |manifest: &Manifest| manifest.templates().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(of(&manifest), ["{stem}.{n}{ext}", "{name}.{seq} ü%"]);
    let read = Manifest::decode(&manifest.encode()).unwrap();
    assert_eq!((read.damaged, of(&read.manifest)), (0, of(&manifest)));
    assert_eq!(read.manifest, manifest);
    (0..20).for_each(|n| assert!(manifest.learn(&format!("{{stem}}{n}.{{n}}"))));
    assert_eq!(of(&manifest).len(), TEMPLATES_MAX);
    assert_eq!(of(&manifest).last().unwrap(), "{stem}19.{n}");
}

#[test]
fn a_reservation_is_kept_to_until_something_is_in_the_way() {
    let mut manifest = Manifest::default();
    let serial = manifest.next_serial();
    let live = Entry::begun(serial, 0, 0, form(1), 0);
    manifest.apply(&live);
    assert_eq!(manifest.next_copy("d", [], Some(serial)), Some(0));
    manifest.apply(&live.clone().reserved("log.d", dated("d", 0)));
    assert_eq!(manifest.next_copy("d", [], Some(serial)), Some(0), "the rename failed, the next attempt");
    assert_eq!(manifest.next_copy("d", [0], Some(serial)), Some(1), "somebody has taken it");
    assert_eq!(manifest.next_copy("e", [], Some(serial)), Some(0), "another period");
    assert_eq!(manifest.next_copy("d", [], None), Some(1));
    let end = Ended { bytes: 0, keys: None, ns: 0 };
    manifest.apply(&live.reserved("log.d", dated("d", 0)).archived(Name::Fixed("log.d".into()), end));
    assert_eq!(manifest.next_copy("d", [], Some(serial)), Some(1), "it was given, and used");
    assert_eq!(manifest.next_copy("d", [u32::MAX], None), None);
}

#[test]
fn serial_numbers_are_not_given_again_after_the_youngest_file_was_removed() {
    let mut manifest = Manifest::default();
    let entry = Entry::begun(manifest.next_serial(), 0, 0, form(1), 0);
    manifest.apply(&entry);
    manifest.apply(&entry.removed());
    let manifest = Manifest::decode(&manifest.encode()).unwrap().manifest;
    assert_eq!(manifest.next_serial(), Serial::begun(2));
    assert_eq!(manifest.entries().count(), 0);
}

#[test]
fn an_inode_belongs_to_the_file_that_was_told_of_last() {
    let mut manifest = Manifest::default();
    let old = Entry::begun(manifest.next_serial(), 0, 0, form(7), 0);
    manifest.apply(&old);
    let new = Entry::begun(manifest.next_serial(), 0, 0, form(7), 0);
    manifest.apply(&new);
    assert_eq!(manifest.entries().cloned().collect::<Vec<_>>(), [new]);
    // Of one that is packed, the plain file's inode is anybody's.
    let copy = Form { name: Name::Chain, ..form(8) };
    let end = Ended { bytes: 3, keys: None, ns: 0 };
    let packed = manifest.get(Serial::begun(2)).unwrap().clone().archived(Name::Chain, end);
    manifest.apply(&packed.packing(copy).packed());
    let next = Entry::begun(manifest.next_serial(), 0, 0, form(7), 0);
    manifest.apply(&next);
    assert_eq!(manifest.entries().count(), 2);
}

#[test]
fn what_is_remembered_of_periods_does_not_grow_for_ever() {
    let mut manifest = Manifest::default();
    let mut old = None;
    for day in 0..2_000u64 {
        let stamp = format!("{day:05}");
        let entry = Entry::begun(manifest.next_serial(), 0, 0, form(day), 0);
        let entry = entry.reserved("x", dated(&stamp, manifest.next_copy(&stamp, [], None).unwrap()));
        manifest.apply(&entry);
        // One is never removed: it does not keep the others from being forgotten.
        if day > 0 {
            manifest.apply(&entry.removed());
        } else {
            old = Some(entry);
        }
        manifest.tidy();
        let lines = manifest.encode().iter().filter(|byte| **byte == b'\n').count();
        assert!(lines <= KEPT + 5, "{lines} lines after {day} days");
    }
    assert_eq!(manifest.entries().cloned().collect::<Vec<_>>(), [old.unwrap()]);
    assert_eq!(manifest.next_copy("01999", [], None), Some(1), "known");
    assert_eq!(manifest.next_copy("00500", [], None), Some(1), "forgotten, but not given again");
    assert_eq!(manifest.next_copy("02000", [], None), Some(0), "new");
}

/// The lines of the example in the documentation are such as we write them.
#[test]
fn the_example_in_the_documentation_is_a_manifest() {
    let text = include_str!("../../../docs/format.md");
    let from = text.split_once("## The manifest").unwrap().1;
    let example = from.split_once("```text\n").unwrap().1.split_once("```").unwrap().0;
    let read = Manifest::decode(example.as_bytes()).unwrap();
    assert_eq!((read.lines, read.damaged), (8, 0));
    let again = read.manifest.encode();
    assert_eq!(String::from_utf8(again).unwrap(), example);
    assert_eq!(read.manifest.next_copy("2026-05-01", [], None), Some(3));
    assert_eq!(read.manifest.next_copy("2026-02-01", [], None), Some(4));
    let states: Vec<State> = read.manifest.entries().map(|entry| entry.state).collect();
    assert_eq!(states, [State::Packed, State::Live]);
    for word in
        ["`crlog-manifest V`", "`next N`", "`names T`", "`stamp S C`", "`forgotten S C`", "`period F U`"]
    {
        assert!(from.contains(word), "{word}");
    }
}
