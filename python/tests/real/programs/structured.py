"""Structured logging: `structured.py python-json-logger|structlog NAME`. Several of these write one log at a time.

They begin together: each makes a file NAME.ready and waits for the file `go`."""

import logging
import logging.config
import sys
import time
from pathlib import Path

import handler
import numbering

RECORDS = 1000


def json_logger() -> logging.Logger:
    from pythonjsonlogger.json import JsonFormatter

    class Numbered(JsonFormatter):
        def add_fields(self, log_data, record, message_dict):
            super().add_fields(log_data, record, message_dict)
            log_data.update(numbering.fields("log", log_data["message"]))

    formatters = {"json": {"()": Numbered, "fmt": "%(asctime)s %(levelname)s %(name)s %(process)d %(message)s"}}
    logging.config.dictConfig(handler.config(formatters=formatters, handlers={"file": handler.file_handler("json")}))
    return logging.getLogger("structured")


def struct_logger():
    import structlog

    def number(logger, method, event):
        event.update(numbering.fields("log", event["event"]))
        return event

    shared = [structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso")]
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": shared,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            number,
            structlog.processors.JSONRenderer(),
        ],
    }
    logging.config.dictConfig(handler.config(formatters={"json": formatter}, handlers={"file": handler.file_handler("json")}))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(tenant="té€")
    return structlog.get_logger("structured")


def begin_together(name: str) -> None:
    Path(f"{name}.ready").touch()
    while not Path("go").exists():
        time.sleep(0.001)


def main(kind: str, name: str) -> None:
    if kind == "structlog":
        bound = struct_logger().bind(order=7)
        log = lambda n: bound.info(f"by={name} n={n} {numbering.padding(n)}", step=n)  # noqa: E731
    else:
        plain = json_logger()
        log = lambda n: plain.info("by=%s n=%d %s", name, n, numbering.padding(n), extra={"order": 7, "step": n})  # noqa: E731
    begin_together(name)
    for n in range(RECORDS):
        log(n)
    foreign = logging.getLogger("a.library")
    for n in range(RECORDS, RECORDS + 20):
        try:
            {}[f'"quoted"\nkey {n}']
        except KeyError:
            foreign.exception("by=%s n=%d of a library\nof two lines", name, n)


if __name__ == "__main__":
    main(*sys.argv[1:])
