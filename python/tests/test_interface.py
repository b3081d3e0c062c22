"""The interface of concurrent-log-handler 0.9.31: arguments, defaults, attributes, classes."""

from __future__ import annotations

import inspect
import logging
import logging.handlers
from datetime import time
from pathlib import Path

import crlog
import pytest
from crlog import ConcurrentRotatingFileHandler, ConcurrentTimedRotatingFileHandler

BY_SIZE = {
    "filename": inspect.Parameter.empty,
    "mode": "a",
    "maxBytes": 0,
    "backupCount": 0,
    "encoding": None,
    "debug": False,
    "delay": None,
    "use_gzip": False,
    "owner": None,
    "chmod": None,
    "umask": None,
    "newline": None,
    "terminator": "\n",
    "unicode_error_policy": "ignore",
    "lock_file_directory": None,
    "keep_file_open": True,
}
BY_TIME = {
    "filename": inspect.Parameter.empty,
    "when": "h",
    "interval": 1,
    "backupCount": 0,
    "encoding": None,
    "delay": False,
    "utc": False,
    "atTime": None,
    "errors": None,
    "maxBytes": 0,
    "use_gzip": False,
    "owner": None,
    "chmod": None,
    "umask": None,
    "newline": None,
    "terminator": "\n",
    "unicode_error_policy": "ignore",
    "lock_file_directory": None,
    "keep_file_open": True,
}


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [(ConcurrentRotatingFileHandler, BY_SIZE), (ConcurrentTimedRotatingFileHandler, BY_TIME)],
)
def test_arguments_have_the_order_and_the_defaults_that_they_had(handler: type, arguments: dict) -> None:
    found = inspect.signature(handler).parameters.values()
    positional = {p.name: p.default for p in found if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD}
    assert list(positional.items()) == list(arguments.items())


def test_handlers_are_what_others_take_them_for(log: Path) -> None:
    by_size, by_time = ConcurrentRotatingFileHandler(log), ConcurrentTimedRotatingFileHandler(log)
    for kind in (logging.handlers.BaseRotatingHandler, logging.FileHandler, logging.StreamHandler, logging.Handler):
        assert isinstance(by_size, kind) and isinstance(by_time, kind)
    assert isinstance(by_time, logging.handlers.TimedRotatingFileHandler)
    assert not isinstance(by_size, logging.handlers.RotatingFileHandler)


def test_attributes_are_there(log: Path) -> None:
    h = ConcurrentRotatingFileHandler(str(log), "a", 1000, 3)
    assert (h.baseFilename, h.maxBytes, h.backupCount, h.num_rollovers) == (str(log), 1000, 3, 0)
    assert (h.maxLockAttempts, h.gzip_buffer, h.lockPollInterval) == (20, 8096, 0.001)
    assert h.lockFilename == str(log.parent / ".__app.lock")
    assert ConcurrentRotatingFileHandler.baseLockFilename("/d/app.txt") == ("/d", ".__app.txt.lock")
    assert h.stream is None and h.terminator == "\n" and h.mode == "a"
    for method in ("do_open", "do_write", "do_gzip", "shouldRollover", "doRollover", "getLockFilename"):
        assert callable(getattr(h, method))
    assert repr(h).startswith(f"<ConcurrentRotatingFileHandler {log}")


def test_relative_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ConcurrentRotatingFileHandler("app.log").baseFilename == str(tmp_path / "app.log")


def test_a_handler_that_logged_nothing_makes_nothing(log: Path) -> None:
    h = ConcurrentRotatingFileHandler(log)
    h.flush()
    h.close()
    assert list(log.parent.iterdir()) == []


@pytest.mark.parametrize("delay", [0.5, "yes"])
def test_an_odd_delay_is_warned_of(log: Path, delay: object) -> None:
    with pytest.warns(DeprecationWarning, match="delay"):
        ConcurrentRotatingFileHandler(log, delay=delay)


def test_an_unknown_unicode_policy_is_warned_of_and_is_ignore(log: Path) -> None:
    with pytest.warns(UserWarning, match="unicode_error_policy"):
        assert ConcurrentRotatingFileHandler(log, unicode_error_policy="nonsense").unicode_error_policy == "ignore"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"max_size": 5}, "did you mean maxBytes"),
        ({"maxbytes": 5}, r"^maxbytes is no argument of .*; did you mean maxBytes\?$"),
        ({"back_up_count": 5}, "did you mean backupCount"),
        ({"ring_sise": 5}, "did you mean ring_size"),
        ({"maxBytes": 10**30}, "^maxBytes: "),
        ({"backupCount": 10**12}, "^backupCount: "),
        ({"when_full": "sometimes"}, "^when_full: "),
        ({"nonsense": 5}, "no option of a log"),
        ({"overflow": "sometimes"}, "^overflow: "),
        ({"ring_size": "5 bananas"}, "ring_size"),
        ({"ring_size": 5}, "256 KiB"),
        ({"owner": ("nobody-of-that-name", None)}, "^owner: .*nobody-of-that-name"),
        ({"owner": ("root",)}, "a pair"),
        ({"newline": "x"}, "newline"),
        ({"terminator": "a long one"}, "terminator"),
        ({"compress": "rar"}, "compress"),
        ({"keep_age": []}, "keep_age"),
    ],
)
def test_what_is_not_possible_is_said_when_the_handler_is_made(log: Path, wrong: dict, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        ConcurrentRotatingFileHandler(log, **wrong)


def test_all_options_of_a_log_can_be_given(log: Path) -> None:
    h = ConcurrentRotatingFileHandler(
        log, overflow={"debug": "drop", "error": "block"}, durable=False, ring_size="1 MiB", strict_size=True, keep_age="7 days"
    )
    h.emit(logging.makeLogRecord({"msg": "x"}))
    found = h.stats()
    assert found["when_full"]["debug"] == "drop" and found["when_full"]["error"] == "block"
    assert found["ring_bytes"] == 1 << 20
    h.close()
    assert "keep_age" in crlog.option_names()


def test_the_timed_handler_has_what_it_had(log: Path) -> None:
    seen = []

    class Mine(ConcurrentTimedRotatingFileHandler):
        def finalize_handler_configuration(self) -> None:
            seen.append(self.suffix)

    h = Mine(log, "midnight", 2, 3, None, False, True, time(3, 4, 5), maxBytes=7)
    assert seen == ["%Y-%m-%d"]
    assert (h.when, h.backupCount, h.utc, h.atTime, h.maxBytes) == ("MIDNIGHT", 3, True, time(3, 4, 5), 7)
    assert h.clh is h and h.stream is None and h.MIN_VALID_TIMESTAMP == 946684800
    before = h.rolloverAt
    h.initialize_rollover_time()
    h.write_rollover_time()
    h.read_rollover_time()
    assert h.rolloverAt == before
    assert h._rotation_options()["rotate_at"] == "MIDNIGHT 2 at 03:04:05 UTC"
    with pytest.raises(ValueError):
        ConcurrentTimedRotatingFileHandler(log, when="fortnightly")


def test_names_that_configurations_use_are_there() -> None:
    assert logging.handlers.ConcurrentRotatingFileHandler is ConcurrentRotatingFileHandler  # type: ignore[attr-defined]
    assert set(crlog.__all__) >= {"ConcurrentRotatingFileHandler", "ConcurrentTimedRotatingFileHandler"}
    assert crlog.__version__


def test_setup_logging_queues_is_not_needed_any_more() -> None:
    with pytest.warns(DeprecationWarning, match="not needed"):
        crlog.setup_logging_queues()
