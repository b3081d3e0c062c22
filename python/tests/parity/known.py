"""Tests of CPython that our handlers do not pass, with what they fail with, and why that stays so.

The table in docs/python.md, "The standard library's own tests", is this one.
"""

from __future__ import annotations

from typing import NamedTuple

LAZY = "a log is opened with its first record, as by concurrent-log-handler: `delay` has no meaning"


class Cannot(NamedTuple):
    """A test, part of what it fails with, the first version of Python that has it like this and the first that has not."""

    test: str
    fails_with: str
    why: str
    since: tuple[int, int] = (3, 10)
    until: tuple[int, int] = (4, 0)

    def is_in(self, version: tuple[int, int]) -> bool:
        return self.since <= version < self.until

    def versions(self) -> str:
        first = "" if self.since == (3, 10) else f"{self.since[0]}.{self.since[1]} and later"
        return first or ("all" if self.until == (4, 0) else f"before {self.until[0]}.{self.until[1]}")


CANNOT = (
    Cannot("FileHandlerTest.test_delay", "unexpectedly None", "`stream` is always `None`: the file belongs to the flusher"),
    Cannot(
        "FileHandlerTest.test_emit_after_closing_in_write_mode",
        "AssertionError: - 2",
        'a record after `close()` opens the log again and is written. The standard library drops it in mode "w", lest it empty '
        "the file; ours empties it once only",
    ),
    Cannot("HandlerTest.test_path_objects", "False is not true", LAZY, until=(3, 13)),
    Cannot("HandlerTest.test_pathlike_objects", "False is not true", LAZY, since=(3, 13)),
    Cannot(
        "RotatingFileHandlerTest.test_max_bytes", "False is not True", LAZY + "; `test_max_bytes_delay` passes", since=(3, 13)
    ),
    Cannot(
        "RotatingFileHandlerTest.test_should_rollover",
        "False is not true",
        "an empty file is never rotated; Python 3.13 sees it the same way",
        until=(3, 13),
    ),
)
