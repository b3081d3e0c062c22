"""The names of concurrent-log-handler, for configurations that cannot be changed."""

from __future__ import annotations

import logging.handlers
import sys
import types


def install_as_concurrent_log_handler() -> None:
    """Makes ``concurrent_log_handler`` and ``logging.handlers.Concurrent…`` mean the handlers of crlog, in this process.

    To be called before the configuration is read; importing ``crlog.as_concurrent_log_handler`` does the same. A
    concurrent-log-handler that is imported already is replaced for whoever looks it up by name from now on.
    """
    from . import handlers, queue
    from ._crlog import __version__

    package = types.ModuleType("concurrent_log_handler", "concurrent-log-handler's names for crlog's handlers.")
    package.__path__ = []
    version = types.ModuleType("concurrent_log_handler.__version__")
    version.__version__ = __version__  # type: ignore[attr-defined]
    queues = types.ModuleType("concurrent_log_handler.queue")
    queues.setup_logging_queues = queue.setup_logging_queues  # type: ignore[attr-defined]
    package.__version__ = version  # type: ignore[attr-defined]
    package.queue = queues  # type: ignore[attr-defined]
    package.__all__ = ["ConcurrentRotatingFileHandler", "ConcurrentTimedRotatingFileHandler"]  # type: ignore[attr-defined]
    for name in package.__all__:
        setattr(package, name, getattr(handlers, name))
        setattr(logging.handlers, name, getattr(handlers, name))
    for module in (package, version, queues):
        sys.modules[module.__name__] = module
