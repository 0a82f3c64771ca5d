"""Whether profiles that are deleted through the API stay deleted: a policy of each project."""

from datetime import datetime

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from activation.models import Activation, DeletedProfilesPolicy
from projects.models import Project


@transaction.atomic
def configure(activation: Activation, *, policy: DeletedProfilesPolicy, by: Actor, now: datetime) -> None:
    """Say what a delete means from now on; suppressions that stand are not lifted. Raises `PermissionRefused`."""
    by.require(Permission.MANAGE_ACTIVATION)
    Activation.objects.filter(pk=activation.pk).update(deleted_profiles=policy)
    project = activation.project
    audit.record(
        "deleted_profiles_changed",
        by=by,
        target_type="project",
        target_id=project.public_id,
        target=project.name,
        details={"policy": policy.value},
        now=now,
    )


def held_by(activation: Activation) -> list[Project]:
    """Name the other projects of the destination that have deleted profiles stay deleted: theirs holds for all."""
    others = Activation.objects.filter(
        destination=activation.destination_id, deleted_profiles=DeletedProfilesPolicy.STAY_DELETED
    ).exclude(pk=activation.pk)
    return list(Project.objects.filter(activation__in=others).only("name", "slug").order_by("name"))
