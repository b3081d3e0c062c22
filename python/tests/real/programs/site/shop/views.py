import logging
import os

import numbering
from django.http import HttpResponse

from . import tasks
from .version import VERSION

log = logging.getLogger("shop.views")
LINES = 4


def order(request, number):
    for line in range(LINES):
        log.info("order=%d line=%d %s", number, line, numbering.padding(number + line))
    tasks.pack.delay(number)
    return HttpResponse(str(os.getpid()))


def fails(request, number):
    raise ValueError(f"fails={number}")


def version(request):
    return HttpResponse(str(VERSION))
