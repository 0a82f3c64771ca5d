"""The audit log: append-only rows about who did what, written by the use cases themselves."""

from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone

from accounts.actors import Actor
from accounts.models import AuditEvent


def record(
    action: str,
    *,
    by: Actor,
    target_type: str,
    target_id: str = "",
    target: str = "",
    details: dict[str, object] | None = None,
    now: datetime | None = None,
) -> None:
    """Write one audit row. `details` holds counts, names and settings; never a secret, a trait or a profile's id."""
    AuditEvent.objects.create(
        organisation_id=by.organisation.pk,
        actor_id=by.user_id,
        actor=by.name,
        token=by.token,
        action=action,
        target_type=target_type,
        target_id=target_id,
        target=target[:200],
        details=details or {},
        address=by.address,
        at=now or timezone.now(),
    )


def of(by: Actor) -> QuerySet[AuditEvent]:
    """List what happened in the actor's organisation, newest first."""
    return AuditEvent.objects.filter(organisation_id=by.organisation.pk).order_by("-at", "-pk")
