"""gunicorn with four workers that are replaced again and again, under a load of requests."""

import os
import signal
import socket
import threading
import time

import pytest

from . import load
from .run import PROGRAMS, catches, children, until

REQUESTS = 500
LINES = 5


@pytest.fixture
def start(place):
    """Starts gunicorn on a socket that listens already, so that no port has to be guessed and no request is refused."""
    sockets = []

    def start(*options: str):
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        sockets.append(listener)
        fd = listener.fileno()
        config = PROGRAMS / "gunicorn.conf.py"
        argv = ["-m", "gunicorn", "-c", config, "-w", "4", "-b", f"fd://{fd}", *options, "web:app"]
        program = place.python(*argv, name="gunicorn", pass_fds=[fd])
        return program, listener.getsockname()[1]

    yield start
    for listener in sockets:
        listener.close()


def paths() -> list[str]:
    return [f"/r/{n}" for n in range(REQUESTS)]


def until_all_are_up(program, killed=frozenset()) -> None:
    """Waits for four workers that can be told to end.

    A SIGTERM that reaches a worker between its fork and the moment when it catches signals by itself is lost: gunicorn then waits for
    its graceful timeout and kills that worker. The last signal that a worker prepares for, and its master does not, is SIGABRT.
    """

    def up() -> bool:
        workers = children(program.pid)
        return len(workers) == 4 and not killed & set(workers) and all(catches(pid, signal.SIGABRT) for pid in workers)

    until(up, "all workers are up")


def check_lines(report, numbers: range) -> None:
    lines = sorted((str(n), str(line)) for n in numbers for line in range(LINES))
    assert sorted(report.found(r"request=(\d+) line=(\d+)")) == lines
    assert sorted(report.found(r"access=/r/(\d+)")) == sorted((str(n),) for n in numbers)


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["", "preload"])
def test_workers_that_come_and_go_write_one_log(place, start, options):
    program, port = start("--max-requests", "60", "--max-requests-jitter", "30", *options)
    answers = load.requests(program, port, paths())
    assert len(answers) == REQUESTS, program.stderr
    bad = {path: a for path, a in answers.items() if isinstance(a, Exception) or a[0] != 200}
    assert not bad
    workers = {int(body) for _, body in answers.values()}
    assert len(workers) >= 4, "some workers were not replaced or not used"
    until_all_are_up(program)
    program.signal(signal.SIGTERM).ends()

    report = place.look(rotations=4).raise_if_bad()
    check_lines(report, range(REQUESTS))
    loaded = {r.pid for r in report.records if r.text.endswith(" loaded")}
    if options:
        assert loaded == {program.pid}
    else:
        assert program.pid not in loaded and loaded >= workers
    assert report.pids >= workers | {program.pid}
    assert len(report.found("Handling signal: term")) == 1
    assert len(report.found("Shutting down: Master")) == 1


def test_a_reload_under_load_loses_nothing(place, start):
    program, port = start()
    answers = {}
    client = threading.Thread(target=lambda: answers.update(load.requests(program, port, paths())))
    client.start()
    assert load.get(port, f"/r/{REQUESTS}")[0] == 200
    until_all_are_up(program)
    program.signal(signal.SIGHUP)
    client.join()
    assert sum(a[0] == 200 for a in answers.values() if not isinstance(a, Exception)) == REQUESTS, answers
    until_all_are_up(program)
    program.signal(signal.SIGTERM).ends()

    report = place.look(rotations=4).raise_if_bad()
    check_lines(report, range(REQUESTS + 1))
    assert len([r for r in report.records if r.text.endswith(" loaded")]) == 4 + 4
    assert len(report.found("Handling signal: hup")) == 1


def test_workers_killed_under_load_leave_whole_lines_and_all_of_them(place, start):
    """Three are killed with SIGKILL in the middle of their work. gunicorn starts others, and says so in the log."""
    program, port = start()
    answers = {}
    client = threading.Thread(target=lambda: answers.update(load.requests(program, port, paths())))
    client.start()
    killed = set()
    for n in range(3):
        status, body = load.get(port, f"/r/{REQUESTS + n}")
        pid = int(body)
        if status == 200 and pid not in killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        time.sleep(0.1)  # spread over the load; nothing depends on it
    client.join()
    assert len(killed) >= 2
    answered = [int(path.rpartition("/")[2]) for path, a in answers.items() if not isinstance(a, Exception) and a[0] == 200]
    assert REQUESTS - len(answered) <= len(killed), "a killed worker takes no more than its own request with it"
    until_all_are_up(program, killed)
    program.signal(signal.SIGTERM).ends()

    report = place.look(rotations=4, killed=killed).raise_if_bad()
    lines = set(report.found(r"request=(\d+) line=(\d+)"))
    assert lines >= {(str(n), str(line)) for n in answered for line in range(LINES)}
    said = {int(pid) for (pid,) in report.found(r"\(pid:(\d+)\) was sent SIGKILL")}
    assert said == killed
