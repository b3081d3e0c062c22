"""Names of archives that a program gives itself."""

from __future__ import annotations

import gzip
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import crlog
import pytest
from crlog import ConcurrentRotatingFileHandler, ConcurrentTimedRotatingFileHandler, names


def rotate(handler: logging.Handler, times: int) -> None:
    for i in range(times):
        handler.emit(logging.makeLogRecord({"msg": str(i)}))
        handler.doRollover()  # type: ignore[attr-defined]


def waited_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def rotated(log: Path) -> list[str]:
    return sorted(p.name for p in log.parent.iterdir() if p.is_file() and p != log)


def test_a_namer_names_the_chain(log: Path) -> None:
    h = ConcurrentRotatingFileHandler(log, backupCount=3)
    h.namer = lambda name: re.sub(r"^(.*)\.log\.(\d+)$", r"\1.\2.log", name)
    rotate(h, 5)
    h.close()
    assert rotated(log) == ["app.1.log", "app.2.log", "app.3.log"]
    assert [(log.with_name(f"app.{n}.log")).read_text() for n in (1, 2, 3)] == ["4\n", "3\n", "2\n"]


def test_a_namer_names_dated_archives(log: Path) -> None:
    h = ConcurrentTimedRotatingFileHandler(log, "midnight", backupCount=2)
    h.namer = lambda name: name.replace(".log", "") + ".log"
    rotate(h, 4)
    assert waited_for(lambda: len(rotated(log)) == 2)
    h.close()
    today = time.strftime("%Y-%m-%d")
    kept = rotated(log)
    assert len(kept) == 2 and all(name.startswith(f"app.{today}.log") for name in kept), kept
    assert sorted(log.with_name(name).read_text() for name in kept) == ["2\n", "3\n"]


def test_rotation_filename_may_be_overridden(log: Path) -> None:
    class Mine(ConcurrentRotatingFileHandler):
        def rotation_filename(self, default_name: str) -> str:
            return default_name + ".old"

    h = Mine(log, backupCount=1)
    rotate(h, 2)
    h.close()
    assert rotated(log) == ["app.log.1.old"]


def test_a_suffix_of_ones_own_is_kept_to_the_count(log: Path) -> None:
    """With concurrent-log-handler these are never removed."""
    h = ConcurrentTimedRotatingFileHandler(log, "D", backupCount=2)
    h.suffix = "%Y-%m-%d_%H-%M-%S.log"
    rotate(h, 6)
    assert waited_for(lambda: len(rotated(log)) == 2)
    h.close()
    assert all(re.match(r"app\.log\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.log", name) for name in rotated(log))
    assert sorted(log.with_name(name).read_text() for name in rotated(log)) == ["4\n", "5\n"]


def packing(source: str, dest: str) -> None:
    """As in the logging cookbook."""
    with open(source, "rb") as plain, gzip.open(dest, "wb") as packed:
        shutil.copyfileobj(plain, packed)
    os.remove(source)


@pytest.mark.parametrize("kind", [ConcurrentRotatingFileHandler, ConcurrentTimedRotatingFileHandler])
def test_a_rotator_that_packs_is_called_and_its_archives_are_counted(log: Path, kind: type) -> None:
    h = kind(log, backupCount=2) if kind is ConcurrentRotatingFileHandler else kind(log, "midnight", backupCount=2)
    h.rotator, h.namer = packing, lambda name: name + ".gz"
    rotate(h, 5)
    assert waited_for(lambda: len(rotated(log)) == 2), rotated(log)
    h.close()
    assert all(name.endswith(".gz") for name in rotated(log))
    assert sorted(gzip.decompress(log.with_name(name).read_bytes()) for name in rotated(log)) == [b"3\n", b"4\n"]


@pytest.mark.parametrize("kind", [ConcurrentRotatingFileHandler, ConcurrentTimedRotatingFileHandler])
def test_a_rotator_may_make_other_files(log: Path, kind: type) -> None:
    h = kind(log, backupCount=2) if kind is ConcurrentRotatingFileHandler else kind(log, "midnight", backupCount=2)

    def shouting(source: str, dest: str) -> None:
        Path(dest).write_text(Path(source).read_text() + "packed\n")
        os.remove(source)

    h.rotator = shouting
    rotate(h, 5)
    assert waited_for(lambda: len(rotated(log)) == 2), rotated(log)
    h.close()
    assert sorted(log.with_name(name).read_text() for name in rotated(log)) == ["3\npacked\n", "4\npacked\n"]


def test_a_rotator_may_take_files_elsewhere(log: Path) -> None:
    h = ConcurrentRotatingFileHandler(log, backupCount=2)
    elsewhere = log.parent / "elsewhere"
    elsewhere.mkdir()
    h.rotator = lambda source, dest: shutil.move(source, elsewhere / str(len(list(elsewhere.iterdir()))))
    rotate(h, 3)
    h.close()
    assert rotated(log) == [] and sorted(p.read_text() for p in elsewhere.iterdir()) == ["0\n", "1\n", "2\n"]


def test_a_rotator_that_fails_costs_nothing(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    h = ConcurrentRotatingFileHandler(log, backupCount=2)
    fails = 2

    def failing(source: str, dest: str) -> None:
        nonlocal fails
        fails -= 1
        if fails >= 0:
            raise RuntimeError("no")
        os.rename(source, dest)

    h.rotator = failing
    rotate(h, 1)
    h.close()
    assert log.with_name("app.log.1").read_text() == "0\n" and "RuntimeError: no" in capsys.readouterr().err


def test_a_rotator_logs_nothing_but_others_go_on_meanwhile(log: Path) -> None:
    h = ConcurrentRotatingFileHandler(log, maxBytes=1000, backupCount=1000)

    def slow(source: str, dest: str) -> None:
        time.sleep(0.01)
        os.rename(source, dest)

    h.rotator = slow
    longest = 0.0
    for i in range(3000):
        begun = time.monotonic()
        h.emit(logging.makeLogRecord({"msg": f"{i:06} {'x' * 60}"}))
        longest = max(longest, time.monotonic() - begun)
    h.close()
    files = sorted((int(n.rsplit(".", 1)[1]), n) for n in rotated(log))
    text = "".join(log.with_name(n).read_text() for _, n in reversed(files)) + log.read_text()
    assert [line[:6] for line in text.splitlines()] == [f"{i:06}" for i in range(3000)] and len(files) > 100


@pytest.mark.parametrize(
    ("namer", "said"),
    [
        (lambda name: "always-the-same", "cannot be followed"),
        (lambda name: name + str(os.urandom(4).hex()), "cannot be followed"),
        (lambda name: name.replace("app.log", "archive/app.log"), "beside the log"),
        (lambda name: name.rpartition(".")[0] + f".{int(name.rpartition('.')[2]):03}", "zeros"),
    ],
)
def test_namer_others_cannot_follow_warns_and_records_stay(log: Path, namer: Callable[[str], str], said: str) -> None:
    h = ConcurrentRotatingFileHandler(log, maxBytes=50, backupCount=20)
    h.namer = namer
    with pytest.warns(RuntimeWarning, match=said):
        for i in range(8):
            h.emit(logging.makeLogRecord({"msg": f"{i} {'x' * 30}"}))
    h.close()
    files = [log, *log.parent.glob("app.log.*")]
    found = sorted(line[0] for file in files for line in file.read_text().splitlines())
    assert found == [str(i) for i in range(8)] and log.with_name("app.log.1").exists()


def test_braces_are_literal(log: Path) -> None:
    base = str(log)
    assert names.numbered(base, lambda name: name.replace("app", "{app}")) == "{{app}}.log.{n}"
    assert names.dated(base, "%Y-%m-%d", lambda name: name) == "app.log.{date:%Y-%m-%d}"


def test_every_process_follows_the_names(log: Path) -> None:
    """Whoever flushes: here a child that has no namer of its own, after the parent has gone from the log."""
    h = ConcurrentRotatingFileHandler(log, backupCount=2)
    h.namer = lambda name: name + ".txt"
    h.stats()
    pid = os.fork()
    if pid == 0:
        other = ConcurrentRotatingFileHandler(log, backupCount=2)
        rotate(other, 2)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    h.close()
    assert rotated(log) == ["app.log.1.txt", "app.log.2.txt"]


def test_archives_of_concurrent_log_handler_are_taken_in_on_request(log: Path) -> None:
    for day in (15, 16, 17, 18):
        log.with_name(f"app.log.2026-01-{day}").write_text("old\n")
        os.utime(log.with_name(f"app.log.2026-01-{day}"), (1768435200 + day * 86400,) * 2)
    h = ConcurrentTimedRotatingFileHandler(log, "midnight", backupCount=3)
    rotate(h, 1)
    assert len(rotated(log)) == 5, "they are not ours to remove"
    done = subprocess.run(
        [sys.executable, "-m", "crlog", "retention", "--adopt", str(log)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0 and "4 files taken in" in done.stdout, done.stdout + done.stderr
    assert waited_for(lambda: len(rotated(log)) == 3)
    h.close()
    assert rotated(log)[:2] == ["app.log.2026-01-17", "app.log.2026-01-18"]
