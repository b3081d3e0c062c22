//! `crlog verify`.

use super::common::*;
use serde_json::Value;

fn numbered(name: &str, n: u64) -> Vec<u8> {
    (0..n).map(|i| format!("{name} {i}\n")).collect::<String>().into_bytes()
}

const PIPE: &str = "pipe --index --max-bytes 20kB --backups 50";

fn written() -> Place {
    let place = Place::new();
    let pipes = ["a", "b", "c"].map(|name| (name, place.start(CRLOG, PIPE)));
    for (name, pipe) in pipes {
        assert_ended(&pipe.end(&numbered(name, 4000)), 0, "");
    }
    place
}

fn verify(place: &Place) -> (i32, Value) {
    let said = place.run(CRLOG, "verify --json", b"");
    (said.status.code().unwrap(), serde_json::from_slice(&said.stdout).unwrap())
}

fn sentences(place: &Place) -> String {
    String::from_utf8(place.run(CRLOG, "verify", b"").stdout).unwrap()
}

#[test]
fn a_complete_log_has_no_gaps() {
    let place = written();
    let (status, v) = verify(&place);
    assert_eq!((status, &v["complete"], &v["indexed"]), (0, &true.into(), &true.into()));
    assert_eq!((&v["records"], &v["writers"], &v["processes"]), (&12_000.into(), &3.into(), &3.into()));
    let said = sentences(&place);
    assert!(said.starts_with("no gaps: 12,000 records of 3 producers (3 processes), from 20"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn what_is_missing_is_named_and_the_status_is_1() {
    let place = written();
    let path = place.path().join("app.log.1");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[7] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    std::fs::remove_file(place.path().join("app.log.3")).unwrap();
    let (status, v) = verify(&place);
    assert_eq!((status, &v["complete"]), (1, &false.into()));
    let kinds: Vec<&str> =
        v["findings"].as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["changed", "file gone"]);
    assert_eq!(v["findings"][0]["file"], "app.log.1");
    assert!(v["findings"][1]["records"][0]["pid"].as_u64().unwrap() > 0, "{v}");
    let said = sentences(&place);
    for part in ["NOT complete", "changed: app.log.1, somewhere in bytes 0 to", "number 3", "writer"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn it_may_run_while_the_log_is_written_and_leaves_no_trace() {
    let place = Place::new();
    let mut pipe = place.start(CRLOG, PIPE);
    for round in 0..5u64 {
        pipe.type_in(&numbered("x", 1000));
        place.until("all is written", |s| s["counters"]["records"] == (round + 1) * 1000);
        let (status, v) = verify(&place);
        assert_eq!((status, &v["records"]), (0, &((round + 1) * 1000).into()), "{v}");
    }
    assert_ended(&pipe.end(b""), 0, "");
    assert_eq!(verify(&place).0, 0);
}

#[test]
fn without_an_index_it_does_not_claim_what_it_cannot_know() {
    let place = Place::new();
    assert_ended(&place.run(CRLOG, "pipe", b"one\ntwo\n"), 0, "");
    let (status, v) = verify(&place);
    assert_eq!((status, &v["indexed"], &v["records"]), (0, &false.into(), &0.into()));
    let said = sentences(&place);
    assert!(said.starts_with("there is no index, so nobody can say") && !said.contains("no gaps"), "{said}");
    std::fs::write(place.log(), "one\ntw").unwrap();
    assert_eq!(verify(&place).0, 1);
    assert!(sentences(&place).contains("app.log does not end at the end of a record"));
}

#[test]
fn wrong_arguments_and_a_missing_log_are_told() {
    let place = Place::new();
    assert_eq!(place.run(CRLOG, "verify --no-such-option", b"").status.code(), Some(2));
    assert_ended(&place.run(CRLOG, "verify", b""), 1, "there is no log");
}

#[test]
fn the_places_are_given_as_elsewhere() {
    let place = Place::new();
    let at = format!("--segment {0}/ring --lock-dir {0}/locks", place.path().display());
    let mut pipe = place.start(CRLOG, &format!("pipe --index {at}"));
    pipe.type_in(b"one\ntwo\n");
    let said = || place.run(CRLOG, &format!("verify --json {at}"), b"");
    eventually("both are in the file", || {
        serde_json::from_slice::<Value>(&said().stdout).is_ok_and(|v| v["records"] == 2)
    });
    let v: Value = serde_json::from_slice(&said().stdout).unwrap();
    assert_eq!((&v["complete"], &v["segment"]["records"]), (&true.into(), &2.into()));
    assert_ended(&pipe.end(b""), 0, "");
}
