import logging
import os

from django.apps import AppConfig


class Shop(AppConfig):
    name = "shop"

    def ready(self):
        role = "child" if os.environ.get("RUN_MAIN") else "parent"
        logging.getLogger("shop").info("ready: %s", role)
