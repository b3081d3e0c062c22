"""A measurement: processes that log at the same time, and a look at every line of what they wrote."""

from __future__ import annotations

import array
import gzip
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker import WARM_UP

WORKER = Path(__file__).with_name("worker.py")
LINE = re.compile(rb"process (\d+) record (\d{8}) took 12 ms, answered 200 OK")
PATIENCE = 300


@dataclass
class Measured:
    """What the calls of one handler cost, and the whole run. Nanoseconds."""

    times: list[int]
    cpu: int
    elapsed: int
    archives: int = 0
    packed: int = 0

    def quantile(self, part: float) -> int:
        return self.times[min(int(len(self.times) * part), len(self.times) - 1)]


def measure(
    directory: Path,
    kinds: Sequence[str],
    *,
    processes: int,
    calls: int,
    block: int | None = None,
    max_bytes: int = 0,
    use_gzip: bool = False,
) -> dict[str, Measured]:
    """Each of so many processes makes so many calls of each handler, in turns of ``block``. Everything written is checked."""
    backups = 10 + processes * calls * 200 // max_bytes if max_bytes else 0  # so that all can be checked in the end
    order = {"directory": str(directory), "kinds": kinds, "calls": calls, "block": block or calls}
    order |= {"max_bytes": max_bytes, "backups": backups, "gzip": use_gzip}
    told = run([{**order, "process": i} for i in range(processes)])
    elapsed = max(t["end"] for t in told) - min(t["start"] for t in told)
    found = {}
    for kind in kinds:
        times: list[int] = []
        for i in range(processes):
            part = array.array("q")
            part.frombytes((directory / f"{kind}.{i}.times").read_bytes())
            times += part
        found[kind] = Measured(sorted(times), sum(t["cpu"] for t in told), elapsed)
        if kind != "floor":
            files = files_of(directory / f"{kind}.log")
            check(kind, files, processes, calls + WARM_UP)
            found[kind].archives = len(files) - 1
            found[kind].packed = sum(file.suffix == ".gz" for file in files)
    return found


def run(orders: list[dict[str, object]]) -> list[dict[str, int]]:
    """Starts the workers, lets them go when all are ready, and returns what they tell."""
    workers = []
    try:
        for order in orders:
            command = [sys.executable, str(WORKER), json.dumps(order)]
            workers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for worker in workers:
            assert worker.stdout is not None
            if worker.stdout.readline() != "ready\n":
                raise RuntimeError("a worker did not start; its standard error says why")
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        told = [json.loads(worker.communicate(timeout=PATIENCE)[0]) for worker in workers]
        if any(worker.returncode for worker in workers):
            raise RuntimeError("a worker failed; its standard error says why")
        return told
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
            worker.communicate()


def files_of(log: Path) -> list[Path]:
    """The rotated files, packed or not, and the log, in the order in which they were written."""
    number = re.compile(re.escape(log.name) + r"\.(\d+)(\.gz)?")
    found = {int(m[1]): path for path in log.parent.iterdir() if (m := number.fullmatch(path.name))}
    return [*(found[n] for n in sorted(found, reverse=True)), log]


def check(kind: str, files: list[Path], processes: int, records: int) -> None:
    """Every record once, whole, and in the order of its process; otherwise a number of lines a second says nothing."""
    following = [0] * processes
    for file in files:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
            for line in lines:
                m = LINE.search(line)
                if not m or not line.endswith(b"\n"):
                    raise ValueError(f"{kind}: {file}: no whole record: {line!r}")
                process, number = int(m[1]), int(m[2])
                if number != following[process]:
                    raise ValueError(f"{kind}: {file}: process {process}: {number} in place of {following[process]}")
                following[process] += 1
    if following != [records] * processes:
        raise ValueError(f"{kind}: records of each process: {following} of {records}")
