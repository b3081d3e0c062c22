import os

import numbering
from celery import shared_task
from celery.utils.log import get_task_logger
from django.conf import settings

log = get_task_logger(__name__)
LINES = 15


def note(name):
    """That this was done is known from a file, not from the log; done twice, it fails."""
    os.close(os.open(settings.WORK / "done" / name, os.O_CREAT | os.O_EXCL))


@shared_task
def pack(number):
    for line in range(LINES):
        log.info("packed=%d line=%d %s", number, line, numbering.padding(number * line))
    note(f"pack-{number}")


@shared_task(bind=True)
def tick(self):
    log.info("tick=%s", self.request.id)
    note(f"tick-{self.request.id}")
