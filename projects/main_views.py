"""Main feature views, those by an entity's main id: which of them are served beside the views that the file lists.

Nothing serves them by itself, as in the hosted product: a person switches them on, entity by entity, and the project
keeps the entities' names. To requests the main id is one more id type, called like the main id column.
"""

from collections.abc import Collection

from projects.models import Project
from projects.pb_project import LONGEST_SHORT_NAME
from projects.problems import Problem, SpecificationProblems
from projects.specification import Entity, ProjectSpecification, from_plain
from projects.yaml_document import Document


class EntityUnknown(Exception):
    """The specification has no entity of that name."""

    def __init__(self, name: str) -> None:
        super().__init__("The project has no entity of this name.")
        self.name = name


class MainViewRefused(Exception):
    """The main view cannot be served: something else has its name, or that of its id type."""


def entity_of(specification: ProjectSpecification, name: str) -> Entity:
    """Return the entity of that name. Raises `EntityUnknown`."""
    found = next((entity for entity in specification.entities if entity.name == name), None)
    if found is None:
        raise EntityUnknown(name)
    return found


def obstacle(specification: ProjectSpecification, entity: Entity, main_views: Collection[str]) -> str:
    """Say why an entity's main view cannot be served beside all else that is; "" when it can.

    Places, counts and the fields in Redis go by a view's name, and requests by the name of an id type.
    """
    column, view = entity.id_column_name, entity.main_view
    if column in entity.id_types:
        return (
            f"`{column}` is the main id column of `{entity.name}` and one of its id types as well, so requests could "
            "not tell the two apart. Rename one of them in pb_project.yaml."
        )
    if len(column) > LONGEST_SHORT_NAME:
        return (
            f"The main id column of `{entity.name}` has a name of more than {LONGEST_SHORT_NAME} characters, which is "
            "the most that an id type's name may have."
        )
    others = specification.views([name for name in main_views if name != entity.name])
    if view in {other.name for _, other in others}:
        return f"Another feature view that is served is called `{view}` too. Rename one of them in pb_project.yaml."
    return ""


def check(project: Project, wanted: ProjectSpecification, text: str) -> None:
    """Raise `SpecificationProblems` when a new text stands in the way of a main view that is served now."""
    served = _served(project)
    obstacles = [
        (index, obstacle(wanted, entity, served))
        for index, entity in enumerate(wanted.entities)
        if entity.name in served
    ]
    found = [(index, why) for index, why in obstacles if why]
    if found:
        document = Document(text)
        ways_out = "Or stop serving the main feature view of this entity first."
        raise SpecificationProblems(
            [Problem(*document.place(("entities", index, "name")), f"{why} {ways_out}") for index, why in found]
        )


def kept(project: Project, wanted: ProjectSpecification) -> list[str]:
    """Return the entities whose main views are served with a new specification.

    The name of an entity that the file leaves out stays, so that its view returns with it, unless that cannot be served
    by then beside those that are.
    """
    entities = {entity.name: entity for entity in wanted.entities}
    served = _served(project)
    found: list[str] = []
    for name in (*served, *(each for each in project.main_views if each not in served)):
        if name not in entities or not obstacle(wanted, entities[name], found):
            found.append(name)
    return found


def id_types(entity: Entity, main_views: Collection[str]) -> tuple[str, ...]:
    """List the id types of an entity that a request may name: the file's, and the main id where it is served."""
    return (*entity.id_types, *([entity.id_column_name] if entity.name in main_views else []))


def _served(project: Project) -> list[str]:
    present = {entity.name for entity in from_plain(project.specification).entities}
    return [name for name in project.main_views if name in present]
