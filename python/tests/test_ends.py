"""How a process ends: by a signal, by its pool, by the kernel. What it logged is in the file, and nothing stays in memory."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, Callable

import crlog
import pytest
from conftest import drain, lines

Python = Callable[..., Any]

HEAD = """
import logging, os, signal, sys, time, crlog
handler = crlog.ConcurrentRotatingFileHandler(sys.argv[1])
handler.setFormatter(logging.Formatter("%(message)s"))
log = logging.getLogger()
log.setLevel(logging.INFO)
log.addHandler(handler)
def say(count, who=0):
    for n in range(count):
        log.info("%d %d", who, n)
"""


def all_lines(log: Path, workers: int, records: int) -> None:
    assert sorted(lines(log)) == sorted(f"{w} {n}" for w in range(workers) for n in range(records))
    assert crlog.stat(log) is None, "something of it is left in memory"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("records", [1, 5, 2000])
def test_default_signal_leaves_all_lines_in_the_file(log: Path, python: Python, number: int, records: int) -> None:
    program = HEAD + "say(int(sys.argv[2])); os.kill(os.getpid(), int(sys.argv[3])); time.sleep(20); os._exit(7)"
    python(program, log, records, int(number), status=-number)
    all_lines(log, 1, records)


def test_default_signal_ends_a_main_thread_that_runs_c(log: Path, python: Python) -> None:
    """No handler of Python's would run meanwhile."""
    program = """
    say(100)
    if os.fork() == 0:
        handler._forget(); time.sleep(0.3); os.kill(os.getppid(), signal.SIGTERM); os._exit(0)
    sum(range(10**11))
    """
    python(HEAD + textwrap.dedent(program), log, status=-signal.SIGTERM)
    all_lines(log, 1, 100)


def test_default_signal_of_a_log_opened_by_a_thread(log: Path, python: Python) -> None:
    program = """
    import threading
    beside = threading.Thread(target=say, args=(300,)); beside.start(); beside.join()
    os.kill(os.getpid(), signal.SIGTERM); time.sleep(20)
    """
    python(HEAD + textwrap.dedent(program), log, status=-signal.SIGTERM)
    all_lines(log, 1, 300)


def test_disposition_of_signals_looks_untouched(log: Path, python: Python) -> None:
    """What Python shows of it, what is put back, and what an ignored signal does."""
    program = """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    say(10)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    os.kill(os.getpid(), signal.SIGHUP)          # ignored still
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *a: seen.append(a[0]))
    assert before == signal.SIG_DFL
    for n in range(3):
        os.kill(os.getpid(), signal.SIGTERM); say(1)
    assert seen == [signal.SIGTERM] * 3, seen
    signal.signal(signal.SIGTERM, before)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if (child := os.fork()) == 0:
        time.sleep(20); os._exit(7)
    time.sleep(0.2)
    os.kill(child, signal.SIGTERM)               # has not logged: nothing to wait for
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    import subprocess
    child = subprocess.Popen(["sleep", "20"])
    child.terminate()
    assert child.wait() == -signal.SIGTERM
    """
    python(HEAD + textwrap.dedent(program), log)
    assert len(lines(log)) == 13


GRACEFUL = """
asked = []
def graceful(number, frame):
    asked.append(number)
def serve():
    before = signal.signal(signal.SIGTERM, graceful)
    if sys.argv[2] == "inside":
        say(1, 1)
    os.kill(os.getppid(), signal.SIGUSR1)
    busy = float(sys.argv[3])
    n = 0
    while not asked:
        if busy:
            log.info("2 %d", n); n += 1
        time.sleep(busy or 0.01)
    say(5)
    signal.signal(signal.SIGTERM, before)
    signal.raise_signal(asked[0])
if sys.argv[2] == "before":
    say(1, 1)
serve()
"""


@pytest.mark.parametrize("busy", [0, 0.0005, 0.003])
@pytest.mark.parametrize("opened", ["before", "inside", "after"])
def test_signal_raised_again_leaves_all_lines_in_the_file(log: Path, tmp_path: Path, opened: str, busy: float) -> None:
    """As uvicorn ends: its own handler, a graceful end, the default put back, and the signal once more."""
    program = tmp_path / "graceful.py"
    program.write_text(HEAD + GRACEFUL)
    ready: list[int] = []
    old = signal.signal(signal.SIGUSR1, lambda *_: ready.append(1))
    try:
        child = subprocess.Popen([sys.executable, program, log, opened, str(busy)], stderr=subprocess.PIPE)
        while not ready and child.poll() is None:
            signal.sigtimedwait([], 0.01)
        signal.sigtimedwait([], 0.3)
        child.terminate()
        _, errors = child.communicate(timeout=30)
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert (child.returncode, errors) == (-signal.SIGTERM, b"")
    found = lines(log)
    assert found[-5:] == [f"0 {n}" for n in range(5)]
    busy_lines = [line for line in found if line.startswith("2 ")]
    assert busy_lines == [f"2 {n}" for n in range(len(busy_lines))] and bool(busy_lines) == bool(busy)
    assert found.count("1 0") == (opened != "after")
    drain(log)


POOL = """
import multiprocessing
def work(n):
    for i in range(20):
        log.info("%d %d", n, i)
    if sys.argv[2] == "killed" and n % 4 == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return n
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    if sys.argv[2] == "pool":
        with context.Pool(4) as p:
            p.map(work, range(8))
    else:
        workers = [context.Process(target=work, args=(n,)) for n in range(8)]
        [w.start() for w in workers]
        [w.join() for w in workers]
    if len(sys.argv) > 3:
        handler.close()
        os._exit(0)
"""


@pytest.mark.parametrize("close", [[], ["close"]])
@pytest.mark.parametrize("kind", ["pool", "killed"])
def test_parent_that_never_logged_leaves_nothing_in_memory(log: Path, python: Python, kind: str, close: list[str]) -> None:
    """multiprocessing ends the workers of a pool by SIGTERM; the kernel ends others by SIGKILL."""
    python(HEAD + POOL, log, kind, *close)
    all_lines(log, 8, 20)


@pytest.mark.parametrize("imported_by", ["parent", "child"])
def test_short_process_that_os_exit_ends_has_its_lines_in_the_file(log: Path, python: Python, imported_by: str) -> None:
    program = "import os\nif os.fork() == 0:\n" + textwrap.indent(HEAD + "say(200); os._exit(0)", "    ") + "\nos.wait()\n"
    python("import crlog\n" + program if imported_by == "parent" else program, log)
    found = lines(log)
    drain(log)
    assert found == [f"0 {n}" for n in range(200)]


FULL = """
full = sys.argv[2:]
options = dict(option.split("=") for option in full if "=" in option)
if "close_timeout" in options:
    options["close_timeout"] = float(options["close_timeout"])
if "report_at_exit" in options:
    options["report_at_exit"] = options["report_at_exit"] == "True"
log.removeHandler(handler)
handler = crlog.ConcurrentRotatingFileHandler(sys.argv[1], **options)
log.addHandler(handler)
"""

WORK = """
for n in range(300):
    log.info("%3d %s", n, "x" * 1019)
if "shutdown" in full:
    logging.shutdown()
if "signal" in full:
    os.kill(os.getpid(), signal.SIGTERM); time.sleep(30); os._exit(7)
if "second" in full:
    more = [crlog.ConcurrentRotatingFileHandler(sys.argv[1] + str(n), **options) for n in range(3)]
    for n, other in enumerate(more):
        for m in range(200):
            other.emit(logging.makeLogRecord({"msg": "x" * 1000}))
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", place], capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here: no rights")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize(
    "how, seconds",
    [
        (["overflow=drop"], 1),
        (["overflow=drop", "shutdown"], 1),
        (["close_timeout=2", "shutdown"], 2),
        (["close_timeout=2", "signal"], 2),
        (["overflow=drop", "second"], 1),
        ([], 5),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_full_disk_ends_within_the_limit_and_says_what_is_left(
    small_disk: Path, python: Python, how: list[str], seconds: float
) -> None:
    log = small_disk / "app.log"
    began = time.monotonic()
    status = -signal.SIGTERM if "signal" in how else 0
    done = python(HEAD + FULL + WORK, log, *how, silent=False, status=status)
    took = time.monotonic() - began
    assert seconds - 0.5 < took < seconds + 4, took
    said = done.stderr.splitlines()
    assert len(said) == (4 if "second" in how else 1), done.stderr
    (left,) = [int(m[1]) for line in said if (m := re.search(r"(\d+) records .*crlog recover \S*app\.log(?:`|$)", line))]
    assert "No space left on device" in said[0] and "/dev/shm/crlog-" in said[0]
    written = log.read_text().splitlines()
    assert len(written) >= 80 and len(written) + left == 300
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    subprocess.run([sys.executable, "-m", "crlog", "recover", log], check=True, capture_output=True)
    for n in range(3 if "second" in how else 0):
        subprocess.run([sys.executable, "-m", "crlog", "recover", f"{log}{n}"], check=True, capture_output=True)
    assert [line[:3] for line in log.read_text().splitlines()] == [f"{n:3}" for n in range(300)]


def test_report_at_exit_can_be_switched_off(small_disk: Path, python: Python) -> None:
    log = small_disk / "app.log"
    python(HEAD + FULL + WORK, log, "close_timeout=0.2", "report_at_exit=False")
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    drain(log)
    assert len(log.read_text().splitlines()) == 300


def test_close_of_what_cannot_be_written_raises_within_the_limit(small_disk: Path) -> None:
    log = small_disk / "app.log"
    handler = crlog.ConcurrentRotatingFileHandler(log, close_timeout=0.3)
    for n in range(300):
        handler.emit(logging.makeLogRecord({"msg": "x" * 1000}))
    began = time.monotonic()
    with pytest.raises(crlog.NotFlushed, match=r"\d+ records .*crlog recover"):
        handler.close()
    assert time.monotonic() - began < 3
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    handler.close_timeout = 20
    handler.close()
    assert len(log.read_text().splitlines()) == 300


@pytest.mark.parametrize("end", ["pass", "logging.shutdown()", "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)"])
def test_stopped_flusher_lets_others_end_within_the_limit(log: Path, tmp_path: Path, python: Python, end: str) -> None:
    program = tmp_path / "flusher.py"
    program.write_text(HEAD + "log.info('first'); handler.flush(); print('ready', flush=True); time.sleep(60)")
    flusher = subprocess.Popen([sys.executable, program, log], stdout=subprocess.PIPE)
    try:
        assert flusher.stdout and flusher.stdout.readline() == b"ready\n"
        flusher.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        status = -signal.SIGTERM if "SIGTERM" in end else 0
        done = python(HEAD + FULL + "say(5)\n" + end, log, "close_timeout=1", status=status, silent=False)
        assert 0.7 < time.monotonic() - began < 5
        (line,) = done.stderr.splitlines()
        assert re.search(rf"5 records .*process {flusher.pid} .*stopped", line), line
    finally:
        flusher.send_signal(signal.SIGCONT)
        flusher.terminate()
        flusher.communicate(timeout=20)
    assert lines(log) == ["first", *(f"0 {n}" for n in range(5))]
