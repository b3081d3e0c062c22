//! `crlog tail`.

use super::common::*;
use std::process::Command;

fn write(place: &Place, from: u32, to: u32) {
    let text: String = (from..to).map(|i| format!("line {i}\n")).collect();
    assert_ended(&place.run(CRLOG, "pipe --max-bytes 2KB --backups 100", text.as_bytes()), 0, "");
}

fn numbered(from: u32, to: u32) -> Vec<String> {
    (from..to).map(|i| format!("line {i}")).collect()
}

#[test]
fn the_last_lines_of_all_files_are_shown() {
    let place = Place::new();
    write(&place, 0, 1000);
    for (n, from) in [(0, 1000), (3, 997), (600, 400), (5000, 0)] {
        let output = place.run(CRLOG, &format!("tail -n {n}"), b"");
        assert_ended(&output, 0, "");
        let shown: Vec<String> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(shown, numbered(from, 1000), "{n}");
    }
}

#[test]
fn a_log_is_followed_through_rotations_without_a_gap() {
    let place = Place::new();
    write(&place, 0, 10);
    let shown = place.path().join("shown.txt");
    let mut command = Command::new(CRLOG);
    command.args(["tail", "-n", "2", "-f"]).arg(place.log());
    command.stdout(std::fs::File::create(&shown).unwrap());
    let mut tail = command.spawn().unwrap();
    let lines =
        || -> Vec<String> { std::fs::read_to_string(&shown).unwrap().lines().map(str::to_owned).collect() };
    eventually("the last lines", || lines() == numbered(8, 10));
    for i in 1..8 {
        write(&place, i * 500 - 490, i * 500 + 10);
    }
    eventually("all that was added", || lines().len() >= 3502);
    tail.kill().unwrap();
    tail.wait().unwrap();
    assert_eq!(lines(), numbered(8, 3510));
    std::fs::remove_file(&shown).unwrap();
}

#[test]
fn a_log_that_is_not_there_is_an_error() {
    let place = Place::new();
    assert_ended(&place.run(CRLOG, "tail", b""), 1, "there is no such log");
}
