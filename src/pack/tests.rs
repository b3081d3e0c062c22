//! Packing and unpacking, what a packed file says of itself, and what is packed next.
use super::choose::{Archive, archives, candidates, pairs};
use super::*;
use crate::rotate::{Naming, Scheme};
use proptest::prelude::*;

const ORIGIN: Origin = Origin { dev: 7, ino: 77, bytes: 0, modified_ns: 1_700_000_000_123_456_789, begun: 3 };

/// What this build can do.
fn ways() -> Vec<Compression> {
    let all = [
        Compression::GZIP,
        Compression::Gzip { level: 1 },
        Compression::Gzip { level: 9 },
        Compression::ZSTD,
    ];
    all.into_iter().filter(|how| how.packing().is_some()).collect()
}

fn packed(how: Compression, plain: &[u8]) -> Vec<u8> {
    let mut to = Vec::new();
    let origin = Origin { bytes: plain.len() as u64, ..ORIGIN };
    pack(plain, &mut to, how, &origin, || true).unwrap();
    to
}

fn same(how: Compression, packed: &[u8], plain: &[u8]) -> Result<bool, Halt> {
    is_same(how.packing().unwrap(), packed, plain, || true)
}

fn lines(n: u32) -> Vec<u8> {
    (0..n).flat_map(|i| format!("process {} wrote line {i}\n", i % 7).into_bytes()).collect()
}

#[test]
fn what_was_packed_says_what_it_was_made_of() {
    let plain = lines(1000);
    let origin = Origin { bytes: plain.len() as u64, ..ORIGIN };
    for how in ways() {
        let packed = packed(how, &plain);
        assert!(packed.len() < plain.len() / 2, "{how:?}: {} of {}", packed.len(), plain.len());
        let packing = how.packing().unwrap();
        assert_eq!(super::origin(packing, &packed[..]).unwrap(), Some(origin), "{how:?}");
        assert!(same(how, &packed, &plain).unwrap());
    }
}

#[test]
fn a_packed_file_of_somebody_else_says_nothing() {
    let mut theirs = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    theirs.write_all(b"one\n").unwrap();
    let theirs = theirs.finish().unwrap();
    assert_eq!(origin(Packing::Gzip, &theirs[..]).unwrap(), None);
    let ours = packed(Compression::GZIP, b"one\n");
    assert_eq!(origin(Packing::Zstd, &ours[..]).unwrap(), None, "the wrong ending");
    for cut in 0..10 + 2 + 4 + ORIGIN_BYTES {
        assert_eq!(origin(Packing::Gzip, &ours[..cut]).unwrap(), None, "the first {cut} bytes");
    }
}

#[test]
fn the_programs_gzip_and_zstd_unpack_it() {
    let plain = lines(20_000);
    for how in ways() {
        let program = if how.packing() == Some(Packing::Gzip) { "gzip" } else { "zstd" };
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&packed(how, &plain)).unwrap();
        let run = std::process::Command::new(program).arg("-dc").stdin(file.reopen().unwrap()).output();
        match run {
            Ok(output) => assert!(output.status.success() && output.stdout == plain, "{how:?}"),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::NotFound, "{program}: {e}"),
        }
    }
}

#[test]
fn a_file_that_is_not_as_long_as_it_was_is_not_packed() {
    for len in [3, 5] {
        let origin = Origin { bytes: len, ..ORIGIN };
        let done = pack(&b"four"[..], Vec::new(), Compression::GZIP, &origin, || true);
        assert!(matches!(done, Err(Halt::Changed)), "{len}: {done:?}");
    }
}

#[test]
fn work_that_nobody_wants_ends_within_a_piece() {
    let plain = vec![b'x'; 10 * PIECE];
    let origin = Origin { bytes: plain.len() as u64, ..ORIGIN };
    let mut asked = 0;
    let mut thrice = || {
        asked += 1;
        asked <= 3
    };
    let mut from = &plain[..];
    let done = pack(&mut from, Vec::new(), Compression::GZIP, &origin, &mut thrice);
    assert!(matches!(done, Err(Halt::Unwanted)));
    assert_eq!(from.len(), 7 * PIECE);
    let whole = packed(Compression::GZIP, &plain);
    let done = is_same(Packing::Gzip, &whole[..], &plain[..], || false);
    assert!(matches!(done, Err(Halt::Unwanted)));
}

#[cfg(not(feature = "zstd"))]
#[test]
fn a_build_without_zstd_says_so() {
    let done = pack(&b""[..], Vec::new(), Compression::ZSTD, &ORIGIN, || true);
    assert!(matches!(done, Err(Halt::NotBuilt)));
    assert_eq!(Compression::ZSTD.packing(), None);
    assert!(unpack(Packing::Zstd, &b""[..]).is_err());
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn numbered() -> Naming {
    Naming::plain("app.log", Scheme::Numbered)
}

fn chosen(of: &[&str], delay: u32) -> Vec<String> {
    let all = archives(&numbered(), &names(of), 9);
    candidates(&all, delay).map(|a| a.name.clone()).collect()
}

#[test]
fn the_newest_plain_archive_is_packed_first_and_the_delayed_ones_are_not() {
    let of = [
        "app.log.3",
        "app.log",
        "app.log.1",
        "app.log.2.gz",
        "app.log.12",
        "app.log.oldest",
        "app.log.x",
        "app.log.4",
    ];
    assert_eq!(chosen(&of, 0), ["app.log.1", "app.log.3", "app.log.4"]);
    assert_eq!(chosen(&of, 1), ["app.log.3", "app.log.4"]);
    assert_eq!(chosen(&of, 3), ["app.log.4"]);
    assert!(chosen(&of, 4).is_empty());
}

#[test]
fn a_gap_in_the_chain_does_not_count_as_an_archive() {
    assert_eq!(chosen(&["app.log.2", "app.log.5", "app.log.9"], 1), ["app.log.5", "app.log.9"]);
}

#[test]
fn a_plain_archive_whose_packed_name_is_taken_is_left_alone() {
    assert_eq!(
        chosen(&["app.log.1", "app.log.1.gz", "app.log.2", "app.log.2.zst", "app.log.3"], 0),
        ["app.log.3"]
    );
}

#[test]
fn dated_archives_are_packed_in_the_order_of_time_and_only_if_names_are_dated() {
    let of = names(&[
        "app.log",
        "app.log.1",
        "app.log.2026-05-01",
        "app.log.2026-05-01.2",
        "app.log.2026-05-01.10",
        "app.log.2026-05-02",
        "app.log.2026-05-01.1.gz",
        "app.log.2026-05-01.1",
        "app.log.2026-13-01",
    ]);
    let all = archives(&Naming::plain("app.log", Scheme::Dated), &of, 0);
    let plain: Vec<&str> = candidates(&all, 1).map(|a| a.name.as_str()).collect();
    assert_eq!(plain, ["app.log.2026-05-01.10", "app.log.2026-05-01.2", "app.log.2026-05-01"]);
    assert!(
        pairs(&all).any(|(a, b)| (&*a.name, &*b.name) == ("app.log.2026-05-01.1", "app.log.2026-05-01.1.gz"))
    );
    let all = archives(&numbered(), &of, 9);
    let plain: Vec<&str> = candidates(&all, 0).map(|a| a.name.as_str()).collect();
    assert_eq!(plain, ["app.log.1"]);
}

#[test]
fn a_pair_has_one_number_or_stands_as_a_rotation_leaves_it() {
    let all = archives(
        &numbered(),
        &names(&["app.log.1.gz", "app.log.2", "app.log.2.gz", "app.log.3", "app.log.4.zst"]),
        9,
    );
    let found: Vec<_> = pairs(&all).map(|(a, b)| (a.name.as_str(), b.name.as_str())).collect();
    let expected =
        [("app.log.2", "app.log.1.gz"), ("app.log.2", "app.log.2.gz"), ("app.log.3", "app.log.2.gz")];
    assert_eq!(found, expected);
}

proptest! {
    #[test]
    fn any_bytes_are_no_origin_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for packing in [Packing::Plain, Packing::Gzip, Packing::Zstd] {
            prop_assert_eq!(origin(packing, &bytes[..]).unwrap(), None);
            if packing != Packing::Plain {
                let _ = is_same(packing, &bytes[..], &b""[..], || true);
            }
        }
    }

    #[test]
    fn an_origin_survives_its_encoding(dev: u64, ino: u64, bytes: u64, modified_ns: i64, begun: u64) {
        let origin = Origin { dev, ino, bytes, modified_ns, begun };
        prop_assert_eq!(Origin::decode(&origin.encode()), Some(origin));
        let mut damaged = origin.encode();
        damaged[(ino % 8) as usize] ^= 1;
        prop_assert_eq!(Origin::decode(&damaged), None);
    }

    #[test]
    fn candidates_are_plain_within_the_chain_behind_the_delay_and_newest_first(
        present in proptest::collection::btree_set((1u32..30, 0..3usize), 0..40), backups in 0u32..25, delay in 0u32..10,
    ) {
        let name = |(number, packing): &(u32, usize)| format!("app.log.{number}{}", ["", ".gz", ".zst"][*packing]);
        let all: Vec<String> = present.iter().map(name).collect();
        let archives: Vec<Archive> = archives(&numbered(), &all, backups);
        let numbers: std::collections::BTreeSet<u32> =
            present.iter().map(|(number, _)| *number).filter(|n| *n <= backups).collect();
        let expected: Vec<String> = numbers
            .iter()
            .skip(delay as usize)
            .filter(|n| present.contains(&(**n, 0)) && !present.contains(&(**n, 1)) && !present.contains(&(**n, 2)))
            .map(|n| format!("app.log.{n}"))
            .collect();
        let found: Vec<String> = candidates(&archives, delay).map(|a| a.name.clone()).collect();
        prop_assert_eq!(found, expected);
        for (plain, packed) in pairs(&archives) {
            prop_assert!(plain.packing == Packing::Plain && packed.packing != Packing::Plain);
            prop_assert!(plain.rank == packed.rank || plain.rank == packed.rank + 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_was_packed_is_unpacked_and_nothing_else_is_the_same(
        plain in proptest::collection::vec(0u8..4, 0..2 * PIECE), at: prop::sample::Index, which in 0..9usize,
    ) {
        let how = ways()[which % ways().len()];
        let whole = packed(how, &plain);
        prop_assert!(same(how, &whole, &plain).unwrap());
        let mut back = Vec::new();
        unpack(how.packing().unwrap(), &whole[..]).unwrap().read_to_end(&mut back).unwrap();
        prop_assert!(back == plain);
        // Cut anywhere, prolonged, or compared with another file: never the same.
        let cut = &whole[..at.index(whole.len())];
        prop_assert!(plain.is_empty() || !same(how, cut, &plain).unwrap_or(false));
        prop_assert!(!same(how, &[&whole[..], b"x"].concat(), &plain).unwrap_or(false));
        prop_assert!(!same(how, &whole, &[&plain[..], b"x"].concat()).unwrap_or(false));
        if !plain.is_empty() {
            let mut other = plain.clone();
            other[at.index(plain.len())] ^= 1;
            prop_assert!(!same(how, &whole, &other).unwrap_or(false));
        }
    }
}
