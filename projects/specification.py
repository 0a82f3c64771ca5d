"""A Profiles project's specification as frozen values, to and from the plain values that `Project` stores.

`projects.pb_project` reads them from text. Names here are data from a customer's file: they go into Redis keys and
fields as they are, and never into SQL.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class FeatureView:
    """A view of an entity's features by one of its id types, or by its main id: what a source serves.

    `declared_name` is None where the file gives the view no name; `name` is then made from entity and id type and stays
    the same however the file spells the section, because stored profiles are keyed by it.
    """

    id_type: str
    declared_name: str | None
    name: str
    path_ref: str


@dataclass(frozen=True)
class Entity:
    """A kind of thing that has profiles, e.g. `user`. `main_view` is the feature view by the entity's main id."""

    name: str
    id_column_name: str
    id_stitcher: str | None
    id_types: tuple[str, ...]
    main_view: str
    feature_views: tuple[FeatureView, ...]
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def main_feature_view(self) -> FeatureView:
        """The main view as one that is served: its id type is called like the main id column."""
        return FeatureView(
            id_type=self.id_column_name,
            declared_name=self.main_view,
            name=self.main_view,
            path_ref=f"{self.name}/all/feature_view",
        )


@dataclass(frozen=True)
class IdType:
    """An id type that the file declares itself; filters are kept, not interpreted."""

    name: str
    extends: str | None
    filters: tuple[Any, ...] = ()


@dataclass(frozen=True)
class ProjectSpecification:
    """What a `pb_project.yaml` says. `others` keeps the top-level keys that are not interpreted."""

    name: str
    schema_version: int
    connection: str
    model_folders: tuple[str, ...]
    entities: tuple[Entity, ...]
    id_types: tuple[IdType, ...]
    others: Mapping[str, Any] = field(default_factory=dict)

    def views(self, main_views: Collection[str] = ()) -> list[tuple[Entity, FeatureView]]:
        """List every view that is served, with its entity, in the order of the file.

        `main_views` names the entities whose main view is served after those that the file lists for it.
        """
        return [
            (entity, view)
            for entity in self.entities
            for view in (*entity.feature_views, *([entity.main_feature_view] if entity.name in main_views else []))
        ]


def to_plain(specification: ProjectSpecification) -> dict[str, Any]:
    """Return the specification as JSON values."""
    return asdict(specification)


def from_plain(values: Mapping[str, Any]) -> ProjectSpecification:
    """Rebuild what `to_plain` wrote."""
    return ProjectSpecification(
        **{
            **values,
            "model_folders": tuple(values["model_folders"]),
            "entities": tuple(_entity(entity) for entity in values["entities"]),
            "id_types": tuple(
                IdType(**{**id_type, "filters": tuple(id_type["filters"])}) for id_type in values["id_types"]
            ),
        }
    )


def candidate_relations(entity: str, view: FeatureView) -> list[str]:
    """List the names a view may have in the warehouse, likeliest first; the catalogue's letter case may differ.

    The name that an unnamed view gets is not documented, so three known manners are tried.
    """
    if view.declared_name is not None:
        return [view.declared_name]
    return [
        f"{entity}_feature_view_using_{view.id_type}",
        f"feature_view_using_{view.id_type}",
        f"{view.id_type}_{entity}_default_entity_serve_360",
    ]


@dataclass(frozen=True)
class MissingFeatureViews:
    """Why nothing can be served: entities that list no ids, and the YAML that would list them."""

    entities: tuple[str, ...]
    message: str
    yaml: str


def missing_feature_views(
    specification: ProjectSpecification, main_views: Collection[str] = ()
) -> MissingFeatureViews | None:
    """Explain what to add when the file lists no id to serve at all; None when any view is served."""
    if specification.views(main_views):
        return None
    names = tuple(entity.name for entity in specification.entities)
    listed = " and ".join(f"`{name}`" for name in names)
    message = (
        f"pb_project.yaml lists no ids to serve for {listed}. Ids are never served by themselves: name each under "
        "`feature_views`, `using_ids` of its entity, as below, leaving out those you do not look people up by. "
        "Projects kept in Git always need this. Then run the project once more, so that the warehouse has the views."
    )
    return MissingFeatureViews(entities=names, message=message, yaml=_suggestion(specification.entities))


def _suggestion(entities: Iterable[Entity]) -> str:
    lines = ["entities:"]
    for entity in entities:
        lines += [f"  - name: {_yaml_text(entity.name)}", "    feature_views:", "      using_ids:"]
        for id_type in entity.id_types:
            lines += [f"        - id: {_yaml_text(id_type)}", f"          name: {_yaml_text(f'features_by_{id_type}')}"]
    return "\n".join(lines) + "\n"


def _yaml_text(text: str) -> str:
    """Write a name as YAML: plain where that is safe, else double-quoted."""
    plain = text.replace("_", "a").replace("-", "a")
    if (
        plain.isascii()
        and plain.isalnum()
        and text[0].isalpha()
        and text.lower() not in {"true", "false", "null", "yes", "no"}
    ):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _entity(values: Mapping[str, Any]) -> Entity:
    return Entity(
        **{
            **values,
            "id_types": tuple(values["id_types"]),
            "feature_views": tuple(FeatureView(**view) for view in values["feature_views"]),
        }
    )
