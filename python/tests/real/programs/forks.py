"""os.fork with the parent's handler: `forks.py parent-ends|all-killed`.

Children end in every way there is: returning from the program, sys.exit, os._exit, SIGKILL, and after a child of their own. Meanwhile
a thread of the parent logs. With `all-killed` the parent kills itself in the end, when all children have: nobody leaves in order."""

import logging
import logging.config
import os
import signal
import sys
import threading

import handler
import numbering

LINES = 100
log = logging.getLogger("forks")


def say(who: str, lines: int = LINES) -> None:
    for line in range(lines):
        log.info("who=%s line=%d %s", who, line, numbering.padding(line))


def grandchild() -> None:
    if (pid := os.fork()) == 0:
        say("grandchild")
        os._exit(0)
    say("child-with-child")
    os.waitpid(pid, 0)
    sys.exit(0)


def killed() -> None:
    say("killed")
    os.kill(os.getpid(), signal.SIGKILL)


def leaves() -> None:
    say("leaves")
    os._exit(0)


def exits() -> None:
    say("exits")
    sys.exit(5)


def logs_nothing() -> None:
    os._exit(0)


def second_handler() -> None:
    """Configures logging anew, as a worker of a framework does: the parent's handler is closed in the child."""
    say("anew", LINES // 2)
    logging.config.dictConfig(handler.config())
    for line in range(LINES // 2, LINES):
        log.info("who=%s line=%d", "anew", line)
    sys.exit(0)


ENDS = {grandchild: 0, killed: -signal.SIGKILL, leaves: 0, exits: 5, logs_nothing: 0, second_handler: 0}


def start(child) -> int:
    if (pid := os.fork()) == 0:
        child()
    return pid


def main(all_killed: bool) -> None:
    logging.config.dictConfig(handler.config())
    say("before")
    beside = threading.Thread(target=say, args=("thread", 3 * LINES))
    beside.start()
    children = {}
    for child in ENDS:
        children[start(child)] = child
        say(f"after-{child.__name__}", 20)
    for _ in children:
        pid, status = os.wait()
        got, expected = os.waitstatus_to_exitcode(status), ENDS[children[pid]]
        assert got == expected, (children[pid], got, expected)
    beside.join()
    say("end")
    if all_killed:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1] == "all-killed")
