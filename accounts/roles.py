"""Who may do what: three roles, one table, and the words people read about it.

Nothing else in the code names a role to decide something; it asks for a permission.
"""

from enum import StrEnum

from django.db.models import TextChoices


class Role(TextChoices):
    """A person's role in an organisation, and the most a token of theirs can act with."""

    ADMIN = "admin", "Admin"
    EDITOR = "editor", "Editor"
    VIEWER = "viewer", "Viewer"


class Permission(StrEnum):
    """One thing a role may do; the value is stable and appears in audit rows and docs."""

    VIEW = "view"
    EDIT_PROJECTS = "edit_projects"
    RUN_SYNCS = "run_syncs"
    REPORT_RUNS = "report_runs"
    MANAGE_MEMBERS = "manage_members"
    MANAGE_ORGANISATION = "manage_organisation"
    MANAGE_CREDENTIALS = "manage_credentials"
    MANAGE_ACTIVATION = "manage_activation"
    MANAGE_ALERTS = "manage_alerts"
    DELETE_THINGS = "delete_things"
    MANAGE_ALL_TOKENS = "manage_all_tokens"
    SEE_AUDIT_LOG = "see_audit_log"
    SEE_PERSONAL_DATA = "see_personal_data"
    MANAGE_SUPPRESSIONS = "manage_suppressions"
    CALL_ACTIVATION_API = "call_activation_api"


DESCRIPTIONS: dict[Permission, str] = {
    Permission.VIEW: "See projects, destinations, warehouses, runs and their state",
    Permission.EDIT_PROJECTS: "Create projects and change their specification and schedule",
    Permission.RUN_SYNCS: "Start and stop syncs",
    Permission.REPORT_RUNS: "Start Profiles runs, and report finished ones",
    Permission.MANAGE_MEMBERS: "Invite, change and remove members, and release a lock-out",
    Permission.MANAGE_ORGANISATION: "Rename the organisation, require two-factor log-in, and create another one",
    Permission.MANAGE_CREDENTIALS: "Connect warehouses and Redis destinations, and test connections",
    Permission.MANAGE_ACTIVATION: "Turn the sync to Redis on and off, set its guard and log, confirm deletes, move it",
    Permission.MANAGE_ALERTS: "Say who is alerted about syncs, by e-mail and webhook",
    Permission.DELETE_THINGS: "Delete projects, warehouses and destinations",
    Permission.MANAGE_ALL_TOKENS: "See and delete everyone's tokens",
    Permission.SEE_AUDIT_LOG: "Read the audit log",
    Permission.SEE_PERSONAL_DATA: "Look up profiles and see personal data",
    Permission.MANAGE_SUPPRESSIONS: "See and lift suppressions",
    Permission.CALL_ACTIVATION_API: "Read and delete profiles through the Activation API",
}

_VIEWER = frozenset({Permission.VIEW})
_EDITOR = _VIEWER | {Permission.EDIT_PROJECTS, Permission.RUN_SYNCS, Permission.REPORT_RUNS}
_ADMIN = frozenset(Permission)

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: _ADMIN,
    Role.EDITOR: _EDITOR,
    Role.VIEWER: _VIEWER,
}

# What an Admin may grant to an Editor beyond the role.
GRANTABLE = frozenset({Permission.SEE_PERSONAL_DATA})

# From weakest to strongest; a token acts with the weaker of two roles.
_STRENGTH = {Role.VIEWER: 0, Role.EDITOR: 1, Role.ADMIN: 2}


def allows(role: Role, permission: Permission) -> bool:
    """Tell whether `role` includes `permission`."""
    return permission in PERMISSIONS[role]


def weaker(one: Role, other: Role) -> Role:
    """Return the role of the two that may do less."""
    return min(one, other, key=_STRENGTH.__getitem__)


def up_to(role: Role) -> list[Role]:
    """List the roles not stronger than `role`, strongest first: what a member may give a token."""
    return [r for r in sorted(Role, key=_STRENGTH.__getitem__, reverse=True) if _STRENGTH[r] <= _STRENGTH[role]]
