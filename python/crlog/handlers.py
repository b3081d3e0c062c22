"""The handlers: those of concurrent-log-handler, on top of crlog."""

from __future__ import annotations

import datetime
import logging.handlers
import os
import sys
import traceback
import weakref
from typing import Any

from . import names
from .base import ConcurrentHandler

# Before this, a clock is wrong.
MIN_VALID_TIMESTAMP = int(datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc).timestamp())


class ConcurrentRotatingFileHandler(ConcurrentHandler, logging.handlers.BaseRotatingHandler):
    """Writes to a file that many processes share, and that is rotated by size.

    Arguments up to ``keep_file_open`` are those of concurrent-log-handler. ``overflow``: what happens when the ring is
    full, such as ``"block"`` (the default), ``"drop"``, ``"block:1s"``, or a dictionary by severity. ``durable``: each
    call returns when its record is on the disk. ``ring_size``: of the shared memory. ``segment``: a file in its place.
    ``strict_size``: no file is ever larger than ``maxBytes``. Other keywords are crlog's options (``option_names()``).
    """

    def __init__(
        self,
        filename: str | os.PathLike[str],
        mode: str = "a",
        maxBytes: int = 0,
        backupCount: int = 0,
        encoding: str | None = None,
        debug: bool = False,
        delay: Any = None,
        use_gzip: bool = False,
        owner: tuple[str | int | None, str | int | None] | None = None,
        chmod: int | None = None,
        umask: int | None = None,
        newline: str | None = None,
        terminator: str = "\n",
        unicode_error_policy: str = "ignore",
        lock_file_directory: str | os.PathLike[str] | None = None,
        keep_file_open: bool = True,
        *,
        errors: str | None = None,
        overflow: str | dict[str, str] | None = None,
        durable: bool | None = None,
        ring_size: int | str | None = None,
        segment: str | os.PathLike[str] | None = None,
        strict_size: bool = False,
        **options: Any,
    ) -> None:
        logging.handlers.BaseRotatingHandler.__init__(
            self, os.fspath(filename), mode, encoding=encoding, delay=True, errors=errors
        )
        self.maxBytes, self.backupCount = maxBytes, backupCount
        self._configure(
            debug=debug,
            use_gzip=use_gzip,
            owner=owner,
            chmod=chmod,
            umask=umask,
            newline=newline,
            terminator=terminator,
            unicode_error_policy=unicode_error_policy,
            errors=errors,
            lock_file_directory=lock_file_directory,
            keep_file_open=keep_file_open,
            delay=delay,
            options=options,
            overflow=overflow,
            durable=durable,
            ring_size=ring_size,
            segment=segment,
            strict_size=strict_size,
        )

    def _rotation_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if _is_renamed(self):
            options["names"] = names.or_default(
                lambda: names.numbered(self.baseFilename, self.rotation_filename), "numbered"
            )
        return _with_rotator(self, options)


class ConcurrentTimedRotatingFileHandler(ConcurrentHandler, logging.handlers.TimedRotatingFileHandler):
    """Writes to a file that many processes share, and that is rotated at times, and by size too if ``maxBytes`` is given.

    Times are those of the standard library's handler. For what comes behind ``keep_file_open`` see
    :class:`ConcurrentRotatingFileHandler`.
    """

    MIN_VALID_TIMESTAMP = MIN_VALID_TIMESTAMP

    def __init__(
        self,
        filename: str | os.PathLike[str],
        when: str = "h",
        interval: int = 1,
        backupCount: int = 0,
        encoding: str | None = None,
        delay: Any = False,
        utc: bool = False,
        atTime: datetime.time | None = None,
        errors: str | None = None,
        maxBytes: int = 0,
        use_gzip: bool = False,
        owner: tuple[str | int | None, str | int | None] | None = None,
        chmod: int | None = None,
        umask: int | None = None,
        newline: str | None = None,
        terminator: str = "\n",
        unicode_error_policy: str = "ignore",
        lock_file_directory: str | os.PathLike[str] | None = None,
        keep_file_open: bool = True,
        *,
        debug: bool = False,
        mode: str = "a",
        overflow: str | dict[str, str] | None = None,
        durable: bool | None = None,
        ring_size: int | str | None = None,
        segment: str | os.PathLike[str] | None = None,
        strict_size: bool = False,
        **options: Any,
    ) -> None:
        logging.handlers.TimedRotatingFileHandler.__init__(
            self,
            os.fspath(filename),
            when=when,
            interval=interval,
            backupCount=backupCount,
            encoding=encoding,
            delay=True,
            utc=utc,
            atTime=atTime,
            errors=errors,
        )
        self.periods, self._suffix_of_when = interval, self.suffix
        self.mode = "a"  # another one is taken and means nothing, as ever
        self.maxBytes = maxBytes
        self._configure(
            debug=debug,
            use_gzip=use_gzip,
            owner=owner,
            chmod=chmod,
            umask=umask,
            newline=newline,
            terminator=terminator,
            unicode_error_policy=unicode_error_policy,
            errors=errors,
            lock_file_directory=lock_file_directory,
            keep_file_open=keep_file_open,
            delay=delay,
            options=options,
            overflow=overflow,
            durable=durable,
            ring_size=ring_size,
            segment=segment,
            strict_size=strict_size,
        )
        self.finalize_handler_configuration()

    @property
    def clh(self) -> ConcurrentTimedRotatingFileHandler:
        """Where concurrent-log-handler has the handler that writes: this one."""
        return self

    def finalize_handler_configuration(self) -> None:
        """For subclasses: the place to set ``suffix``, ``namer`` and the like, before anything is rotated."""

    def initialize_rollover_time(self) -> None:
        """Computes ``rolloverAt`` anew. When the log is rotated, the flusher knows from the shared segment."""
        import time

        self.rolloverAt = self.computeRollover(int(time.time()))

    def read_rollover_time(self) -> None:
        """As :meth:`initialize_rollover_time`: there is nothing to be read."""
        self.initialize_rollover_time()

    def write_rollover_time(self) -> None:
        """Does nothing: the flusher keeps the time in the shared segment."""

    def _rotation_options(self) -> dict[str, Any]:
        words = [self.when, str(self.periods)]
        if self.atTime is not None and (self.when == "MIDNIGHT" or self.when.startswith("W")):
            words += ["at", self.atTime.strftime("%H:%M:%S")]
        if self.utc:
            words.append("UTC")
        options: dict[str, Any] = {"rotate_at": " ".join(words), "names": "dated"}
        if self.suffix != self._suffix_of_when or _is_renamed(self):
            options["names"] = names.or_default(
                lambda: names.dated(self.baseFilename, self.suffix, self.rotation_filename), "dated"
            )
        return _with_rotator(self, options)


def _overrides(handler: logging.handlers.BaseRotatingHandler, method: str) -> bool:
    """Whether a subclass has its own; ours have none."""
    return getattr(type(handler), method) is not getattr(logging.handlers.BaseRotatingHandler, method)


def _is_renamed(handler: logging.handlers.BaseRotatingHandler) -> bool:
    """Whether archives have other names than those of the standard library."""
    return callable(handler.namer) or _overrides(handler, "rotation_filename")


class _Rotator:
    """What the flusher's thread calls, if this process is the one that rotates."""

    def __init__(self, handler: logging.handlers.BaseRotatingHandler, ending: str) -> None:
        self.handler, self.ending = weakref.ref(handler), ending

    def __call__(self, source: os.PathLike[str], dest: os.PathLike[str]) -> None:
        handler = self.handler()
        if handler is None:
            os.rename(source, dest)
            return
        try:
            handler.rotate(os.fspath(source), os.fspath(dest) + self.ending)
        except Exception:
            if logging.raiseExceptions and sys.stderr:
                print("--- Error of a rotator; the file stays, and it is called again ---", file=sys.stderr)
                traceback.print_exc()
            raise


def _with_rotator(handler: logging.handlers.BaseRotatingHandler, options: dict[str, Any]) -> dict[str, Any]:
    if not callable(handler.rotator) and not _overrides(handler, "rotate"):
        return options
    template = options.get("names", "")
    # To crlog, an archive whose name ends so is a packed one, whose name is that of the plain one before.
    ending = ".gz" if template.endswith(".gz") else ""
    if ending:
        options["names"] = template[: -len(ending)]
    return {**options, "rotator": _Rotator(handler, ending)}
