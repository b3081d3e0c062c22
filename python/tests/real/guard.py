"""Kills the process groups of the tests if the tests themselves are killed: started by run.py with a pipe as standard input.

Lines `+PGID` and `-PGID` say which groups there are. When the pipe's other end is gone, all that are left are killed.
"""

import os
import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_IGN)
groups: set[int] = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
