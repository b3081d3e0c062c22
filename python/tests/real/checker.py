"""Says what is wrong with the files of a log whose records were numbered by programs/numbering.py.

It knows nothing of how the log was written. It reads the files in the order in which their names say they were written, takes the
records out of them, and compares them with the numbers that the processes noted elsewhere. Every fault it can find is a `Problem` of
one of these kinds:

torn       bytes that are not a whole record
lost       a number that a process gave to a record that is not in the files
doubled    a number that is there more than once
unknown    a record that no process noted
order      of one thread, a record stands behind a later one
overtaken  a record stands behind one whose call began after its own had returned, in whatever process
size       a rotated file is smaller or larger than the rotation allows
rotation   the files were rotated less often than expected
gap        an archive is missing between others
stray      a file that bears the log's name and is neither the log nor an archive
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterable, Iterator


@dataclass(frozen=True)
class Problem:
    kind: str
    text: str


def pid_of(source: str) -> int:
    return int(source.split(".")[0])


@dataclass(frozen=True)
class Record:
    source: str
    number: int
    thread: int
    time: int
    text: str
    end: int  # where in its file it ends, terminator included
    size: int  # bytes in the file, terminator included

    @property
    def pid(self) -> int:
        return pid_of(self.source)


@dataclass
class File:
    path: Path
    archive: bool
    size: int = 0  # unpacked
    records: list[Record] = field(default_factory=list)


@dataclass
class Report:
    """What was found: all records in the order of the files, and all problems."""

    files: list[File]
    problems: list[Problem]

    @property
    def records(self) -> list[Record]:
        return [r for f in self.files for r in f.records]

    @property
    def kinds(self) -> set[str]:
        return {p.kind for p in self.problems}

    @property
    def pids(self) -> set[int]:
        return {r.pid for r in self.records}

    def found(self, pattern: str) -> list[tuple[str, ...]]:
        """The groups of `pattern` in each record that has it, in order."""
        return [m.groups() for r in self.records if (m := re.search(pattern, r.text))]

    def raise_if_bad(self) -> "Report":
        if self.problems:
            shown = "\n".join(f"  {p.kind}: {p.text}" for p in self.problems[:20])
            names = ", ".join(f"{f.path.name} ({f.size}, {len(f.records)} records)" for f in self.files[-5:])
            raise AssertionError(f"{len(self.problems)} problems:\n{shown}\nthe last files: {names}")
        return self


# --- the files, oldest first ---

NUMBERED = re.compile(r"\.(\d+)(\.gz)?$")
DATED = re.compile(r"\.(\d{4}-\d\d-\d\d(?:_\d\d(?:-\d\d){0,2})?)(?:\.(\d+))?(\.gz)?$")


def numbered(log: Path) -> tuple[list[File], list[Problem]]:
    """`LOG.9` … `LOG.1`, `LOG`: the higher the number, the older."""
    return _in_order(log, NUMBERED, lambda m: -int(m[1]), _gaps)


def dated(log: Path) -> tuple[list[File], list[Problem]]:
    """`LOG.2030-01-31_23-59-58`, the same with `.1`, …, `LOG`: by date, and of one date the higher the number, the newer."""
    return _in_order(log, DATED, lambda m: (m[1], int(m[2] or 0)), lambda log, keys: [])


def _in_order(log: Path, pattern: re.Pattern, key: Callable, gaps: Callable) -> tuple[list[File], list[Problem]]:
    archives, problems = [], []
    for path in log.parent.iterdir():
        if path == log or not path.name.startswith(log.name):
            continue
        match = pattern.fullmatch(path.name[len(log.name) :])
        if match:
            archives.append((key(match), path))
        else:
            problems.append(Problem("stray", path.name))
    archives.sort()
    problems += gaps(log, [k for k, _ in archives])
    if not log.exists():
        problems.append(Problem("gap", f"{log.name} itself is missing"))
        return [File(p, True) for _, p in archives], problems
    return [*(File(p, True) for _, p in archives), File(log, False)], problems


def _gaps(log: Path, keys: list[int]) -> list[Problem]:
    there = Counter(-k for k in keys)
    missing = [Problem("gap", f"{log.name}.{n} is missing") for n in range(1, max(there, default=0)) if n not in there]
    return missing + [Problem("stray", f"{log.name}.{n} is there twice, packed and not") for n, c in there.items() if c > 1]


# --- the records in a file ---

FRAME = re.compile(rb"#>(\d+\.[0-9a-f]{8}) (\d+) (\d+) (\d+) ([0-9a-f]{8}) (\d+) ")
Found = Iterator["Record | Problem"]


def framed(data: bytes) -> Found:
    """The records as numbering.Framed writes them."""
    at = 0
    while at < len(data):
        match = FRAME.match(data, at)
        record = match and _framed_record(data, at, match)
        if record:
            yield record
            at = record.end
            continue
        following = FRAME.search(data, at + 1)
        until = following.start() if following else len(data)
        yield Problem("torn", f"at {at}: {data[at:until][:200]!r}")
        at = until


def _framed_record(data: bytes, at: int, match: re.Match) -> Record | None:
    source, number, thread, time, crc, length = match.groups()
    text = data[match.end() : match.end() + int(length)]
    end = match.end() + int(length) + len(b"<#\n")
    if data[end - 3 : end] != b"<#\n" or zlib.crc32(text) != int(crc, 16):
        return None
    return Record(source.decode(), int(number), int(thread), int(time), text.decode(), end, end - at)


def json_lines(text_key: str) -> Callable[[bytes], Found]:
    """Records that are objects of JSON, one a line, with the fields of numbering.fields() and the text in `text_key`."""

    def read(data: bytes) -> Found:
        at = 0
        for line in data.splitlines(keepends=True):
            at += len(line)
            try:
                f = json.loads(line)
                whole = line.endswith(b"\n") and zlib.crc32(f[text_key].encode()) == int(f["crc"], 16)
            except (ValueError, KeyError, TypeError):
                whole = False
            if whole:
                yield Record(f["source"], f["number"], f["thread"], f["time"], f[text_key], at, len(line))
            else:
                yield Problem("torn", f"before {at}: {line[:200]!r}")

    return read


def read_file(file: File, reader: Callable[[bytes], Found]) -> list[Problem]:
    """Fills in what is in `file`."""
    data = file.path.read_bytes()
    if file.path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as e:
            return [Problem("torn", f"{file.path.name} cannot be unpacked: {e}")]
    file.size = len(data)
    found = list(reader(data))
    file.records = [r for r in found if isinstance(r, Record)]
    return [Problem(p.kind, f"{file.path.name} {p.text}") for p in found if isinstance(p, Problem)]


# --- what must hold ---


def tallies(book: Path) -> dict[str, int]:
    """For each process the last number that it gave."""
    return {path.name: int.from_bytes(path.read_bytes(), "little") for path in book.iterdir()}


def complete(records: Iterable[Record], tally: dict[str, int], killed: set[int]) -> list[Problem]:
    """Each number of each process stands there once. Of a killed process the last one may be missing: it was inside the call."""
    seen: dict[str, Counter] = defaultdict(Counter)
    for r in records:
        seen[r.source][r.number] += 1
    problems = []
    for source, last in tally.items():
        may_miss = {last} if pid_of(source) in killed else set()
        problems += [Problem("lost", f"{source} {n} of {last}") for n in range(1, last + 1) if n not in seen[source] and n not in may_miss]
    for source, numbers in seen.items():
        problems += [Problem("doubled", f"{source} {n}, {c} times") for n, c in numbers.items() if c > 1]
        problems += [Problem("unknown", f"{source} {n}") for n in numbers if not 1 <= n <= tally.get(source, 0)]
    return problems


def thread_order(records: Iterable[Record]) -> list[Problem]:
    last: dict[tuple, int] = {}
    problems = []
    for r in records:
        who = (r.source, r.thread)
        if r.number < last.get(who, 0):
            problems.append(Problem("order", f"{r.source} {r.number} behind {last[who]}"))
        last[who] = max(r.number, last.get(who, 0))
    return problems


def overtaken(records: list[Record]) -> list[Problem]:
    """A call had returned when its thread's next record was made. Whatever was handed to the log after that must stand behind it.

    (Not so if a signal handler logs in the middle of a call; no program here does that.)
    """
    made: dict[tuple, list[Record]] = defaultdict(list)
    for r in records:
        made[r.source, r.thread].append(r)
    returned: dict[tuple[str, int], float] = {}
    for of_thread in made.values():
        of_thread.sort(key=lambda r: r.number)
        for r, following in zip(of_thread, of_thread[1:]):
            returned[r.source, r.number] = following.time
    problems = []
    first, which = math.inf, None  # of all that stand behind, the one that had returned first
    for r in reversed(records):
        if first <= r.time:
            problems.append(Problem("overtaken", f"{which} stands behind {r.source} {r.number}, which began {r.time - first} ns after its end"))
        if (end := returned.get((r.source, r.number), math.inf)) < first:
            first, which = end, f"{r.source} {r.number}"
    return problems


def sizes(files: list[File], max_bytes: int, by_time_too: bool) -> list[Problem]:
    """A file is rotated when it has reached `max_bytes`: it exceeds that by less than its last record."""
    problems = []
    for f in files:
        before_last = f.size - f.records[-1].size if f.records else 0
        if before_last >= max_bytes:
            problems.append(Problem("size", f"{f.path.name} had {before_last} bytes before its last record, {max_bytes} is the limit"))
        if f.archive and f.size < max_bytes and not by_time_too:
            problems.append(Problem("size", f"{f.path.name} was rotated at {f.size} bytes, {max_bytes} is the limit"))
    return problems


def look(
    log: Path,
    book: Path,
    *,
    reader: Callable[[bytes], Found] = framed,
    order: Callable = numbered,
    killed: Iterable[int] = (),
    max_bytes: int = 64 * 1024,
    rotations: int = 2,
) -> Report:
    """Everything that is known about the log. `killed`: pids of processes that ended inside of a call, perhaps."""
    files, problems = order(log)
    for f in files:
        problems += read_file(f, reader)
    report = Report(files, problems)
    records = report.records
    problems += complete(records, tallies(book), set(killed))
    problems += thread_order(records)
    problems += overtaken(records)
    problems += sizes(files, max_bytes, order is dated)
    rotated = sum(f.archive for f in files)
    if rotated < rotations:
        problems.append(Problem("rotation", f"{rotated} archives, at least {rotations} expected"))
    return report
