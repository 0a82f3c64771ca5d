"""Wake-ups for the worker: each does one domain call. A lost or doubled one is harmless."""

from celery import shared_task
from django.utils import timezone

from accounts import token_expiries


@shared_task(name="accounts.warn_of_expiries")
def warn_of_expiries(**_: object) -> None:
    """Tell owners of tokens that will expire."""
    token_expiries.warn(now=timezone.now())
