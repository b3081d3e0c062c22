"""gunicorn's own two loggers go to the same log."""

import handler

logconfig_dict = handler.config(
    loggers={
        "gunicorn.error": {"level": "INFO", "handlers": ["file"], "propagate": False},
        "gunicorn.access": {"level": "INFO", "handlers": ["file"], "propagate": False},
    },
)
access_log_format = "access=%(U)s"
graceful_timeout = 10
