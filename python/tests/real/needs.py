"""What the tests need that is not of this project, and what of it is not to be had here. python/tests/run.sh and tests/setup.sh install it."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

# Python's packages, and programs.
PACKAGES = ("gevent", "uvicorn", "uvicorn_worker", "rq", "supervisor")
TOOLS = ("uwsgi", "apache2", "redis-check-rdb")


def tool(name: str) -> str | None:
    """Path of a program: of the tests' own environment, or of the system."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name) or shutil.which(name, path="/usr/sbin")


def has(name: str) -> bool:
    return bool(tool(name)) if name in TOOLS else importlib.util.find_spec(name) is not None


def missing() -> list[str]:
    return [name for name in (*PACKAGES, *TOOLS) if not has(name)]


def package_or_skip(*names: str) -> None:
    absent = [name for name in names if not has(name)]
    if absent:
        pytest.skip(f"{', '.join(absent)} not installed (see requirements-real.txt and tests/setup.sh)")
