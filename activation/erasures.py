"""Deletes keys in a destination so that no sync brings them back: suppress, delete, settle, in this order.

Whatever is interrupted, and wherever, loses neither a profile nor a delete: a suppression that stands is retried by
the tick (`activation.suppressions`) until Redis acknowledges it.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from accounts.actors import Actor
from activation import deletions, handles, suppressions
from activation.handle import DestinationUnavailable, Handle
from activation.models import RedisDestination

DELETE_WAITS = (
    "The Redis destination cannot be reached at the moment. "
    "The delete is noted: no sync brings these profiles back, and it is retried until Redis has done it."
)


class DeletePending(Exception):
    """Redis cannot be reached; the suppression stands and the delete is retried without the caller."""

    def __init__(self, receipt: str = "") -> None:
        super().__init__(DELETE_WAITS)
        self.receipt = receipt


def erase(handle: Handle, keys: Sequence[str], *, by: Actor, receipt: str = "", now: datetime) -> int:
    """Delete keys (whole key texts) and return how many were there; unless profiles may return, they stay deleted.

    `receipt` is that of a cascading delete, which counts them too. Raises `DestinationUnavailable`, and
    `DeletePending` when the suppression stands and only Redis has not done its part yet.
    """
    row = RedisDestination.objects.get(pk=handle.destination_id)
    suppressed, written = None, frozenset[int]()
    if suppressions.stand(row.pk):
        suppressed = suppressions.suppress(row, keys, by=by, now=now, receipt=receipt)
        written = suppressions.in_flight(suppressed)
    count = len(suppressed.ids) if suppressed else 0
    try:
        deleted = _as_it_is(handle, row).delete(keys)
    except DestinationUnavailable:
        suppressions.record_delete(
            row, addressed=len(keys), deleted=None, suppressed=count, by=by, receipt=receipt, now=now
        )
        if suppressed:
            raise DeletePending(receipt) from None
        raise
    with transaction.atomic():
        if suppressed:
            suppressions.settle(suppressed, written=written, everywhere=deleted.everywhere, now=now)
        if receipt:
            deletions.credit(receipt, deleted=deleted.profiles)
        suppressions.record_delete(
            row, addressed=len(keys), deleted=deleted.profiles, suppressed=count, by=by, receipt=receipt, now=now
        )
    return deleted.profiles


def _as_it_is(handle: Handle, row: RedisDestination) -> Handle:
    """Return the handle of the destination as it is now that the suppression stands.

    One that is older may lead to a place that is not served any more, or know nothing of one that is being loaded.
    Syncs that begin later honour the suppression themselves, and a switch waits until its delete is done.
    """
    version: int = RedisDestination.objects.values_list("version", flat=True).get(pk=row.pk)
    if handle.version == version:
        return handle
    try:
        renewed = handles.get(row.organisation_id, row.public_id, anew=True)
    except (handles.InvalidDestination, handles.ServiceUnavailable):
        raise DestinationUnavailable("changed_meanwhile") from None
    if renewed.version < version:
        raise DestinationUnavailable("changed_meanwhile")
    return renewed
