"""Profiles projects: create, rename, change what they read, delete.

A project's slug is its address; a renamed project answers at its former addresses too. What the specification says is
kept as text and as parsed values, and its revision grows with every change, which is how a sync learns of it.
"""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone
from django.utils.text import slugify

from accounts import audit, names
from accounts.actors import Actor
from accounts.models import Organisation
from accounts.roles import Permission
from projects import main_views, pb_project, placements
from projects.dialling import open_warehouse
from projects.main_views import EntityUnknown, MainViewRefused
from projects.models import FormerSlug, Project, Warehouse
from projects.placements import ProjectChanged, ServedView, served_views
from projects.specification import from_plain, to_plain

__all__ = [
    "EntityUnknown",
    "MainViewRefused",
    "NameTaken",
    "ProjectChanged",
    "ProjectInUse",
    "ServedView",
    "served_views",
]

RESERVED_SLUGS = frozenset({"new"})
_SLUG_LENGTH = 60


class NameTaken(Exception):
    """Another project or warehouse of the organisation has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is already one called {name}. Choose another name.")
        self.name = name


class ProjectInUse(Exception):
    """The project was synced to Redis and its profiles are there, so the project cannot go and leave them behind."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} was synced to Redis and its profiles are still there, so it cannot be deleted. Turn its sync off "
            "under Settings, Activation API, and also remove the profiles. What cannot be removed, because its Redis "
            "is gone for good, is left there on the feature view's page."
        )
        self.name = name


def create(
    *,
    name: str,
    warehouse: Warehouse,
    output_schema: str,
    specification_text: str | bytes,
    by: Actor,
    now: datetime,
) -> Project:
    """Create a project from the text of its `pb_project.yaml`; a blank name takes the one in the file.

    Raises `SpecificationProblems`, `NameTaken`.
    """
    by.require(Permission.EDIT_PROJECTS)
    specification = pb_project.read(specification_text)
    name = name.strip() or names.cleaned(specification.name)[:100] or "Project"
    project = Project(
        organisation=by.organisation,
        warehouse=warehouse,
        output_schema=output_schema.strip(),
        name=name,
        specification_text=_text(specification_text),
        specification=to_plain(specification),
        created_at=now,
    )
    with transaction.atomic():
        project.slug = _free_slug(by.organisation, name)
        _save(project)
        _record("project_created", project, by=by, now=now, details={"views": len(specification.views())})
    return project


def rename(project: Project, *, name: str, by: Actor, now: datetime) -> Project:
    """Give a project another name and address; the former address redirects. Raises `NameTaken`."""
    by.require(Permission.EDIT_PROJECTS)
    former_name, former_slug = project.name, project.slug
    if name == former_name:
        return project
    with transaction.atomic():
        project.name = name
        FormerSlug.objects.filter(project=project, slug=slugify(name)[:_SLUG_LENGTH]).delete()
        project.slug = _free_slug(project.organisation, name, project=project)
        _save(project, "name", "slug")
        if project.slug != former_slug:
            FormerSlug.objects.create(organisation=project.organisation, project=project, slug=former_slug)
        _record("project_renamed", project, by=by, now=now, details={"former_name": former_name})
    return project


@transaction.atomic
def change(
    project: Project, *, name: str, warehouse: Warehouse, output_schema: str, by: Actor, now: datetime
) -> Project:
    """Rename and move a project as a person asked for on one form: both or neither.

    Raises `NameTaken`, `ProjectChanged`.
    """
    rename(project, name=name, by=by, now=now)
    return move(project, warehouse=warehouse, output_schema=output_schema, by=by, now=now)


def edit_specification(project: Project, *, text: str | bytes, revision: int, by: Actor, now: datetime) -> Project:
    """Replace the specification; `revision` is the one the person saw.

    Views that keep their name and id type keep their place in the warehouse, and main views that are served stay so.
    The same text changes nothing. Raises `SpecificationProblems`, `ProjectChanged`.
    """
    by.require(Permission.EDIT_PROJECTS)
    specification = pb_project.read(text)
    if _text(text) == project.specification_text:
        return project
    main_views.check(project, specification, _text(text))
    main = main_views.kept(project, specification)
    kept = placements.kept(project, specification.views(main))
    with transaction.atomic():
        _change(
            project,
            revision=revision,
            now=now,
            specification_text=_text(text),
            specification=to_plain(specification),
            main_views=main,
            placements=kept,
        )
        details: dict[str, object] = {"revision": project.specification_revision, "views": len(specification.views())}
        _record("specification_changed", project, by=by, now=now, details=details)
    return project


def serve_main_view(project: Project, entity_name: str, *, served: bool, by: Actor, now: datetime) -> bool:
    """Serve an entity's main feature view too, or stop serving it; tell whether that changes anything.

    Raises `EntityUnknown`, `MainViewRefused`, `ProjectChanged`.
    """
    by.require(Permission.EDIT_PROJECTS)
    specification = from_plain(project.specification)
    entity = main_views.entity_of(specification, entity_name)
    if served == (entity.name in project.main_views):
        return False
    why_not = main_views.obstacle(specification, entity, project.main_views) if served else ""
    if why_not:
        raise MainViewRefused(why_not)
    main = [*(name for name in project.main_views if name != entity.name), *([entity.name] if served else [])]
    kept = placements.kept(project, specification.views(main))
    with transaction.atomic():
        _change(project, revision=project.specification_revision, now=now, main_views=main, placements=kept)
        details: dict[str, object] = {
            "entity": entity.name,
            "feature_view": entity.main_view,
            "id_type": entity.id_column_name,
        }
        action = "main_view_served" if served else "main_view_stopped"
        _record(action, project, by=by, now=now, details=details)
    return True


def move(project: Project, *, warehouse: Warehouse, output_schema: str, by: Actor, now: datetime) -> Project:
    """Read the project's views from another warehouse or output schema; their places are looked up anew.

    Raises `ProjectChanged`.
    """
    by.require(Permission.EDIT_PROJECTS)
    output_schema = output_schema.strip()
    if (warehouse.pk, output_schema) == (project.warehouse_id, project.output_schema):
        return project
    with transaction.atomic():
        _change(
            project,
            revision=project.specification_revision,
            now=now,
            warehouse=warehouse,
            output_schema=output_schema,
            placements={},
            catalogue={},
            runs_looked_for_at=None,
            runs_problem="",
        )
        details: dict[str, object] = {"warehouse": warehouse.name, "output_schema": output_schema}
        _record("project_moved", project, by=by, now=now, details=details)
    return project


def look_up_placements(project: Project, *, now: datetime | None = None) -> list[ServedView]:
    """Open the project's warehouse, find its views there and store where they are; for workers and commands.

    Raises `WarehouseError`, `ProjectChanged`.
    """
    with open_warehouse(project.warehouse) as warehouse:
        return placements.look_up(project, warehouse, now=now or timezone.now())


def delete(project: Project, *, by: Actor, now: datetime) -> None:
    """Delete a project with its runs. Raises `ProjectInUse` once it was synced to Redis."""
    by.require(Permission.DELETE_THINGS)
    try:
        with transaction.atomic():
            _record("project_deleted", project, by=by, now=now, details={})
            project.delete()
    except ProtectedError:
        raise ProjectInUse(project.name) from None


def _change(project: Project, *, revision: int, now: datetime, **values: object) -> None:
    """Set fields and move the revision on, if the project is still at `revision`."""
    values |= {"specification_revision": revision + 1, "placements_changed_at": now}
    if not Project.objects.filter(pk=project.pk, specification_revision=revision).update(**values):
        raise ProjectChanged
    for field, value in values.items():
        setattr(project, field, value)


def _save(project: Project, *fields: str) -> None:
    try:
        with transaction.atomic():
            project.save(update_fields=fields or None)
    except IntegrityError:
        raise NameTaken(project.name) from None


def _free_slug(organisation: Organisation, name: str, *, project: Project | None = None) -> str:
    """Make an address that no project of the organisation has or had."""
    base = slugify(name)[: _SLUG_LENGTH - 5].strip("-") or "project"
    others = Project.objects.filter(organisation=organisation)
    if project is not None:
        others = others.exclude(pk=project.pk)
    taken = set(others.values_list("slug", flat=True))
    taken |= set(FormerSlug.objects.filter(organisation=organisation).values_list("slug", flat=True))
    taken |= RESERVED_SLUGS
    candidates = (base if number == 1 else f"{base}-{number}" for number in range(1, len(taken) + 2))
    return next(slug for slug in candidates if slug not in taken)


def _text(text: str | bytes) -> str:
    return text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")


def _record(action: str, project: Project, *, by: Actor, now: datetime, details: dict[str, object]) -> None:
    audit.record(
        action,
        by=by,
        target_type="project",
        target_id=project.public_id,
        target=project.name,
        details=details,
        now=now,
    )
