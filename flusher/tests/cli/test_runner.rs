//! The script that runs the tests: what fails once and passes alone is noted, what fails twice fails the run.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A cargo whose test program `steady` fails as often as the file `failures` has bytes.
fn cargo(dir: &Path, failures: usize) -> PathBuf {
    std::fs::write(dir.join("failures"), "x".repeat(failures)).unwrap();
    let cargo = dir.join("cargo");
    let script = format!(
        r#"#!/bin/sh
cd {dir}
echo "$@" >>calls
if [ -s failures ]; then
    truncate -s -1 failures
    echo 'test a_test ... FAILED'
    echo 'test result: FAILED. 0 passed; 1 failed'
    printf 'error: 1 target failed:\n    `-p crlog-flusher --test steady`\n' >&2
    exit 101
fi
echo 'test a_test ... ok'
echo 'test result: ok. 1 passed; 0 failed'
"#,
        dir = dir.display()
    );
    std::fs::write(&cargo, script).unwrap();
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
    cargo
}

fn run(dir: &Path, failures: usize, unsteady: bool) -> (Output, String, String) {
    let mut command = Command::new("bash");
    command.arg(root().join("tests/run.sh")).args(["--workspace", "--features", "crlog-flusher/zmq"]);
    command.env("CARGO", cargo(dir, failures)).env_remove("UNSTEADY");
    if unsteady {
        command.env("UNSTEADY", dir.join("unsteady"));
    }
    let output = command.output().unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    (output, read("unsteady"), read("calls"))
}

#[test]
fn test_run_without_failures_calls_cargo_once() {
    let dir = tempfile::tempdir().unwrap();
    let (output, unsteady, calls) = run(dir.path(), 0, true);
    assert!(output.status.success() && unsteady.is_empty(), "{output:?} {unsteady}");
    assert_eq!(calls, "test --no-fail-fast --workspace --features crlog-flusher/zmq\n");
}

#[test]
fn test_that_fails_once_is_noted_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let (output, unsteady, calls) = run(dir.path(), 1, true);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(unsteady, "a_test\n");
    assert_eq!(
        calls.lines().nth(1),
        Some("test -p crlog-flusher --test steady --features crlog-flusher/zmq")
    );
}

#[test]
fn test_that_fails_twice_fails_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (output, unsteady, _) = run(dir.path(), 2, true);
    assert!(!output.status.success() && unsteady.is_empty(), "{output:?} {unsteady}");
}

#[test]
fn newcomers_test_run_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (output, _, calls) = run(dir.path(), 1, false);
    assert!(!output.status.success() && calls.lines().count() == 1, "{output:?} {calls}");
}

#[test]
fn unsteady_tests_are_printed_and_listed_once() {
    let dir = tempfile::tempdir().unwrap();
    let (noted, document) = (dir.path().join("noted"), dir.path().join("document.md"));
    std::fs::write(&noted, "b::second\na_first\na_first\n").unwrap();
    std::fs::write(&document, "# Title\n\n## Unsteady tests\n\nNone.\n\n## Next\n").unwrap();
    for _ in 0..2 {
        let mut command = Command::new("bash");
        let output =
            command.arg(root().join("tests/unsteady.sh")).args([&noted, &document]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "UNSTEADY a_first\nUNSTEADY b::second\n");
    }
    let text = std::fs::read_to_string(&document).unwrap();
    assert_eq!(text.matches("- `a_first`").count(), 1, "{text}");
    assert_eq!(text.matches("- `b::second`").count(), 1, "{text}");
}

/// A Python whose pytest fails as often as the file `failures` has bytes.
fn pytest(dir: &Path, failures: usize) -> (Output, String, String) {
    std::fs::write(dir.join("failures"), "x".repeat(failures)).unwrap();
    let python = dir.join("python");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>{dir}/calls\n[ -s {dir}/failures ] || exit 0\ntruncate -s -1 {dir}/failures\n\
         echo 'FAILED test_ends.py::test_a - assert 1 == 2'\necho 'ERROR test_ends.py::test_b'\n\
         echo 'FAILED test_ends.py::test_a - assert 1 == 2'\nexit 1\n",
        dir = dir.display()
    );
    std::fs::write(&python, script).unwrap();
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("bash");
    command.arg(root().join("python/tests/pytest.sh")).arg(&python).args(["-k", "ends"]);
    let output = command.env("UNSTEADY", dir.join("unsteady")).output().unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    (output, read("unsteady"), read("calls"))
}

#[test]
fn python_test_that_fails_once_is_noted_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let (output, unsteady, calls) = pytest(dir.path(), 1);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(unsteady, "test_ends.py::test_a\ntest_ends.py::test_b\n");
    let again = calls.lines().nth(1).unwrap();
    assert!(again.contains("--last-failed") && again.ends_with("-k ends"), "{again}");
}

#[test]
fn python_test_that_fails_twice_fails_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (output, unsteady, calls) = pytest(dir.path(), 2);
    assert!(!output.status.success() && unsteady.is_empty(), "{output:?} {unsteady}");
    assert_eq!(calls.lines().count(), 2, "{calls}");
}
