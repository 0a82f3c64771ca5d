"""Which role of a token each call wants, and which of the calls that a token may be limited to it counts as.

The views decide; this table is what people read about it, and a test calls everything with every kind of token.
"""

from typing import Any, NamedTuple

from accounts.roles import Role
from accounts.token_limits import VERBS


class Wanted(NamedTuple):
    """The weakest role, and the call as tokens are limited to it; none where every such limit refuses."""

    role: Role
    call: str


_READ, _DELETE, _SYNC, _MANAGE = "read", "delete", "sync", "manage"
_GROUPS: dict[tuple[Role, str], tuple[str, ...]] = {
    (Role.ADMIN, _READ): (
        *("fetchProfileV1", "fetchProfile", "fetchProfiles", "listSuppressions", "checkSuppression", "readProbe"),
    ),
    (Role.ADMIN, _DELETE): ("deleteProfiles", "readDeletion"),
    (Role.ADMIN, _MANAGE): (
        *("liftSuppression", "connectWarehouse", "changeWarehouse", "deleteWarehouse", "checkWarehouse"),
        *("connectDestination", "changeDestination", "deleteDestination", "probe", "probeDestination"),
        *("deleteProject", "switchActivation"),
    ),
    (Role.ADMIN, ""): ("listAuditEvents",),
    (Role.EDITOR, _SYNC): ("startSync", "stopSync", "reportRun", "startRun"),
    (Role.EDITOR, _MANAGE): (
        *("createProject", "changeProject", "changeSpecification", "placeView", "serveMainView", "checkProject"),
    ),
    (Role.VIEWER, _READ): (
        *("listSyncs", "readSync", "listProjectSyncs", "readRun"),
        *("listWarehouses", "readWarehouse", "readWarehouseCheck", "listDestinations", "readDestination"),
        *("listProjects", "readProject", "readSpecification", "listEntities", "readProjectCheck", "readActivation"),
    ),
}
WANTED: dict[str, Wanted] = {name: Wanted(*key) for key, names in _GROUPS.items() for name in names}


def told(operation_id: str) -> dict[str, Any]:
    """Return what the document says about the token of a call."""
    wanted = WANTED[operation_id]
    return {"role": wanted.role.value, "call": wanted.call or None}


def words(operation_id: str) -> str:
    """Say what a call wants of its token."""
    wanted = WANTED[operation_id]
    stronger = {Role.VIEWER: "any role", Role.EDITOR: "the role Editor or Admin", Role.ADMIN: "the role Admin"}
    if not wanted.call:
        return f"{stronger[wanted.role]}, not limited to calls, destinations or entities"
    return f"{stronger[wanted.role]}; where it is limited to some calls, “{VERBS[wanted.call].lower()}” among them"
