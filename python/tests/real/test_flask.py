"""A Flask application configured by a logging.ini, with both handlers and a process for each request."""

import re
import time

from . import checker, load
from .run import PROGRAMS, free_port

ROUNDS = 3
REQUESTS = 60  # in each round
LINES = 10
FAILS = 5


def test_an_application_with_a_logging_ini_writes_two_logs(place):
    port = free_port()
    program = place.python(PROGRAMS / "flask" / "app.py", port, name="flask")
    load.until_served(program, port)
    pids = set()
    for number in range(ROUNDS):
        began = time.monotonic()
        answers = load.requests(program, port, [f"/r/{n}" for n in range(number * REQUESTS, (number + 1) * REQUESTS)])
        assert [a[0] for a in answers.values() if not isinstance(a, Exception)] == [200] * REQUESTS, answers
        pids |= {int(body) for _, body in answers.values()}
        time.sleep(max(0, began + 1.1 - time.monotonic()))  # so that one log is rotated by time as well
    answers = load.requests(program, port, [f"/fails/{n}" for n in range(FAILS)])
    assert [a[0] for a in answers.values()] == [500] * FAILS
    program.interrupt_all().ends()

    assert len(pids) == ROUNDS * REQUESTS and program.pid not in pids, "each request had a process of its own"
    by_size = place.look(rotations=4).raise_if_bad()
    by_time = checker.look(place.log.with_name("timed.log"), place.tally / "timed", order=checker.dated, rotations=4).raise_if_bad()
    for report in (by_size, by_time):
        check_content(report)
        assert report.pids >= pids | {program.pid}
    seconds = {re.search(r"_(\d\d-\d\d-\d\d)", f.path.name)[1] for f in by_time.files if f.archive}
    assert len(seconds) >= ROUNDS - 1, "rotated by size only"


def check_content(report) -> None:
    numbers = range(ROUNDS * REQUESTS)
    assert sorted(report.found(r"shop.work .*request=(\d+) line=(\d+)")) == sorted((str(n), str(i)) for n in numbers for i in range(LINES))
    assert sorted(report.found(r"request=(\d+) begins$")) == sorted((str(n),) for n in numbers)
    assert sorted(report.found(r'"GET /r/(\d+) HTTP/1.1" 200')) == sorted((str(n),) for n in numbers)
    assert sorted(report.found(r"(?s)Traceback .*KeyError: 'fails=(\d+)'$")) == sorted((str(n),) for n in range(FAILS))
