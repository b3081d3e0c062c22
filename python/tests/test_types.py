"""The package says that it is typed: a type checker must agree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import crlog

PROGRAM = """
import logging
import crlog

handler = crlog.ConcurrentTimedRotatingFileHandler("app.log", when="midnight", backupCount=3, keep_age="7 days")
handler.setFormatter(logging.Formatter("%(message)s"))
handler.flush()
count: int = handler.num_rollovers
found = crlog.stat("app.log")
if found is not None:
    print(found["counters"])
wrong: str = handler.num_rollovers
"""


def test_mypy_finds_the_types_of_the_package_and_nothing_wrong_in_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    # Beside other installed packages mypy would look at those too.
    package = str(shutil.copytree(Path(crlog.__file__).parent, tmp_path / "crlog"))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), package, str(program)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    errors = [line for line in done.stdout.splitlines() if "error:" in line]
    wrong = 1 + next(i for i, line in enumerate(PROGRAM.splitlines()) if line.startswith("wrong"))
    assert len(errors) == 1 and f"program.py:{wrong}:" in errors[0] and "[assignment]" in errors[0], done.stdout + done.stderr
