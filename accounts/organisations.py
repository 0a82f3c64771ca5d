"""Organisations: made with their first Admin, never without one."""

from datetime import datetime

from django.db import transaction
from django.utils.text import slugify

from accounts import audit
from accounts.actors import Actor
from accounts.models import Membership, Organisation, User
from accounts.roles import Role

_SLUG_LENGTH = 50


@transaction.atomic
def create(*, name: str, founder: User, now: datetime, address: str | None = None) -> Organisation:
    """Create an organisation whose first Admin is `founder`."""
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
