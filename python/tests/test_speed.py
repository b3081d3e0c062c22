"""What a call costs, beside a handler that only formats and beside concurrent-log-handler. `make bench-python` has the tables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

from measure import measure  # noqa: E402

CALLS = 4000
TURN = 50
ROUNDS = 6


@pytest.mark.parametrize("max_bytes", [0, 100_000], ids=["without rotation", "with rotation"])
@pytest.mark.parametrize("processes", [1, 4])
def test_a_call_costs_at_most_a_microsecond_over_formatting(processes: int, max_bytes: int, tmp_path: Path) -> None:
    """One microsecond where formatting takes seven: a seventh. The least of some rounds counts, since what else runs on the machine
    only ever adds; in a round the handlers take turns in the same processes, so that it adds to all of them."""
    told = []
    for i in range(ROUNDS):
        (directory := tmp_path / str(i)).mkdir()
        found = measure(directory, ["floor", "crlog", "clh"], processes=processes, calls=CALLS, block=TURN, max_bytes=max_bytes)
        floor, ours, theirs = (found[kind].quantile(0.5) for kind in ("floor", "crlog", "clh"))
        told.append(f"floor {floor} ns, crlog {ours}, concurrent-log-handler {theirs}")
        assert not max_bytes or found["crlog"].archives > 0, "it did not rotate"
        if (ours - floor) * 7 <= floor and (theirs - floor) >= 5 * (ours - floor) and theirs > 1.3 * floor:
            return
    pytest.fail("\n".join(told))
