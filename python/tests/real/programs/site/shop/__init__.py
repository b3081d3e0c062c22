"""A Django project as its tutorial and Celery's make it: LOGGING sends everything to one file."""

from .celery import app as celery_app

__all__ = ["celery_app"]
