"""Where the handlers under test come from, and the configuration that most programs here share."""

import importlib
import os

MODULE = os.environ.get("CRLOG_HANDLER_MODULE", "crlog")
ROTATING = f"{MODULE}.ConcurrentRotatingFileHandler"
TIMED = f"{MODULE}.ConcurrentTimedRotatingFileHandler"
MAX_BYTES = 64 * 1024
BACKUPS = 200  # more than any test here makes: what a limit removes cannot be checked

# fileConfig and dictConfig find `module.Class` by themselves only if the module can be imported: say so early and clearly.
importlib.import_module(MODULE)


def file_handler(formatter: str) -> dict:
    return {
        "class": ROTATING,
        "filename": os.environ["CRLOG_TEST_LOG"],
        "maxBytes": MAX_BYTES,
        "backupCount": BACKUPS,
        "encoding": "utf-8",
        "formatter": formatter,
    }


def config(**more) -> dict:
    """A dictConfig that sends all loggers to the log."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "framed": {"()": "numbering.Framed", "format": "%(asctime)s %(levelname)s %(name)s %(process)d %(message)s"},
        },
        "handlers": {"file": file_handler("framed")},
        "root": {"level": "INFO", "handlers": ["file"]},
        **more,
    }
