"""What the tests share."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Callable, Iterator

import crlog
import pytest


def pytest_report_header() -> list[str]:
    """What cannot be had here, said at the start."""
    from real import needs

    return [f"NOT INSTALLED, tests that need it are skipped: {name}" for name in needs.missing()]

# A host such as nohup may have set it to be ignored, which every program of a test would inherit.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def archives(log: Path) -> list[Path]:
    """The rotated files of a numbered chain, the oldest first."""
    found = [(int(m[1]), p) for p in log.parent.iterdir() if (m := re.fullmatch(re.escape(log.name) + r"\.(\d+)", p.name))]
    return [path for _, path in sorted(found, reverse=True)]


def lines(log: Path) -> list[str]:
    """All lines, the oldest first; the last one must be whole."""
    text = "".join(path.read_text(encoding="utf-8") for path in [*archives(log), log])
    assert text == "" or text.endswith("\n"), "a torn line at the end"
    return text.splitlines()


def drain(log: Path) -> None:
    """What processes that were killed left in memory reaches the file."""
    handler = crlog.ConcurrentRotatingFileHandler(log)
    handler.stats()
    handler.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger whose handlers are closed in the end."""
    logger = logging.Logger("test", logging.DEBUG)
    logger.propagate = False
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


@pytest.fixture(autouse=True)
def nothing_stays_in_memory(tmp_path: Path) -> Iterator[None]:
    """At the end of a test no process has its log open, and no shared memory of it is left."""
    yield
    for log in {path.name: path for path in tmp_path.rglob("*.log")}.values():
        assert crlog.stat(log) is None, f"{log} is still open somewhere"


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program in another interpreter; it must end well and say nothing on standard error, unless told otherwise."""

    def run(program: str, *arguments: Any, status: int = 0, silent: bool = True) -> subprocess.CompletedProcess[str]:
        file = tmp_path / f"program_{len(list(tmp_path.glob('program_*')))}.py"
        file.write_text(textwrap.dedent(program), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(file), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.returncode == status, done.stderr + done.stdout
        if silent:
            assert done.stderr == "", done.stderr
        return done

    return run
