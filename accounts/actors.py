"""Who acts: a person on a page, a token at the API, a command, or the product itself.

Every use case takes `by: Actor`, asks it for the permission it needs and hands it to `accounts.audit`.
"""

from dataclasses import dataclass

from accounts.models import Membership, Organisation
from accounts.roles import GRANTABLE, Permission, Role, allows

SYSTEM = "Activation API"


class PermissionRefused(Exception):
    """The actor's role does not include what the action needs. Pages answer 403, the API 401."""

    def __init__(self, permission: Permission) -> None:
        super().__init__("Your role does not allow this. Ask an Admin of your organisation.")
        self.permission = permission


@dataclass(frozen=True)
class Actor:
    """Somebody who acts in one organisation with one role.

    `name` is a person's e-mail address (or `SYSTEM`), `token` the name of the token they act by, `address` the IP
    address the request came from, `grants` what an Admin granted them beyond the role.
    """

    organisation: Organisation
    role: Role
    name: str
    user_id: int | None = None
    token: str = ""
    address: str | None = None
    grants: frozenset[Permission] = frozenset()

    @classmethod
    def member(cls, membership: Membership, *, address: str | None = None) -> "Actor":
        """Return a person as a member of an organisation; `membership` comes with both."""
        return cls(
            organisation=membership.organisation,
            role=Role(membership.role),
            name=membership.user.email,
            user_id=membership.user_id,
            address=address,
            grants=GRANTABLE if membership.sees_personal_data else frozenset(),
        )

    @classmethod
    def system(cls, organisation: Organisation) -> "Actor":
        """Return the product itself, acting by its own ticks and commands."""
        return cls(organisation=organisation, role=Role.ADMIN, name=SYSTEM)

    def may(self, permission: Permission) -> bool:
        """Tell whether the actor's role includes `permission`, or an Admin granted it."""
        return allows(self.role, permission) or permission in self.grants

    def require(self, permission: Permission) -> None:
        """Raise `PermissionRefused` unless the actor's role includes `permission`."""
        if not self.may(permission):
            raise PermissionRefused(permission)
