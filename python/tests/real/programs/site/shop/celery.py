import logging.config
import os

from celery import Celery
from celery.signals import setup_logging
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

TRANSPORT_ALIASES["wholefiles"] = "shop.broker:Transport"
app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["shop"])


@setup_logging.connect
def use_the_logging_of_django(**kwargs):
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
