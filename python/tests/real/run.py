"""Starts real programs, waits for them with a limit, and leaves none behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Sequence

from . import checker

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
HANDLER_MODULE = os.environ.get("CRLOG_HANDLER_MODULE", "crlog")
LIMIT = 60.0  # seconds for anything that is waited for; nothing here needs a tenth of it on an idle machine

# What Python, logging and Rust print when something went wrong in a place that cannot raise.
BAD = re.compile(r"Traceback|Logging error|Exception ignored|Fatal Python error|panicked|Segmentation|ResourceWarning|RuntimeError|OSError")


def until(condition: Callable[[], object], what: str, limit: float = LIMIT) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"not within {limit} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def living(pid: int) -> tuple[int, int] | None:
    """Parent and process group, or None for a process that is dead, its parent informed or not."""
    try:
        state, parent, group = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else (int(parent), int(group))


def processes() -> dict[int, tuple[int, int]]:
    """Parent and process group of each process."""
    found = {pid: living(pid) for pid in map(int, filter(str.isdigit, os.listdir("/proc")))}
    return {pid: them for pid, them in found.items() if them}


def children(parent: int) -> list[int]:
    return [pid for pid, (of, _) in processes().items() if of == parent]


def catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for this signal."""
    try:
        (caught,) = re.findall(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.M)
    except (OSError, ValueError):
        return False
    return bool(int(caught, 16) >> number - 1 & 1)


def complaints(stderr: str) -> list[str]:
    """The lines on standard error that no program of ours may print."""
    return [line for line in stderr.splitlines() if BAD.search(line)]


def _as_started_from_a_terminal() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Guard:
    """See guard.py."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, HERE / "guard.py"], stdin=subprocess.PIPE, text=True, start_new_session=True)

    def tell(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(LIMIT)


class Program:
    """A process and its children, which are one process group."""

    def __init__(self, guard: Guard, argv: Sequence[object], out: Path, name: str, env: dict[str, str], **popen):
        self.guard = guard
        self.name = name
        self.stdout_path = out / f"{name}.stdout"
        self.stderr_path = out / f"{name}.stderr"
        with self.stdout_path.open("wb") as stdout, self.stderr_path.open("wb") as stderr:
            self.process = subprocess.Popen(
                [str(a) for a in argv],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=env,
                start_new_session=True,
                preexec_fn=_as_started_from_a_terminal,
                **popen,
            )
        self.pid = self.process.pid
        guard.tell(f"+{self.pid}")

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace")

    def running(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int) -> "Program":
        self.process.send_signal(number)
        return self

    def interrupt_all(self) -> "Program":
        """As Ctrl-C in a terminal does: the whole process group."""
        os.killpg(self.pid, signal.SIGINT)
        return self

    def ends(self, status: int = 0, limit: float = LIMIT) -> "Program":
        """Waits for the end; status, standard error and the children must be as they should."""
        try:
            got = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {limit} s\n{self.stderr[-3000:]}") from None
        assert got == status, f"{self.name} ended with {got}, not {status}\n{self.stderr[-3000:]}"
        assert not complaints(self.stderr), f"{self.name} complains on standard error:\n{self.stderr[-5000:]}"
        until(lambda: not self.left(), f"{self.name} has ended and its children have not: {self.left()}", 10)
        return self

    def left(self) -> list[int]:
        """The living processes of its group."""
        return [pid for pid, (_, group) in processes().items() if group == self.pid]

    def kill(self) -> None:
        """Whatever is left, by its process group. Called for every program in the end."""
        if self.running() or self.left():
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(LIMIT)
        self.guard.tell(f"-{self.pid}")


class Place:
    """A directory with one log, and the programs that write to it."""

    def __init__(self, root: Path, guard: Guard):
        self.root = root
        self.guard = guard
        self.logs = root / "logs"
        self.log = self.logs / "app.log"
        self.tally = root / "tally"
        self.out = root / "out"
        self.tmp = root / "tmp"
        for directory in (self.logs, self.tally, self.out, self.tmp):
            directory.mkdir()
        self.programs: list[Program] = []

    def env(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "CELERY_", "FLASK_", "GUNICORN_", "WERKZEUG_"))}
        paths = [str(PROGRAMS), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.root),
            "TMPDIR": str(self.tmp),
            "CRLOG_HANDLER_MODULE": HANDLER_MODULE,
            "CRLOG_TEST_LOG": str(self.log),
            "CRLOG_TEST_TALLY": str(self.tally),
            **more,
        }

    def python(self, *args: object, name: str, env: dict[str, str] | None = None, **popen) -> Program:
        """Starts the interpreter of the tests with `args`."""
        return self.run([sys.executable, *args], name, env, **popen)

    def run(self, argv: Sequence[object], name: str, env: dict[str, str] | None = None, **popen) -> Program:
        """Starts any program."""
        program = Program(self.guard, argv, self.out, name, self.env(**(env or {})), **{"cwd": self.root, **popen})
        self.programs.append(program)
        return program

    def is_closed(self) -> bool:
        """Whether no process has the log open, and nothing of it is in memory."""
        import crlog

        return HANDLER_MODULE != "crlog" or crlog.stat(self.log) is None

    def open_log(self) -> None:
        """What a start of any program does to a log whose processes were all killed."""
        self.python(PROGRAMS / "open_log.py", name=f"open_log{len(self.programs)}").ends()

    def look(self, **how) -> checker.Report:
        return checker.look(self.log, self.tally / "log", **how)

    def close(self) -> None:
        for program in self.programs:
            program.kill()
