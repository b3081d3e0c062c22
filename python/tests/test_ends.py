"""How a process ends: by a signal, by its pool, by the kernel. What it logged is in the file, and nothing stays in memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
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

