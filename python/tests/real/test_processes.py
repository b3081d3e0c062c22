"""multiprocessing's pools and bare forks."""

import signal

import pytest

from .run import HANDLER_MODULE, PROGRAMS

TASKS = 60


def check_pool(place) -> None:
    report = place.look(rotations=3).raise_if_bad()
    tasks = [(str(t), str(line)) for t in range(TASKS) for line in range(20)]
    assert sorted(report.found(r"task=(\d+) line=(\d+)")) == sorted(tasks)
    assert sorted(report.found(r"done=(\d+)")) == sorted((str(t),) for t in range(TASKS))
    assert len(report.pids) >= 1 + 4
    assert report.records[-1].text.endswith("end")


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_pool_and_its_parent_write_one_log(place, method):
    place.python(PROGRAMS / "pools.py", method, TASKS, name=method).ends()
    check_pool(place)


@pytest.mark.skipif(HANDLER_MODULE == "concurrent_log_handler", reason="its handlers cannot be pickled")
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_the_workers_of_a_pool_may_be_given_the_handler_itself(place, method):
    place.python(PROGRAMS / "pools.py", method, TASKS, "pickled", name=method).ends()
    check_pool(place)


WHO = {
    "before": 100,
    "thread": 300,
    "grandchild": 100,
    "child-with-child": 100,
    "killed": 100,
    "leaves": 100,
    "exits": 100,
    "anew": 100,
    "end": 100,
    **{f"after-{child}": 20 for child in ("grandchild", "killed", "leaves", "exits", "logs_nothing", "second_handler")},
}


def check_forks(place) -> None:
    report = place.look(rotations=3).raise_if_bad()
    lines = [(who, str(n)) for who, count in WHO.items() for n in range(count)]
    assert sorted(report.found(r"who=(\S+) line=(\d+)")) == sorted(lines)
    assert len({r.pid for r in report.records if " who=" in r.text}) == 1 + 6


def test_forked_children_may_end_in_any_way_while_their_parent_logs(place):
    """Nothing opens the log afterwards: what the killed ones left was written by the parent."""
    place.python(PROGRAMS / "forks.py", "parent-ends", name="forks").ends()
    check_forks(place)


def test_when_all_are_killed_the_next_start_writes_what_they_left(place):
    """Each had returned from its last call before it was killed, so nothing at all may be missing."""
    place.python(PROGRAMS / "forks.py", "all-killed", name="forks").ends(-signal.SIGKILL)
    place.open_log()
    check_forks(place)


def test_several_runs_append_to_one_log(place):
    """One after the other, and two at a time."""
    for _ in range(2):
        both = [place.python(PROGRAMS / "pools.py", "fork", 10, name=f"run{len(place.programs) + n}") for n in range(2)]
        for program in both:
            program.ends()
    report = place.look(rotations=2).raise_if_bad()
    assert len(report.found(r"task=(\d+) line=(\d+)")) == 4 * 10 * 20
    assert len(report.found(r" end$")) == 4
