"""``python -m crlog``, ``crlog`` and ``crlog-flusher``: the tools of crlog, in this interpreter."""

from __future__ import annotations

import signal
import sys

from ._crlog import run_tool


def _run(flusher: bool) -> int:
    # The tools handle signals as programs do that are not Python's.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    name = "crlog-flusher" if flusher else "crlog"
    return run_tool(flusher, [name, *sys.argv[1:]], [sys.executable, "-m", "crlog"])


def crlog() -> int:
    """The program ``crlog``."""
    return _run(flusher=False)


def flusher() -> int:
    """The program ``crlog-flusher``, the sidecar."""
    return _run(flusher=True)


if __name__ == "__main__":
    sys.exit(crlog())
