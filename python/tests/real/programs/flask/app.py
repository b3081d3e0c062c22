"""A Flask application whose logging is configured by logging.ini: `app.py PORT`. Each request is served by a forked process."""

import logging
import logging.config
import os
import sys
from pathlib import Path

import handler
import numbering
from flask import Flask

LOG = Path(os.environ["CRLOG_TEST_LOG"])
LINES = 10

logging.config.fileConfig(
    Path(__file__).with_name("logging.ini"),
    defaults={"rotating": handler.ROTATING, "timed": handler.TIMED, "size_log": str(LOG), "time_log": str(LOG.with_name("timed.log"))},
    disable_existing_loggers=False,
)
app = Flask("shop")
log = logging.getLogger("shop.work")


@app.route("/r/<int:number>")
def work(number):
    app.logger.info("request=%d begins", number)
    for line in range(LINES):
        log.info("request=%d line=%d %s", number, line, numbering.padding(number + line))
    return str(os.getpid())


@app.route("/fails/<int:number>")
def fails(number):
    raise KeyError(f"fails={number}")


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), processes=4, threaded=False)
