"""Cascading deletes: their receipts, their queue, and what is kept of a person until they have ended.

The ids are encrypted, and erased in the same statement that ends a deletion. Every move is conditional on the attempt
that claimed it, so a worker that was given up records nothing when it wakes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from accounts import audit, vault
from accounts.actors import Actor
from accounts.roles import Role
from activation import run_states
from activation.models import Deletion, RedisDestination

KEPT = timedelta(days=90)
STALLED = "worker_stalled"
_MOST_RETRIES = 8
# Redis is asked again at least this often (seconds: 2 to the power), however long it is away.
_LONGEST_PAUSE = 4
_AT_ONCE = 32
_State = Deletion.State

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Known:
    """The ids of one person, as id type and id: those that were named, and those found since. Personal data."""

    named: tuple[tuple[str, str], ...]
    found: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        """Tell nothing: an id must not get into a log."""
        return "Known(…)"


@transaction.atomic
def request(
    destination: RedisDestination, *, entity: str, named: Sequence[tuple[str, str]], keys: int, by: Actor, now: datetime
) -> Deletion:
    """Ask for the deletion of what else belongs to a person; `keys` are addressed at once. The edge sends the wake-up.

    It takes over what is left of those as well, should their own delete be interrupted.
    """
    row = Deletion.objects.create(
        destination=destination,
        entity=entity,
        ids=_sealed(Known(tuple(dict.fromkeys(named)))),
        keys_addressed=keys,
        requested_by=by.name,
        requested_by_id=by.user_id,
        token=by.token,
        created_at=now,
        not_before=now,
    )
    audit.record(
        "cascading_delete_requested",
        by=by,
        target_type="destination",
        target_id=destination.public_id,
        target=destination.name,
        details={"receipt": row.public_id, "ids": len(named)},
        now=now,
    )
    return row


def withdraw(row: Deletion) -> None:
    """Forget a request whose caller is told that nothing was done; a worker that has it already loses its claim."""
    Deletion.objects.filter(pk=row.pk, state__in=Deletion.OPEN).delete()


def credit(receipt: str, *, deleted: int) -> None:
    """Count keys that were there and were deleted for a receipt, whoever did it."""
    if deleted:
        Deletion.objects.filter(public_id=receipt).update(keys_deleted=F("keys_deleted") + deleted)


def requester(row: Deletion) -> Actor:
    """Return who asked for it, for the rows that say by whom a profile was deleted."""
    return Actor(
        organisation=row.destination.organisation,
        role=Role.ADMIN,
        name=row.requested_by,
        user_id=row.requested_by_id,
        token=row.token,
    )


def waiting(*, now: datetime) -> list[int]:
    """List the deletions that nobody is at; give those up to others whose worker sent no heartbeat for the lease."""
    lost = Now() - timedelta(seconds=settings.SYNC_LEASE)
    for row in Deletion.objects.filter(state=_State.RUNNING, heartbeat_at__lt=lost):
        put_back(row, code=STALLED, message="The worker that deleted went away.", now=now)
    queued = Deletion.objects.filter(state=_State.QUEUED, not_before__lte=now).order_by("not_before")
    return list(queued.values_list("pk", flat=True)[:_AT_ONCE])


def claim(deletion_id: int, *, now: datetime) -> Deletion | None:
    """Claim a deletion if it is there to take."""
    rows = Deletion.objects.filter(pk=deletion_id, state=_State.QUEUED, not_before__lte=now)
    row = rows.select_related("destination__organisation").first()
    if row is None:
        return None
    claimed = rows.filter(attempt=row.attempt)
    if not claimed.update(state=_State.RUNNING, attempt=row.attempt + 1, heartbeat_at=Now()):
        return None
    row.state, row.attempt = _State.RUNNING, row.attempt + 1
    return row


def ours(row: Deletion) -> QuerySet[Deletion]:
    """Return the row as long as it is claimed as it was."""
    return Deletion.objects.filter(pk=row.pk, state=_State.RUNNING, attempt=row.attempt)


def known(row: Deletion) -> Known:
    """Return the ids. Raises `SecretUnreadable`."""
    kept = json.loads(vault.decrypt(row.ids))
    return Known(*(tuple((id_type, value) for id_type, value in kept[part]) for part in ("named", "found")))


def keep(row: Deletion, ids: Known, *, keys: int, missed: Sequence[dict[str, str]], looked: bool) -> bool:
    """Put on record what was found, before anything is done about it; tell whether the claim still held."""
    row.missed, row.looked = list(missed), looked
    row.ids_found, row.keys_addressed = len(ids.found), keys
    changes = {"missed": row.missed, "looked": looked, "ids_found": row.ids_found, "keys_addressed": keys}
    return bool(ours(row).update(ids=_sealed(ids), **changes))


def put_back(row: Deletion, *, code: str, message: str, counts: bool = True, now: datetime) -> None:
    """Have a claimed deletion tried again later; with `counts` so often at most, then it has failed."""
    if counts and row.retries >= _MOST_RETRIES:
        end(row, code=code, message=message, now=now)
        return
    ours(row).update(
        state=_State.QUEUED,
        retries=F("retries") + (1 if counts else 0),
        not_before=now + run_states.wait_before(row.retries if counts else min(row.attempt, _LONGEST_PAUSE)),
        error_code=code,
        error=message[:1000],
        heartbeat_at=None,
    )


def may_retry(row: Deletion) -> bool:
    """Tell whether `put_back` would have it tried again."""
    return row.retries < _MOST_RETRIES


def end(row: Deletion, *, code: str = "", message: str = "", now: datetime) -> bool:
    """End a claimed deletion, with an error where there is a code, and erase its ids; tell whether it was ours."""
    state = _State.FAILED if code else _State.FINISHED
    ended = ours(row).update(
        state=state, error_code=code, error=message[:1000], ids="", finished_at=now, heartbeat_at=None
    )
    if ended and code:
        log.warning("deletion_failed", deletion=row.public_id, code=code)
    return bool(ended)


def forget(*, now: datetime) -> None:
    """Forget receipts some weeks after their deletion ended; the audit log keeps the counts."""
    Deletion.objects.filter(finished_at__lt=now - KEPT).delete()


def _sealed(ids: Known) -> str:
    return vault.encrypt(json.dumps({"named": ids.named, "found": ids.found}))
