//! `--direct` and `crlog path`.

use super::common::*;
use crlog::Options;
use std::process::Command;

fn path(place: &Place) -> String {
    let output = place.run(CRLOG, "path", b"");
    assert_ended(&output, 0, "");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn sidecar(place: &Place) -> Running {
    let log = place.log();
    let link = log.display();
    place.sidecar(&format!("--direct --names {{stem}}.{{seq}}{{ext}} --max-bytes 1MB --link {link}"))
}

#[test]
fn the_path_is_that_of_the_current_file_and_the_log_may_be_a_link_to_it() {
    let place = Place::new();
    let mut running = sidecar(&place);
    let log = Options::new(place.log()).flusher_thread(false).open().unwrap();
    for n in 1..4 {
        log.writer().unwrap().append(format!("{n}").as_bytes()).unwrap();
        log.flush(std::time::Duration::from_secs(20)).unwrap();
        assert_eq!(path(&place), place.log().with_file_name(format!("app.{n}.log")).display().to_string());
        let output = Command::new("cat").arg(place.log()).output().unwrap();
        assert_eq!(output.stdout, format!("{n}\n").as_bytes());
        let output = place.run(CRLOG, "rotate", b"");
        assert_eq!(output.stdout, format!("rotated: app.{n}.log, 2 bytes\n").as_bytes());
    }
    assert_eq!(place.run(CRLOG, "tail -n 2", b"").stdout, b"2\n3\n");
    let said = place.run(CRLOG, "stat", b"").stdout;
    let said = String::from_utf8(said).unwrap();
    assert!(said.starts_with(&format!("log       {}, written to ", place.log().display())), "{said}");
    let stat = place.stat().unwrap();
    assert_eq!(stat["current"], path(&place));
    assert_eq!(stat["files"].as_array().unwrap().len(), 4);
    let doctor = place.run(CRLOG, "doctor", b"");
    assert_eq!(doctor.status.code(), Some(0), "{}", String::from_utf8_lossy(&doctor.stdout));
    assert_ended(&place.run(CRLOG, "verify", b""), 0, "");
    drop(log);
    running.signal(rustix::process::Signal::TERM);
    assert_ended(&running.end(b""), 0, "");
    assert_ended(&place.run(CRLOG, "path", b""), 1, "no process has");
}

#[test]
fn of_an_ordinary_log_it_is_the_log_itself() {
    let place = Place::new();
    let log = Options::new(place.log()).open().unwrap();
    assert_eq!(path(&place), place.log().display().to_string());
    std::fs::remove_file(place.log()).unwrap();
    assert_ended(&place.run(CRLOG, "path", b""), 1, "no file was written yet");
    drop(log);
}

#[test]
fn it_needs_names_that_stay_and_may_stand_in_a_configuration() {
    let place = Place::new();
    let config = place.path().join("crlog.toml");
    let check = |text: &str, status: i32, says: &str| {
        std::fs::write(&config, text).unwrap();
        let output =
            Running::spawn(Command::new(FLUSHER).arg("--check").arg("--config").arg(&config)).end(b"");
        assert_ended(&output, status, says);
        String::from_utf8(output.stdout).unwrap()
    };
    check(
        "[[log]]\npath = \"a.log\"\ndirect = true\nnames = \"numbered\"\n",
        2,
        "choose dated ones, or a template",
    );
    check(
        "[[log]]\npath = \"a.log\"\ndirect = true\nbackups = 3\nnames = \"{n}.log\"\n",
        2,
        "crlog.toml:5: names and direct: ",
    );
    let shown = check("[[log]]\npath = \"a.log\"\ndirect = true\nmax_bytes = 10\n", 0, "");
    assert!(shown.lines().any(|line| line.starts_with("direct = true")), "{shown}");
}
