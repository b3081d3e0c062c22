"""CPython's own tests of its file handlers, against our classes, in every interpreter that is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import crlog
import pytest

from .known import CANNOT

SUITE = Path(__file__).with_name("suite.py")
PACKAGE = Path(crlog.__file__).parent
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "python.md"


def interpreters() -> list[str]:
    """This one, and one of each other version that is in the PATH or under ~/.pyenv, or those that CRLOG_PYTHONS names."""
    if named := os.environ.get("CRLOG_PYTHONS"):
        return named.split(os.pathsep)
    found = {sys.version_info[:2]: sys.executable}
    for minor in range(10, 20):
        paths = [shutil.which(f"python3.{minor}"), *map(str, Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3"))]
        for path in paths:
            if path is not None and (3, minor) not in found and is_usable(path, minor):
                found[3, minor] = path
    return [found[version] for version in sorted(found)]


def is_usable(path: str, minor: int) -> bool:
    """Whether it runs (a shim of pyenv may not) and loads extensions of the stable ABI."""
    ask = "import sys, sysconfig; print(sys.version_info[1], sysconfig.get_config_var('Py_GIL_DISABLED') or 0)"
    done = subprocess.run([path, "-c", ask], check=False, capture_output=True, text=True, timeout=60)
    return done.returncode == 0 and done.stdout.split() == [str(minor), "0"]


def run(interpreter: str, directory: Path, *arguments: str) -> dict[str, Any]:
    (directory / "lib").mkdir()
    (directory / "lib" / "crlog").symlink_to(PACKAGE)  # and nothing else that is made for this interpreter
    done = subprocess.run(
        [interpreter, str(SUITE), *arguments],
        check=False,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(directory / "lib"), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(directory)},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    if "missing" in found:
        pytest.skip(
            f"SKIPPED: CPython's own tests: {interpreter} has none ({found['missing']}; on Debian, libpython3-testsuite)"
        )
    return found


@pytest.mark.parametrize("interpreter", interpreters())
def test_of_the_standard_library_exactly_those_fail_that_are_known_to(interpreter: str, tmp_path: Path) -> None:
    found = run(interpreter, tmp_path)
    major, minor = map(int, found["version"].split(".")[:2])
    known = {cannot.test: cannot for cannot in CANNOT if cannot.is_in((major, minor))}
    assert len(found["tests"]) > 20, "tests of the file handlers are gone from test.test_logging"
    assert not known.keys() - found["tests"].keys(), "known to fail, but not there any more"
    for test, result in found["tests"].items():
        if test not in known:
            assert result == "passes" or result.startswith("skipped"), f"{test} fails: {result}"
        else:
            assert result != "passes", f"{test} passes now: take it out of the list and of docs/python.md"
            assert known[test].fails_with in result, f"{test} fails in another way: {result}"


def test_the_standard_librarys_own_handlers_pass(tmp_path: Path) -> None:
    found = run(sys.executable, tmp_path, "--standard-library")
    assert set(found["tests"].values()) == {"passes"}


def test_the_documentation_has_the_same_list() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    section = text.partition("\n## The standard library's own tests\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+\.test_\w+)` \| (.+?) \| (.+) \|$", section, re.MULTILINE)
    assert rows == [(cannot.test, cannot.versions(), cannot.why) for cannot in CANNOT]
