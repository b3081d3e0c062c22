"""Encodings: records are encoded one by one, and the file has to be one text."""

from __future__ import annotations

import codecs
import logging
from pathlib import Path

import pytest

from crlog import ConcurrentRotatingFileHandler

TEXTS = ("a~+-\\x", "\u00e9", "\u3042\u6f22", "\u4e2d", "\uac00", "\u042f")


def written(log: Path, encoding: str, texts: list[str]) -> bytes:
    logger = logging.Logger("encodings")
    handler = ConcurrentRotatingFileHandler(log, encoding=encoding, errors="strict")
    logger.addHandler(handler)
    for text in texts:
        logger.info(text)
    handler.close()
    return log.read_bytes()


def encodable(encoding: str) -> list[str]:
    return [text for text in TEXTS if text.encode(encoding, "ignore").decode(encoding) == text]


@pytest.mark.parametrize("name", ["utf-8-sig", "utf_8_sig", "UTF-8-SIG"])
def test_utf_8_sig_writes_no_mark_between_records(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        written(tmp_path / "app.log", name, ["a", "\u00e9"])
    found = (tmp_path / "app.log").read_bytes()
    assert codecs.BOM_UTF8 not in found
    assert found.decode("utf-8-sig") == "a\n\u00e9\na\n\u00e9\n"


@pytest.mark.parametrize(
    "name", ["utf-7", "hz", "iso2022_jp", "iso2022_jp_2", "iso2022_jp_2004", "iso2022_jp_3", "iso2022_kr", "gb18030", "cp037"]
)
def test_stateful_encoding_is_one_text_in_the_file(tmp_path: Path, name: str) -> None:
    texts = encodable(name)
    assert texts
    assert written(tmp_path / "app.log", name, texts).decode(name) == "".join(f"{text}\n" for text in texts)


@pytest.mark.parametrize("name", ["idna", "punycode", "undefined", "rot13", "hex", "no-such-codec"])
def test_impossible_encoding_is_refused_when_made(tmp_path: Path, name: str) -> None:
    with pytest.raises((ValueError, LookupError), match="(?i)encod|codec"):
        ConcurrentRotatingFileHandler(tmp_path / "app.log", encoding=name)
    assert list(tmp_path.iterdir()) == []
