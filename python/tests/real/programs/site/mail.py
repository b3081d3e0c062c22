"""Errors by loggers and by failing requests, in this process and in forked ones: each goes to the log and to the administrators."""

import logging
import os

import django
import numbering

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
django.setup()

from django.core import mail  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

ERRORS = 20
CHILDREN = 3
payment = logging.getLogger("shop.payment")


def fail(number: int) -> None:
    for step in range(10):
        payment.info("payment=%d step=%d %s", number, step, numbering.padding(number + step))
    if number % 2:
        try:
            int(f"declined={number}")
        except ValueError:
            payment.exception("error=%d", number)
    else:
        response = Client(raise_request_exception=False).get(f"/fails/{number}")
        assert response.status_code == 500, response


def errors(first: int) -> None:
    mail.outbox = []
    for number in range(first, first + ERRORS):
        fail(number)
    assert len(mail.outbox) == ERRORS, len(mail.outbox)
    for number, message in enumerate(mail.outbox, first):
        expected = f"error={number}" if number % 2 else f"/fails/{number}"
        assert expected in message.subject and "ValueError" in message.body, (message.subject, message.body[:2000])


setup_test_environment()
children = []
for n in range(CHILDREN):
    if (pid := os.fork()) == 0:
        errors((n + 1) * ERRORS)
        raise SystemExit(0)
    children.append(pid)
errors(0)
for pid in children:
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
