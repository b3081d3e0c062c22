"""RQ: a process for each job, which ends by `os._exit`, and nothing else that has the log open."""

import signal

import pytest

from . import needs
from .load import listens
from .run import free_port, until

JOBS = 12
LINES = 5


@pytest.fixture
def queue(place):
    """A queue in a Redis server of its own, and the server's address."""
    needs.package_or_skip("rq", "redis-check-rdb")
    import redis
    import rq

    port = free_port()
    # One program under two names, which it looks at; the package with this one starts no service.
    argv = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", place.tmp]
    server = place.run(argv, "redis", executable=needs.tool("redis-check-rdb"))
    until(lambda: listens(port), "the Redis server listens")
    connection = redis.Redis(port=port)
    yield rq.Queue(connection=connection), f"redis://127.0.0.1:{port}"
    connection.close()
    server.signal(signal.SIGTERM).ends()


def start(place, address: str, number: int):
    return place.python("-m", "rq.cli", "worker", "--url", address, "--quiet", name=f"rq{number}")


def in_the_file(place) -> int:
    return sum(path.read_bytes().count(b" job=") for path in place.logs.glob("app.log*"))


def test_jobs_that_end_by_os_exit_have_their_lines_in_the_file(place, queue):
    jobs, address = queue
    worker = start(place, address, 0)
    first = [jobs.enqueue("jobs.work", n) for n in range(JOBS)]
    until(lambda: all(job.is_finished for job in map(refreshed, first)), "the jobs are done")
    assert in_the_file(place) == JOBS * LINES, "and nothing but the idle worker is there"

    killed = jobs.enqueue("jobs.killed", JOBS)
    until(lambda: refreshed(killed).is_failed, "the killed job has failed")
    worker.signal(signal.SIGTERM).ends()
    worker = start(place, address, 1)
    last = jobs.enqueue("jobs.work", JOBS + 1)
    until(lambda: refreshed(last).is_finished, "the job after the restart is done")
    assert in_the_file(place) == (JOBS + 2) * LINES
    worker.signal(signal.SIGTERM).ends()

    place.open_log()  # the memory of the last job's process
    report = place.look(rotations=0).raise_if_bad()
    assert sorted(report.found(r"job=(\d+) line=(\d+)")) == sorted((str(n), str(i)) for n in range(JOBS + 2) for i in range(LINES))
    assert len(report.pids) == JOBS + 2 + 1


def refreshed(job):
    job.refresh()
    return job
