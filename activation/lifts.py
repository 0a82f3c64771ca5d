"""Suppressions as people see them: is a profile kept from being written, and lifting what keeps it.

The id that somebody asks about is looked at and forgotten: it is in no log and in no audit row.
"""

from datetime import datetime

from django.db import transaction

from accounts.actors import Actor
from accounts.roles import Permission
from activation import destinations, dirty_ids, suppressions
from activation.engine import profiles
from activation.models import DirtyId, RedisDestination, Source, Suppression


@transaction.atomic
def lift(destination: RedisDestination, *, entity: str, id_type: str, value: str, by: Actor, now: datetime) -> int:
    """Lift what keeps a profile from being written, by its id as it was deleted or as sources normalise it.

    Returns how many suppressions stood. Its row did not change, so the next sync is told to write it again. Raises
    `PermissionRefused`, `SuppressionKeyMissing`.
    """
    by.require(Permission.MANAGE_SUPPRESSIONS)
    suppressions.require_keys(destination.pk)
    lifted = suppressions.lift(destination, _keys(destination, entity, id_type, value), now=now)
    if lifted:
        dirty_ids.add_profiles(destination.pk, [(entity, id_type, value)], reason=DirtyId.Reason.LIFTED, now=now)
        destinations.record("suppression_lifted", destination, by=by, now=now, details={"suppressions": lifted})
    return lifted


@transaction.atomic
def look_up(
    destination: RedisDestination, *, entity: str, id_type: str, value: str, by: Actor, now: datetime
) -> list[Suppression]:
    """Return what keeps a profile from being written, found as `lift` finds it; that somebody asked is recorded.

    Raises `PermissionRefused`, `SuppressionKeyMissing`.
    """
    by.require(Permission.MANAGE_SUPPRESSIONS)
    suppressions.require_keys(destination.pk)
    found = suppressions.standing(destination.pk, _keys(destination, entity, id_type, value))
    destinations.record("suppression_looked_up", destination, by=by, now=now, details={"suppressions": len(found)})
    return found


def _keys(destination: RedisDestination, entity: str, id_type: str, value: str) -> list[str]:
    """Return the keys of a profile: by its id as it is, and as each source normalises it."""
    sources = Source.objects.filter(destination=destination, entity=entity, id_type=id_type)
    values = {value, *(profiles.normalise(value, tuple(source.normalisation)) for source in sources)}
    return [
        profiles.key(destination.workspace_id, destination.public_id, entity, id_type, text) for text in sorted(values)
    ]
