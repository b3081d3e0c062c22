"""Names and encodings as the caller gave them: errors speak of arguments of the handler, not of the log's options."""

from __future__ import annotations

import codecs
import difflib
import inspect
import re
from typing import Any, Iterable

# Options of the log that a handler makes of its own arguments.
_ARGUMENTS = {
    "when_full": "overflow",
    "max_bytes": "maxBytes",
    "backups": "backupCount",
    "rotate_at": "when",
    "lock_dir": "lock_file_directory",
    "mode": "chmod",
}
# One of each family of scripts; those that an encoding does not have are left out.
_SAMPLES = ("a~+-\\", "\u00e9", "\u042f", "\u3042\u6f22", "\u4e2d", "\uac00", "\U0001f600")


def in_words_of_the_caller(text: str, given: Iterable[str]) -> str:
    """The message of an error at the option it begins with, with the handler's name for it unless the caller used the option's."""
    text = re.sub(r"did you mean ([a-z_]+)\?$", lambda hint: f"did you mean {_ARGUMENTS.get(hint[1], hint[1])}?", text)
    found = re.match(r"(?:--)?([a-z_-]+)(?=: )", text)
    if found is None:
        return text
    name = found[1].replace("-", "_")
    return (name if name in given else _ARGUMENTS.get(name, name)) + text[found.end() :]


def argument(option: str) -> str:
    """The handler's name for an option of the log."""
    return _ARGUMENTS.get(option, option)


def check_names(handler_class: type, given: Iterable[str], options: Iterable[str]) -> None:
    """Raises ``TypeError`` for a keyword that is nearly an argument or an option, and says which one may be meant."""
    options = list(options)
    for name in given:
        if name not in options:
            meant = _meant(name, [*_arguments(handler_class), *options])
            if meant:  # else the log says what it has
                raise TypeError(f"{name} is no argument of {handler_class.__name__}; did you mean {meant}?")


def _arguments(handler_class: type) -> list[str]:
    names: list[str] = []
    for one in handler_class.__mro__:
        if "__init__" in vars(one) and one is not object:
            names += [name for name in inspect.signature(vars(one)["__init__"]).parameters if name != "self"]
    return names


def _meant(name: str, known: list[str]) -> str | None:
    plain: dict[str, str] = {}
    for one in known:
        plain.setdefault(one.lower().replace("_", ""), one)
    found = difflib.get_close_matches(name.lower().replace("_", ""), list(plain), 1, 0.75)
    return plain[found[0]] if found else None


def codec_of_a_record(encoding: str, byteorder: str) -> str:
    """The codec that encodes each record by itself: none of those that begin each text with a byte order mark."""
    name = codecs.lookup(encoding).name
    if name in ("utf-16", "utf-32"):
        return f"{name}-{'le' if byteorder == 'little' else 'be'}"
    return "utf-8" if name == "utf-8-sig" else name


def check_encoding(encoding: str | None, codec: str) -> None:
    """Raises ``ValueError`` if records that are encoded one by one are, one after the other, another text."""
    text, encoded = "", b""
    for sample in _SAMPLES:
        try:
            one = sample.encode(codec) + "\n".encode(codec)
        except UnicodeError:
            continue
        text, encoded = text + sample + "\n", encoded + one
    try:
        is_right = bool(text) and encoded.decode(codec) == text
    except UnicodeError:
        is_right = False
    if not is_right:
        raise ValueError(
            f"encoding={encoding!r}: records that are encoded one by one cannot be read as one file in it; take utf-8"
        )


def checked(check: Any, path: str, options: dict[str, Any], given: Iterable[str]) -> None:
    """Calls ``check``; what it raises speaks the caller's names."""
    try:
        check(path, options)
    except (TypeError, ValueError) as e:
        text = in_words_of_the_caller(str(e), given)
        if type(e) not in (TypeError, ValueError) or text == str(e):
            raise
        raise type(e)(text) from None
