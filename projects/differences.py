"""What a new `pb_project.yaml` changes: in words, in feature views that come to be served or end, and line by line."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Literal, TypeVar

from projects import main_views
from projects.models import Project
from projects.specification import Entity, FeatureView, ProjectSpecification, from_plain

# Comparing texts takes time that grows with the square of their lines at worst.
MOST_LINES = 1_000

Kind = Literal["added", "changed", "removed"]
Side = TypeVar("Side")


@dataclass(frozen=True, order=True)
class Served:
    """A feature view by an id type: what becomes a source once the sync is on."""

    entity: str
    id_type: str
    view: str


@dataclass(frozen=True)
class Change:
    """One thing that the file says differently; `what` is what, `note` how."""

    kind: Kind
    what: str
    note: str = ""


@dataclass(frozen=True)
class Difference:
    """What changes. `lines` is a unified diff, or None where one of the texts is longer than `MOST_LINES`."""

    added: tuple[Served, ...]
    ended: tuple[Served, ...]
    changes: tuple[Change, ...]
    lines: str | None


def of(project: Project, wanted: ProjectSpecification, text: str) -> Difference:
    """Tell what a text changes in a project that has not taken it; `wanted` is what the text says.

    Raises `SpecificationProblems` when the text stands in the way of a main view that is served.
    """
    main_views.check(project, wanted, text)
    return between(
        from_plain(project.specification),
        project.specification_text,
        wanted,
        text,
        main_views=(project.main_views, main_views.kept(project, wanted)),
    )


def between(
    before: ProjectSpecification,
    text_before: str,
    after: ProjectSpecification,
    text_after: str,
    *,
    main_views: tuple[Collection[str], Collection[str]] = ((), ()),
) -> Difference:
    """Compare two specifications with their texts, and with the entities whose main views are served with each."""
    served_before, served_after = map(_served, (before, after), main_views)
    return Difference(
        added=_without(served_after, served_before),
        ended=_without(served_before, served_after),
        changes=(*_of_the_project(before, after), *_of_entities(before, after), *_of_id_types(before, after)),
        lines=_lines(text_before.splitlines(), text_after.splitlines()),
    )


def _served(specification: ProjectSpecification, main: Collection[str]) -> list[Served]:
    return [Served(entity.name, view.id_type, view.name) for entity, view in specification.views(main)]


def _without(views: Iterable[Served], others: Iterable[Served]) -> tuple[Served, ...]:
    left_out = set(others)
    return tuple(view for view in views if view not in left_out)


def _of_the_project(before: ProjectSpecification, after: ProjectSpecification) -> Iterator[Change]:
    parts: Mapping[str, tuple[object, object]] = {
        "Project name": (before.name, after.name),
        "Schema version": (before.schema_version, after.schema_version),
        "Connection": (before.connection, after.connection),
        "Model folders": (", ".join(before.model_folders), ", ".join(after.model_folders)),
    }
    for name, (old, new) in parts.items():
        if old != new:
            yield Change("changed", name, f"{old} → {new}")


def _of_entities(before: ProjectSpecification, after: ProjectSpecification) -> Iterator[Change]:
    old, new = ({entity.name: entity for entity in each.entities} for each in (before, after))
    for name, entity in new.items():
        if name not in old:
            yield Change("added", f"Entity {name}", f"with the id types {', '.join(entity.id_types)}")
            yield from (Change("added", _view(view), _of_entity(view, entity)) for view in entity.feature_views)
        else:
            yield from _of_one_entity(old[name], entity)
    for name, entity in old.items():
        if name not in new:
            yield Change("removed", f"Entity {name}")
            yield from (Change("removed", _view(view), _of_entity(view, entity)) for view in entity.feature_views)


def _of_one_entity(before: Entity, after: Entity) -> Iterator[Change]:
    where = f"of the entity {after.name}"
    for kind, these, those in _sides(before.id_types, after.id_types):
        yield from (Change(kind, f"Id type {name}", where) for name in these if name not in those)
    old, new = ({view.name: view for view in entity.feature_views} for entity in (before, after))
    for kind, views, others in _sides(old, new):
        only = [view for name, view in views.items() if name not in others]
        yield from (Change(kind, _view(view), _of_entity(view, after)) for view in only)
    for name, view in new.items():
        if name in old and view.id_type != old[name].id_type:
            yield Change("changed", _view(view), f"by {view.id_type} instead of by {old[name].id_type}")
    if before.main_view != after.main_view:
        yield Change("changed", f"Main feature view of {after.name}", f"{before.main_view} → {after.main_view}")
    if (before.id_column_name, before.id_stitcher, before.others) != (
        after.id_column_name,
        after.id_stitcher,
        after.others,
    ):
        yield Change("changed", f"Entity {after.name}", "other settings of it")


def _of_id_types(before: ProjectSpecification, after: ProjectSpecification) -> Iterator[Change]:
    old, new = ({id_type.name: id_type for id_type in each.id_types} for each in (before, after))
    for kind, these, those in _sides(old, new):
        yield from (Change(kind, f"Definition of the id type {name}") for name in these if name not in those)
    yield from (
        Change("changed", f"Definition of the id type {name}", "what it extends, or its filters")
        for name in new
        if name in old and new[name] != old[name]
    )


def _sides(before: Side, after: Side) -> tuple[tuple[Kind, Side, Side], tuple[Kind, Side, Side]]:
    return ("added", after, before), ("removed", before, after)


def _view(view: FeatureView) -> str:
    return f"Feature view {view.name}"


def _of_entity(view: FeatureView, entity: Entity) -> str:
    return f"of {entity.name} by {view.id_type}"


def _lines(before: list[str], after: list[str]) -> str | None:
    if max(len(before), len(after)) > MOST_LINES:
        return None
    return "\n".join(unified_diff(before, after, "before", "after", lineterm=""))
