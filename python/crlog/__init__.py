"""crlog: many processes, one rotating log.

>>> from crlog import ConcurrentRotatingFileHandler
>>> handler = ConcurrentRotatingFileHandler("app.log", maxBytes=10_000_000, backupCount=5)  # doctest: +SKIP

Records go lock-free into a ring in shared memory; one elected flusher, a thread of one of the processes or the program
``crlog-flusher``, writes them into the file and rotates it. docs/python.md of the project has the rest.
"""

from __future__ import annotations

import json
import logging.handlers
import os
from typing import Any

from ._crlog import CrlogError, NotFlushed, RecordTooLong, __version__, option_names
from ._crlog import stat as _stat
from .alias import install_as_concurrent_log_handler
from .handlers import ConcurrentRotatingFileHandler, ConcurrentTimedRotatingFileHandler
from .queue import setup_logging_queues

__all__ = [
    "ConcurrentRotatingFileHandler",
    "ConcurrentTimedRotatingFileHandler",
    "CrlogError",
    "NotFlushed",
    "RecordTooLong",
    "__version__",
    "install_as_concurrent_log_handler",
    "option_names",
    "setup_logging_queues",
    "stat",
]


def stat(path: str | os.PathLike[str], **options: Any) -> dict[str, Any] | None:
    """What can be seen of a log from outside, without disturbing it: who writes, who flushes, counters, drops, files.

    ``None`` if no process has it open. ``segment`` and ``lock_dir`` as the processes of the log have them.
    """
    text = _stat(path, options)
    return None if text is None else json.loads(text)


# So that configurations may say "handlers.ConcurrentRotatingFileHandler", as with concurrent-log-handler; if that is
# imported too, its own classes stay.
for _class in (ConcurrentRotatingFileHandler, ConcurrentTimedRotatingFileHandler):
    if not hasattr(logging.handlers, _class.__name__):
        setattr(logging.handlers, _class.__name__, _class)
del _class
