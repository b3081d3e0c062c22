"""Processes that come and go in every way there is."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable

import crlog
import pytest
from conftest import drain, lines
from crlog import ConcurrentRotatingFileHandler, ConcurrentTimedRotatingFileHandler

Python = Callable[..., Any]


def expected(workers: int, records: int) -> list[str]:
    return sorted(f"{w} {i}" for w in range(workers) for i in range(records))


def assert_complete(log: Path, workers: int, records: int) -> None:
    """Every line once, none torn, each worker's in order."""
    found = lines(log)
    assert sorted(found) == expected(workers, records)
    for w in range(workers):
        assert [line for line in found if line.startswith(f"{w} ")] == [f"{w} {i}" for i in range(records)]


def work(logger: logging.Logger, worker: int, records: int) -> None:
    for i in range(records):
        logger.info("%d %d", worker, i)


def spawned(handler: logging.Handler, worker: int, records: int) -> None:
    logger = logging.getLogger("spawned")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    work(logger, worker, records)


def forked(end: Callable[[], None], body: Callable[[], None]) -> int:
    """Forks a child that runs `body` and ends by `end`; its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        body()
        end()
    finally:
        os._exit(99)  # only if `end` did not


@pytest.mark.parametrize("parent_logged", [False, True])
@pytest.mark.parametrize("end", [lambda: os._exit(0), lambda: os.kill(os.getpid(), signal.SIGKILL)])
def test_forked_children_use_their_parents_handler(
    log: Path, logger: logging.Logger, parent_logged: bool, end: Callable[[], None]
) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, maxBytes=20_000, backupCount=100))
    if parent_logged:
        work(logger, 4, 1000)
    children = [forked(end, lambda n=n: work(logger, n, 1000)) for n in range(4)]
    for child in children:
        os.waitpid(child, 0)
    if not parent_logged:
        work(logger, 4, 1000)
    h.flush()
    assert_complete(log, 5, 1000)


def test_what_os_exit_left_in_memory_is_written_by_whoever_comes_next(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(ConcurrentRotatingFileHandler(log))
    os.waitpid(forked(lambda: os._exit(0), lambda: work(logger, 0, 1000)), 0)
    drain(log)
    assert_complete(log, 1, 1000)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("kind", [ConcurrentRotatingFileHandler, ConcurrentTimedRotatingFileHandler])
def test_workers_of_multiprocessing_have_all_their_lines_in_the_file_when_they_have_ended(
    log: Path, method: str, kind: type
) -> None:
    handler = kind(log, maxBytes=20_000, backupCount=200) if kind is ConcurrentRotatingFileHandler else kind(log, "D")
    handler.setFormatter(logging.Formatter("%(message)s"))
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=spawned, args=(handler, n, 500)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert crlog.stat(log) is None, "the last one wrote everything and left nothing in memory"
    assert_complete(log, 3, 500)


def test_a_handler_is_the_same_after_pickling(log: Path) -> None:
    handler = ConcurrentRotatingFileHandler(log, "a", 1234, 5, "utf-8", chmod=0o600, overflow="drop", ring_size="1 MiB")
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.setLevel(logging.WARNING)
    handler.emit(logging.makeLogRecord({"msg": "1", "levelname": "A"}))
    copy = pickle.loads(pickle.dumps(handler))
    assert copy._log_options() == handler._log_options() and copy.level == logging.WARNING
    copy.emit(logging.makeLogRecord({"msg": "2", "levelname": "B"}))
    copy.close()
    handler.close()
    assert lines(log) == ["A 1", "B 2"]


@pytest.mark.parametrize(
    "end",
    [
        "pass",
        "logging.shutdown()",
        "import sys; sys.exit(0)",
        "raise SystemExit",
        "import os; logging.shutdown(); os._exit(0)",
    ],
)
def test_a_program_that_ended_has_all_its_lines_in_the_file(log: Path, python: Python, end: str) -> None:
    python(
        f"""
        import logging, sys, crlog
        logging.basicConfig(level=1, format="%(message)s", handlers=[crlog.ConcurrentRotatingFileHandler(sys.argv[1])])
        for i in range(1000):
            logging.info("0 %d", i)
        {end}
        """,
        log,
    )
    assert crlog.stat(log) is None
    assert_complete(log, 1, 1000)


def test_an_exception_ends_a_program_as_ever(log: Path, python: Python) -> None:
    done = python(
        """
        import logging, sys, crlog
        logging.basicConfig(level=1, format="%(message)s", handlers=[crlog.ConcurrentRotatingFileHandler(sys.argv[1])])
        logging.info("0 0")
        1 / 0
        """,
        log,
        status=1,
        silent=False,
    )
    assert "ZeroDivisionError" in done.stderr and "crlog" not in done.stderr
    assert_complete(log, 1, 1)


def test_destructors_may_log_to_the_very_end(log: Path, python: Python) -> None:
    python(
        """
        import logging, sys, crlog
        logging.basicConfig(level=1, format="%(message)s", handlers=[crlog.ConcurrentRotatingFileHandler(sys.argv[1])])
        class Late:
            def __del__(self):
                logging.info("0 1")
        import builtins
        builtins.late = Late()          # lives until the interpreter is taken down
        logging.info("0 0")
        """,
        log,
    )
    drain(log)
    assert_complete(log, 1, 2)


def test_signal_handlers_may_log(log: Path, python: Python) -> None:
    python(
        """
        import logging, signal, sys, crlog
        logging.basicConfig(level=1, format="%(message)s", handlers=[crlog.ConcurrentRotatingFileHandler(sys.argv[1])])
        seen = 0
        def tick(*_):
            global seen
            logging.info("1 %d", seen)
            seen += 1
            signal.setitimer(signal.ITIMER_REAL, 0.001)
        signal.signal(signal.SIGALRM, tick)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        i = 0
        while seen < 100:
            logging.info("0 %d", i)
            i += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        """,
        log,
    )
    found = lines(log)
    for who in "01":
        mine = [line for line in found if line.startswith(who)]
        assert mine == [f"{who} {i}" for i in range(len(mine))] and len(mine) >= 100


def test_ctrl_c_ends_a_call_that_waits_for_room(log: Path, python: Python) -> None:
    """The flusher is another process, which is stopped."""
    done = python(
        """
        import logging, os, signal, sys, time, crlog
        handler = lambda: crlog.ConcurrentRotatingFileHandler(sys.argv[1], ring_size="256 KiB")
        ready, tell = os.pipe()
        child = os.fork()
        if child == 0:
            h = handler()
            h.emit(logging.makeLogRecord({"msg": "first"}))
            h.flush()
            os.write(tell, b"x")
            time.sleep(60)
        os.read(ready, 1)
        h = handler()
        h.stats()
        os.kill(child, signal.SIGSTOP)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        written = 0
        try:
            while True:
                h.emit(logging.makeLogRecord({"msg": "x" * 1000}))
                written += 1
        except KeyboardInterrupt:
            print("interrupted", written)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        begun = time.monotonic()
        try:
            h.flush()
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - begun < 10)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        h.close()
        print(sum(1 for line in open(sys.argv[1]) if line.startswith("x")) == written)
        """,
        log,
    )
    first, second, third = done.stdout.splitlines()
    assert first.startswith("interrupted ") and int(first.split()[1]) > 50
    assert second == "interrupted True" and third == "True"


def test_processes_that_begin_anew_at_once_empty_the_file_once(log: Path, python: Python) -> None:
    """Mode "w": whoever comes a little later must not take what the first one has written."""
    done = python(
        """
        import logging, os, sys, crlog
        path, workers = sys.argv[1], 4
        for round in range(40):
            with open(path, "w") as file:
                file.write("old\\n")
            start, logged, end = os.pipe(), os.pipe(), os.pipe()
            for worker in range(workers):
                if os.fork() == 0:
                    os.close(start[1]), os.close(end[1])
                    os.read(start[0], 1)
                    h = crlog.ConcurrentRotatingFileHandler(path, "w")
                    h.emit(logging.makeLogRecord({"msg": str(worker)}))
                    h.flush()
                    os.write(logged[1], b"x")
                    os.read(end[0], 1)
                    h.close()
                    os._exit(0)
            os.close(start[1])
            got = 0
            while got < workers:
                got += len(os.read(logged[0], workers))
            with open(path) as file:
                found = sorted(file.read().split())
            if found != ["0", "1", "2", "3"]:
                print(round, found)
            os.close(end[1])
            for _ in range(workers):
                assert os.wait()[1] == 0
            for fd in (start[0], *logged, end[0]):
                os.close(fd)
        """,
        log,
    )
    assert done.stdout == ""


def test_daemon_threads_that_log_at_the_end_harm_nobody(log: Path, python: Python) -> None:
    python(
        """
        import logging, sys, threading, time, crlog
        logging.raiseExceptions = True
        logging.basicConfig(level=1, format="%(message)s", handlers=[crlog.ConcurrentRotatingFileHandler(sys.argv[1])])
        def talk():
            i = 0
            while True:
                logging.info("0 %d", i)
                i += 1
        for _ in range(2):
            threading.Thread(target=talk, daemon=True).start()
        time.sleep(0.3)
        """,
        log,
    )
    drain(log)
    assert len(lines(log)) > 100


def test_asyncio_tasks_log_without_waiting(log: Path, python: Python) -> None:
    python(
        """
        import asyncio, logging, sys, crlog
        logging.basicConfig(level=20, format="%(message)s", handlers=[crlog.ConcurrentRotatingFileHandler(sys.argv[1])])
        async def task(n):
            for i in range(500):
                logging.info("%d %d", n, i)
                await asyncio.sleep(0)
        async def main():
            await asyncio.gather(*(task(n) for n in range(4)))
        asyncio.run(main())
        """,
        log,
    )
    assert_complete(log, 4, 500)


def test_eight_processes_and_rotation_lose_nothing(log: Path, python: Python) -> None:
    python(
        """
        import logging, multiprocessing, sys, crlog
        def work(n):
            handler = crlog.ConcurrentRotatingFileHandler(sys.argv[1], maxBytes=65536, backupCount=1000)
            logging.basicConfig(level=1, format="%(message)s", handlers=[handler])
            for i in range(5000):
                logging.info("%d %d", n, i)
        if __name__ == "__main__":
            workers = [multiprocessing.Process(target=work, args=(n,)) for n in range(8)]
            for w in workers: w.start()
            for w in workers: w.join()
            assert all(w.exitcode == 0 for w in workers)
        """,
        log,
    )
    assert_complete(log, 8, 5000)
    assert log.with_name("app.log.1").exists()


def test_workers_killed_at_random_lose_nothing_that_they_had_logged(log: Path, logger: logging.Logger) -> None:
    """Each child says through a pipe how many calls have returned."""
    children = []
    for n in range(6):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            handler = ConcurrentRotatingFileHandler(log, maxBytes=50_000, backupCount=1000)
            for i in range(1_000_000):
                handler.emit(logging.makeLogRecord({"msg": f"{n} {i}"}))
                if i % 50 == 0:
                    os.write(writer, b"x")
            os._exit(0)
        os.close(writer)
        children.append((pid, reader))
    time.sleep(0.5)
    said = []
    for pid, reader in children:
        time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        count = 0
        while chunk := os.read(reader, 65536):
            count += len(chunk)
        os.close(reader)
        said.append(50 * (count - 1) + 1 if count else 0)
    drain(log)
    found = lines(log)
    for n, acknowledged in enumerate(said):
        mine = [line for line in found if line.startswith(f"{n} ")]
        assert mine == [f"{n} {i}" for i in range(len(mine))] and len(mine) >= acknowledged > 0


def test_a_stopped_process_stops_nobody(log: Path, logger: logging.Logger) -> None:
    logger.addHandler(h := ConcurrentRotatingFileHandler(log))
    logger.info("first")  # so that this process flushes
    ready, tell = os.pipe()

    def talk() -> None:
        logger.info("child")
        os.write(tell, b"x")
        while True:
            logger.info("child")

    child = forked(lambda: os._exit(0), talk)
    os.read(ready, 1)
    try:
        os.kill(child, signal.SIGSTOP)
        begun = time.monotonic()
        for _ in range(1000):
            logger.info("parent")
        assert time.monotonic() - begun < 5
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    h.flush()
    assert lines(log).count("parent") == 1000


@pytest.mark.parametrize("tool", [["-m", "crlog"]])
def test_the_tools_run_in_this_interpreter(log: Path, logger: logging.Logger, tool: list[str], tmp_path: Path) -> None:
    import subprocess

    def run(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, *tool, *arguments], capture_output=True, text=True, timeout=120, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    logger.addHandler(h := ConcurrentRotatingFileHandler(log, backupCount=1))
    logger.info("x")
    assert "flusher" in run("stat", str(log))
    assert "every acknowledged record" in run("stress", "--processes", "2", "--records", "500", "--sidecars", "1")
    assert "stress" in run("--help")
    h.flush()
    assert run("tail", str(log)) == "x\n"
    run("rotate", str(log))
    h.close()


def test_without_a_thread_records_wait_for_flush(log: Path, logger: logging.Logger) -> None:
    before = set(os.listdir("/proc/self/task"))
    logger.addHandler(h := ConcurrentRotatingFileHandler(log, flusher_thread=False))
    work(logger, 0, 100)
    assert set(os.listdir("/proc/self/task")) <= before and log.read_text() == ""
    h.flush()
    assert_complete(log, 1, 100)


def test_a_sidecar_flushes_for_python(log: Path, logger: logging.Logger) -> None:
    import subprocess

    sidecar = subprocess.Popen(
        [sys.executable, "-c", "import sys; from crlog.__main__ import flusher; sys.exit(flusher())", str(log)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        end = time.monotonic() + 20
        while not ((found := crlog.stat(log)) and found["flusher"]) and time.monotonic() < end:
            time.sleep(0.01)
        logger.addHandler(h := ConcurrentRotatingFileHandler(log))
        work(logger, 0, 1000)
        h.flush()
        flusher = h.stats()["flusher"]
        assert flusher["sidecar"] and flusher["pid"] == sidecar.pid
        assert_complete(log, 1, 1000)
        h.close()
    finally:
        sidecar.terminate()
        assert sidecar.wait(20) in (0, 143, -15)
