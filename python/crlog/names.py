"""From what a handler calls its archives to a template of names, which every flusher can follow.

``namer`` and ``suffix`` are looked at once, when the log is opened: a flusher may be another process, one without Python.
"""

from __future__ import annotations

import os
import time
import warnings
from typing import Callable

# Numbers and times that do not stand in file names by accident.
_NUMBERS = (987654321, 13579, 24680)
_TIMES = ((2037, 11, 28, 22, 47, 59, 5, 332, 0), (2019, 3, 7, 4, 16, 38, 3, 66, 0))


def quoted(text: str) -> str:
    """A text as it stands in a template."""
    return text.replace("{", "{{").replace("}", "}}")


def or_default(make: Callable[[], str], default: str) -> str:
    """The template that ``make`` finds; if there is none a warning, and the default names: no record is refused for them."""
    try:
        return make()
    except ValueError as e:
        try:
            warnings.warn(f"archives have the default names ({default}): {e}", RuntimeWarning, stacklevel=2)
        except RuntimeWarning:
            pass  # made an error by a filter: the records are written all the same
        return default


def numbered(base: str, rotation_filename: Callable[[str], str]) -> str:
    """The template of a chain ``base.1``, ``base.2``, … as ``rotation_filename`` renames it."""
    found = {_around(base, rotation_filename(f"{base}.{n}"), str(n)) for n in _NUMBERS}
    template = _template(found, "{n}", "the number")
    if os.path.basename(rotation_filename(f"{base}.7")) != template.format(n=7):
        raise ValueError("namer cannot be followed by every process: it changes the number, with zeros before it maybe")
    return template


def dated(base: str, suffix: str, rotation_filename: Callable[[str], str]) -> str:
    """The template of ``base.2026-05-01`` and its like."""
    found = set()
    for moment in _TIMES:
        stamp = time.strftime(suffix, moment)
        found.add(_around(base, rotation_filename(f"{base}.{stamp}"), stamp))
    return _template(found, "{date:" + suffix + "}", "the date")


def _around(base: str, name: str, part: str) -> tuple[str, str] | None:
    directory, name = os.path.split(os.path.join(os.path.dirname(base), os.fspath(name)))
    if directory != os.path.dirname(base):
        raise ValueError(
            f"namer puts archives into {directory}, the log is in {os.path.dirname(base)}: "
            "archives stand beside the log; use the link or after_rotate option to have them elsewhere"
        )
    return (name[: name.index(part)], name[name.index(part) + len(part) :]) if name.count(part) == 1 else None


def _template(found: set[tuple[str, str] | None], field: str, what: str) -> str:
    if len(found) != 1 or None in found:
        raise ValueError(
            f"namer cannot be followed by every process: {what} must stand in its name once, unchanged, between texts "
            "that are always the same"
        )
    before, after = found.pop()  # type: ignore[misc]
    return quoted(before) + field + quoted(after)
