"""The only way to a project, a warehouse or a destination for a token that sets things up.

What belongs to another organisation does not exist (404); what the role or the limits of the token leave out is
refused (401). A token's limits hold here as everywhere: reading wants the call `read`, changing `manage`. A project
counts to its destination and to the entities of its specification, a warehouse that is changed to every project that
reads from it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.http import Http404

from accounts.identities import TokenIdentity
from accounts.roles import Permission
from activation import serving
from activation.access import destination_for as destination_of
from activation.destinations import possible_id
from activation.models import Activation, RedisDestination
from projects import access
from projects.models import Project, Warehouse
from projects.specification import ProjectSpecification

# What a permission is to a token that is limited to some calls; every other one is for `manage`.
_VERBS: dict[Permission, serving.Verb] = {
    Permission.VIEW: "read",
    Permission.RUN_SYNCS: "sync",
    Permission.REPORT_RUNS: "sync",
}


def require(
    identity: TokenIdentity,
    permission: Permission,
    *,
    destinations: Iterable[str] = (),
    entities: Iterable[str] = (),
) -> None:
    """Raise `PermissionRefused` or `AccessRefused` unless role and limits allow it for these things."""
    identity.actor.require(permission)
    if not lets(identity, permission, destinations=destinations, entities=entities):
        raise serving.AccessRefused


def lets(
    identity: TokenIdentity,
    permission: Permission,
    *,
    destinations: Iterable[str] = (),
    entities: Iterable[str] = (),
) -> bool:
    """Tell whether a token's limits allow it for these things."""
    limits = identity.limits
    verb = _VERBS.get(permission, "manage")
    return (
        limits.keys() <= serving.KNOWN_LIMITS
        and verb in limits.get("verbs", (verb,))
        and _within(limits, "destinations", destinations)
        and _within(limits, "entities", entities)
    )


def project_for(identity: TokenIdentity, public_id: str, permission: Permission) -> Project:
    """Return the organisation's project of that id. Raises `Http404`, `PermissionRefused`, `AccessRefused`."""
    project = access.project_by_public_id(identity.actor, public_id)
    require(identity, permission, **of_projects([project]))
    return project


def warehouse_for(identity: TokenIdentity, public_id: str, permission: Permission) -> Warehouse:
    """Return the organisation's warehouse of that id. Raises `Http404`, `PermissionRefused`, `AccessRefused`."""
    if not public_id.isalnum():
        raise Http404
    warehouse = access.warehouse_for(identity.actor, public_id)
    changed = [] if permission == Permission.VIEW else warehouse.projects.all()
    require(identity, permission, **of_projects(changed))
    return warehouse


def destination_for(identity: TokenIdentity, public_id: str, permission: Permission) -> RedisDestination:
    """Return the organisation's destination of that id. Raises `Http404`, `PermissionRefused`, `AccessRefused`."""
    if not possible_id(public_id):
        raise Http404
    destination = destination_of(identity.actor, public_id)
    require(identity, permission, destinations=[destination.public_id])
    return destination


def of_projects(projects: Iterable[Project]) -> dict[str, set[str]]:
    """Return the destinations that projects sync to, or did, and the entities of their specifications."""
    rows = list(projects)
    destinations = Activation.objects.filter(project__in=rows).values_list("destination__public_id", flat=True)
    return {"destinations": set(destinations), "entities": {name for row in rows for name in _entities(row)}}


def of_specification(specification: ProjectSpecification) -> dict[str, set[str]]:
    """Return the entities that a specification declares."""
    return {"entities": {entity.name for entity in specification.entities}}


def _entities(project: Project) -> list[str]:
    return [entity["name"] for entity in project.specification.get("entities", ())]


def _within(limits: Mapping[str, Any], name: str, wanted: Iterable[str]) -> bool:
    return name not in limits or set(wanted) <= set(limits[name])
