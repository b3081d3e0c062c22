"""What old code calls to put a queue before each handler."""

from __future__ import annotations

import warnings


def setup_logging_queues() -> None:
    """Does nothing: the handlers of crlog write to a queue as they are, the ring in shared memory."""
    warnings.warn(
        "setup_logging_queues() is not needed with crlog, whose handlers do not wait for the file: remove the call",
        DeprecationWarning,
        stacklevel=2,
    )
