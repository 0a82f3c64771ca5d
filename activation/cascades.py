"""The work of a cascading delete: find a person's other ids in the warehouse, put them on record, delete them.

What was found is deleted at once, also when some warehouse cannot be asked yet. A worker that is killed costs a lease:
the next one begins again with every id that is on record, and deleting twice is harmless.
"""

from contextlib import suppress
from datetime import datetime, timedelta

from django.db.models.functions import Now
from django.utils import timezone

from activation import deletions, dirty_ids, erasures, handles, other_ids, serving
from activation.claims import Heartbeat
from activation.deletions import Known
from activation.handle import DestinationUnavailable, Handle
from activation.models import Deletion, DirtyId
from activation.run_faults import DATABASE_AWAY, fault_of
from activation.serving import ProfileId

INCOMPLETE, TOO_MANY, REDIS_AWAY = "sources_not_looked_at", "too_many_ids", "destination_unavailable"
_WORDS = {
    INCOMPLETE: "Some sources could not be looked at, so ids of the person may be left. Delete once more later.",
    TOO_MANY: f"{other_ids.MOST_IDS:,} ids or more belong together. That many were deleted, others may be left.",
}
_AWAY = "Our own database could not be used at the moment."
# The next syncs are told anew of what is deleted only now, for one that ran meanwhile has forgotten it.
NOTED_AGAIN_AFTER = timedelta(minutes=5)
_AT_ONCE = 500


def work(deletion_id: int, *, now: datetime) -> None:
    """Go on with a deletion, if it is there to take."""
    row = deletions.claim(deletion_id, now=now)
    if row is None:
        return
    with Heartbeat(lambda: bool(deletions.ours(row).update(heartbeat_at=Now()))) as heartbeat:
        try:
            _work(row, heartbeat)
        except (handles.ServiceUnavailable, handles.InvalidDestination):
            # Our own database is away, or the destination is gone, and the deletion with it.
            with suppress(*DATABASE_AWAY):
                deletions.put_back(row, code="database_away", message=_AWAY, counts=False, now=timezone.now())
        except Exception as error:  # noqa: BLE001 - whatever it is, the deletion must not wait for its worker for ever
            fault = fault_of(error, run=row.public_id)
            with suppress(*DATABASE_AWAY):  # then the lease tells that nobody works on it
                act = deletions.put_back if fault.transient else deletions.end
                act(row, code=fault.code, message=fault.message, now=timezone.now())


def _work(row: Deletion, heartbeat: Heartbeat) -> None:
    handle = handles.get(row.destination.organisation_id, row.destination.public_id)
    ids = deletions.known(row)
    if not row.looked:
        ids = _look(row, ids, handle, heartbeat)
    if not heartbeat.confirm():
        return
    try:
        _delete(row, handle, ids, now=timezone.now())
    except (DestinationUnavailable, erasures.DeletePending) as away:
        deletions.put_back(row, code=REDIS_AWAY, message=str(away), counts=False, now=timezone.now())
        return
    failure = _failure(row)
    if row.looked:
        deletions.end(row, code=failure, message=_WORDS.get(failure, ""), now=timezone.now())
    else:
        deletions.put_back(row, code=failure, message=_WORDS[failure], now=timezone.now())


def _look(row: Deletion, ids: Known, handle: Handle, heartbeat: Heartbeat) -> Known:
    """Look for ids, and put them on record before anything is done about them."""
    found = other_ids.find(
        row.destination,
        entity=row.entity,
        named=ids.named,
        found=ids.found,
        most=other_ids.MOST_IDS - len(ids.found),
        heartbeat=heartbeat,
    )
    ids = Known(ids.named, (*ids.found, *found.ids))
    looked = not found.transient or not deletions.may_retry(row) or len(ids.found) >= other_ids.MOST_IDS
    missed = [each.plain() for each in found.missed]
    if heartbeat.confirm():
        deletions.keep(row, ids, keys=len(_keys(row, handle, ids)), missed=missed, looked=looked)
    return ids


def _delete(row: Deletion, handle: Handle, ids: Known, *, now: datetime) -> None:
    """Delete every key of the ids. Raises `DestinationUnavailable`, `DeletePending`."""
    if row.noted_at is None or row.noted_at <= now - NOTED_AGAIN_AFTER:
        named = [(row.entity, id_type, value) for id_type, value in (*ids.named, *ids.found)]
        dirty_ids.add_profiles(row.destination_id, named, reason=DirtyId.Reason.DELETED, now=now)
        deletions.ours(row).update(noted_at=now)
    keys = _keys(row, handle, ids)
    by = deletions.requester(row)
    pending = None
    for first in range(0, len(keys), _AT_ONCE):
        try:
            erasures.erase(handle, keys[first : first + _AT_ONCE], by=by, receipt=row.public_id, now=now)
        except erasures.DeletePending as away:  # the others are to be suppressed all the same
            pending = away
    if pending:
        raise pending


def _keys(row: Deletion, handle: Handle, ids: Known) -> list[str]:
    found = (
        key
        for id_type, value in (*ids.named, *ids.found)
        for key in serving.written_keys(handle, row.entity, ProfileId(id_type, value))
    )
    return list(dict.fromkeys(found))


def _failure(row: Deletion) -> str:
    """Return why the person may have profiles left."""
    if row.ids_found >= other_ids.MOST_IDS:
        return TOO_MANY
    failed = any(each["code"] not in other_ids.NOTHING_TO_ASK for each in row.missed)
    return INCOMPLETE if failed else ""
