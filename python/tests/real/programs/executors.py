"""concurrent.futures and logging's own queue: `executors.py executor|listener [end]`."""

import concurrent.futures
import logging
import logging.config
import logging.handlers
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures.process import BrokenProcessPool

import handler
import numbering

LINES = 10
TASKS = 20


def work(task: int) -> int:
    log = logging.getLogger("worker")
    for line in range(LINES):
        log.info("task=%d line=%d %s", task, line, numbering.padding(task + line))
    return os.getpid()


def killed(task: int) -> None:
    work(task)
    os.kill(os.getpid(), signal.SIGKILL)


def executor() -> None:
    """Workers end with the executor, by a kill, and by the SIGTERM that the executor then sends to the others."""
    context = multiprocessing.get_context("fork")
    logging.config.dictConfig(handler.config())
    with concurrent.futures.ProcessPoolExecutor(3, mp_context=context) as pool:
        assert len(list(pool.map(work, range(TASKS)))) == TASKS
    with concurrent.futures.ProcessPoolExecutor(3, mp_context=context) as pool:
        list(pool.map(work, range(TASKS, 2 * TASKS)))
        time.sleep(0.2)
        try:
            pool.submit(killed, 2 * TASKS).result()
        except BrokenProcessPool:
            pass
    with concurrent.futures.ProcessPoolExecutor(3, mp_context=context) as pool:
        list(pool.map(work, range(2 * TASKS + 1, 3 * TASKS)))


def child(queue, task: int, kill: bool) -> None:
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(logging.handlers.QueueHandler(queue))
    work(task)
    queue.close()
    queue.join_thread()  # all is in the pipe
    if kill:
        os.kill(os.getpid(), signal.SIGKILL)


def listener(end: str) -> None:
    """Children send their records to a thread of the parent, which is stopped and started in between."""
    logging.config.dictConfig(handler.config())
    (file,) = logging.getLogger().handlers
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for first in (0, 4):
        thread = logging.handlers.QueueListener(queue, file)
        thread.start()
        children = [context.Process(target=child, args=(queue, first + n, n == 3)) for n in range(4)]
        [c.start() for c in children]
        [c.join() for c in children]
        thread.stop()
    if end == "signal":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)


if __name__ == "__main__":
    executor() if sys.argv[1] == "executor" else listener(sys.argv[2])
