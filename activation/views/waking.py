"""Sends wake-ups once the rows they are about are committed.

The row is the queue: a wake-up that cannot be sent is logged and made up for by the tick, never an error on a page.
"""

from django.db import transaction

from activation import tasks
from activation.models import Deletion, DestinationProbe, Preview, Reconcile

_EXPIRES = 10


def for_syncs() -> None:
    """Wake workers for every step there is to take."""
    transaction.on_commit(tasks.wake, robust=True)


def for_probe(probe: DestinationProbe) -> None:
    """Wake a worker for a connection test."""
    transaction.on_commit(lambda: tasks.wake_for_probe(probe.pk), robust=True)


def for_preview(preview: Preview) -> None:
    """Wake a worker for a preview."""
    kwargs = {"preview_id": preview.pk}
    transaction.on_commit(lambda: tasks.preview.apply_async(kwargs=kwargs, expires=_EXPIRES), robust=True)


def for_deletion(row: Deletion) -> None:
    """Wake a worker for a cascading delete."""
    kwargs = {"deletion_id": row.pk}
    transaction.on_commit(lambda: tasks.delete_other_ids.apply_async(kwargs=kwargs, expires=_EXPIRES), robust=True)


def for_reconcile(row: Reconcile) -> None:
    """Wake a worker for a look through a destination."""
    kwargs = {"reconcile_id": row.pk}
    transaction.on_commit(lambda: tasks.reconcile.apply_async(kwargs=kwargs, expires=_EXPIRES), robust=True)


def for_alerts() -> None:
    """Wake workers for the messages that are due."""
    transaction.on_commit(tasks.send_alerts, robust=True)
