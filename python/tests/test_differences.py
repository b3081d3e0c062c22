"""A second opener whose options are not those of the running log."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest

from crlog import ConcurrentRotatingFileHandler


def emitted(log: Path, **arguments: object) -> ConcurrentRotatingFileHandler:
    handler = ConcurrentRotatingFileHandler(log, **arguments)  # type: ignore[arg-type]
    handler.emit(logging.makeLogRecord({"msg": "x"}))
    return handler


def test_second_opener_with_other_options_warns_once(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    first = emitted(log)
    with pytest.warns(RuntimeWarning) as found:
        others = [emitted(log, maxBytes=5000, overflow="drop", use_gzip=True, chmod=0o600) for _ in range(2)]
    assert len(found) == 1
    text = str(found[0].message)
    assert f"maxBytes is 0 here, 5000 was asked for: crlog set {log} --max-bytes 5000" in text
    assert f"overflow is another here, drop was asked for: crlog set {log} --when-full drop" in text
    assert f"600 was asked for: crlog set {log} --mode 0600" in text and "chmod is 0" in text
    assert f"crlog set {log} --compress gzip" in text and "{" not in text
    for handler in (first, *others):
        handler.close()


def test_second_opener_without_options_does_not_warn(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for handler in [emitted(tmp_path / "app.log", maxBytes=5000, backupCount=3), emitted(tmp_path / "app.log")]:
            handler.close()


def test_warning_made_an_error_loses_no_record(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for handler in [emitted(tmp_path / "app.log"), emitted(tmp_path / "app.log", maxBytes=5000, backupCount=3)]:
            handler.close()
    assert (tmp_path / "app.log").read_text() == "x\nx\n"
