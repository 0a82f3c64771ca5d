"""Where a project's feature views are in the warehouse: which relation, and which of its columns holds the id.

Looked up in the catalogue; a person chooses where the names do not tell. Only names that the catalogue returned are
ever stored here, because they go into SQL: text from `pb_project.yaml` never does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from projects.models import Project
from projects.specification import Entity, FeatureView, candidate_relations, from_plain
from projects.warehouses.port import GrantMissing, QueryFailed, Relation, RelationMissing, Warehouse

MAX_OFFERED = 2_000


@dataclass(frozen=True)
class ServedView:
    """A feature view by one id type; `relation` or `id_column` is None while it is not known where it is."""

    entity: str
    id_type: str
    feature_view: str
    relation: Relation | None
    id_column: str | None


class ChoiceUnknown(Exception):
    """The chosen view or column is not one that the catalogue returned."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is not in the warehouse's catalogue. Check the project's connection and choose again."
        )
        self.name = name


class ProjectChanged(Exception):
    """Somebody changed the project meanwhile."""

    def __init__(self) -> None:
        super().__init__("Somebody changed this project meanwhile. Reload the page and make your change again.")


def views_of(project: Project) -> list[tuple[Entity, FeatureView]]:
    """List every view to serve with its entity: those that the file lists, and the main views that are switched on."""
    return from_plain(project.specification).views(project.main_views)


def served_views(project: Project) -> list[ServedView]:
    """List every view to serve, in the order of the specification, with its place as far as it is known."""
    return [_served(entity, view, project.placements.get(view.name, {})) for entity, view in views_of(project)]


def columns_known(project: Project, view: ServedView) -> bool:
    """Tell whether the last look-up could read a view's columns."""
    return view.feature_view in project.catalogue.get("columns", {})


def look_up(project: Project, warehouse: Warehouse, *, now: datetime) -> list[ServedView]:
    """Find the project's views in the warehouse's catalogue, store where they are, and list them.

    Keeps what a person chose as long as it is there. A view that cannot be read keeps what was known of it, or has no
    id column yet, and stands in the way of no other; reading it tells why. Raises `WarehouseError`; `RelationMissing`
    when the output schema is not there; `ProjectChanged` when the specification changed meanwhile.
    """
    schema = _match(project.output_schema, warehouse.schemas())
    if schema is None:
        raise RelationMissing(f"There is no schema {project.output_schema}, or the user may not see it.")
    relations = warehouse.relations(schema)
    placements: dict[str, dict[str, Any]] = {}
    columns: dict[str, list[str]] = {}
    types: dict[str, list[str]] = {}
    for entity, view in views_of(project):
        former = project.placements.get(view.name, {})
        relation = _kept(former, "relation", relations) or _first(candidate_relations(entity.name, view), relations)
        if relation is not None:
            try:
                described = warehouse.describe(Relation(schema, relation))
            except (GrantMissing, QueryFailed):
                placements[view.name] = _unread(former, schema, relation)
                continue
            columns[view.name] = [column.name for column in described]
            types[view.name] = [column.type for column in described]
            placements[view.name] = _found(former, schema, relation, view.id_type, columns[view.name])
    catalogue = {
        "schema": schema,
        "relations": sorted(relations)[:MAX_OFFERED],
        "columns": columns,
        "types": types,
    }
    _store(project, placements, catalogue, now=now)
    return served_views(project)


def choose(project: Project, feature_view: str, *, relation: str, id_column: str, by: Actor, now: datetime) -> None:
    """Set where a view is and which column holds its id; a blank name leaves that to the look-up.

    Raises `ChoiceUnknown` for a name that the last look-up did not find in the catalogue, `ProjectChanged`.
    """
    by.require(Permission.EDIT_PROJECTS)
    if feature_view not in {view.feature_view for view in served_views(project)}:
        raise ChoiceUnknown(feature_view)
    placement = _chosen(project, feature_view, relation=relation, id_column=id_column)
    _store(project, {**project.placements, feature_view: placement}, project.catalogue, now=now)
    audit.record(
        "feature_view_placed",
        by=by,
        target_type="project",
        target_id=project.public_id,
        target=project.name,
        details={"feature_view": feature_view, "relation": placement["relation"], "id_column": placement["id_column"]},
        now=now,
    )


def kept(project: Project, views: Iterable[tuple[Entity, FeatureView]]) -> dict[str, Any]:
    """Return the placements that still fit a new specification: those of views with the same name and id type."""
    before = {(view.feature_view, view.id_type) for view in served_views(project)}
    names = {view.name for _, view in views if (view.name, view.id_type) in before}
    return {name: placement for name, placement in project.placements.items() if name in names}


def _found(former: Mapping[str, Any], schema: str, relation: str, id_type: str, columns: list[str]) -> dict[str, Any]:
    """Return a placement as looked up; what a person chose stays while it belongs to the same relation."""
    same = former.get("relation") == relation
    return {
        "schema": schema,
        "relation": relation,
        "id_column": (_kept(former, "id_column", columns) if same else None) or _match(id_type, columns),
        "chosen": former.get("chosen", []) if same else [],
    }


def _unread(former: Mapping[str, Any], schema: str, relation: str) -> dict[str, Any]:
    """Return the placement of a view whose columns could not be read just now."""
    if (former.get("schema"), former.get("relation")) == (schema, relation):
        return dict(former)
    return {"schema": schema, "relation": relation, "id_column": None, "chosen": []}


def _chosen(project: Project, feature_view: str, *, relation: str, id_column: str) -> dict[str, Any]:
    """Return the placement after a choice. A column belongs to a relation: another relation drops the former column."""
    former = project.placements.get(feature_view, {})
    catalogue = project.catalogue
    if relation and relation not in catalogue.get("relations", []):
        raise ChoiceUnknown(relation)
    relation_after = relation or former.get("relation")
    same = relation_after == former.get("relation")
    if same and id_column and id_column not in catalogue.get("columns", {}).get(feature_view, []):
        raise ChoiceUnknown(id_column)
    return {
        "schema": catalogue.get("schema"),
        "relation": relation_after,
        "id_column": (id_column or former.get("id_column")) if same else None,
        "chosen": [part for part, name in (("relation", relation), ("id_column", same and id_column)) if name],
    }


def _store(project: Project, placements: dict[str, Any], catalogue: dict[str, Any], *, now: datetime) -> None:
    changed = placements != project.placements
    changed_at = now if changed else project.placements_changed_at
    held = Project.objects.filter(pk=project.pk, specification_revision=project.specification_revision)
    values = {"placements": placements, "catalogue": catalogue, "placements_changed_at": changed_at}
    if held.filter(placements=project.placements).update(**values):
        project.placements, project.catalogue, project.placements_changed_at = placements, catalogue, changed_at
    elif held.filter(placements=placements).update(catalogue=catalogue):
        project.refresh_from_db(fields=list(values))  # another look-up has found the same meanwhile
    else:
        raise ProjectChanged


def _served(entity: Entity, view: FeatureView, placement: Mapping[str, Any]) -> ServedView:
    relation = placement.get("relation")
    return ServedView(
        entity=entity.name,
        id_type=view.id_type,
        feature_view=view.name,
        relation=Relation(placement["schema"], relation) if relation else None,
        id_column=placement.get("id_column"),
    )


def _kept(placement: Mapping[str, Any], part: str, names: list[str]) -> str | None:
    """Return what a person chose, as long as the catalogue still has it."""
    name = placement.get(part)
    return name if part in placement.get("chosen", []) and name in names else None


def _first(candidates: list[str], names: list[str]) -> str | None:
    matches = (_match(candidate, names) for candidate in candidates)
    return next((match for match in matches if match is not None), None)


def _match(wanted: str, names: list[str]) -> str | None:
    """Find a name exactly, else the only one that differs in letter case alone."""
    if wanted in names:
        return wanted
    alike = [name for name in names if name.casefold() == wanted.casefold()]
    return alike[0] if len(alike) == 1 else None
