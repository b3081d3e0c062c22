"""concurrent.futures' process pools, and logging's QueueListener."""

import signal

import pytest

from .run import PROGRAMS

TASKS = 20
LINES = 10


def check(place, tasks: int) -> None:
    assert place.is_closed(), "something was left in memory"
    report = place.look(rotations=0).raise_if_bad()
    assert sorted(report.found(r"task=(\d+) line=(\d+)")) == sorted((str(t), str(i)) for t in range(tasks) for i in range(LINES))


def test_process_pools_whose_workers_end_in_every_way_keep_all_lines(place):
    for run in range(2):
        place.python(PROGRAMS / "executors.py", "executor", name=f"executor{run}").ends()
        if run == 0:
            check(place, 3 * TASKS)
    assert len(place.look(rotations=0).raise_if_bad().found(r"task=(\d+) line=(\d+)")) == 2 * 3 * TASKS * LINES


@pytest.mark.parametrize("end, status", [("returns", 0), ("signal", -signal.SIGTERM)])
def test_queue_listener_that_is_stopped_and_started_keeps_all_lines(place, end, status):
    place.python(PROGRAMS / "executors.py", "listener", end, name="listener").ends(status)
    check(place, 8)
