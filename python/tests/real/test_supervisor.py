"""supervisor: services that it starts, starts again after a kill and after a reload, and ends by SIGTERM, whose action is the default."""

import os
import signal

import pytest

from . import checker, needs
from .run import PROGRAMS, children, until

SERVICES = 2
CONFIGURATION = """
[supervisord]
nodaemon=true
logfile={out}/supervisord.log
pidfile={out}/supervisord.pid
childlogdir={out}
user=root

[program:service]
command={python} {program}
numprocs={services}
process_name=%(program_name)s_%(process_num)d
autorestart=true
startsecs=0
stopasgroup={as_group}
"""


@pytest.mark.parametrize("as_group", ["true", "false"])
def test_services_of_supervisor_keep_their_lines_at_every_end(place, as_group):
    needs.package_or_skip("supervisor")
    import sys

    file = place.root / "supervisord.conf"
    program = PROGRAMS / "forever.py"
    file.write_text(CONFIGURATION.format(out=place.out, python=sys.executable, program=program, services=SERVICES, as_group=as_group))
    supervisor = place.python("-m", "supervisor.supervisord", "-c", file, name="supervisor")
    known: set[int] = set()

    def services_are_new() -> bool:
        """All of them log, and none was seen before."""
        book = place.tally / "log"
        now = {checker.pid_of(s) for s, n in checker.tallies(book).items() if n > 50} if book.exists() else set()
        return len(now & set(children(supervisor.pid)) - known) == SERVICES

    def note() -> list[int]:
        found = children(supervisor.pid)
        known.update(found)
        return found

    until(services_are_new, "the services log")
    for victim in note():
        os.kill(victim, signal.SIGKILL)
    until(services_are_new, "the killed services are back")
    note()
    supervisor.signal(signal.SIGHUP)
    until(services_are_new, "the services are back after the reload")
    note()
    supervisor.signal(signal.SIGTERM).ends()
    assert place.is_closed(), "the last one left its memory"
    # Each was ended at any time, so its last record may have been without an end.
    report = place.look(killed=known, rotations=0).raise_if_bad()
    assert report.pids == known and len(known) == 3 * SERVICES
