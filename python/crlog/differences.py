"""The one warning for a process that opens a running log with other options: those of the log hold."""

from __future__ import annotations

import re
import shlex
import warnings
from typing import Any, Iterable

from .words import argument

# Options that `crlog set` changes, and whose values it takes as Python does.
_LIVE = ("max_bytes", "backups", "when_full", "compress", "rotate_at", "keep_age", "keep_bytes", "min_free", "mode")
# What a handler asks for without having been given it.
_DEFAULTS = {"max_bytes": 0, "backups": 0, "size_rule": "check-before", "terminator": b"\n"}
_warned: set[str] = set()


def warn_once(path: str, differences: Iterable[str], options: dict[str, Any], left_out: Iterable[str]) -> None:
    """Warns of the options that were given and are not in force, once a process and log. Never raises."""
    found = {match[1]: match[2] for match in (re.match(r"(\w+) stays (.*), ", text) for text in differences) if match}
    texts = [
        _text(path, name, running, options[name])
        for name, running in found.items()
        if name in options and name not in left_out and options[name] != _DEFAULTS.get(name)
    ]
    if not texts or path in _warned:
        return
    _warned.add(path)
    try:
        warnings.warn(f"{path} is open with other options, which hold: {'; '.join(texts)}", RuntimeWarning, stacklevel=2)
    except RuntimeWarning:
        pass  # made an error by a filter: the record is written all the same


def _text(path: str, name: str, running: str, asked: Any) -> str:
    if name == "mode" and running.isdigit():
        running = f"{int(running):04o}"
    is_plain = re.fullmatch(r"\d+", running) is not None
    text = f"{argument(name)} is {running if is_plain else 'another'} here, {asked} was asked for"
    if name in _LIVE and isinstance(asked, (int, str)):
        text += f": crlog set {shlex.quote(path)} --{name.replace('_', '-')} {shlex.quote(str(asked))}"
    return text
