"""Who belongs to an organisation and with which role. An organisation always keeps at least one Admin.

Every change first locks the organisation's row (on SQLite the transaction itself is the lock), then looks: two Admins
who demote or remove each other at the same moment are served one after the other.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from accounts import audit, tokens
from accounts.actors import Actor, PermissionRefused
from accounts.models import Invitation, Membership, Organisation, User
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
    lock(by)
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
def change_role(member: str, *, role: Role, sees_personal_data: bool = False, by: Actor, now: datetime) -> Membership:
    """Give the member of a public id another role; their tokens never do more than it from now on.

    An Editor may be let see personal data; the other roles take no heed of `sees_personal_data`. Invitations of
    somebody who may no longer invite are withdrawn. Raises `Membership.DoesNotExist`, `LastAdmin`, `PermissionRefused`.
    """
    lock(by)
    membership = of(by).get(public_id=member)
    former, former_grant = Role(membership.role), membership.sees_personal_data
    grant = sees_personal_data and role == Role.EDITOR
    if (former, former_grant) == (role, grant):
        return membership
    if role != Role.ADMIN:
        _keep_an_admin(membership)
    membership.role, membership.sees_personal_data = role, grant
    membership.save(update_fields=["role", "sees_personal_data"])
    details: dict[str, object] = {"role": role.value, "former_role": former.value}
    if grant != former_grant:
        details["sees_personal_data"] = grant
    if not allows(role, Permission.MANAGE_MEMBERS):
        _withdraw_invitations(membership, now=now)
    _record("member_changed", membership, by=by, now=now, details=details)
    return membership


@transaction.atomic
def remove(member: str, *, by: Actor, now: datetime) -> None:
    """End the membership of a public id and delete the person's tokens in this organisation: coming back revives none.

    Raises `Membership.DoesNotExist`, `LastAdmin`, `PermissionRefused`.
    """
    lock(by)
    _end("member_removed", of(by).get(public_id=member), by=by, now=now)


@transaction.atomic
def leave(*, by: Actor, now: datetime) -> None:
    """End the actor's own membership, as `remove` would. Raises `Membership.DoesNotExist`, `LastAdmin`."""
    Organisation.objects.select_for_update().get(pk=by.organisation.pk)
    _end("member_left", of(by).get(user=by.user_id), by=by, now=now)


def of(by: Actor) -> QuerySet[Membership]:
    """List the memberships of the actor's organisation with their people, by e-mail address."""
    return (
        Membership.objects.filter(organisation=by.organisation)
        .select_related("user", "organisation")
        .order_by("user__email")
    )


def who_may(permission: Permission, *, by: Actor) -> list[Membership]:
    """List the members of the actor's organisation whose role, or an Admin's grant, includes a permission."""
    return [membership for membership in of(by) if Actor.member(membership).may(permission)]


def hide_first_steps(*, hidden: bool, by: Actor) -> None:
    """Say whether one's own overview leaves out the first steps. A matter of taste, so nothing is recorded."""
    of(by).filter(user=by.user_id).update(hides_first_steps=hidden)


def hides_first_steps(by: Actor) -> bool:
    """Tell whether one's own overview leaves out the first steps."""
    return of(by).filter(user=by.user_id, hides_first_steps=True).exists()


def lock(by: Actor) -> None:
    """Serialise changes to the organisation's members, then make sure `by` may still make them.

    Raises `PermissionRefused`.
    """
    Organisation.objects.select_for_update().get(pk=by.organisation.pk)
    by.require(Permission.MANAGE_MEMBERS)
    if by.user_id is None:
        return
    present = Membership.objects.filter(organisation=by.organisation, user=by.user_id).values_list("role", flat=True)
    if not any(allows(Role(role), Permission.MANAGE_MEMBERS) for role in present):
        raise PermissionRefused(Permission.MANAGE_MEMBERS)


def _end(action: str, membership: Membership, *, by: Actor, now: datetime) -> None:
    _keep_an_admin(membership)
    deleted = tokens.revoke_all_of(membership.user_id, by=by, now=now)
    _withdraw_invitations(membership, now=now)
    details: dict[str, object] = {"role": membership.role, "deleted_tokens": deleted}
    _record(action, membership, by=by, now=now, details=details)
    membership.delete()


def _withdraw_invitations(membership: Membership, *, now: datetime) -> None:
    """Close what somebody offered who may no longer offer it: it could be an offer to themselves."""
    made = Invitation.objects.filter(organisation=membership.organisation_id, invited_by=membership.user_id)
    made.filter(accepted_at=None, withdrawn_at=None).update(withdrawn_at=now)


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
        target_id=membership.public_id,
        target=membership.user.email,
        details=details,
        now=now,
    )
