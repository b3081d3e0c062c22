//! One sentence of the documentation each.
use super::*;
use crate::rotate::manifest::{Ended, Form, Name, Stamped, State};
use crate::rotate::{Naming, Scheme};

const LOG: &str = "app.log";
const HOUR: u64 = 3_600_000_000_000;
const NOW: Now = Now { ns: 1_000 * HOUR, free_bytes: 500 };
const NONE: Limits = Limits { archives: None, age_ns: None, bytes: None, free_bytes: None };

/// A directory with a live log of 10 bytes, and what the manifest has of it.
struct Place {
    manifest: Manifest,
    seen: Vec<Seen>,
    naming: Naming,
}

fn file(name: &str, ino: u64, bytes: u64, modified_ns: u64) -> Seen {
    Seen { name: name.into(), id: FileId { dev: 1, ino }, born_ns: ino + 7, bytes, modified_ns, links: 1 }
}

fn form(seen: &Seen, name: Name) -> Form {
    Form { id: seen.id, born_ns: seen.born_ns, bytes: seen.bytes, name }
}

impl Place {
    fn new() -> Self {
        let mut place = Self {
            manifest: Manifest::default(),
            seen: Vec::new(),
            naming: Naming::plain(LOG, Scheme::Numbered),
        };
        place.live(1);
        place
    }

    fn live(&mut self, ino: u64) {
        let log = file(LOG, ino, 10, NOW.ns);
        let entry = Entry::begun(self.manifest.next_serial(), 1, 1, form(&log, Name::Log), NOW.ns);
        self.manifest.apply(&entry);
        self.seen.push(log);
    }

    /// The live log becomes an archive of that name, was last written so many hours ago, and has 100 bytes.
    fn rotate(&mut self, name: &str, hours: u64) {
        let at = self.seen.iter().position(|seen| seen.name == LOG).unwrap();
        let ns = NOW.ns - hours * HOUR;
        let log = &mut self.seen[at];
        (log.name, log.bytes, log.modified_ns) = (name.into(), 100, ns);
        let (id, chain) = (log.id, matching::member(&self.naming, name).is_some());
        let name = if chain { Name::Chain } else { Name::Fixed(name.into()) };
        let entry = self.manifest.by_inode(id.ino).next().unwrap().clone();
        self.manifest.apply(&entry.archived(name, Ended { bytes: 100, keys: None, ns }));
        self.live(id.ino + 1);
    }

    /// `.3` to `.1`, 30, 20 and 10 hours old, inodes 1 to 3; the live log has 4.
    fn with_three() -> Self {
        let mut place = Self::new();
        place.rotate("app.log.3", 30);
        place.rotate("app.log.2", 20);
        place.rotate("app.log.1", 10);
        place
    }

    fn at(&mut self, name: &str) -> &mut Seen {
        self.seen.iter_mut().find(|seen| seen.name == name).unwrap()
    }

    fn directory(&self) -> Directory<'_> {
        Directory { naming: &self.naming, live: None, seen: &self.seen }
    }

    fn goes(&self, limits: Limits) -> Vec<(String, Reason)> {
        let removals = decide(&self.manifest, &self.directory(), &limits, &NOW);
        removals.into_iter().map(|removal| (removal.name, removal.reason)).collect()
    }

    fn gone(&self, limits: Limits) -> Vec<String> {
        self.goes(limits).into_iter().map(|(name, _)| name).collect()
    }

    fn verdict(&self, name: &str) -> Verdict {
        let rows = explain(&self.manifest, &self.directory(), &NONE, &NOW);
        rows.into_iter().find(|row| row.name == name).unwrap().verdict
    }

    fn adopt(&mut self) -> Vec<String> {
        let news = adopt(&self.manifest, &self.directory());
        news.iter().for_each(|entry| self.manifest.apply(entry));
        // Without any archives at all, they go in their order.
        self.gone(Limits { archives: Some(0), ..NONE })
    }
}

#[test]
fn without_limits_everything_stays() {
    assert_eq!(Place::with_three().goes(NONE), []);
    assert!(NONE.is_none());
}

#[test]
fn archives_beyond_the_number_go_the_oldest_first() {
    let limits = Limits { archives: Some(1), ..NONE };
    let want = [3, 2].map(|n| (format!("app.log.{n}"), Reason::Archives { found: n, limit: 1 }));
    assert_eq!(Place::with_three().goes(limits), want);
}

#[test]
fn archives_that_were_last_written_too_long_ago_go() {
    let limits = Limits { age_ns: Some(20 * HOUR - 1), ..NONE };
    let age = |hours| Reason::Age { found_ns: hours * HOUR, limit_ns: 20 * HOUR - 1 };
    let want = [("app.log.3".into(), age(30)), ("app.log.2".into(), age(20))];
    assert_eq!(Place::with_three().goes(limits), want);
    assert_eq!(Place::with_three().goes(Limits { age_ns: Some(30 * HOUR), ..NONE }), []);
}

#[test]
fn the_live_log_counts_among_the_bytes() {
    let want = [("app.log.3".to_owned(), Reason::Bytes { found: 310, limit: 309 })];
    assert_eq!(Place::with_three().goes(Limits { bytes: Some(309), ..NONE }), want);
    assert_eq!(Place::with_three().goes(Limits { bytes: Some(310), ..NONE }), []);
    assert_eq!(Place::with_three().gone(Limits { bytes: Some(0), ..NONE }).len(), 3, "but it stays");
}

#[test]
fn too_little_free_disk_takes_as_many_as_are_needed_and_no_more_than_there_are() {
    let free = |limit| Limits { free_bytes: Some(limit), ..NONE };
    assert_eq!(Place::with_three().goes(free(500)), []);
    let want = [500, 600].map(|found| Reason::Free { found, limit: 601 });
    let got: Vec<Reason> =
        Place::with_three().goes(free(601)).into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(got, want);
    assert_eq!(Place::with_three().gone(free(u64::MAX)).len(), 3);
}

#[test]
fn an_archive_with_a_name_elsewhere_gives_nothing_back_and_the_other_name_stays() {
    let mut place = Place::with_three();
    place.at("app.log.3").links = 2;
    let got = place.goes(Limits { free_bytes: Some(501), ..NONE });
    let want = ["app.log.3", "app.log.2"].map(|name| (name.into(), Reason::Free { found: 500, limit: 501 }));
    assert_eq!(got, want);
    let mut place = Place::with_three();
    place.seen.push(Seen { name: "app.log.keep".into(), ..place.seen[0].clone() });
    assert_eq!(place.verdict("app.log.keep"), Verdict::Elsewhere);
    assert_eq!(place.gone(Limits { archives: Some(2), ..NONE }), ["app.log.3"]);
}

#[test]
fn whichever_limit_bites_first() {
    let limits = Limits { archives: Some(2), age_ns: Some(15 * HOUR), bytes: Some(150), free_bytes: None };
    let reasons: Vec<Reason> =
        Place::with_three().goes(limits).into_iter().map(|(_, reason)| reason).collect();
    let age = Reason::Age { found_ns: 20 * HOUR, limit_ns: 15 * HOUR };
    assert_eq!(reasons, [Reason::Archives { found: 3, limit: 2 }, age]);
}

#[test]
fn an_archive_that_a_wrong_clock_calls_old_stays_behind_one_that_is_not() {
    let mut place = Place::new();
    place.rotate("app.log.3", 3);
    place.rotate("app.log.2", 900);
    place.rotate("app.log.1", 1);
    assert_eq!(place.goes(Limits { age_ns: Some(10 * HOUR), ..NONE }), []);
}

#[test]
fn an_archive_from_the_future_is_as_old_as_the_next_younger_one() {
    let mut place = Place::with_three();
    for serial in [1, 2] {
        let serial = Serial::begun(serial);
        let future = Entry { ended_ns: NOW.ns + 9_999 * HOUR, ..place.manifest.get(serial).unwrap().clone() };
        place.manifest.apply(&future);
    }
    let got = place.goes(Limits { age_ns: Some(9 * HOUR), ..NONE });
    let age = Reason::Age { found_ns: 10 * HOUR, limit_ns: 9 * HOUR };
    assert_eq!(got, [3, 2, 1].map(|n| (format!("app.log.{n}"), age)));
    assert_eq!(place.goes(Limits { age_ns: Some(10 * HOUR), ..NONE }), []);
}

#[test]
fn a_chain_is_ordered_by_serial_numbers_whatever_number_its_members_have_now() {
    let mut place = Place::with_three();
    place.at("app.log.3").name = "app.log.oldest".into();
    place.at("app.log.1").name = "app.log.7".into();
    let all = place.gone(Limits { archives: Some(0), ..NONE });
    assert_eq!(all, ["app.log.oldest", "app.log.2", "app.log.7"]);
}

#[test]
fn an_archive_and_its_packed_copy_are_one_and_go_together() {
    let mut place = Place::with_three();
    let copy = file("app.log.3.gz", 50, 30, NOW.ns);
    let entry = place.manifest.get(Serial::begun(1)).unwrap().clone().packing(form(&copy, Name::Chain));
    place.manifest.apply(&entry);
    place.seen.push(copy);
    let got = place.goes(Limits { archives: Some(2), bytes: Some(340), ..NONE });
    let reason = Reason::Archives { found: 3, limit: 2 };
    assert_eq!(got, ["app.log.3", "app.log.3.gz"].map(|name| (name.into(), reason)));
    assert_eq!(place.goes(Limits { bytes: Some(340), ..NONE }), []);
    // Once packed, the plain file's name and inode may be anybody's.
    place.manifest.apply(&entry.packed());
    assert_eq!(place.gone(Limits { archives: Some(2), ..NONE }), ["app.log.3.gz"]);
    assert_eq!(place.verdict("app.log.3"), Verdict::Unknown);
}

#[test]
fn what_is_not_ours_is_said_and_left_alone() {
    let mut place = Place::with_three();
    place.rotate("app.log.2026-05-01", 5);
    place.at("app.log.1").bytes = 99;
    place.at("app.log.2").born_ns = 99;
    place.at("app.log.2026-05-01").id.ino = 99;
    place.seen.push(file("app.log.2026-05-02", 60, 1, 0));
    place.seen.push(file("app.log.bak", 61, 1, 0));
    place.seen.push(file("app.log.01", 62, 1, 0));
    place.at("app.log.3").name = "app.log.old".into();
    for (name, verdict) in [
        ("app.log", Verdict::Live),
        ("app.log.1", Verdict::Changed { was: 100 }),
        ("app.log.2", Verdict::Unknown),
        ("app.log.old", Verdict::Elsewhere),
        ("app.log.2026-05-01", Verdict::Replaced),
        ("app.log.2026-05-02", Verdict::Unknown),
        ("app.log.bak", Verdict::Strange),
        ("app.log.01", Verdict::Strange),
        ("app.log.?", Verdict::Gone),
    ] {
        assert_eq!(place.verdict(name), verdict, "{name}");
    }
    let limits = Limits { archives: Some(0), age_ns: Some(0), bytes: Some(0), free_bytes: Some(u64::MAX) };
    assert_eq!(place.goes(limits), []);
}

#[test]
fn devices_that_are_numbered_anew_at_a_reboot_change_nothing() {
    let mut place = Place::with_three();
    place.seen.iter_mut().for_each(|seen| seen.id.dev = 77);
    assert_eq!(place.gone(Limits { archives: Some(2), ..NONE }), ["app.log.3"]);
    // Unless nobody knows when the files were made.
    place.seen.iter_mut().for_each(|seen| seen.born_ns = 0);
    assert_eq!(place.gone(Limits { archives: Some(2), ..NONE }), Vec::<String>::new());
}

#[test]
fn the_live_log_stays_under_whatever_name_it_has() {
    let mut place = Place::with_three();
    place.at(LOG).name = "app.log.4".into();
    let directory = Directory { live: Some(FileId { dev: 1, ino: 4 }), ..place.directory() };
    let gone = decide(&place.manifest, &directory, &Limits { archives: Some(0), ..NONE }, &NOW);
    assert!(gone.iter().all(|removal| removal.name != "app.log.4"), "{gone:?}");
    assert_eq!(gone.len(), 3);
}

#[test]
fn without_a_manifest_nothing_goes_until_it_is_adopted_in_the_order_of_the_names() {
    let mut place = Place::with_three();
    place.manifest = Manifest::default();
    // A restored backup: all of the same time.
    place.seen.iter_mut().for_each(|seen| seen.modified_ns = 5);
    place.seen.push(file("app.log.10.gz", 70, 1, 5));
    place.seen.push(file("app.log.bak", 71, 1, 5));
    assert_eq!(place.gone(Limits { archives: Some(0), ..NONE }), Vec::<String>::new());
    assert_eq!(place.verdict("app.log.3"), Verdict::Unknown);
    assert_eq!(place.adopt(), ["app.log.10.gz", "app.log.3", "app.log.2", "app.log.1"]);
    let packed = place.manifest.by_inode(70).next().unwrap();
    assert_eq!((packed.state, packed.plain_bytes()), (State::Packed, None));
    assert_eq!(place.manifest.next_serial(), Serial::begun(1), "they are all older");
}

#[test]
fn the_adopted_stand_among_the_known_by_their_last_write() {
    let mut place = Place::with_three();
    place.seen.push(file("app.log.2026-05-01", 60, 1, NOW.ns - 25 * HOUR));
    place.seen.push(file("app.log.2026-05-01.1", 61, 1, NOW.ns - 15 * HOUR));
    place.seen.push(file("app.log.9", 62, 1, NOW.ns - 99 * HOUR));
    let order =
        ["app.log.9", "app.log.3", "app.log.2026-05-01", "app.log.2", "app.log.2026-05-01.1", "app.log.1"];
    assert_eq!(place.adopt(), order);
    assert_eq!(place.manifest.next_copy("2026-05-01", [], None), Some(2), "their numbers are given");
    assert_eq!(adopt(&place.manifest, &place.directory()), [], "once is enough");
}

#[test]
fn changed_and_replaced_archives_are_taken_in_again_if_asked_for() {
    let mut place = Place::new();
    place.rotate("app.log.2026-05-01", 9);
    place.rotate("app.log.2", 8);
    place.at("app.log.2").bytes = 101;
    *place.at("app.log.2026-05-01") = file("app.log.2026-05-01", 80, 1, NOW.ns - 7 * HOUR);
    assert_eq!(place.gone(Limits { archives: Some(0), ..NONE }), Vec::<String>::new());
    assert_eq!(place.adopt(), ["app.log.2", "app.log.2026-05-01"]);
}

fn reconciled(place: &mut Place, live: u64) -> Vec<(u64, State)> {
    let live = Some(FileId { dev: 1, ino: live });
    let news = reconcile(&place.manifest, &Directory { live, ..place.directory() });
    news.iter().for_each(|entry| place.manifest.apply(entry));
    news.iter().map(|entry| (entry.serial.number, entry.state)).collect()
}

#[test]
fn a_log_that_was_put_away_before_the_flusher_could_say_so_is_an_archive() {
    let mut place = Place::with_three();
    place.at(LOG).name = "app.log.1".into();
    place.seen.push(file(LOG, 5, 0, NOW.ns));
    assert_eq!(reconciled(&mut place, 5), [(4, State::Archived)]);
    let entry = place.manifest.get(Serial::begun(4)).unwrap();
    assert_eq!((entry.plain_bytes(), entry.ended_ns), (Some(10), NOW.ns));

    let mut place = Place::new();
    let dated = Stamped { stamp: "2026-05-01".into(), copy: 0 };
    let live = place.manifest.get(Serial::begun(1)).unwrap().clone();
    place.manifest.apply(&live.reserved("app.log.2026-05-01", dated));
    assert_eq!(reconciled(&mut place, 1), [], "killed before the rename: it is still the log");
    place.at(LOG).name = "app.log.2026-05-01".into();
    assert_eq!(reconciled(&mut place, 2), [(1, State::Archived)]);
    assert_eq!(reconciled(&mut place, 2), [], "once is enough");
}

#[test]
fn what_was_removed_meanwhile_is_forgotten_and_what_was_packed_is_packed() {
    let mut place = Place::with_three();
    let copy = file("app.log.3.gz", 50, 30, NOW.ns);
    let mut pack = |serial, copy: &Seen| {
        let entry = place.manifest.get(Serial::begun(serial)).unwrap().clone();
        place.manifest.apply(&entry.packing(form(copy, Name::Chain)));
    };
    pack(1, &copy);
    pack(3, &file("app.log.1.gz", 51, 30, NOW.ns));
    place.seen.push(copy);
    place.seen.retain(|seen| !["app.log.3", "app.log.2"].contains(&seen.name.as_str()));
    let want = [(1, State::Packed), (2, State::Removed), (3, State::Archived)];
    assert_eq!(reconciled(&mut place, 4), want);
    assert!(place.manifest.get(Serial::begun(3)).unwrap().packed.is_none(), "that copy was never published");
}

#[test]
fn an_archive_that_somebody_made_the_log_again_is_the_youngest() {
    let mut place = Place::with_three();
    place.seen.retain(|seen| seen.name != LOG);
    place.at("app.log.3").name = LOG.into();
    assert_eq!(reconciled(&mut place, 1), [(1, State::Removed), (4, State::Removed)]);
}

#[test]
fn names_may_be_of_any_form_if_they_are_fixed() {
    let mut place = Place::new();
    place.rotate("app.2026-05-01.log", 9);
    place.rotate("app.2026-05-02.log", 8);
    assert_eq!(place.gone(Limits { archives: Some(1), ..NONE }), ["app.2026-05-01.log"]);
    let names: Vec<&str> = place.manifest.fixed_names().map(|(name, _)| name).collect();
    assert_eq!(names, ["app.2026-05-01.log", "app.2026-05-02.log"]);
}

/// What another handler gets wrong: the first name of the hour is free again once its file was removed, and the newest file that
/// gets it passes for the oldest.
#[test]
fn many_rotations_in_one_period_keep_the_newest_archives() {
    let mut place = Place::new();
    for n in 1..=100u64 {
        let live = place.manifest.entries().next_back().unwrap().clone();
        let dated = place.seen.iter().filter_map(|seen| matching::dated(&place.naming, &seen.name));
        let standing: Vec<u32> = dated.map(|dated| dated.copy).collect();
        let copy = place.manifest.next_copy("2026-05-01_03", standing, Some(live.serial)).unwrap();
        let stamped = Stamped { stamp: "2026-05-01_03".into(), copy };
        let suffix = if copy == 0 { String::new() } else { format!(".{copy}") };
        let name = format!("app.log.2026-05-01_03{suffix}");
        place.manifest.apply(&live.reserved(&name, stamped));
        place.rotate(&name, 0);
        for gone in place.gone(Limits { archives: Some(3), ..NONE }) {
            let at = place.seen.iter().position(|seen| seen.name == gone).unwrap();
            let seen = place.seen.remove(at);
            let entry = place.manifest.by_inode(seen.id.ino).next().unwrap().clone();
            place.manifest.apply(&entry.removed());
        }
        let mut kept: Vec<u64> = place.seen.iter().map(|seen| seen.id.ino).collect();
        kept.sort_unstable();
        // Inodes count the files; the last one is the live log.
        assert_eq!(kept, (n.saturating_sub(2).max(1)..=n + 1).collect::<Vec<_>>(), "after {n} rotations");
    }
}

#[test]
fn a_log_that_had_a_date_reserved_and_got_a_number_is_an_archive_of_the_chain() {
    let mut place = Place::new();
    let entry = place.manifest.by_inode(1).next().unwrap().clone();
    let dated = Stamped { stamp: "2026-05-01".into(), copy: 0 };
    place.manifest.apply(&entry.reserved("app.log.2026-05-01", dated));
    // Names were switched, the chain was shifted, and the flusher killed before it said so.
    let log = place.at(LOG);
    (log.name, log.bytes) = ("app.log.1".into(), 100);
    place.seen.push(file(LOG, 2, 10, NOW.ns));
    let news = reconcile(&place.manifest, &place.directory());
    news.iter().for_each(|entry| place.manifest.apply(entry));
    let entry = place.manifest.by_inode(1).next().unwrap();
    let form = entry.plain.as_ref().unwrap();
    assert_eq!((entry.state, &form.name, form.bytes), (State::Archived, &Name::Chain, 100));
    assert_eq!(place.goes(Limits { archives: Some(0), ..NONE }).len(), 1);
}
