"""python-json-logger and structlog, whose records are lines of JSON."""

import json

import pytest

from .checker import json_lines
from .run import PROGRAMS, until

WRITERS = 3
RECORDS = 1000
FOREIGN = 20


@pytest.mark.parametrize("kind, text_key", [("python-json-logger", "message"), ("structlog", "event")])
def test_structured_records_of_several_processes_stay_whole(place, kind, text_key):
    writers = [place.python(PROGRAMS / "structured.py", kind, f"w{n}", name=f"w{n}") for n in range(WRITERS)]
    until(lambda: len(list(place.root.glob("*.ready"))) == WRITERS or not all(w.running() for w in writers), "the writers are ready")
    (place.root / "go").touch()
    for writer in writers:
        writer.ends()
    report = place.look(reader=json_lines(text_key), rotations=8).raise_if_bad()
    expected = sorted((f"w{w}", str(n)) for w in range(WRITERS) for n in range(RECORDS + FOREIGN))
    assert sorted(report.found(r"by=(\w+) n=(\d+)")) == expected
    assert report.pids == {w.pid for w in writers}
    sources = [r.source for r in report.records]
    assert sum(a != b for a, b in zip(sources, sources[1:])) > WRITERS, "they wrote one after the other"

    lines = [json.loads(line) for f in report.files for line in f.path.read_text("utf-8").splitlines()]
    own = [line for line in lines if "step" in line]
    assert sorted(line["step"] for line in own) == sorted([*range(RECORDS)] * WRITERS)
    assert all(line["order"] == 7 for line in own)
    foreign = [line for line in lines if "step" not in line]
    exceptions = [line.get("exc_info") or line["exception"] for line in foreign]
    assert len(exceptions) == WRITERS * FOREIGN
    assert all(e.startswith("Traceback") and "KeyError" in e for e in exceptions)
    if kind == "structlog":
        assert all(line["tenant"] == "té€" for line in lines)
