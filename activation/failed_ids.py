"""The ids whose rows a run could not write: a few of them for its page, and how long they are kept.

They are personal data. A page shows a short keyed digest, by which the same id is known again but never found out; in
clear they are shown to who may see personal data, and that is written down. They are encrypted at rest and go when a
later run has handled them, at the latest after some weeks: then a full run is owed in their place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, QuerySet

from accounts import audit, vault
from accounts.actors import Actor
from accounts.roles import Permission
from activation.models import ACTIVE_STATES, DirtyId, Source, SyncRun

SHOWN = 20
KEPT_FOR = timedelta(days=35)
OWED = "ids_expired"
_DIGITS = 12


@dataclass(frozen=True)
class Sample:
    """Some of a run's ids that failed for one reason: as digests or in clear. `kept` counts all that are still kept."""

    reason: str
    ids: tuple[str, ...]
    kept: int


def digests(run: SyncRun) -> list[Sample]:
    """Return at most 20 ids for each reason, as digests. Raises `SecretUnreadable`."""
    return _samples(run, _digest)


def in_clear(run: SyncRun, *, by: Actor, now: datetime) -> list[Sample]:
    """Return at most 20 ids for each reason, in clear, and write down who saw them.

    Raises `PermissionRefused`, `SecretUnreadable`.
    """
    by.require(Permission.SEE_PERSONAL_DATA)
    found = _samples(run, str)
    audit.record(
        "failed_ids_seen",
        by=by,
        target_type="sync_run",
        target_id=run.public_id,
        target=str(run.source),
        details={sample.reason: len(sample.ids) for sample in found},
        now=now,
    )
    return found


def expire(*, now: datetime) -> None:
    """Forget ids that no run has handled for weeks, after it was noted that their sources owe a full run.

    Noted first and forgotten by a later call: a run that starts in between is full already, and one that was active
    and takes the note away by succeeding leaves the ids to the call after.
    """
    old = DirtyId.objects.filter(created_at__lt=now - KEPT_FOR)
    noted = _idle(Source.objects.exclude(full_next="")).values("pk")
    old.filter(source__in=noted).delete()
    _idle(Source.objects.filter(Exists(old.filter(source=OuterRef("pk"))), full_next="")).update(full_next=OWED)


def _idle(sources: QuerySet[Source]) -> QuerySet[Source]:
    return sources.exclude(Exists(SyncRun.objects.filter(source=OuterRef("pk"), state__in=ACTIVE_STATES)))


def _samples(run: SyncRun, shown: Callable[[str], str]) -> list[Sample]:
    counted = run.failed_ids.values_list("reason").annotate(Count("pk")).order_by("reason")
    found = []
    for reason, kept in counted:
        first = run.failed_ids.filter(reason=reason).order_by("pk").values_list("encrypted_id", flat=True)[:SHOWN]
        found.append(Sample(reason, tuple(shown(vault.decrypt(encrypted)) for encrypted in first), kept))
    return found


def _digest(text: str) -> str:
    """Tell an id from others without telling it; keyed, for ids can be guessed."""
    keys: dict[int, bytes] = settings.SUPPRESSION_KEYS
    key = keys[vault.newest_version(keys)]
    return vault.digest(key, f"failed-id\0{text}").hex()[:_DIGITS]
