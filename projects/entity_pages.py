"""What the Entities tab shows of each entity: its views with where they are, their columns, and what was counted."""

from collections.abc import Sequence
from dataclasses import dataclass

from projects import counts, main_views
from projects.models import Project, ViewCount
from projects.placements import ServedView, served_views
from projects.shares import percent
from projects.specification import Entity, ProjectSpecification


@dataclass(frozen=True)
class ColumnLine:
    """A column with the share of its values that are NULL, in words; "" while that was not counted."""

    name: str
    type: str
    nulls: str


@dataclass(frozen=True)
class ViewCard:
    """A view, its last count if there was one, and its columns as far as they are known."""

    view: ServedView
    count: ViewCount | None
    columns: tuple[ColumnLine, ...]


@dataclass(frozen=True)
class EntityCard:
    """An entity with the views that are served of it, its main view perhaps among them, or why that cannot be."""

    entity: Entity
    views: tuple[ViewCard, ...]
    main_served: bool
    main_obstacle: str

    @property
    def counting(self) -> bool:
        """Whether any of its views is being counted."""
        return any(card.count is not None and card.count.is_active for card in self.views)


def cards(project: Project, specification: ProjectSpecification) -> list[EntityCard]:
    """Lay out every entity of a project."""
    views = served_views(project)
    counted = counts.of(project, views)
    laid_out = [_card(project, view, counted.get(view.feature_view)) for view in views]
    return [
        EntityCard(
            entity,
            tuple(card for card in laid_out if card.view.entity == entity.name),
            main_served=entity.name in project.main_views,
            main_obstacle=main_views.obstacle(specification, entity, project.main_views),
        )
        for entity in specification.entities
    ]


def _card(project: Project, view: ServedView, count: ViewCount | None) -> ViewCard:
    return ViewCard(view, count, tuple(_columns(project, view, count)))


def _columns(project: Project, view: ServedView, count: ViewCount | None) -> Sequence[ColumnLine]:
    if count is not None and count.rows is not None:
        return [ColumnLine(each["name"], each["type"], percent(each["nulls"], count.rows)) for each in count.columns]
    names = project.catalogue.get("columns", {}).get(view.feature_view, [])
    types = project.catalogue.get("types", {}).get(view.feature_view, [""] * len(names))
    return [ColumnLine(name, type_, "") for name, type_ in zip(names, types, strict=True)]
