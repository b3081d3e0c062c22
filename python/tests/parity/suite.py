"""Runs CPython's own tests of its file handlers against crlog's classes, in the interpreter that runs this file.

Prints one JSON object: the interpreter, and for each test ``"passes"``, ``"skipped: …"`` or the last line of what it failed with.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import logging.handlers
import os
import sys
import unittest
import warnings
from typing import Any

# Test classes of test.test_logging; of a class that is about other handlers too, only these tests, as far as there are any.
CLASSES: dict[str, tuple[str, ...] | None] = {
    "FileHandlerTest": None,
    "RotatingFileHandlerTest": None,
    "TimedRotatingFileHandlerTest": None,
    "HandlerTest": ("test_path_objects", "test_pathlike_objects"),
}


def handlers() -> dict[str, type[logging.Handler]]:
    """crlog's handlers as these tests need them. They look into the file right after ``emit``: here it waits for the
    flusher. And the standard library's size rule is the strict one. An error is one of the test."""
    import crlog

    class Size(crlog.ConcurrentRotatingFileHandler):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, strict_size=True, **kwargs)

        def emit(self, record: logging.LogRecord) -> None:
            super().emit(record)
            self.flush()

        def handleError(self, record: logging.LogRecord) -> None:
            raise  # noqa: PLE0704

    class Timed(crlog.ConcurrentTimedRotatingFileHandler):
        def emit(self, record: logging.LogRecord) -> None:
            super().emit(record)
            self.flush()

        def handleError(self, record: logging.LogRecord) -> None:
            raise  # noqa: PLE0704

    return {"RotatingFileHandler": Size, "TimedRotatingFileHandler": Timed}


class InPlaceOf:
    """A module as it is, but for some names."""

    def __init__(self, module: Any, **others: Any) -> None:
        self.__dict__.update(others, _module=module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def in_place(module: Any) -> None:
    """What the tests call ``logging`` has our classes. The real module stays as it is: ours are built on it."""
    ours = handlers()
    module.logging = InPlaceOf(logging, FileHandler=ours["RotatingFileHandler"], handlers=InPlaceOf(logging.handlers, **ours))


class Results(unittest.TestResult):
    """What became of each test."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def put(self, test: unittest.TestCase, what: str) -> None:
        # The first word on it counts: what tearDown finds afterwards follows from it.
        self.found.setdefault(".".join(test.id().split(".")[-2:]), what)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.put(test, "passes")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.put(test, f"skipped: {reason}")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self.put(test, last_line(err))

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self.put(test, last_line(err))


def last_line(err: Any) -> str:
    text = str(err[1]).strip().splitlines()
    return f"{err[0].__name__}: {text[-1] if text else ''}"


def tests(module: Any) -> unittest.TestSuite:
    loader, suite = unittest.TestLoader(), unittest.TestSuite()
    for name, only in CLASSES.items():
        case = getattr(module, name)
        suite.addTests(case(test) for test in loader.getTestCaseNames(case) if only is None or test in only)
    return suite


def main() -> int:
    try:
        module = importlib.import_module("test.test_logging")
    except ImportError as error:
        print(json.dumps({"version": sys.version.split()[0], "missing": str(error)}))
        return 0
    if "--standard-library" not in sys.argv:
        in_place(module)
    results = Results()
    with warnings.catch_warnings(), open(os.devnull, "w") as nowhere:
        warnings.simplefilter("ignore", RuntimeWarning)  # that rotator is not called
        with contextlib.redirect_stdout(nowhere):
            tests(module).run(results)
    print(json.dumps({"version": sys.version.split()[0], "tests": results.found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
