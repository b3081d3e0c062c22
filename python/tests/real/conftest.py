from typing import Iterator

import pytest

from .run import Guard, Place


@pytest.fixture(scope="session")
def guard() -> Iterator[Guard]:
    guard = Guard()
    yield guard
    guard.close()


@pytest.fixture
def place(tmp_path, guard) -> Iterator[Place]:
    place = Place(tmp_path, guard)
    try:
        yield place
    finally:
        place.close()
