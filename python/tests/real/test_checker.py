"""A checker that cannot fail would be worth nothing: each fault is put into a good log, and must be found, by its name and alone."""

import gzip
import json
import random
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from . import checker, run
from .checker import dated, look

LIMIT = 1000
A, B = "11.aaaaaaaa", "22.bbbbbbbb"


def frame(source: str, number: int, time: int, text: str, thread: int = 1) -> bytes:
    raw = text.encode()
    return f"#>{source} {number} {thread} {time} {zlib.crc32(raw):08x} {len(raw)} {text}<#\n".encode()


class Log:
    """Two processes take turns; the files are cut as a rotation at LIMIT cuts them. Tests change `files` before they are written."""

    def __init__(self, root: Path):
        self.log, self.book = root / "app.log", root / "book"
        self.lines = [frame(s, n, 1000 * n + (s == B), f"é {s} {'x' * (n % 50)}\nsecond line") for n in range(1, 31) for s in (A, B)]
        self.tally = {A: 30, B: 30}
        self.files: list[list[bytes]] = []
        self.cut()

    def cut(self) -> None:
        self.files = [[]]
        for line in self.lines:
            if sum(map(len, self.files[-1])) >= LIMIT:
                self.files.append([])
            self.files[-1].append(line)

    def paths(self) -> list[Path]:
        older = range(len(self.files) - 1, 0, -1)
        return [*(self.log.with_name(f"app.log.{n}") for n in older), self.log]

    def write(self) -> None:
        for old in self.log.parent.glob("app.log*"):
            old.unlink()
        for path, lines in zip(self.paths(), self.files):
            path.write_bytes(b"".join(lines))
        self.book.mkdir(exist_ok=True)
        for source, last in self.tally.items():
            (self.book / source).write_bytes(last.to_bytes(8, "little"))

    def look(self, **how) -> checker.Report:
        self.write()
        return look(self.log, self.book, max_bytes=LIMIT, **how)


@pytest.fixture
def log(tmp_path) -> Log:
    log = Log(tmp_path)
    assert len(log.files) > 4
    return log


def test_a_good_log_has_no_problems(log):
    report = log.look().raise_if_bad()
    assert len(report.records) == 60
    assert report.pids == {11, 22}
    assert report.found(r"é (11)\.")[:2] == [("11",), ("11",)]
    assert len(report.found("é")) == 60


def test_a_lost_record_is_found_wherever_it_was(log):
    for file in range(len(log.files)):
        line = log.files[file].pop(0)
        assert log.look().kinds - {"size"} == {"lost"}, file
        log.files[file].insert(0, line)
    assert not log.look().problems


def test_the_last_record_of_a_process_is_missed_too(log):
    log.files[-1].pop()
    assert [p.text for p in log.look().problems] == [f"{B} 30 of 30"]


def test_of_a_killed_process_the_last_record_may_be_missing_but_no_other(log):
    log.files[-1].pop()
    assert not log.look(killed=[22]).problems
    assert log.look(killed=[11]).kinds == {"lost"}
    log.files[-1].pop(-2)
    assert [p.text for p in log.look(killed=[22]).problems] == [f"{B} 29 of 30"]


def test_a_process_of_which_nothing_was_written_is_missed(log):
    log.tally["33.cccccccc"] = 1
    assert [p.text for p in log.look().problems] == ["33.cccccccc 1 of 1"]
    assert not log.look(killed=[33]).problems


def test_a_lost_file_is_found(log):
    log.write()
    (log.log.with_name("app.log.2")).unlink()
    assert look(log.log, log.book, max_bytes=LIMIT).kinds == {"lost", "gap"}


def test_a_log_that_is_not_there_is_found(log):
    log.write()
    log.log.unlink()
    assert look(log.log, log.book, max_bytes=LIMIT).kinds == {"lost", "gap"}


def test_a_doubled_record_is_found_beside_its_twin_and_files_away(log):
    log.files[1].insert(1, log.files[1][0])
    assert log.look().kinds - {"size"} == {"doubled"}
    log.cut()
    log.files[-1].append(log.files[0][0])
    assert log.look().kinds == {"doubled", "order", "overtaken"}


def test_a_record_that_nobody_noted_is_found(log):
    log.files[-1].append(frame("44.dddddddd", 1, 99_000, "x"))
    assert log.look().kinds == {"unknown"}


def test_two_records_of_a_thread_in_the_wrong_order_are_found(log):
    lines = log.files[2]
    lines[0], lines[2] = lines[2], lines[0]
    assert log.look().kinds - {"size"} == {"order", "overtaken"}


def test_files_in_the_wrong_order_are_found(log):
    log.files[1], log.files[2] = log.files[2], log.files[1]
    assert log.look().kinds == {"order", "overtaken"}


def test_records_of_two_threads_of_a_process_may_change_places_if_their_calls_overlapped(log):
    log.lines[4] = frame(A, 3, 3000, "x" * 50, thread=7)
    log.lines[6] = frame(A, 4, 3001, "x" * 50, thread=8)
    log.lines[4], log.lines[6] = log.lines[6], log.lines[4]
    log.cut()
    assert not log.look().problems


def test_a_record_that_was_overtaken_by_another_process_is_found(log):
    """The log is a few records late with those of B: of each process all are in order."""
    late = [line for line in log.lines if B.encode() in line]
    log.lines = [line for line in log.lines if A.encode() in line]
    for n, line in enumerate(late):
        log.lines.insert(2 * n + 3, line)
    log.cut()
    assert log.look().kinds == {"overtaken"}


@pytest.mark.parametrize("cut_at", [1, 10, 40, -4, -3, -2, -1])
def test_a_torn_record_is_found_wherever_it_was_cut(log, cut_at):
    lines = log.files[2]
    lines[1] = lines[1][:cut_at]
    assert {"torn", "lost"} <= log.look().kinds <= {"torn", "lost", "size"}


def test_every_single_changed_byte_is_found(log):
    """Of the frame and of the text. A change of thread or time is a different record, and that is all these two are compared with."""
    random.seed(1)
    line = log.files[2][1]
    fields = line.split(b" ", 6)
    free = range(len(fields[0]) + len(fields[1]) + 2, len(b" ".join(fields[:4])))
    log.write()
    for at in range(len(line)):
        changed = bytes([line[at] ^ random.choice([1, 2, 4, 8, 16, 32])])
        log.files[2][1] = line[:at] + changed + line[at + 1 :]
        found = log.look().kinds
        assert found or at in free, (at, log.files[2][1])


def test_a_record_within_a_record_is_found(log):
    """As two writers without a lock make it."""
    lines = log.files[2]
    lines[1:3] = [lines[1][:70] + lines[2] + lines[1][70:]]
    assert "torn" in log.look().kinds


def test_zeros_and_foreign_lines_are_found(log):
    for foreign in (b"\0" * 100, b"some other line\n", b"\n", b"Traceback (most recent call last):\n  File\n"):
        log.files[3].insert(1, foreign)
        assert {"torn"} <= log.look().kinds <= {"torn", "size"}, foreign
        log.cut()
    log.files[-1].append(b"the end is missing")
    assert log.look().kinds == {"torn"}


def test_after_a_torn_record_the_following_ones_are_still_read(log):
    log.files[2][1] = b"garbage\n"
    report = log.look()
    assert len(report.records) == 59
    assert sum(p.kind == "torn" for p in report.problems) == 1


def test_a_record_that_is_cut_in_two_by_a_rotation_is_found(log):
    line = log.files[3].pop(0)
    log.files[2].append(line[:50])
    log.files[3].insert(0, line[50:])
    report = log.look()
    assert sum(p.kind == "torn" for p in report.problems) == 2
    assert "lost" in report.kinds


def test_a_record_in_the_file_beside_its_own_is_found(log):
    log.files[2].append(log.files[3].pop(0))
    assert log.look().kinds == {"size"}
    log.cut()
    log.files[3].insert(0, log.files[2].pop())
    assert log.look().kinds == {"size"}
    log.cut()
    log.files[-2:] = [log.files[-2] + log.files[-1]]
    assert log.look().kinds == {"size"}


def test_a_file_that_was_rotated_too_early_is_found(log, monkeypatch):
    log.files[2:3] = [log.files[2][:3], log.files[2][3:]]
    report = log.look()
    assert [p.kind for p in report.problems] == ["size", "size"]
    monkeypatch.setattr(log, "paths", lambda: dated_paths(log))
    assert not log.look(order=dated).problems, "time may have come before the size"


def test_too_few_rotations_are_found(log):
    assert log.look(rotations=len(log.files)).kinds == {"rotation"}
    assert not log.look(rotations=len(log.files) - 1).problems


def test_an_empty_log_is_no_good_log(log):
    log.files = [[]]
    assert log.look().kinds == {"lost", "rotation"}


def test_stray_files_are_found(log):
    log.write()
    for name in ("app.log.rotate.12345", "app.log.2.tmp", "app.log.oldest", "app.log.1.gz"):
        stray = log.log.with_name(name)
        stray.write_bytes(gzip.compress(b""))
        assert "stray" in look(log.log, log.book, max_bytes=LIMIT).kinds, name
        stray.unlink()
    (log.log.parent / ".__app.lock").touch()
    (log.log.parent / "other.log").touch()
    assert not look(log.log, log.book, max_bytes=LIMIT).problems


def test_packed_archives_are_read_and_damaged_ones_found(log):
    log.write()
    for path in log.paths()[:-1]:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert not look(log.log, log.book, max_bytes=LIMIT).problems
    packed = log.log.with_name("app.log.3.gz")
    packed.write_bytes(packed.read_bytes()[:-20])
    assert {"torn", "lost"} <= look(log.log, log.book, max_bytes=LIMIT).kinds


def dated_paths(log: Log) -> list[Path]:
    """Three files of one second, then one of each second."""
    names = ["58", "58.1", "58.2", *(f"{59 + n}" for n in range(len(log.files) - 4))]
    return [*(log.log.with_name(f"app.log.2030-01-31_23-59-{n}") for n in names), log.log]


def test_dated_archives_are_read_in_the_order_of_date_and_number(log, monkeypatch):
    monkeypatch.setattr(log, "paths", lambda: dated_paths(log))
    assert not log.look(order=dated).problems
    log.files[1], log.files[2] = log.files[2], log.files[1]
    assert log.look(order=dated).kinds == {"order", "overtaken"}


def test_the_tenth_file_of_a_second_is_newer_than_the_second_one(tmp_path):
    for name in ("app.log", "app.log.2030-01-01.10", "app.log.2030-01-01.2", "app.log.2030-01-01", "app.log.2029-12-31.9.gz"):
        (tmp_path / name).touch()
    files, problems = dated(tmp_path / "app.log")
    assert [f.path.name[8:] for f in files] == ["2029-12-31.9.gz", "2030-01-01", "2030-01-01.2", "2030-01-01.10", ""]
    assert not problems


def test_the_tenth_archive_is_older_than_the_ninth(tmp_path):
    for n in range(1, 12):
        (tmp_path / f"app.log.{n}").touch()
    (tmp_path / "app.log").touch()
    files, _ = checker.numbered(tmp_path / "app.log")
    assert [f.path.name for f in files] == [*(f"app.log.{n}" for n in range(11, 0, -1)), "app.log"]


def test_json_lines_are_read_and_torn_ones_found(tmp_path):
    def line(number: int, text: str, crc: str = "") -> bytes:
        fields = {"source": A, "number": number, "thread": 1, "time": number, "length": 1}
        return json.dumps({**fields, "crc": crc or f"{zlib.crc32(text.encode()):08x}", "message": text}).encode() + b"\n"

    reader = checker.json_lines("message")
    good = line(1, "eins é") + line(2, "zwei")
    assert [r.number for r in reader(good)] == [1, 2]
    bad = [line(2, "zwei")[:-1], line(2, "zwei", "00000000"), line(2, "zwei")[20:], b"{}\n", b"7\n", b"\n", b"\xff\n"]
    for torn in bad:
        found = list(reader(line(1, "eins") + torn))
        assert [type(f) for f in found] == [checker.Record, checker.Problem], torn


def test_the_report_says_what_is_wrong(log):
    log.files[-1].pop()
    with pytest.raises(AssertionError, match=f"1 problems:\n  lost: {B} 30 of 30"):
        log.look().raise_if_bad()


def test_what_the_programs_write_is_what_the_checker_reads(place):
    """The real formatter, the standard library's handler, and the checker, in this and in a forked process."""
    code = """
import logging, os, sys, numbering
handler = logging.FileHandler(os.environ["CRLOG_TEST_LOG"], encoding="utf-8")
handler.setFormatter(numbering.Framed("%(levelname)s %(message)s"))
logging.getLogger().addHandler(handler)
for i in range(3):
    logging.warning("é€😀 %d", i)
if os.fork() == 0:
    logging.warning("child")
    os._exit(0)
os.wait()
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("failed")
"""
    place.python("-c", code, name="writer").ends()
    report = place.look(rotations=0).raise_if_bad()
    assert [(r.number, r.text.split("\n")[0]) for r in report.records] == [
        (1, "WARNING é€😀 0"),
        (2, "WARNING é€😀 1"),
        (3, "WARNING é€😀 2"),
        (1, "WARNING child"),
        (4, "ERROR failed"),
    ]
    assert report.records[-1].text.endswith("ZeroDivisionError: division by zero")
    assert len(report.pids) == 2


def test_a_program_that_fails_complains_or_leaves_children_is_found(place):
    with pytest.raises(AssertionError, match="ended with 3, not 0"):
        place.python("-c", "raise SystemExit(3)", name="status").ends()
    with pytest.raises(AssertionError, match="ended with -9, not 0"):
        place.python("-c", "import os; os.kill(os.getpid(), 9)", name="killed").ends()
    failing_handler = "import logging; logging.basicConfig(); logging.warning('%d', 'x')"
    with pytest.raises(AssertionError, match="complains on standard error"):
        place.python("-c", failing_handler, name="complains").ends()
    with pytest.raises(AssertionError, match="did not end within"):
        place.python("-c", "import time; time.sleep(60)", name="hangs").ends(limit=0.5)
    place.python("-c", "print('fine'); import warnings; warnings.warn('only a warning')", name="fine").ends()


def test_a_program_that_outlives_its_parent_is_found_and_killed(place, monkeypatch):
    program = place.python("-c", "import os, time\nif os.fork() == 0: time.sleep(60)", name="leaves")
    assert program.process.wait(10) == 0
    (left,) = program.left()
    real = run.until
    monkeypatch.setattr(run, "until", lambda condition, what, limit: real(condition, what, 0.1))
    with pytest.raises(AssertionError, match=f"its children have not: \\[{left}\\]"):
        program.ends()
    program.kill()
    real(lambda: run.living(left) is None, "the child is killed", 10)


def test_the_guard_kills_what_a_killed_test_run_left():
    """A process group is put into the guard's care, and the guard's standard input ends, as it does when pytest is killed."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    spared = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        guard = run.Guard()
        for line in (f"+{sleeper.pid}", f"+{spared.pid}", f"-{spared.pid}"):
            guard.tell(line)
        guard.close()
        assert sleeper.wait(10) == -9
        assert spared.poll() is None
    finally:
        for p in (sleeper, spared):
            p.kill()
            p.wait()
