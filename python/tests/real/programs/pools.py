"""multiprocessing.Pool: `pools.py fork|forkserver|spawn TASKS [pickled]`.

With `fork` the workers go on with their parent's handler; otherwise they configure logging for themselves, or are given the parent's
handler by pickle. Parent and workers log."""

import logging
import logging.config
import multiprocessing
import sys

import handler
import numbering

LINES = 20


def work(task: int) -> int:
    log = logging.getLogger("pool.worker")
    for line in range(LINES):
        log.info("task=%d line=%d %s", task, line, numbering.padding(task * LINES + line))
    return task


def configure() -> None:
    logging.config.dictConfig(handler.config())


def take(given: logging.Handler) -> None:
    logging.getLogger().addHandler(given)
    logging.getLogger().setLevel(logging.INFO)


def main(method: str, tasks: int, pickled: bool) -> None:
    configure()
    log = logging.getLogger("pool.parent")
    context = multiprocessing.get_context(method)
    how = {"initializer": take, "initargs": (logging.getLogger().handlers[0],)} if pickled else {"initializer": configure}
    with context.Pool(4, maxtasksperchild=10, **({} if method == "fork" else how)) as pool:
        for done in pool.imap_unordered(work, range(tasks)):
            log.info("done=%d", done)
        pool.close()
        pool.join()
    log.info("end")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), "pickled" in sys.argv[3:])
