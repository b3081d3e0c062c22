"""An ASGI application that logs through the whole of its life: at its start, at each request, and as the last thing it does."""

import asyncio
import logging
import logging.config
import os

import handler
import numbering

LINES = 3
OWN = {"handlers": ["file"], "level": "INFO", "propagate": False}

logging.config.dictConfig(handler.config(loggers={name: OWN for name in ("uvicorn", "gunicorn.error")}))
log = logging.getLogger("web")
log.info("loaded")


async def lifespan(receive, send):
    while True:
        kind = (await receive())["type"]
        if kind == "lifespan.startup":
            log.info("begins")
            await send({"type": "lifespan.startup.complete"})
        else:
            for line in range(5):
                log.info("goodbye line=%d", line)
            await send({"type": "lifespan.shutdown.complete"})
            return


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    number = scope["path"].rpartition("/")[2]
    for line in range(LINES):
        log.info("request=%s line=%d %s", number, line, numbering.padding(line + int(number)))
        await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
