"""The composition root: settings, URLs, processes. Imports everything, is imported by nothing of ours."""

from config.celery import app as celery_app

__all__ = ("celery_app",)
