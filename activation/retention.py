"""How many snapshots of a source's good syncs stay in the warehouse, the base among them."""

from datetime import datetime

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from activation.models import Activation

FEWEST, MOST = 1, 20


class NotSoMany(Exception):
    """So many snapshots are not kept."""

    def __init__(self) -> None:
        super().__init__(f"Between {FEWEST} and {MOST} snapshots can be kept.")


@transaction.atomic
def configure(activation: Activation, *, keep: int, by: Actor, now: datetime) -> None:
    """Say how many snapshots are kept; those beyond go with the next sync. Raises `PermissionRefused`, `NotSoMany`."""
    by.require(Permission.MANAGE_ACTIVATION)
    if not FEWEST <= keep <= MOST:
        raise NotSoMany
    Activation.objects.filter(pk=activation.pk).update(keep_snapshots=keep)
    project = activation.project
    audit.record(
        "snapshots_kept_changed",
        by=by,
        target_type="project",
        target_id=project.public_id,
        target=project.name,
        details={"keep": keep},
        now=now,
    )
