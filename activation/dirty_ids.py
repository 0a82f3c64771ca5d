"""Ids that the next run must handle whatever the comparison with the base says, kept encrypted on our side.

Rows that Redis refused, profiles deleted by API, and lifted suppressions. What a run handles is removed by its success
only; what comes meanwhile has a higher number and is left for the next one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Q

from accounts import vault
from activation.engine import profiles
from activation.models import DirtyId, Source, SyncRun

# Beyond this a run writes every row rather than look for so many.
MOST_LISTED = 50_000
TOO_MANY = "too_many_failures"
# Rows of the API are committed before Redis deletes, by a process that may be slow: a run that began sooner than this
# after them handles them, and leaves them to be handled again. Doing it twice is harmless.
SURE_AFTER = timedelta(minutes=10)
_BY_API = (DirtyId.Reason.DELETED, DirtyId.Reason.LIFTED)


@dataclass(frozen=True)
class Listed:
    """A source's dirty ids up to number `upto`. `complete` is False where they are too many or cannot be read."""

    ids: tuple[str, ...]
    upto: int
    complete: bool


def listed(source: Source) -> Listed:
    """Return the source's dirty ids as they are now."""
    rows = DirtyId.objects.filter(source=source)
    upto = rows.aggregate(last=Max("pk"))["last"] or 0
    encrypted = list(rows.filter(pk__lte=upto).values_list("encrypted_id", flat=True)[: MOST_LISTED + 1])
    if len(encrypted) > MOST_LISTED:
        return Listed((), upto, complete=False)
    try:
        return Listed(tuple(map(vault.decrypt, encrypted)), upto, complete=True)
    except vault.SecretUnreadable:
        return Listed((), upto, complete=False)


def add_failed(run: SyncRun, failed: Iterable[tuple[str, str]], *, too_many: bool, now: datetime) -> None:
    """Keep the ids of rows that the destination refused, as id and reason; with `too_many` the next run is full."""
    DirtyId.objects.bulk_create(
        DirtyId(source=run.source, run=run, encrypted_id=vault.encrypt(row_id), reason=reason, created_at=now)
        for row_id, reason in failed
    )
    if too_many:
        Source.every_place.filter(pk=run.source_id).update(full_next=TOO_MANY)


def add_profiles(
    destination_id: int, named: Iterable[tuple[str, str, str]], *, reason: DirtyId.Reason, now: datetime
) -> None:
    """Keep profiles, given as entity, id type and id, for every source that writes them into the destination.

    While it moves, that holds for the other place as well. An id with a NUL is in no warehouse, so no sync can write
    it, nor be told of it.
    """
    rows = []
    sources = list(
        Source.every_place.filter(Q(destination=destination_id) | Q(destination__other_place_of=destination_id))
    )
    for entity, id_type, value in (each for each in named if "\0" not in each[2]):
        for source in sources:
            if (source.entity, source.id_type) == (entity, id_type):
                final = {value, profiles.normalise(value, tuple(source.normalisation))}
                rows += [
                    DirtyId(source=source, encrypted_id=vault.encrypt(text), reason=reason, created_at=now)
                    for text in sorted(final)
                ]
    DirtyId.objects.bulk_create(rows)


def settle(run: SyncRun) -> None:
    """Forget the ids that a run has handled by succeeding."""
    handled = DirtyId.objects.filter(source_id=run.source_id, pk__lte=run.dirty_upto)
    assert run.snapshot_at is not None
    handled.exclude(reason__in=_BY_API, created_at__gt=run.snapshot_at - SURE_AFTER).delete()
