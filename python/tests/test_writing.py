"""What is written, and when."""

from __future__ import annotations

import codecs
import gzip
import io
import logging
import os
import pickle
import re
import stat
import sys
import threading
import time
from pathlib import Path

import crlog
import pytest
from conftest import archives, drain, lines
from crlog import ConcurrentRotatingFileHandler, ConcurrentTimedRotatingFileHandler


def test_what_was_logged_is_in_the_file_after_flush(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(ConcurrentRotatingFileHandler(log))
    for i in range(1000):
        logger.info("line %d", i)
    logger.handlers[0].flush()
    assert lines(log) == [f"line {i}" for i in range(1000)]


def test_what_was_logged_is_in_the_file_after_close(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log))
    logger.info("é and 漢字")
    h.close()
    assert lines(log) == ["é and 漢字"]


def test_a_record_after_close_opens_the_log_again(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log))
    for i in range(3):
        logger.info("%d", i)
        h.close()
    assert lines(log) == ["0", "1", "2"]


def test_a_full_file_is_rotated_before_the_next_record(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, maxBytes=1000, backupCount=3))
    for i in range(100):
        logger.info("%03d %s", i, "x" * 95)
    h.flush()
    assert [p.name for p in archives(log)] == ["app.log.3", "app.log.2", "app.log.1"]
    assert {p.stat().st_size for p in archives(log)} == {1000}, "checked before each record, its own length ignored"
    assert [line[:3] for line in lines(log)] == [f"{i:03}" for i in range(60, 100)]
    assert h.num_rollovers == 9
    assert h.shouldRollover(logging.makeLogRecord({"msg": "x"}))


def test_a_file_overshoots_by_less_than_a_record_unless_that_is_forbidden(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(ConcurrentRotatingFileHandler(log, maxBytes=950, backupCount=1))
    strict = log.with_name("strict.log")
    logger.addHandler(ConcurrentRotatingFileHandler(strict, maxBytes=950, backupCount=1, strict_size=True))
    for _ in range(15):
        logger.info("x" * 99)
    for h in logger.handlers:
        h.flush()
    assert archives(log)[0].stat().st_size == 1000
    assert archives(strict)[0].stat().st_size == 900


def test_without_backups_a_full_file_is_emptied(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, maxBytes=100))
    for i in range(25):
        logger.info("%09d", i)
    h.flush()
    assert archives(log) == [] and lines(log) == [f"{i:09}" for i in range(20, 25)]
    assert h.num_rollovers == 2


def test_max_bytes_0_never_rotates(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, backupCount=3))
    for _ in range(1000):
        logger.info("x" * 1000)
    h.flush()
    assert h.num_rollovers == 0 and archives(log) == [] and len(lines(log)) == 1000


def test_do_rollover_rotates_at_once(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, backupCount=3))
    for i in range(3):
        logger.info("%d", i)
        h.doRollover()
    assert [p.read_text() for p in archives(log)] == ["0\n", "1\n", "2\n"] and log.read_text() == ""
    assert h.num_rollovers == 3


def test_should_rollover_knows_the_file_before_anything_is_logged(log: Path, tmp_path: Path) -> None:
    record = logging.makeLogRecord({"msg": "x" * 9})
    for strict, size, full in ((False, 0, False), (False, 99, False), (False, 100, True), (True, 90, False), (True, 91, True)):
        log.write_bytes(b"x" * size)
        h = ConcurrentRotatingFileHandler(log, maxBytes=100, strict_size=strict)
        assert h.shouldRollover(record) is full, (strict, size)
    log.unlink()
    assert ConcurrentRotatingFileHandler(log, maxBytes=100).shouldRollover(record) is False
    assert ConcurrentRotatingFileHandler(os.devnull, maxBytes=1).shouldRollover(record) is False


def test_an_empty_file_is_never_full(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, maxBytes=100, backupCount=3, strict_size=True))
    long = logging.makeLogRecord({"msg": "x" * 200, "levelno": logging.INFO})
    assert not h.shouldRollover(long)
    h.stats()
    assert not h.shouldRollover(long)
    logger.handle(long)
    h.flush()
    assert archives(log) == [] and lines(log) == ["x" * 200]
    assert h.shouldRollover(long)


def test_archives_are_packed(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, backupCount=2, use_gzip=True))
    logger.info("packed")
    h.doRollover()
    packed, end = log.with_name("app.log.1.gz"), time.monotonic() + 30
    while not (packed.exists() and not archives(log)) and time.monotonic() < end:
        time.sleep(0.01)
    assert gzip.decompress(packed.read_bytes()) == b"packed\n"


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_files_have_the_permissions_that_the_umask_leaves(log: Path, logger: logging.Logger, mask: int) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, umask=mask))
    logger.info("x")
    h.close()
    assert stat.S_IMODE(log.stat().st_mode) == 0o666 & ~mask


def test_the_umask_of_the_process_counts_if_no_other_is_given(log: Path, logger: logging.Logger) -> None:
    before = os.umask(0o037)
    try:
        logger.addHandler(h := ConcurrentRotatingFileHandler(log))
        logger.info("x")
        h.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(log.stat().st_mode) == 0o640


def test_chmod_is_exact_for_all_files(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, chmod=0o604, umask=0o777, backupCount=1))
    logger.info("x")
    h.doRollover()
    h.close()
    assert {stat.S_IMODE(p.stat().st_mode) for p in [log, *archives(log)]} == {0o604}


@pytest.mark.skipif(os.geteuid() != 0, reason="SKIPPED: only root may give files away")
@pytest.mark.parametrize("owner", [("daemon", "daemon"), (1, 1), ("1", None)])
def test_the_owner_is_a_name_or_a_number(log: Path, logger: logging.Logger, owner: tuple) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, owner=owner))
    logger.info("x")
    h.close()
    assert log.stat().st_uid == 1 and log.stat().st_gid == (1 if owner[1] else os.getgid())


@pytest.mark.parametrize(
    ("arguments", "text", "expected"),
    [
        ({}, "a\nb", b"a\nb\n"),
        ({"newline": ""}, "a\nb", b"a\nb\n"),
        ({"newline": "\r\n"}, "a\nb", b"a\r\nb\r\n"),
        ({"newline": "\r"}, "a\nb", b"a\rb\r"),
        ({"terminator": "\r\n"}, "a\nb", b"a\nb\r\n"),
        ({"terminator": ""}, "a", b"a\n"),
        ({"terminator": "|"}, "a", b"a|"),
        ({"encoding": "utf-8"}, "é", "é\n".encode()),
        ({"encoding": "latin-1"}, "é", b"\xe9\n"),
        ({"encoding": "utf-16-le"}, "é", "é\n".encode("utf-16-le")),
        ({"encoding": "ascii"}, "aéb", b"ab\n"),
        ({"encoding": "ascii", "unicode_error_policy": "replace"}, "aéb", b"a?b\n"),
        ({"encoding": "ascii", "errors": "backslashreplace"}, "aéb", b"a\\xe9b\n"),
        ({}, "a\ud800b", b"ab\n"),
        ({"unicode_error_policy": "replace"}, "a\ud800b", b"a?b\n"),
        ({"errors": "surrogatepass"}, "a\ud800b", b"a\xed\xa0\x80b\n"),
    ],
)
def test_text_becomes_bytes_as_it_did(log: Path, logger: logging.Logger, arguments: dict, text: str, expected: bytes) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, **arguments))
    logger.info("%s", text)
    h.close()
    assert log.read_bytes() == expected


def test_the_timed_handler_honours_errors(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentTimedRotatingFileHandler(log, encoding="ascii", errors="backslashreplace"))
    logger.info("é")
    h.close()
    assert log.read_bytes() == b"\\xe9\n"


def test_utf_16_has_no_mark_inside(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, encoding="utf-16"))
    logger.info("a")
    logger.info("b")
    h.close()
    name = "utf-16-le" if sys.byteorder == "little" else "utf-16-be"
    assert log.read_text(encoding=name) == "a\nb\n" and codecs.BOM_UTF16 not in log.read_bytes()


def test_strict_text_that_cannot_be_written_is_an_error_of_its_record_only(
    log: Path, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, encoding="ascii", unicode_error_policy="strict"))
    for text in ("a", "é", "b"):
        logger.info("%s", text)
    h.close()
    assert lines(log) == ["a", "b"]
    assert "UnicodeEncodeError" in capsys.readouterr().err


def test_mode_w_begins_anew_once(log: Path, logger: logging.Logger) -> None:
    log.write_text("old\n")
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, "w"))
    logger.info("1")
    logger.addHandler(ConcurrentRotatingFileHandler(log, "w"))
    logger.info("2")
    h.flush()
    assert lines(log) == ["1", "2", "2"]


def test_mode_w_keeps_what_was_logged_before_close(log: Path, logger: logging.Logger) -> None:
    log.write_text("old\n")
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, "w"))
    for i in range(3):
        logger.info("%d", i)
        h.close()
    copy = pickle.loads(pickle.dumps(h))
    copy.handle(logging.makeLogRecord({"msg": "3"}))
    copy.close()
    assert lines(log) == ["0", "1", "2", "3"]


def test_mode_a_goes_on(log: Path, logger: logging.Logger) -> None:
    log.write_text("old\n")
    logger.addHandler(h := ConcurrentRotatingFileHandler(log))
    logger.info("new")
    h.close()
    assert lines(log) == ["old", "new"]


def test_a_missing_directory_is_an_error_of_each_record(
    tmp_path: Path, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "missing" / "app.log"
    logger.addHandler(h := ConcurrentRotatingFileHandler(log))
    logger.info("lost")
    assert "its directory does not exist" in capsys.readouterr().err
    log.parent.mkdir()
    logger.info("kept")
    h.close()
    assert lines(log) == ["kept"]


def test_a_record_that_is_too_long_is_an_error_that_says_what_to_do(
    log: Path, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, ring_size="256 KiB"))
    logger.info("x" * 1_000_000)
    logger.info("short")
    h.close()
    assert lines(log) == ["short"]
    assert "RecordTooLong" in (said := capsys.readouterr().err) and "larger ring" in said


def test_long_records_are_written_whole(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, maxBytes=1000, backupCount=2))
    logger.info("x" * 1_500_000)
    logger.info("y")
    h.close()
    assert [len(line) for line in lines(log)] == [1_500_000, 1]


def test_dropped_records_are_counted_and_told_in_the_log(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, overflow="drop", ring_size="256 KiB"))
    for i in range(2000):
        logger.info("%06d %s", i, "x" * 2000)
    h.flush()
    dropped = h.stats()["drops"]["info"]
    h.close()
    told = [int(m[1].replace(",", "")) for line in lines(log) if (m := re.search(r"([\d,]+) records? ", line)) and "xxx" not in line]
    assert len([line for line in lines(log) if "xxx" in line]) + dropped == 2000
    assert dropped == 0 or sum(told) == dropped


def test_durable_calls_wait_for_the_disk(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, durable=True))
    logger.info("safe")
    assert log.read_text() == "safe\n", "not only in the ring: nobody flushed"
    assert h.stats()["counters"]["syncs"] >= 1
    h.sync()


def test_a_moved_file_is_noticed(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log))
    logger.info("1")
    h.flush()
    log.rename(log.with_name("moved.txt"))
    logger.info("2")
    h.flush()
    end = time.monotonic() + 10
    while not log.exists() and time.monotonic() < end:
        logger.info("again")
        h.flush()
        time.sleep(0.05)
    assert log.exists() and log.with_name("moved.txt").read_text().startswith("1\n")


def test_no_helper_file_begins_with_the_logs_name(log: Path, logger: logging.Logger) -> None:
    locks = log.parent / "locks"
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, maxBytes=100, backupCount=2, lock_file_directory=locks))
    for _ in range(100):
        logger.info("x" * 30)
    h.flush()
    assert [p.name for p in sorted(log.parent.glob("app.log*"))] == ["app.log", "app.log.1", "app.log.2"]
    assert [p.name for p in locks.iterdir()] != [] and h.lockFilename.startswith(str(locks))


@pytest.mark.parametrize(
    ("when", "pattern"),
    [
        ("S", r"app\.log\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d"),
        ("M", r"app\.log\.\d{4}-\d\d-\d\d_\d\d-\d\d"),
        ("H", r"app\.log\.\d{4}-\d\d-\d\d_\d\d"),
        ("D", r"app\.log\.\d{4}-\d\d-\d\d"),
        ("MIDNIGHT", r"app\.log\.\d{4}-\d\d-\d\d"),
        ("W3", r"app\.log\.\d{4}-\d\d-\d\d"),
    ],
)
def test_dated_archives_have_the_names_of_the_standard_library(
    log: Path, logger: logging.Logger, when: str, pattern: str
) -> None:
    logger.addHandler(h := ConcurrentTimedRotatingFileHandler(log, when, 9))
    logger.info("x")
    h.doRollover()
    logger.info("y")
    h.doRollover()
    h.close()
    names = sorted(p.name for p in log.parent.glob("app.log.*"))
    assert len(names) == 2 and re.fullmatch(pattern, names[0]) and re.fullmatch(pattern + r"(\.1)?", names[1])


def test_seconds_really_rotate(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentTimedRotatingFileHandler(log, "S"))
    end = time.monotonic() + 3.3
    while time.monotonic() < end:
        logger.info("x")
        time.sleep(0.05)
    h.flush()
    assert 2 <= h.num_rollovers <= 4


def test_time_size_and_count_together_keep_the_newest(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentTimedRotatingFileHandler(log, "H", backupCount=3, maxBytes=100))
    for i in range(100):
        logger.info("%04d", i)
        if i % 20 == 19:
            h.flush()
    h.flush()
    end = time.monotonic() + 10
    while len(files := [p for p in log.parent.glob("app.log.*")]) > 3 and time.monotonic() < end:
        time.sleep(0.01)
    files.sort(key=lambda p: int(m[1]) if (m := re.search(r"\.(\d+)$", p.name)) else 0)
    kept = "".join(p.read_text() for p in [*files, log]).split()
    assert kept == [f"{i:04}" for i in range(100 - len(kept), 100)] and len(kept) >= 60


def test_a_lower_count_takes_effect(log: Path, logger: logging.Logger) -> None:
    for count in (6, 2):
        logger.addHandler(h := ConcurrentRotatingFileHandler(log, backupCount=count))
        for i in range(6):
            logger.info("%d", i)
            h.doRollover()
        h.close()
        logger.removeHandler(h)
    assert [p.name for p in archives(log)] == ["app.log.2", "app.log.1"]


def test_threads_write_at_once_and_each_in_order(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, maxBytes=100_000, backupCount=1000))
    many = 20_000

    def work(thread: int) -> None:
        for i in range(many):
            logger.info("%d %d", thread, i)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    h.flush()
    following = [0] * 8
    for line in lines(log):
        thread, number = map(int, line.split(" "))
        assert number == following[thread]
        following[thread] += 1
    assert following == [many] * 8
    assert h.num_rollovers > 10


def test_threads_that_log_first_at_once_open_the_log_once(log: Path, logger: logging.Logger) -> None:
    log.write_text("old\n")
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, "w"))
    start = threading.Barrier(16)

    def work(thread: int) -> None:
        start.wait()
        logger.info("%02d", thread)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(h.stats()["producers"]) == 1
    h.close()
    assert sorted(lines(log)) == [f"{n:02}" for n in range(16)]


def test_a_formatter_may_log(log: Path, logger: logging.Logger) -> None:
    class Talkative(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            if record.getMessage() == "outer":
                logger.info("inner")
            return super().format(record)

    logger.addHandler(h := ConcurrentRotatingFileHandler(log))
    h.setFormatter(Talkative())
    logger.info("outer")
    h.close()
    assert lines(log) == ["inner", "outer"]


def test_an_error_in_a_formatter_costs_its_record_only(
    log: Path, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log))
    logger.info("%d", "no number")
    logger.info("fine")
    h.close()
    assert lines(log) == ["fine"] and "Logging error" in capsys.readouterr().err


def test_errors_go_to_handle_error(log: Path, logger: logging.Logger) -> None:
    seen = []

    class Mine(ConcurrentRotatingFileHandler):
        def handleError(self, record: logging.LogRecord) -> None:
            seen.append(record.msg)

    logger.addHandler(Mine(log))
    logger.info("%d", "no number")
    assert seen == ["%d"]


def test_a_subclass_has_its_methods_called_for_each_record(log: Path, logger: logging.Logger) -> None:
    class Mine(ConcurrentRotatingFileHandler):
        def emit(self, record: logging.LogRecord) -> None:
            assert self.lock is not None and not self.lock.acquire(blocking=False) or self.lock.release() is None
            record.msg = record.msg.upper()
            super().emit(record)

        def format(self, record: logging.LogRecord) -> str:
            return f"<{super().format(record)}>"

    logger.addHandler(h := Mine(log))
    logger.info("a")
    logger.info("a")
    h.close()
    assert lines(log) == ["<A>", "<A>"]


def test_filters_decide_and_may_replace_records(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log))
    h.addFilter(lambda record: "no" not in record.msg)
    logger.info("yes")
    logger.info("no")
    h.close()
    assert lines(log) == ["yes"]


def test_the_file_can_be_read_through_do_open(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, encoding="latin-1"))
    h.do_write("é")
    h.flush()
    with h.do_open() as file:
        assert isinstance(file, io.TextIOWrapper) and file.read() == "é\n"


def test_stat_tells_of_a_log_from_outside(log: Path, logger: logging.Logger) -> None:
    assert crlog.stat(log) is None
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, maxBytes=5000, backupCount=4))
    logger.info("x")
    h.flush()
    found = crlog.stat(log)
    assert found is not None and found["max_bytes"] == 5000 and found["backups"] == 4
    assert found["counters"]["records"] == 1 and found["producers"][0]["pid"] == os.getpid()
    assert h.stats()["path"] == str(log)


def test_debug_tells_on_standard_output(log: Path, logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, debug=True, backupCount=1))
    logger.info("x")
    h.doRollover()
    said = capsys.readouterr().out
    assert f"opened {log}" in said and f"rotated {log}" in said


def test_what_a_killed_process_left_is_written_by_the_next(log: Path) -> None:
    pid = os.fork()
    if pid == 0:
        handler = ConcurrentRotatingFileHandler(log)
        for i in range(100):
            handler.emit(logging.makeLogRecord({"msg": str(i)}))
        os.kill(os.getpid(), 9)
    assert os.waitpid(pid, 0)[1] == 9
    drain(log)
    assert lines(log) == [str(i) for i in range(100)]
