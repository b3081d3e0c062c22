"""Configurations that name the handlers."""

from __future__ import annotations

import json
import logging
import logging.config
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import lines

Python = Callable[..., subprocess.CompletedProcess]

DICT = """
import logging, logging.config, sys
{before}
logging.config.dictConfig({{
    "version": 1,
    "formatters": {{"plain": {{"format": "%(levelname)s %(message)s"}}}},
    "handlers": {{"file": {{
        "class": "{name}", "formatter": "plain", "filename": sys.argv[1], "maxBytes": 1000, "backupCount": 2,
        "level": "INFO"}}}},
    "root": {{"handlers": ["file"], "level": "DEBUG"}},
}})
logging.info("hello")
logging.debug("not this")
assert type(logging.getLogger().handlers[0]).__module__ == "crlog.handlers"
"""
INI = """
[loggers]
keys=root
[handlers]
keys=file
[formatters]
keys=plain
[logger_root]
level=DEBUG
handlers=file
[handler_file]
class={name}
level=INFO
formatter=plain
args=(r"{log}", "a", 1000, 2)
[formatter_plain]
format=%(levelname)s %(message)s
"""
ALIASES = [
    ("import crlog", "crlog.ConcurrentRotatingFileHandler"),
    ("", "crlog.ConcurrentRotatingFileHandler"),
    ("import crlog", "logging.handlers.ConcurrentRotatingFileHandler"),
    ("import crlog; crlog.install_as_concurrent_log_handler()", "concurrent_log_handler.ConcurrentRotatingFileHandler"),
    ("import crlog.as_concurrent_log_handler", "concurrent_log_handler.ConcurrentRotatingFileHandler"),
    ("import crlog.as_concurrent_log_handler", "logging.handlers.ConcurrentRotatingFileHandler"),
]


@pytest.mark.parametrize(("before", "name"), ALIASES)
def test_dict_config(log: Path, python: Python, before: str, name: str) -> None:
    python(DICT.format(before=before, name=name), log)
    assert lines(log) == ["INFO hello"]


@pytest.mark.parametrize(
    ("before", "name"), [*ALIASES, ("import crlog", "handlers.ConcurrentRotatingFileHandler")]
)
def test_file_config(log: Path, python: Python, before: str, name: str) -> None:
    if name.startswith("crlog."):
        before = "import crlog"  # fileConfig looks names up in what the module logging sees, or imports them
    ini = log.with_name("logging.ini")
    ini.write_text(INI.format(name=name, log=log))
    python(
        f"{before}\nimport logging, logging.config, sys\nlogging.config.fileConfig(sys.argv[1])\nlogging.info('hello')\n", ini
    )
    assert lines(log) == ["INFO hello"]


def test_the_timed_handler_in_dict_config(log: Path, python: Python) -> None:
    python(
        DICT.replace('"maxBytes": 1000, ', '"when": "midnight", "interval": 1, ').format(
            before="", name="crlog.ConcurrentTimedRotatingFileHandler"
        ),
        log,
    )
    assert lines(log) == ["INFO hello"]


def test_code_that_imports_from_the_old_package_works(log: Path, python: Python) -> None:
    python(
        """
        import sys, warnings, crlog
        crlog.install_as_concurrent_log_handler()
        from concurrent_log_handler import ConcurrentRotatingFileHandler, ConcurrentTimedRotatingFileHandler
        from concurrent_log_handler.queue import setup_logging_queues
        from concurrent_log_handler.__version__ import __version__
        assert ConcurrentRotatingFileHandler is crlog.ConcurrentRotatingFileHandler and __version__
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            setup_logging_queues()
        assert [w.category for w in seen] == [DeprecationWarning]
        """,
    )


def test_a_wrong_option_in_a_configuration_says_which(log: Path) -> None:
    configuration: dict[str, Any] = {
        "version": 1,
        "handlers": {"file": {"class": "crlog.ConcurrentRotatingFileHandler", "filename": str(log), "keep_age": "long"}},
    }
    with pytest.raises(ValueError) as error:
        logging.config.dictConfig(configuration)
    assert "keep_age" in str(error.value.__cause__)


def test_json_lines(log: Path, logger: logging.Logger) -> None:
    from crlog import ConcurrentRotatingFileHandler

    class Json(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return json.dumps({"message": record.getMessage(), "level": record.levelname})

    logger.addHandler(h := ConcurrentRotatingFileHandler(log))
    h.setFormatter(Json())
    logger.info("a\nb")
    h.close()
    assert [json.loads(line) for line in lines(log)] == [{"message": "a\nb", "level": "INFO"}]
