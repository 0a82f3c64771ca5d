"""Who acts: a person on a page, a token at the API, a command, or the product itself.

Every use case takes `by: Actor`, asks it for the permission it needs and hands it to `accounts.audit`.
"""

from dataclasses import dataclass

from accounts.models import Organisation
from accounts.roles import Permission, Role, allows

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
    address the request came from.
    """

    organisation: Organisation
    role: Role
    name: str
    user_id: int | None = None
    token: str = ""
    address: str | None = None

    @classmethod
    def system(cls, organisation: Organisation) -> "Actor":
        """Return the product itself, acting by its own ticks and commands."""
        return cls(organisation=organisation, role=Role.ADMIN, name=SYSTEM)

    def may(self, permission: Permission) -> bool:
        """Tell whether the actor's role includes `permission`."""
        return allows(self.role, permission)

    def require(self, permission: Permission) -> None:
        """Raise `PermissionRefused` unless the actor's role includes `permission`."""
        if not self.may(permission):
            raise PermissionRefused(permission)
