"""Jobs for RQ, whose worker forks a process for each and ends it by `os._exit`. It alone imports this and opens the log."""

import logging
import logging.config
import os
import signal

import handler
import numbering

LINES = 5

logging.config.dictConfig(handler.config())
log = logging.getLogger("job")


def work(number: int) -> int:
    for line in range(LINES):
        log.info("job=%d line=%d %s", number, line, numbering.padding(number + line))
    return os.getpid()


def killed(number: int) -> None:
    work(number)
    os.kill(os.getpid(), signal.SIGKILL)
