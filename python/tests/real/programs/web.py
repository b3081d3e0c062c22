"""A WSGI application that configures logging by itself, as many do, whatever the server has configured before."""

import logging
import logging.config
import os

import handler
import numbering

LINES = 5

logging.config.dictConfig(handler.config())
log = logging.getLogger("web")
log.info("loaded")


def app(environ, start_response):
    number = environ["PATH_INFO"].rpartition("/")[2]
    for line in range(LINES):
        log.info("request=%s line=%d %s", number, line, numbering.padding(line + int(number)))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
