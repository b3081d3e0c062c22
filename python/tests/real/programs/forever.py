"""A service without an end of its own: it logs until a signal's default action ends it."""

import logging
import logging.config
import time

import handler
import numbering

logging.config.dictConfig(handler.config())
log = logging.getLogger("service")
line = 0
while True:
    log.info("line=%d %s", line, numbering.padding(line))
    line += 1
    time.sleep(0.002)
