import os
from pathlib import Path

import handler

WORK = Path(os.environ["SHOP_WORK"])
SECRET_KEY = "only for tests"
DEBUG = os.environ.get("SHOP_DEBUG") == "yes"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["shop.apps.Shop"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
ADMINS = [("Admin", "admin@example.com")]

LOGGING = handler.config(
    filters={"require_debug_false": {"()": "django.utils.log.RequireDebugFalse"}},
    handlers={
        "file": handler.file_handler("framed"),
        "mail_admins": {"level": "ERROR", "filters": ["require_debug_false"], "class": "django.utils.log.AdminEmailHandler"},
    },
    loggers={
        "django": {"level": "INFO", "handlers": ["file", "mail_admins"], "propagate": False},
        "django.server": {"level": "INFO", "handlers": ["file"], "propagate": False},
        "shop.payment": {"level": "INFO", "handlers": ["mail_admins"]},
    },
)

CELERY_BROKER_URL = "wholefiles://"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": str(WORK / "queue"),
    "data_folder_out": str(WORK / "queue"),
    "control_folder": str(WORK / "control"),
    "polling_interval": 0.05,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_REDIRECT_STDOUTS = False  # else the handler's own complaints would go to the log instead of standard error
CELERY_BEAT_SCHEDULE = {"tick": {"task": "shop.tasks.tick", "schedule": 0.3}}
CELERY_BEAT_MAX_LOOP_INTERVAL = 0.1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
