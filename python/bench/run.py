"""Handlers beside each other: what a call costs, and how fast lines get into the file.

    make bench-python ROUNDS=5 RECORDS=20000 PROCESSES='1 4' MAX_BYTES=1000000

RECORDS is for each process and handler. Rounds are interleaved, and the tables have medians over them.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median

from measure import Measured, measure

ROUNDS = int(os.environ.get("ROUNDS", "5"))
RECORDS = int(os.environ.get("RECORDS", "20000"))
PROCESSES = [int(n) for n in os.environ.get("PROCESSES", "1 4").split()]
MAX_BYTES = int(os.environ.get("MAX_BYTES", "1000000"))
TURN = 100

NAMES = {
    "floor": "formats only (the floor)",
    "file": "FileHandler",
    "rotating": "RotatingFileHandler",
    "clh": "concurrent-log-handler",
    "crlog": "**crlog**",
}
KINDS = {
    "no rotation": ("floor", "file", "clh", "crlog"),
    "rotation": ("floor", "rotating", "clh", "crlog"),
    "gzip": ("floor", "clh", "crlog"),
}


@dataclass(frozen=True)
class Setting:
    """What is the same for all handlers beside each other."""

    rotation: str
    processes: int

    def kinds(self) -> list[str]:
        # The standard library's rotation is for one process.
        return [kind for kind in KINDS[self.rotation] if kind != "rotating" or self.processes == 1]

    def measure(self, kinds: list[str], turn: int | None = None) -> dict[str, Measured]:
        with tempfile.TemporaryDirectory(prefix="crlog-bench-") as directory:
            return measure(
                Path(directory),
                kinds,
                processes=self.processes,
                calls=RECORDS,
                block=turn,
                max_bytes=0 if self.rotation == "no rotation" else MAX_BYTES,
                use_gzip=self.rotation == "gzip",
            )

    def __str__(self) -> str:
        return f"{self.processes} process{'es' if self.processes > 1 else ''}, {self.rotation}"


@dataclass(frozen=True)
class Row:
    """One handler by itself."""

    setting: Setting
    kind: str


SETTINGS = [Setting(rotation, n) for rotation in KINDS for n in PROCESSES]
ROWS = [
    Row(setting, kind)
    for setting in SETTINGS
    for kind in setting.kinds()
    if kind != "floor" or setting.rotation == "no rotation"
]


def us(values: list[float]) -> str:
    return f"{median(values) / 1000:.1f}"


def what_a_call_costs(found: dict[Setting, list[dict[str, Measured]]]) -> list[list[str]]:
    """Median of a call, microseconds; of what is above the floor the lowest and the highest round too."""
    table = [["p50, us", *map(str, found)]]
    for kind, name in NAMES.items():
        line = [name]
        for rounds in found.values():
            if kind not in rounds[0]:
                line.append("")
                continue
            over = [(m[kind].quantile(0.5) - m["floor"].quantile(0.5)) / 1000 for m in rounds]
            p50 = us([m[kind].quantile(0.5) for m in rounds])
            line.append(p50 if kind == "floor" else f"{p50}: {median(over):+.2f} ({min(over):.2f} to {max(over):.2f})")
        table.append(line)
    return table


def flat_out(found: dict[Row, list[Measured]]) -> list[list[str]]:
    """Each handler by itself, as fast as it can."""
    table = [
        [
            "",
            "handler",
            "p99, us",
            "p99.9, us",
            "longest, ms",
            "CPU us a line",
            "lines/s in the file",
            "archives, of them packed",
        ]
    ]
    for row, rounds in found.items():
        lines = row.setting.processes * RECORDS
        archives, packed = (round(median([getattr(m, what) for m in rounds])) for what in ("archives", "packed"))
        table.append(
            [
                *(str(row.setting), NAMES[row.kind]),
                *(us([m.quantile(part) for m in rounds]) for part in (0.99, 0.999)),
                f"{median([m.times[-1] for m in rounds]) / 1e6:.1f}",
                us([m.cpu / lines for m in rounds]),
                "" if row.kind == "floor" else f"{median([lines * 1e9 / m.elapsed for m in rounds]):,.0f}",
                f"{archives}, {packed}" if archives else "",
            ]
        )
    return table


def text(table: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in table]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def main() -> None:
    turns: dict[Setting, list[dict[str, Measured]]] = {setting: [] for setting in SETTINGS}
    alone: dict[Row, list[Measured]] = {row: [] for row in ROWS}
    loads = []
    for i in range(ROUNDS):
        for setting, rounds in turns.items():
            rounds.append(setting.measure(setting.kinds(), TURN))
        for row, got in alone.items():
            got.append(row.setting.measure([row.kind])[row.kind])
        loads.append(os.getloadavg()[0])
        print(f"round {i + 1} of {ROUNDS}, load average {loads[-1]:.1f}", file=sys.stderr)
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, concurrent-log-handler {metadata.version('concurrent-log-handler')}; "
        f"{ROUNDS} rounds of {RECORDS:,} records a process and handler, files of {MAX_BYTES:,} bytes; "
        f"load average {min(loads):.1f} to {max(loads):.1f}, this included"
    )
    print(
        f"\nWhat a call costs (handlers take turns of {TURN} calls in the same processes; above the floor: lowest and highest round)\n"
    )
    print(text(what_a_call_costs(turns)))
    print("\nFlat out (each handler by itself)\n")
    print(text(flat_out(alone)))


if __name__ == "__main__":
    main()
