"""Lifting a suppression: a profile that was deleted through the API may return with the next sync."""

from datetime import datetime

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from activation import dirty_ids, suppressions
from activation.engine import profiles
from activation.models import DirtyId, RedisDestination, Source


@transaction.atomic
def lift(destination: RedisDestination, *, entity: str, id_type: str, value: str, by: Actor, now: datetime) -> int:
    """Lift what keeps a profile from being written, by its id as it was deleted or as sources normalise it.

    Returns how many suppressions stood. Its row did not change, so the next sync is told to write it again. Raises
    `PermissionRefused`.
    """
    by.require(Permission.MANAGE_SUPPRESSIONS)
    sources = Source.objects.filter(destination=destination, entity=entity, id_type=id_type)
    values = {value, *(profiles.normalise(value, tuple(source.normalisation)) for source in sources)}
    keys = [
        profiles.key(destination.workspace_id, destination.public_id, entity, id_type, text) for text in sorted(values)
    ]
    lifted = suppressions.lift(destination, keys, now=now)
    if lifted:
        dirty_ids.add_profiles(destination.pk, [(entity, id_type, value)], reason=DirtyId.Reason.LIFTED, now=now)
        audit.record(
            "suppression_lifted",
            by=by,
            target_type="destination",
            target_id=destination.public_id,
            target=destination.name,
            details={"suppressions": lifted},
            now=now,
        )
    return lifted
