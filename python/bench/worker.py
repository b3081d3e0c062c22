"""One process of a measurement: says that it is ready, waits for the word, calls its loggers, and tells what that took.

Handlers take turns, a block of calls each, so that what disturbs one disturbs all.
"""

from __future__ import annotations

import array
import json
import logging
import logging.handlers
import sys
import time
from pathlib import Path
from typing import Any

FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"
WARM_UP = 200


class Floor(logging.Handler):
    """What any handler costs that formats its records."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.format(record)
        except Exception:
            self.handleError(record)


def handler(kind: str, log: Path, max_bytes: int, backups: int, gzip: bool) -> logging.Handler:
    """One of the handlers that are compared."""
    if kind == "floor":
        return Floor()
    if kind == "file":
        return logging.FileHandler(log, encoding="utf-8")
    if kind == "rotating":
        return logging.handlers.RotatingFileHandler(log, maxBytes=max_bytes, backupCount=backups, encoding="utf-8")
    arguments: dict[str, Any] = {"maxBytes": max_bytes, "backupCount": backups, "encoding": "utf-8", "use_gzip": gzip}
    if kind == "clh":
        from concurrent_log_handler import ConcurrentRotatingFileHandler

        return ConcurrentRotatingFileHandler(log, **arguments)
    import crlog

    return crlog.ConcurrentRotatingFileHandler(log, **arguments)


class Subject:
    """A logger with one handler, and how long its calls took."""

    def __init__(self, kind: str, directory: Path, calls: int, **options: Any) -> None:
        made = handler(kind, directory / f"{kind}.log", **options)
        made.setFormatter(logging.Formatter(FORMAT))
        self.kind, self.made = kind, made
        self.logger = logging.Logger("bench", logging.INFO)
        self.logger.addHandler(made)
        self.times, self.done = array.array("q", bytes(8 * calls)), 0

    def call(self, process: int, calls: int, timed: bool = True) -> None:
        """That many records, each of about 100 bytes, numbered through."""
        info, clock, times, first = self.logger.info, time.perf_counter_ns, self.times, self.done
        for i in range(first, first + calls):
            before = clock()
            info("process %d record %08d took %d ms, answered %s", process, i, 12, "200 OK")
            after = clock()
            if timed:
                times[i - WARM_UP] = after - before
        self.done += calls


def main() -> None:
    order = json.loads(sys.argv[1])
    directory, process = Path(order["directory"]), order["process"]
    options = {name: order[name] for name in ("max_bytes", "backups", "gzip")}
    subjects = [Subject(kind, directory, order["calls"], **options) for kind in order["kinds"]]
    for subject in subjects:
        subject.call(process, WARM_UP, timed=False)
    print("ready", flush=True)
    sys.stdin.readline()
    cpu, start = time.process_time_ns(), time.monotonic_ns()
    for first in range(0, order["calls"], order["block"]):
        for subject in subjects:
            subject.call(process, min(order["block"], order["calls"] - first))
    for subject in subjects:
        subject.made.close()
    end = time.monotonic_ns()
    for subject in subjects:
        subject.times.tofile(open(directory / f"{subject.kind}.{process}.times", "wb"))  # noqa: SIM115
    print(json.dumps({"start": start, "end": end, "cpu": time.process_time_ns() - cpu}), flush=True)


if __name__ == "__main__":
    main()
