"""What both handlers share: a log that is opened with the first record, and everything around it."""

from __future__ import annotations

import atexit
import io
import json
import locale
import logging
import os
import stat
import sys
import time
import warnings
import weakref
from typing import Any, Callable, Iterable

from . import _crlog, differences, words

# How long a process that was asked to end by a signal, and caught it, may take in all to leave its log after each record, in
# seconds; after that it only waits for each record to be in the file.
LEAVING_SECONDS = 0.5
# How long flush() and close() wait for the flusher unless the handler says something else, in seconds.
FLUSH_TIMEOUT = 30.0

_is_finalizing = sys.is_finalizing
_POLICIES = ("ignore", "replace", "strict")
_handlers: weakref.WeakSet[ConcurrentHandler] = weakref.WeakSet()


def _in_the_child() -> None:
    _end.has_begun, _end.waited_seconds = False, 0.0
    _end.left.clear()
    for handler in list(_handlers):
        handler._forget()


class _ProcessEnd:
    """What the end of this process has in common for all handlers: they wait as long as one of them may, in all."""

    has_begun = False
    waited_seconds = 0.0

    def __init__(self) -> None:
        # Logs whose records stay in memory, as was said already.
        self.left: set[str] = set()

    def begin(self) -> None:
        self.has_begun = True

    def limit(self, seconds: float) -> float:
        """How much of a handler's own limit is left; what has room in the file needs no more than a moment."""
        return max(seconds - self.waited_seconds, min(seconds, 0.05))


_end = _ProcessEnd()
atexit.register(_end.begin)  # called before logging.shutdown, which was registered earlier


def _is_called_by_shutdown() -> bool:
    """Whether ``logging.shutdown`` is what called the caller, maybe through a subclass: it drops errors without a word."""
    frame = sys._getframe(2)
    for _ in range(3):
        if frame.f_code is logging.shutdown.__code__:
            return True
        if frame.f_back is None:
            break
        frame = frame.f_back
    return False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_the_child)


def _close_if_there(reference: weakref.ref[ConcurrentHandler]) -> None:
    handler = reference()
    if handler is not None:
        handler._close_at_end()


def _close_with_the_worker(handler: ConcurrentHandler) -> None:
    """Workers of multiprocessing and billiard end without atexit, but run these finalizers."""
    for package in ("multiprocessing", "billiard"):
        process, util = sys.modules.get(package + ".process"), sys.modules.get(package + ".util")
        if process is None or util is None:
            continue
        if getattr(process.current_process(), "_parent_pid", None) is not None:
            util.Finalize(None, _close_if_there, args=(weakref.ref(handler),), exitpriority=-1000)


class ConcurrentHandler(logging.Handler):
    """A handler whose records go into the ring of a log."""

    terminator = "\n"
    #: Seconds that ``flush()`` waits at most for what was logged to be in the file.
    flush_timeout = FLUSH_TIMEOUT
    #: Seconds that ``close()`` and the end of the process wait for it; ``None``: 5, or 1 with ``overflow="drop"``.
    close_timeout: float | None = None
    #: Whether the end of the process says on standard error what could not be written.
    report_at_exit = True
    # Kept for programs that look at them; nothing waits for a lock here.
    maxLockAttempts = 20
    lockPollInterval = 0.001
    gzip_buffer = 8096

    baseFilename: str
    mode: str
    encoding: str | None
    errors: str | None
    maxBytes: int
    backupCount: int

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A subclass's own methods are called as they would be by logging: one at a time.
        if "handle" not in vars(cls) and ("emit" in vars(cls) or "format" in vars(cls)):
            cls.handle = logging.Handler.handle  # type: ignore[method-assign]

    def _configure(
        self,
        *,
        debug: bool,
        use_gzip: bool,
        owner: tuple[str | int | None, str | int | None] | list[Any] | None,
        chmod: int | None,
        umask: int | None,
        newline: str | None,
        terminator: str,
        unicode_error_policy: str,
        errors: str | None,
        lock_file_directory: str | os.PathLike[str] | None,
        keep_file_open: bool,
        delay: Any,
        options: dict[str, Any],
        overflow: str | dict[str, str] | None,
        durable: bool | None,
        ring_size: int | str | None,
        segment: str | os.PathLike[str] | None,
        strict_size: bool,
    ) -> None:
        if delay not in (None, True, False):
            warnings.warn("delay is ignored: the log is opened with its first record", DeprecationWarning, stacklevel=4)
        if unicode_error_policy not in _POLICIES:
            warnings.warn(
                f"unicode_error_policy must be one of {_POLICIES}, not {unicode_error_policy!r}; 'ignore' is taken",
                UserWarning,
                stacklevel=4,
            )
            unicode_error_policy = "ignore"
        if newline not in (None, "", "\n", "\r", "\r\n"):
            raise ValueError(f"illegal newline value: {newline!r}")
        self.debug, self.use_gzip, self.gzip = bool(debug), bool(use_gzip), bool(use_gzip)
        self.owner = tuple(owner) if owner else None
        if self.owner is not None and len(self.owner) != 2:
            raise ValueError("owner is a pair: user and group, each a name, a number or None")
        self.chmod, self.umask, self.newline = chmod, umask, newline
        self.terminator = terminator or "\n"
        self.unicode_error_policy = unicode_error_policy
        self.errors = errors
        self.lock_file_directory = lock_file_directory
        self.keep_file_open = keep_file_open
        self.overflow, self.durable, self.ring_size = overflow, durable, ring_size
        self.segment, self.strict_size = segment, strict_size
        self.options = dict(options)
        self.close_timeout = _seconds(self.options.pop("close_timeout", None))
        self.report_at_exit = bool(self.options.pop("report_at_exit", True))
        self._has_begun = False
        self._reset()
        words.check_names(type(self), self.options, [*_crlog.option_names(), "rotator", "terminator"])
        words.check_encoding(self.encoding, self._codec())
        words.checked(_crlog.check, self.baseFilename, self._log_options(), self.options)

    def _reset(self) -> None:
        self._log: _crlog.Log | None = None
        self._write: Callable[[int, str | bytes], bool] = self._open_and_write
        self._leaving_seconds = LEAVING_SECONDS
        self._rotations_at_open = 0
        self._closed_once = False
        self._options_before: dict[str, Any] | None = None
        _handlers.add(self)

    def _forget(self) -> None:
        """In a forked child: the parent's log stays the parent's, this process opens its own with its first record."""
        self._log, self._write = None, self._open_and_write

    # Records

    def handle(self, record: logging.LogRecord) -> Any:
        """As ``logging.Handler.handle``, without its lock: records of several threads need not wait for each other."""
        rv = self.filter(record)
        if rv:
            self.emit(record if rv is True or not isinstance(rv, logging.LogRecord) else rv)
        return rv

    def emit(self, record: logging.LogRecord) -> None:
        """Formats the record and puts it into the ring. It is out of the process when this returns."""
        try:
            message = self.format(record)
            try:
                may_be_last = self._write(record.levelno, message)
            except UnicodeError:
                may_be_last = self._write(record.levelno, self._encoded(message))
            if may_be_last:
                self._leave()
        except Exception:
            self.handleError(record)

    def do_write(self, msg: str) -> None:
        """Writes a text as one record."""
        if self._write(logging.INFO, msg):
            self._leave()

    def _open_and_write(self, level: int, message: str | bytes) -> bool:
        self._opened()
        may_be_last = self._write(level, message)
        if self._closed_once and _is_finalizing():
            self._close_at_end()  # nothing will do it later
        return may_be_last

    def _encode_and_write(self, level: int, message: str | bytes) -> bool:
        log = self._log or self._opened()
        return log.write(level, message if isinstance(message, bytes) else self._encoded(message))

    def _encoded(self, message: str | bytes) -> bytes:
        if isinstance(message, bytes):
            return message
        line_feed = self._line_feed()
        if line_feed != "\n":
            message = message.replace("\n", line_feed)
        return message.encode(self._codec(), self.errors or self.unicode_error_policy)

    def _line_feed(self) -> str:
        """What a line feed becomes in the file, as with ``open(newline=…)``."""
        if self.newline is None:
            return os.linesep
        return self.newline or "\n"

    def _codec(self) -> str:
        """The encoding of a record: without the byte order mark that would stand in front of each."""
        name = self.encoding
        if name is None or name == "locale":
            name = "utf-8" if sys.flags.utf8_mode else locale.getpreferredencoding(False)
        return words.codec_of_a_record(name, sys.byteorder)

    # The log

    def _log_options(self) -> dict[str, Any]:
        """The log's options, as in a configuration file."""
        mask = self.umask if self.umask is not None else _current_umask()
        end = self.terminator.replace("\n", self._line_feed())
        options: dict[str, Any] = {
            "max_bytes": max(int(self.maxBytes or 0), 0),
            "backups": max(int(self.backupCount or 0), 0),
            "size_rule": "strict" if self.strict_size else "check-before",
            "mode": f"{(self.chmod if self.chmod is not None else 0o666 & ~mask) | 0o200:04o}",
            "terminator": end.encode(self._codec(), self.errors or "strict"),
        }
        if self.use_gzip:
            options["compress"] = "gzip"
        if self.owner:
            user, group = ("" if part in (None, -1) else str(part) for part in self.owner)
            options["owner"] = f"{user}:{group}" if group else user or "none"
        if self.lock_file_directory:
            options["lock_dir"] = os.path.abspath(self.lock_file_directory)
        for name, value in (
            ("when_full", self.overflow),
            ("durable", self.durable),
            ("ring_size", self.ring_size),
            ("segment", self.segment),
        ):
            if value is not None:
                options[name] = value
        options.update(self._rotation_options())
        options.update(self.options)
        return options

    def _rotation_options(self) -> dict[str, Any]:
        return {}

    def _opened(self) -> _crlog.Log:
        """The log, opened by one thread only."""
        self.acquire()
        try:
            if self._log is None:
                self._log = self._open_log()
                plain = self._codec() == "utf-8" and self._line_feed() == "\n"
                self._write = self._log.write if plain else self._encode_and_write
            return self._log
        finally:
            self.release()

    def _open_log(self) -> _crlog.Log:
        # An interpreter that is being taken down can compute them no more, but destructors still log.
        options = self._options_before if _is_finalizing() and self._options_before else self._log_options()
        self._options_before = options
        first = options if self._has_begun else self._options_at_first(options)
        log = _crlog.Log(self.baseFilename, first, self.close_timeout, self.report_at_exit)
        self._has_begun = True
        self._rotations_at_open = log.rotations()
        if self.debug:
            self._say(f"opened {self.baseFilename}")
            for difference in log.differences():
                self._say(f"the log is open already: {difference}")
        if not _is_finalizing():
            left_out = ("mode",) if self.chmod is None else ()
            differences.warn_once(self.baseFilename, log.differences(), options, left_out)
        if "rotator" in options and (flusher := json.loads(log.stat_json())["flusher"]) and flusher["sidecar"]:
            warnings.warn(
                "a sidecar writes this log, and it cannot call the rotator of this process: archives are only renamed",
                RuntimeWarning,
                stacklevel=2,
            )
        _close_with_the_worker(self)
        return log

    def _options_at_first(self, options: dict[str, Any]) -> dict[str, Any]:
        """Modes "w" and "x", for the first process of a log, once for a handler and all its copies."""
        if self.mode.startswith("w") and not options.get("direct"):
            return {"on_start": "truncate", **options}
        if self.mode.startswith("x") and not _crlog.is_open(self.baseFilename, self._place()):
            os.close(os.open(self.baseFilename, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            os.unlink(self.baseFilename)
        return options

    def flush(self) -> None:
        """Waits until all that any process logged before this call is in the file; ``flush_timeout`` seconds at most, then
        ``NotFlushed`` is raised, and nothing is lost. ``logging.shutdown``, which calls ``close()`` next, does not wait here."""
        log = self._log
        if log is not None and not _is_called_by_shutdown():
            log.flush(self.flush_timeout)

    def sync(self) -> None:
        """The same for the disk."""
        log = self._log
        if log is not None:
            log.sync(self.flush_timeout)

    def _leave(self) -> None:
        """The process caught a signal that asks it to end, and may put back the signal's default action and raise it again, as
        uvicorn does: nothing runs after that. Its last record is in the file; the log's memory must not stay."""
        log = self._log
        if log is not None and self._leaving_seconds > 0:
            begun = time.monotonic()
            self._write, self._log = self._open_and_write, None
            del log
            self._leaving_seconds -= time.monotonic() - begun

    def close(self) -> None:
        """Waits until what was logged is in the file, ``close_timeout`` seconds at most, and leaves the log. What is left then
        stays in memory: ``NotFlushed`` says so, the log stays open, and ``close()`` may be called again; at the end of the process
        it is a line on standard error. A record that is logged later opens the log again."""
        if _end.has_begun or _is_called_by_shutdown():
            self._close_at_end()
        else:
            self._close(lambda seconds: seconds, at_end=False)

    def _close_at_end(self) -> None:
        begun = time.monotonic()
        try:
            self._close(_end.limit, at_end=True)
        except _crlog.NotFlushed as e:
            _end.left.add(self.baseFilename)
            if self.report_at_exit and sys.stderr is not None:
                sys.stderr.write(f"crlog: {e}\n")
        finally:
            _end.waited_seconds += time.monotonic() - begun

    def _close(self, limit: Callable[[float], float], at_end: bool) -> None:
        log = getattr(self, "_log", None)
        is_left = at_end
        try:
            if log is None:
                self._recover()
            else:
                log.close(limit(log.close_timeout() if self.close_timeout is None else self.close_timeout), at_end)
            is_left = True
        finally:
            if log is not None and is_left:
                self._write, self._log, self._closed_once = self._open_and_write, None, True
                del log  # the last one of all processes drains the ring
            logging.Handler.close(self)

    def _recover(self) -> None:
        """Writes what killed children left in memory, of a log that this process did not open itself."""
        if hasattr(self, "options") and self.baseFilename not in _end.left:
            _crlog.recover(self.baseFilename, self._place())

    def _place(self) -> dict[str, Any]:
        """Where the log's memory is, of its options."""
        options = self._options_before if _is_finalizing() and self._options_before else self._log_options()
        return {name: options[name] for name in ("segment", "lock_dir") if name in options}

    def doRollover(self) -> None:
        """Rotates now, whoever the flusher is, and waits until it is done."""
        log = self._log or self._opened()
        log.rotate(self.flush_timeout)
        self._say(f"rotated {self.baseFilename}")

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """Whether the file is full; an empty one never is. The flusher decides for itself; this is for those who ask."""
        size = self._file_bytes() if self.maxBytes and self.maxBytes > 0 else 0
        if size and self.strict_size:
            size += len(self._encoded(self.format(record) + self.terminator))
            return size > self.maxBytes
        return bool(size) and size >= self.maxBytes

    def _file_bytes(self) -> int:
        if self._log is not None:
            return int(json.loads(self._log.stat_json())["file_bytes"])
        try:
            found = os.stat(self.baseFilename)
        except OSError:
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) else 0

    @property
    def num_rollovers(self) -> int:
        """Rotations of the log since this handler opened it, whoever made them."""
        log = self._log
        return 0 if log is None else max(log.rotations() - self._rotations_at_open, 0)

    def stats(self) -> dict[str, Any]:
        """All that can be seen of the log: counters, drops, who writes, who flushes. Opens it if it is not open."""
        log = self._log or self._opened()
        found: dict[str, Any] = json.loads(log.stat_json())
        return found

    # What concurrent-log-handler has besides

    @staticmethod
    def baseLockFilename(baseFilename: str) -> tuple[str, str]:
        """Directory and name of the lock file that concurrent-log-handler would use, which tells a log from others."""
        directory, name = os.path.split(baseFilename)
        name = name[:-4] if name.endswith(".log") else name
        return directory, f".__{name}.lock"

    def getLockFilename(self, lock_file_directory: str | None = None) -> str:
        """Path of the lock file: crlog's own if the log is open."""
        if self._log is not None and lock_file_directory is None:
            return str(json.loads(self._log.stat_json())["lock_file"])
        directory, name = self.baseLockFilename(self.baseFilename)
        return os.path.join(lock_file_directory or directory, name)

    @property
    def lockFilename(self) -> str:
        """See :meth:`getLockFilename`."""
        return self.getLockFilename()

    def do_open(self, mode: str | None = None) -> io.TextIOWrapper:
        """The log file, opened by itself, for those who want to read it."""
        file = open(self.baseFilename, mode or "r", encoding=self.encoding, newline=self.newline)  # noqa: SIM115
        assert isinstance(file, io.TextIOWrapper)
        return file

    def do_gzip(self, input_filename: str) -> None:
        """Packs a file and removes it. Archives of the log are packed by the flusher, see ``use_gzip``."""
        import gzip
        import shutil

        with open(input_filename, "rb") as plain, gzip.open(input_filename + ".gz", "wb") as packed:
            shutil.copyfileobj(plain, packed)
        os.remove(input_filename)

    def _say(self, text: str) -> None:
        if self.debug:
            import threading

            print(f"[{threading.current_thread().name} {os.getpid()} {time.asctime()}] {text}")  # noqa: T201

    # Copies for other processes

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for name in ("lock", "_log", "_write", "_rotations_at_open", "_options_before", "stream"):
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__["stream"] = None
        self._reset()
        self.createLock()
        logging._addHandlerRef(self)  # type: ignore[attr-defined]  # so that logging.shutdown finds it


def _seconds(value: Any) -> float | None:
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError(f"close_timeout is a number of seconds, such as 5.0, not {value!r}")


def _current_umask() -> int:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            lines: Iterable[str] = status
            return next(int(line.split()[1], 8) for line in lines if line.startswith("Umask:"))
    except (OSError, StopIteration, ValueError):
        mask = os.umask(0o022)
        os.umask(mask)
        return mask
