"""Servers of every kind, each with a reload, a killed worker, an orderly end and a restart. The last lines are what counts: a
server may end by `exit`, by `os._exit`, or by the very signal that it caught."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from . import load, needs
from .run import children, free_port, until

ROUND = 40
LINES = {"web": 5, "asgi": 3}
KEPT = 2  # workers

PLAIN = ["-m", "gunicorn", "-w", KEPT, "--graceful-timeout", 10]
# Name -> package, command, application, exit statuses of an orderly end, signal that reloads.
SERVERS = {
    "gunicorn-sync": ("gunicorn", PLAIN, "web", signal.SIGHUP),
    "gunicorn-gthread": ("gunicorn", [*PLAIN, "-k", "gthread", "--threads", 4], "web", signal.SIGHUP),
    "gunicorn-gevent": ("gevent", [*PLAIN, "-k", "gevent"], "web", signal.SIGHUP),
    "gunicorn-uvicorn": ("uvicorn_worker", [*PLAIN, "-k", "uvicorn_worker.UvicornWorker"], "asgi", signal.SIGHUP),
    "uvicorn": ("uvicorn", ["-m", "uvicorn"], "asgi", None),
    "uvicorn-workers": ("uvicorn", ["-m", "uvicorn", "--workers", KEPT], "asgi", signal.SIGHUP),
    "uwsgi": ("uwsgi", ["--master", "--lazy-apps", "--die-on-term", "--processes", KEPT], "web", signal.SIGHUP),
}


class Server:
    """One run of a server."""

    def __init__(self, place, kind: str, number: int):
        _, command, application, self.reload = SERVERS[kind]
        self.kind, self.port, name = kind, free_port(), f"{kind}{number}"
        if kind == "uwsgi":
            argv = [needs.tool("uwsgi"), *command, "--http-socket", f"127.0.0.1:{self.port}", "--module", f"{application}:app"]
            self.program = place.run(argv, name=name)
        else:
            address = ["--port", self.port] if "uvicorn" == command[1] else ["-b", f"127.0.0.1:{self.port}"]
            self.program = place.python(*command, *address, f"{application}:app", name=name)
        load.until_served(self.program, self.port)

    def ask(self, numbers: range) -> set[int]:
        """All requests are answered; by whom."""
        answers = load.requests(self.program, self.port, [f"/r/{n}" for n in numbers])
        got = [a for a in answers.values() if isinstance(a, Exception) or a[0] != 200]
        assert len(answers) == len(numbers) and not got, (got, self.program.stderr[-3000:])
        return {int(body) for _, body in answers.values()}

    def ask_for_one(self) -> int:
        """A worker that answers now. Its request is not counted."""
        found: list[int] = []

        def answered() -> bool:
            try:
                status, body = load.get(self.port, "/r/1000")
            except (OSError, load.http.client.HTTPException):
                return False
            found.append(int(body))
            return status == 200

        until(answered, f"{self.kind} answers")
        return found[-1]

    def wait_for_all_workers(self, place, killed: frozenset[int] | set[int] = frozenset()) -> None:
        """A signal that reaches a worker before its own handlers are there is lost, and the server waits for it."""
        if self.kind == "uvicorn":
            return

        def up() -> bool:
            text = b"".join(path.read_bytes() for path in place.logs.glob("app.log*"))
            loaded = {int(pid) for pid in re.findall(rb" web (\d+) (?:loaded|begins)<#", text)}
            return len(loaded & set(children(self.program.pid)) - killed) == KEPT

        until(up, f"{self.kind} has all its workers")
        # It loads before it is ready, and says nothing of it.
        time.sleep(0.3 if self.kind == "uwsgi" else 0)

    def reload_if_possible(self, place, before: set[int]) -> None:
        if self.reload is None:
            return
        self.wait_for_all_workers(place)
        self.program.signal(self.reload)
        until(lambda: self.ask_for_one() not in before, f"{self.kind} is reloaded")
        self.wait_for_all_workers(place, before)
        until(lambda: not before & set(children(self.program.pid)), f"the workers before the reload have ended: {before}")

    def kill_one(self, killed: set[int]) -> None:
        victim = self.ask_for_one()
        os.kill(victim, signal.SIGKILL)
        killed.add(victim)

    def end(self) -> None:
        workers = children(self.program.pid)
        self.program.signal(signal.SIGTERM)
        status = self.program.process.wait(60)
        until(lambda: all(has_ended(pid) for pid in workers), f"the workers of {self.kind} have ended")
        assert status in (0, -signal.SIGTERM), (status, self.program.stderr[-3000:])
        self.program.ends(status)


def has_ended(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("kind", SERVERS)
def test_server_that_is_reloaded_killed_ended_and_restarted_keeps_all_lines(place, kind):
    needs.package_or_skip(SERVERS[kind][0])
    killed: set[int] = set()
    server = Server(place, kind, 0)
    pids = server.ask(range(ROUND))
    server.reload_if_possible(place, pids)
    server.ask(range(ROUND, 2 * ROUND))
    server.kill_one(killed)
    if killed == {server.program.pid}:
        server.program.process.wait(60)
        server = Server(place, kind, 1)
    else:
        server.wait_for_all_workers(place, killed)
    server.ask(range(2 * ROUND, 3 * ROUND))
    server.wait_for_all_workers(place, killed)
    server.end()
    assert_complete(place, kind, range(3 * ROUND), killed)

    server = Server(place, kind, 2)
    server.ask(range(3 * ROUND, 4 * ROUND))
    server.wait_for_all_workers(place, killed)
    server.end()
    report = assert_complete(place, kind, range(4 * ROUND), killed)
    assert place.is_closed(), "its memory was left behind"
    if SERVERS[kind][2] == "asgi":
        for pid in {r.pid for r in report.records if r.text.endswith(" begins")} - killed:
            lines = [r for r in report.records if r.pid == pid and " goodbye line=" in r.text]
            assert len(lines) == 5, pid


def assert_complete(place, kind: str, numbers: range, killed: set[int]):
    report = place.look(killed=killed, rotations=1).raise_if_bad()
    lines = sorted((str(n), str(line)) for n in numbers for line in range(LINES[SERVERS[kind][2]]))
    assert sorted(found for found in report.found(r"request=(\d+) line=(\d+)") if found[0] != "1000") == lines
    return report
