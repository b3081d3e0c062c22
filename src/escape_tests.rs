use super::*;
use crate::ring::layout::Geometry;
use crate::ring::model::PlainMem;
use proptest::prelude::*;

fn text(escape: Escape, bytes: &[u8]) -> String {
    String::from_utf8_lossy(&escape.whole(bytes)).into_owned()
}

#[test]
fn a_forged_line_stays_part_of_the_line_that_holds_it() {
    let forged = "user x\nERROR root logged in\r\nand\u{2028}again\u{2029}\u{85}".as_bytes();
    assert_eq!(text(Escape::Lines, forged), r"user x\nERROR root logged in\r\nand\u2028again\u2029\x85");
    assert_eq!(
        text(Escape::Controls, forged),
        "user x\nERROR root logged in\\r\nand\u{2028}again\u{2029}\\x85"
    );
    assert_eq!(Escape::None.whole(forged).as_ref(), forged);
}

#[test]
fn a_terminal_gets_no_orders() {
    let orders = b"\x1b[2J\x07\x08\x7f\x00\x9b31m\xc2\x9b31m";
    assert_eq!(text(Escape::Controls, orders), r"\x1b[2J\x07\x08\x7f\x00\x9b31m\x9b31m");
}

#[test]
fn text_of_any_language_and_json_come_through_unchanged() {
    let harmless =
        ["tab\there", "Grüße, привет, 你好, 👋🏽 €\u{a0}", r#"{"a":"b\nc \u001b \\"}"#, r"C:\new\x1b", ""];
    for harmless in harmless {
        for escape in [Escape::Controls, Escape::Lines] {
            assert_eq!(text(escape, harmless.as_bytes()), harmless);
        }
    }
    let latin1: &[u8] = b"Gr\xfc\xdfe \xa0\xff\xc3";
    assert_eq!(Escape::Lines.whole(latin1).as_ref(), latin1);
    assert!(matches!(Escape::Lines.whole(b"plain"), Cow::Borrowed(_)), "nothing is copied for nothing");
}

/// What may be found by whoever splits a log into lines, or shows it on a terminal.
fn is_harmless(escape: Escape, bytes: &[u8]) -> bool {
    bytes.utf8_chunks().all(|chunk| {
        let breaks = |c| escape == Escape::Lines && matches!(c, '\n' | '\u{2028}' | '\u{2029}');
        let control = |c: char| c.is_control() && !matches!(c, '\t' | '\n');
        !chunk.valid().contains(|c| breaks(c) || control(c))
            && !chunk.invalid().iter().any(|b| (0x80..0xa0).contains(b))
    })
}

fn awkward() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![
        any::<u8>(),
        Just(0x80),
        Just(0xa8),
        Just(0xc2),
        Just(0xe2),
        Just(b'\n'),
        Just(b'a'),
        Just(0x9b)
    ];
    prop::collection::vec(bytes, 0..40)
}

proptest! {
    #[test]
    fn any_bytes_become_harmless_and_only_what_is_not_is_changed(bytes in awkward()) {
        for escape in [Escape::Controls, Escape::Lines] {
            let out = escape.whole(&bytes);
            prop_assert!(is_harmless(escape, &out), "{out:x?}");
            prop_assert_eq!(out.as_ref() == bytes, is_harmless(escape, &bytes));
            prop_assert_eq!(&escape.whole(&out), &out, "once is enough");
        }
    }

    #[test]
    fn a_record_copied_in_two_parts_is_the_same(bytes in awkward(), cut in any::<prop::sample::Index>()) {
        for escape in [Escape::None, Escape::Controls, Escape::Lines] {
            let record = Escaped::new(escape, &bytes, b"\r\n");
            let expected = [&escape.whole(&bytes)[..], b"\r\n"].concat();
            prop_assert_eq!(record.len(), expected.len());
            prop_assert_eq!(record.checksum(7), crc32c::crc32c_append(7, &expected));
            let cut = cut.index(expected.len() + 1);
            let mem = PlainMem::new(Geometry::new(1, 2, 4096).unwrap());
            record.copy(&mem, 0, 0, cut);
            record.copy(&mem, cut, cut, expected.len());
            let mut out = Vec::new();
            mem.get(0, expected.len(), &mut out);
            prop_assert_eq!(out, expected);
        }
    }
}
