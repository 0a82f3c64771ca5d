"""Organisations: made with their first Admin, never without one."""

from datetime import datetime

from django.db import transaction
from django.utils.text import slugify

from accounts import audit, names, two_factor
from accounts.actors import Actor
from accounts.models import Membership, Organisation, User
from accounts.roles import Permission, Role

_SLUG_LENGTH = 50


class TwoFactorMissing(Exception):
    """Somebody who would ask two-factor log-in of others does not have it themselves."""

    def __init__(self) -> None:
        super().__init__("Set up two-factor log-in for yourself first, under Security.")


@transaction.atomic
def create(*, name: str, founder: User, now: datetime, address: str | None = None) -> Organisation:
    """Create an organisation whose first Admin is `founder`. Raises `names.NameRefused`."""
    name = names.checked(name)
    organisation = Organisation.objects.create(name=name, slug=free_slug(name), created_at=now)
    Membership.objects.create(user=founder, organisation=organisation, role=Role.ADMIN, created_at=now)
    actor = Actor(organisation=organisation, role=Role.ADMIN, name=founder.email, user_id=founder.pk, address=address)
    audit.record(
        "organisation_created",
        by=actor,
        target_type="organisation",
        target_id=organisation.public_id,
        target=name,
        now=now,
    )
    return organisation


@transaction.atomic
def create_another(*, name: str, by: Actor, now: datetime) -> Organisation:
    """Create an organisation beside the actor's own, with them as its first Admin.

    Raises `PermissionRefused`, `names.NameRefused`.
    """
    by.require(Permission.MANAGE_ORGANISATION)
    founder = Membership.objects.select_related("user").get(organisation=by.organisation, user=by.user_id).user
    return create(name=name, founder=founder, now=now, address=by.address)


@transaction.atomic
def change(*, name: str, requires_two_factor: bool, by: Actor, now: datetime) -> Organisation:
    """Rename the actor's organisation, and say whether its members need two-factor log-in.

    Its slug stays: addresses are bookmarked. Raises `PermissionRefused`, `names.NameRefused`, `TwoFactorMissing`.
    """
    by.require(Permission.MANAGE_ORGANISATION)
    name = names.checked(name)
    organisation = Organisation.objects.select_for_update().get(pk=by.organisation.pk)
    if requires_two_factor and not organisation.requires_two_factor and not two_factor.is_on(by.user_id):
        raise TwoFactorMissing
    former = {"name": organisation.name, "requires_two_factor": organisation.requires_two_factor}
    present = {"name": name, "requires_two_factor": requires_two_factor}
    changed: dict[str, object] = {key: value for key, value in present.items() if value != former[key]}
    if changed:
        organisation.name, organisation.requires_two_factor = name, requires_two_factor
        organisation.save(update_fields=["name", "requires_two_factor"])
        audit.record(
            "organisation_changed",
            by=by,
            target_type="organisation",
            target_id=organisation.public_id,
            target=name,
            details=changed,
            now=now,
        )
    return organisation


def free_slug(name: str) -> str:
    """Turn a name into a slug that no organisation has: `acme`, then `acme-2`."""
    stem = slugify(name)[:_SLUG_LENGTH].strip("-_") or "organisation"
    taken = set(Organisation.objects.filter(slug__startswith=stem).values_list("slug", flat=True))
    number = 1
    slug = stem
    while slug in taken:
        number += 1
        slug = f"{stem}-{number}"
    return slug
