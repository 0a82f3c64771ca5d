"""Who belongs to an organisation and with which role. An organisation always keeps at least one Admin.

Every change first locks the organisation's row (on SQLite the transaction itself is the lock), then looks: two Admins
who demote or remove each other at the same moment are served one after the other.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from accounts import audit, tokens
from accounts.actors import Actor, PermissionRefused
from accounts.models import Membership, Organisation, User
from accounts.roles import Permission, Role, allows


class LastAdmin(Exception):
    """The change would leave the organisation without an Admin."""

    def __init__(self, email: str) -> None:
        super().__init__(f"{email} is the only Admin. Make somebody else an Admin first.")
        self.email = email


class AlreadyMember(Exception):
    """The person belongs to the organisation already."""

    def __init__(self, email: str) -> None:
        super().__init__(f"{email} is a member already. Change their role instead.")
        self.email = email


@transaction.atomic
def add(*, email: str, role: Role, name: str = "", password: str | None = None, by: Actor, now: datetime) -> Membership:
    """Make a person a member; somebody the product does not know yet gets an account with `password`.

    `name` and `password` of an existing account stay as they are. Raises `AlreadyMember`, `PermissionRefused`.
    """
    _lock(by)
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is None:
        user = User.objects.create_user(email, password, name=name)
    membership, created = Membership.objects.get_or_create(
        user=user, organisation=by.organisation, defaults={"role": role, "created_at": now}
    )
    if not created:
        raise AlreadyMember(user.email)
    _record("member_added", membership, by=by, now=now, details={"role": role.value})
    return membership


@transaction.atomic
def change_role(membership_id: int, *, role: Role, by: Actor, now: datetime) -> Membership:
    """Give a member another role; their tokens never do more than it from now on.

    Raises `Membership.DoesNotExist`, `LastAdmin`, `PermissionRefused`.
    """
    _lock(by)
    membership = of(by).get(pk=membership_id)
    former = Role(membership.role)
    if former == role:
        return membership
    if role != Role.ADMIN:
        _keep_an_admin(membership)
    membership.role = role
    membership.save(update_fields=["role"])
    _record("member_changed", membership, by=by, now=now, details={"role": role.value, "former_role": former.value})
    return membership


@transaction.atomic
def remove(membership_id: int, *, by: Actor, now: datetime) -> None:
    """End a membership and delete the person's tokens in this organisation, so that coming back revives none.

    Raises `Membership.DoesNotExist`, `LastAdmin`, `PermissionRefused`.
    """
    _lock(by)
    membership = of(by).get(pk=membership_id)
    _keep_an_admin(membership)
    deleted = tokens.revoke_all_of(membership.user_id, by=by, now=now)
    details: dict[str, object] = {"role": membership.role, "deleted_tokens": deleted}
    _record("member_removed", membership, by=by, now=now, details=details)
    membership.delete()


def of(by: Actor) -> QuerySet[Membership]:
    """List the memberships of the actor's organisation with their people, by e-mail address."""
    return Membership.objects.filter(organisation=by.organisation).select_related("user").order_by("user__email")


def _lock(by: Actor) -> None:
    """Serialise changes to the organisation's members, then make sure `by` may still make them."""
    Organisation.objects.select_for_update().get(pk=by.organisation.pk)
    by.require(Permission.MANAGE_MEMBERS)
    if by.user_id is None:
        return
    present = Membership.objects.filter(organisation=by.organisation, user=by.user_id).values_list("role", flat=True)
    if not any(allows(Role(role), Permission.MANAGE_MEMBERS) for role in present):
        raise PermissionRefused(Permission.MANAGE_MEMBERS)


def _keep_an_admin(membership: Membership) -> None:
    """Refuse to lose this member's Admin role when nobody else has it."""
    others = Membership.objects.filter(organisation=membership.organisation_id, role=Role.ADMIN)
    if membership.role == Role.ADMIN and not others.exclude(pk=membership.pk).exists():
        raise LastAdmin(membership.user.email)


def _record(action: str, membership: Membership, *, by: Actor, now: datetime, details: dict[str, object]) -> None:
    audit.record(
        action,
        by=by,
        target_type="member",
        target_id=str(membership.user_id),
        target=membership.user.email,
        details=details,
        now=now,
    )
