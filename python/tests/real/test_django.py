"""A Django project: its development server, two Celery workers and Celery's Beat write one file; and mail_admins beside the handler."""

import re
import shutil
import signal

import pytest

from . import checker, load
from .run import PROGRAMS, children, free_port, until

ORDERS = 120
LINES_OF_VIEW = 4
LINES_OF_TASK = 15
TICKS = 3


@pytest.fixture
def site(place):
    """A copy of the project, since one test edits it."""
    site = place.root / "site"
    shutil.copytree(PROGRAMS / "site", site)
    place.work = place.root / "work"
    for name in ("queue", "control", "done"):
        (place.work / name).mkdir(parents=True)
    return site


def environment(place, site, **more) -> dict:
    env = place.env(SHOP_WORK=str(place.work), DJANGO_SETTINGS_MODULE="shop.settings", **more)
    return {**env, "PYTHONPATH": f"{site}:{env['PYTHONPATH']}"}


def start_celery(place, site, name: str, *options):
    return place.python("-m", "celery", "-A", "shop", "-q", *options, name=name, env=environment(place, site))


def start_worker(place, site, name: str, *options):
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return start_celery(place, site, name, "worker", "-n", f"{name}@here", "-c", "2", "-l", "info", *quiet, *options)


def start_server(place, site):
    port = free_port()
    env = environment(place, site, SHOP_DEBUG="yes")
    server = place.python(site / "manage.py", "runserver", f"127.0.0.1:{port}", name="runserver", env=env)
    load.until_served(server, port)
    return server, port


def done(place, kind: str) -> set[str]:
    return {p.name.partition("-")[2] for p in (place.work / "done").iterdir() if p.name.startswith(kind)}


def answered(place) -> set[int]:
    """The orders whose requests are in the log, while it is being written."""
    text = b""
    for path in place.logs.glob("app.log*"):
        try:
            text += path.read_bytes()
        except FileNotFoundError:
            pass  # rotated at this moment: it is looked for again
    return {int(n) for n in re.findall(rb'"GET /order/(\d+) HTTP/1.1" 200', text)}


def edit_and_wait_for_the_reload(place, site, server, port: int) -> None:
    """The child ends at once when it notices the edit, so that nothing may be on its way; the next one opens the log as it starts."""

    def sources() -> set[str]:
        return {r for r in checker.tallies(place.tally / "log") if checker.pid_of(r) in children(server.pid)}

    (before,) = sources()
    (site / "shop" / "version.py").write_text("VERSION = 2\n")
    until(lambda: sources() - {before}, "the development server has noticed the edited file")
    load.until_served(server, port)
    assert load.get(port, "/version") == (200, "2")


def order_all(place, site, server, port: int) -> set[int]:
    """Half of the orders, an edit, the other half. The pids of the processes that answered."""
    pids = set()
    for half in (range(ORDERS // 2), range(ORDERS // 2, ORDERS)):
        if half.start:
            until(lambda: answered(place) == set(range(half.start)), "the server has logged the requests themselves, after its answers")
            edit_and_wait_for_the_reload(place, site, server, port)
        answers = load.requests(server, port, [f"/order/{n}" for n in half])
        assert [a[0] for a in answers.values() if not isinstance(a, Exception)] == [200] * len(half), answers
        pids |= {int(body) for _, body in answers.values()}
    return pids


def test_the_development_server_two_workers_and_beat_write_one_file(place, site):
    workers = [start_worker(place, site, name, "--max-tasks-per-child", "10") for name in ("one", "two")]
    beat = start_celery(place, site, "beat", "beat", "-s", place.work / "schedule", "--pidfile=", "-l", "info")
    server, port = start_server(place, site)
    pids = order_all(place, site, server, port)
    until(lambda: len(done(place, "pack")) == ORDERS and len(done(place, "tick")) >= TICKS, "all orders are packed")

    server.interrupt_all()
    for program in (beat, *workers):
        program.signal(signal.SIGTERM)
    for program in (server, beat, *workers):
        program.ends()

    report = place.look(rotations=6).raise_if_bad()
    check_orders(report)
    ticks = sorted(t for (t,) in report.found(r"tick=(\S+)"))
    assert ticks == sorted(done(place, "tick"))
    assert len(pids) == 2 and server.pid not in pids, "the server's child before and after the edit"
    check_writers(report, {server.pid, beat.pid, *pids, *(w.pid for w in workers)})
    assert len(report.found("ready: child")) == 2


def check_orders(report) -> None:
    assert sorted(report.found(r"order=(\d+) line=(\d+)")) == sorted((str(n), str(i)) for n in range(ORDERS) for i in range(LINES_OF_VIEW))
    assert sorted(report.found(r"packed=(\d+) line=(\d+)")) == sorted((str(n), str(i)) for n in range(ORDERS) for i in range(LINES_OF_TASK))
    # What the frameworks themselves log is there as well, once.
    assert sorted(report.found(r'"GET /order/(\d+) HTTP/1.1" 200')) == sorted((str(n),) for n in range(ORDERS))
    received = report.found(r"Task shop\.tasks\.pack\[(\S+)\] received")
    assert len(set(received)) == len(received) == ORDERS
    assert sorted(report.found(r"Task shop\.tasks\.pack\[(\S+)\] succeeded")) == sorted(received)


def check_writers(report, expected: set[int]) -> None:
    """All of these wrote, and so did the processes of the pools: ORDERS / 10 at least, since none does more than 10 tasks."""
    assert expected <= report.pids
    packers = {r.pid for r in report.records if " packed=" in r.text}
    assert len(packers) >= ORDERS / 10 and not packers & expected


def test_a_development_server_that_is_terminated_leaves_all_lines(place, site):
    """As `docker stop` ends it: the parent takes SIGTERM and kills its child, which so ends without leaving."""

    def logged() -> int:
        return sum(checker.tallies(place.tally / "log").values())

    server, port = start_server(place, site)
    before = logged()
    answers = load.requests(server, port, [f"/order/{n}" for n in range(ORDERS)])
    assert [a[0] for a in answers.values() if not isinstance(a, Exception)] == [200] * ORDERS, answers
    (child,) = {int(body) for _, body in answers.values()}
    until(lambda: logged() >= before + ORDERS * (LINES_OF_VIEW + 1), "the server has logged the requests themselves, after its answers")
    server.signal(signal.SIGTERM).ends()
    report = place.look(rotations=1).raise_if_bad()
    assert report.pids == {server.pid, child}
    assert sorted(report.found(r"order=(\d+) line=(\d+)")) == sorted((str(n), str(i)) for n in range(ORDERS) for i in range(LINES_OF_VIEW))
    assert sorted(report.found(r'"GET /order/(\d+) HTTP/1.1" 200')) == sorted((str(n),) for n in range(ORDERS))


def test_mail_admins_and_our_handler_get_the_same_errors(place, site):
    place.python(site / "mail.py", name="mail", env=environment(place, site)).ends()
    report = place.look(rotations=2).raise_if_bad()
    numbers = range(4 * 20)
    assert sorted(report.found(r"payment=(\d+) step=(\d+)")) == sorted((str(n), str(step)) for n in numbers for step in range(10))
    assert sorted(report.found(r"error=(\d+)\n")) == sorted((str(n),) for n in numbers if n % 2)
    assert sorted(report.found(r"Internal Server Error: /fails/(\d+)\n")) == sorted((str(n),) for n in numbers if not n % 2)
    errors = [r.text for r in report.records if re.search(r" ERROR ", r.text)]
    assert len(errors) == len(numbers)
    assert all("Traceback (most recent call last)" in e and re.search(r"ValueError: .*(declined|fails)=\d+'?$", e) for e in errors)
