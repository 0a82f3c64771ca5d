"""The only way to a project or a warehouse for a person or a token.

What belongs to another organisation looks exactly like what does not exist (404); what the role does not allow is
refused (`PermissionRefused`).
"""

from datetime import datetime
from typing import NamedTuple

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404

from accounts.actors import Actor
from accounts.roles import Permission
from projects.models import FormerSlug, ProfilesRun, Project, Warehouse, WarehouseCheck


class ListedProject(NamedTuple):
    """What a page about many projects tells of each, as values: a record costs many times its row.

    `newest_run_status` is that of its newest Profiles run, None while there is none.
    """

    pk: int
    name: str
    slug: str
    output_schema: str
    runs_problem: str
    created_at: datetime
    warehouse_name: str
    warehouse_public_id: str
    newest_run_status: str | None


def project_for(actor: Actor, slug: str, permission: Permission = Permission.VIEW) -> Project:
    """Return the actor's organisation's project of that slug. Raises `Http404`, `PermissionRefused`."""
    return _allowed(_projects(actor).filter(slug=slug).first(), actor, permission)


def project_by_public_id(actor: Actor, public_id: str, permission: Permission = Permission.VIEW) -> Project:
    """Return the actor's organisation's project of that id. Raises `Http404`, `PermissionRefused`."""
    # What a caller of the API puts into the address may be anything, a zero byte too.
    found = _projects(actor).filter(public_id=public_id).first() if public_id.isalnum() else None
    return _allowed(found, actor, permission)


def warehouse_for(actor: Actor, public_id: str, permission: Permission = Permission.VIEW) -> Warehouse:
    """Return the actor's organisation's warehouse of that id. Raises `Http404`, `PermissionRefused`."""
    found = Warehouse.objects.filter(organisation=actor.organisation, public_id=public_id).first()
    if found is None:
        raise Http404
    actor.require(permission)
    return found


def check_for(actor: Actor, public_id: str) -> WarehouseCheck:
    """Return the check of that id, of a warehouse of the actor's organisation. Raises `Http404`."""
    actor.require(Permission.VIEW)
    checks = WarehouseCheck.objects.filter(warehouse__organisation=actor.organisation)
    found = checks.select_related("warehouse", "project").filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


def moved_to(actor: Actor, slug: str) -> str | None:
    """Return the present slug of a project that was called `slug` before it was renamed."""
    former = FormerSlug.objects.filter(organisation=actor.organisation, slug=slug).select_related("project").first()
    return former.project.slug if former else None


def projects_of(actor: Actor) -> list[Project]:
    """List the actor's organisation's projects by name."""
    actor.require(Permission.VIEW)
    return list(_projects(actor).order_by("name"))


def listed(actor: Actor) -> list[ListedProject]:
    """List the actor's organisation's projects by name, for a page about many. One query."""
    actor.require(Permission.VIEW)
    newest = ProfilesRun.objects.filter(project=OuterRef("pk")).order_by("-finished_at", "-pk").values("status")[:1]
    rows = Project.objects.filter(organisation=actor.organisation).order_by("name")
    own = ListedProject._fields[:6]
    found = rows.values_list(*own, "warehouse__name", "warehouse__public_id", Subquery(newest))
    return [ListedProject._make(row) for row in found]


def warehouses_of(actor: Actor) -> list[Warehouse]:
    """List the actor's organisation's warehouses by name."""
    actor.require(Permission.VIEW)
    return list(Warehouse.objects.filter(organisation=actor.organisation).order_by("name"))


def _projects(actor: Actor) -> QuerySet[Project]:
    return Project.objects.filter(organisation=actor.organisation).select_related("warehouse", "organisation")


def _allowed(found: Project | None, actor: Actor, permission: Permission) -> Project:
    if found is None:
        raise Http404
    actor.require(permission)
    return found
