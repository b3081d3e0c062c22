use super::config::*;
use super::*;

#[test]
fn a_configuration_survives_its_encoding() {
    let o = Options::new("x").max_bytes(7).backups(3).mode(0o600).terminator(b"\r\n");
    for fsync in [Fsync::None, Fsync::Batch, Fsync::Interval(Duration::from_millis(5))] {
        for full in [
            WhenFull::Block,
            WhenFull::Drop,
            WhenFull::WriteThrough,
            WhenFull::BlockFor(Duration::from_secs(1)),
        ] {
            let o = o.clone().fsync(fsync).when_full_for(Severity::Debug, full).reserve_bytes(MIB);
            let o = o
                .checksums(full == WhenFull::Drop)
                .death_notes(full != WhenFull::Drop)
                .durable(full == WhenFull::Block)
                .index(full == WhenFull::Block)
                .escape(if full == WhenFull::Drop { Escape::Lines } else { Escape::Controls })
                .compress(if full == WhenFull::Drop {
                    Compression::Zstd { level: 19 }
                } else {
                    Compression::GZIP
                })
                .compress_delay(u32::MAX);
            let o = match full {
                WhenFull::Block => o,
                WhenFull::Drop => o.owner(Some("root"), None).link("now"),
                WhenFull::WriteThrough => o.owner(None, Some("4294967294")),
                WhenFull::BlockFor(_) => o.owner(Some("0"), Some("7")),
            };
            let o = if full == WhenFull::Block { o } else { o.rotate_at("daily 03:00 Europe/Berlin") };
            let o = o.keep_age(Duration::from_secs(7)).keep_bytes(u64::MAX).min_free(MIB);
            let o = o.empty_files(full == WhenFull::Drop).names(match full {
                WhenFull::Block => Names::Numbered,
                WhenFull::Drop => Names::Template("{stem}.{n}{ext}".into()),
                WhenFull::WriteThrough => Names::Template("{name}.{date:%d ü}.{seq}".into()),
                WhenFull::BlockFor(_) => Names::Dated,
            });
            let o = if full == WhenFull::Drop { o.on_start(OnStart::Rotate) } else { o };
            let c = o.notes(Notes::Json).size_rule(SizeRule::CheckBefore).config().unwrap();
            assert_eq!(
                c.when_full,
                [WhenFull::Block, full, WhenFull::Block, WhenFull::Block, WhenFull::Block, WhenFull::Block]
            );
            assert_eq!(Config::decode(&c.encode()), Some(c));
        }
    }
}

#[test]
fn whoever_is_killed_while_it_changes_the_configuration_changes_nothing() {
    use crate::ring::model::PlainMem;
    let [old, new] = [3, 4].map(|n| Options::new("x").backups(n).rotate_at("hourly").config().unwrap());
    let mem = PlainMem::new(Options::new("x").geometry().unwrap());
    for before in 1..4 {
        old.write(&mem, before);
        assert_eq!(Config::read(&mem), Some((old.clone(), before)));
        for (i, word) in new.encode().chunks_exact(8).enumerate() {
            let word = u64::from_le_bytes(word.try_into().unwrap());
            mem.store(place(before + 1) + 8 * i, word, Relaxed);
            assert_eq!(Config::read(&mem), Some((old.clone(), before)), "word {i}");
        }
        new.write(&mem, before + 1);
        assert_eq!(Config::read(&mem), Some((new.clone(), before + 1)));
    }
}

#[test]
fn a_damaged_configuration_is_not_believed() {
    let bytes = Options::new("x").config().unwrap().encode();
    for i in 0..bytes.len() {
        let mut b = bytes;
        b[i] ^= 4;
        assert_eq!(Config::decode(&b), None, "byte {i}");
    }
}

#[test]
fn any_words_that_are_guarded_right_are_read_and_written_again() {
    assert!(hostile::config(&[1]), "all zeros");
    let terminator = |len: u8| [&[1][..], &[0; 40], &[len]].concat();
    let text = |len: u8| {
        [&[1][..], &[0; 8 * TEXTS], &[len, 0, 0, 0, 0, 0, 0, 0, ROTATE_AT, 6, 0], b"hourly"].concat()
    };
    assert!(hostile::config(&text(9)) && !hostile::config(&text(8)) && !hostile::config(&text(10)));
    assert!(hostile::config(&terminator(7)) && !hostile::config(&terminator(8)));
    assert!(!hostile::config(&[0, 1, 2]), "without guards");
    assert!(!hostile::config(&[0xff; 200]), "a terminator of 255 bytes");
}

#[test]
fn only_what_was_asked_for_explicitly_is_a_difference() {
    let running = Options::new("x").max_bytes(10).backups(5).config().unwrap();
    let ring = Options::new("x").geometry().unwrap();
    let live = Live::default();
    assert_eq!(Options::new("x").differences(&running, &ring, &live), []);
    let o = Options::new("x").backups(4).max_bytes(10).when_full_for(Severity::Info, WhenFull::Drop);
    let d = o.differences(&running, &ring, &live);
    assert_eq!(d.iter().map(|d| d.option).collect::<Vec<_>>(), ["backups", "when_full"]);
    assert_eq!(d[1].to_string(), "when_full stays info=Block, info=Drop was asked for");
}

#[test]
fn absurd_options_are_refused_with_a_reason() {
    assert!(Options::new("x").check().is_ok());
    for o in [
        Options::new("x").ring_bytes(1),
        Options::new("x").ring_bytes(u64::MAX),
        Options::new("x").mode(0o7777),
        Options::new("x").mode(0),
        Options::new("x").terminator(b"too long!"),
        Options::new("x").fsync(Fsync::Interval(Duration::ZERO)),
        Options::new("x").ring_bytes(MIB).reserve_bytes(MIB),
        Options::new("x").rotate_at("sometimes"),
        Options::new("x").link("y".repeat(TEXTS_MAX)),
        Options::new("x").link("a\0b"),
        Options::new("x").after_rotate(&[""]),
        Options::new("x").after_rotate(&["a", "\0"]),
        Options::new("x").after_rotate_timeout(Duration::ZERO),
        Options::new("x").owner(Some("nobody-has-this-name"), None),
        Options::new("x").owner(None, Some("")),
        Options::new("x").owner(None, Some("4294967295")),
        Options::new("x").owner(Some("-1"), None),
        Options::new("x").owner(Some("+1"), None),
        Options::new("x").rotate_at("daily 03:00 Europe/Atlantis"),
        Options::new("x").compress(Compression::Gzip { level: 0 }),
        Options::new("x").compress(Compression::Zstd { level: 20 }),
    ] {
        assert!(o.check().is_err(), "{o:?}");
        assert!(o.geometry().is_err() || o.config().is_err());
    }
}
