"""*Preview changes*: what the next sync of a source would do, without doing it. The row is the queue.

Documents in it are personal data: encrypted, shown to who may see such, and that is written down; gone after a day.
"""

import json
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit, vault
from accounts.actors import Actor
from accounts.roles import Permission
from activation import offers, preview_steps, syncs
from activation.claims import Heartbeat
from activation.engine.previews import ColumnChange, Document
from activation.models import Preview, Source
from activation.offers import Offer
from activation.run_faults import DATABASE_AWAY, Fault, fault_of
from activation.syncs import SourceRetired

SAMPLES_KEPT = timedelta(days=1)
KEPT = timedelta(days=30)
_MOST_ATTEMPTS = 3
_ACTIVE = (Preview.State.QUEUED, Preview.State.RUNNING)

log = structlog.get_logger(__name__)


class SampleExpired(Exception):
    """The documents are no longer kept."""

    def __init__(self) -> None:
        super().__init__("Documents are kept for a day only. Preview the changes again to see some.")


def request(source: Source, *, by: Actor, now: datetime) -> Preview:
    """Ask for a preview; one that is under way is returned instead. The edge sends the wake-up.

    Raises `PermissionRefused`, `SourceRetired`.
    """
    by.require(Permission.RUN_SYNCS)
    if not syncs.is_served(source):
        raise SourceRetired(source)
    try:
        with transaction.atomic():
            row = Preview.objects.create(source=source, requested_by=by.name, created_at=now, not_before=now)
            _record("preview_requested", row, by=by, now=now)
    except IntegrityError:
        return Preview.objects.filter(source=source, state__in=_ACTIVE).first() or request(source, by=by, now=now)
    return row


def newest(source: Source) -> Preview | None:
    """Return the source's newest preview."""
    return source.previews.order_by("-created_at", "-pk").first()


def waiting(*, now: datetime) -> list[int]:
    """List the previews that nobody is at; give up those that ended workers thrice."""
    _stalled().filter(attempt__gte=_MOST_ATTEMPTS).update(
        state=Preview.State.FAILED,
        error_code="interrupted",
        error="The preview was interrupted three times.",
        finished_at=now,
    )
    return list(_claimable(now).values_list("pk", flat=True))


def run(preview_id: int, *, now: datetime) -> bool:
    """Work a waiting preview out; tell whether it was done here."""
    row = _claim(preview_id, now=now)
    if row is None:
        return False
    with Heartbeat(lambda: bool(_ours(row).update(heartbeat_at=Now()))) as heartbeat:
        try:
            looked = preview_steps.look(row, heartbeat)
        except Exception as error:  # noqa: BLE001 - whatever it is, the preview must not wait for its worker for ever
            with suppress(*DATABASE_AWAY):  # then the lease tells that nobody works on it
                _end_early(row, fault_of(error, run=row.public_id), now=timezone.now())
            return False
    return bool(
        _ours(row).update(
            state=Preview.State.DONE,
            result=looked.result,
            sample=vault.encrypt(looked.sample),
            sample_expires_at=now + SAMPLES_KEPT,
            error_code="",
            error="",
            finished_at=Now(),
        )
    )


def documents(preview: Preview, *, by: Actor, now: datetime) -> list[Document]:
    """Return the documents, and write down who saw them.

    Raises `PermissionRefused`, `SampleExpired`, `SecretUnreadable`.
    """
    by.require(Permission.SEE_PERSONAL_DATA)
    if not has_documents(preview, now=now):
        raise SampleExpired
    found = [Document(**kept) for kept in json.loads(vault.decrypt(preview.sample))]
    _record("preview_documents_seen", preview, by=by, now=now, documents=len(found))
    return found


def has_documents(preview: Preview, *, now: datetime) -> bool:
    """Tell whether documents are still kept."""
    return bool(preview.sample and preview.sample_expires_at and now < preview.sample_expires_at)


def forget(*, now: datetime) -> None:
    """Forget documents after a day and previews after some weeks."""
    Preview.objects.filter(sample_expires_at__lte=now).exclude(sample="").update(sample="")
    Preview.objects.filter(created_at__lt=now - KEPT).exclude(state__in=_ACTIVE).delete()


def offer(preview: Preview) -> Offer | None:
    """Return the column that is better left out of the comparison, if there is one and that is still not done.

    Where most rows are as they were, the column just changed for some people, and left out it would be stale in Redis.
    """
    changed = preview.result.get("changed", 0)
    if changed < preview.result.get("unchanged", 0):
        return None
    columns = [ColumnChange(**column) for column in preview.result.get("columns", ())]
    found = offers.among(columns, changed=changed)
    return found if found and found.column not in preview.source.ignored_columns else None


def _claim(preview_id: int, *, now: datetime) -> Preview | None:
    rows = Preview.objects.select_related(
        "source__activation__project__warehouse", "source__destination__organisation", "source__base_run"
    )
    row = rows.filter(pk=preview_id).first()
    if row is None:
        return None
    claimed = _claimable(now).filter(pk=row.pk, attempt=row.attempt)
    if not claimed.update(
        state=Preview.State.RUNNING,
        attempt=F("attempt") + 1,
        started_at=now,
        heartbeat_at=Now(),
        error="",
        error_code="",
    ):
        return None
    row.attempt += 1
    return row


def _end_early(row: Preview, fault: Fault, *, now: datetime) -> None:
    """Try again later after a fault that may pass, or after the base went because a sync succeeded meanwhile."""
    base = Source.objects.filter(pk=row.source_id).values_list("base_snapshot", flat=True).first()
    again = fault.transient or base != row.source.base_snapshot
    if again and row.attempt < _MOST_ATTEMPTS:
        pause = timedelta(seconds=2**row.attempt)
        _ours(row).update(
            state=Preview.State.QUEUED, not_before=now + pause, error_code=fault.code, error=fault.message[:1000]
        )
        return
    _ours(row).update(state=Preview.State.FAILED, error_code=fault.code, error=fault.message[:1000], finished_at=now)
    log.warning("preview_failed", preview=row.public_id, code=fault.code)


def _claimable(now: datetime) -> QuerySet[Preview]:
    return Preview.objects.filter(Q(state=Preview.State.QUEUED, not_before__lte=now)) | _stalled()


def _stalled() -> QuerySet[Preview]:
    return Preview.objects.filter(
        state=Preview.State.RUNNING, heartbeat_at__lt=Now() - timedelta(seconds=settings.SYNC_LEASE)
    )


def _ours(row: Preview) -> QuerySet[Preview]:
    return Preview.objects.filter(pk=row.pk, state=Preview.State.RUNNING, attempt=row.attempt)


def _record(action: str, row: Preview, *, by: Actor, now: datetime, **details: object) -> None:
    audit.record(
        action,
        by=by,
        target_type="source",
        target_id=row.source.public_id,
        target=str(row.source),
        details={"preview": row.public_id, **details},
        now=now,
    )
