"""Reads a `pb_project.yaml`: text → `ProjectSpecification`, or every problem with its line and column.

The format is Profiles' own (https://www.rudderstack.com/docs/profiles/dev-docs/project-structure/); keys that nothing
here interprets are accepted and kept. Older files spell `feature_views` as `serve_traits` (schema 53 and before) or
`serve_traits_360`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from projects.problems import Problem, SpecificationProblems
from projects.specification import Entity, FeatureView, IdType, ProjectSpecification
from projects.yaml_document import Document, Path, decode

RESERVED_ENTITY = "_activation"
LONGEST_SHORT_NAME = 100  # of an entity or an id type: the most that a source's columns hold

_SPELLINGS = ("feature_views", "serve_traits_360", "serve_traits")


def _text(value: Any) -> Any:
    """Take a number for text: `name: 360` is a name."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _visible(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "is blank. Write a name here.")
    if any(character < " " for character in text):
        raise PydanticCustomError("control", "holds a line break or a control character. Write it on one line.")
    return text


Text = Annotated[str, BeforeValidator(_text), AfterValidator(_visible)]
ShortName = Annotated[Text, Field(max_length=LONGEST_SHORT_NAME)]
Name = Annotated[Text, Field(max_length=255)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow")


class _UsingId(_Shape):
    id: ShortName
    name: Name | None = None


class _FeatureViews(_Shape):
    name: Name | None = None
    using_ids: list[_UsingId] | None = None


class _ServedTrait(_Shape):
    id_served: ShortName
    name: Name | None = None


class _Entity(_Shape):
    name: ShortName
    id_column_name: Name | None = None
    id_stitcher: Text | None = None
    id_types: list[ShortName] = Field(min_length=1)
    feature_views: _FeatureViews | None = None
    serve_traits_360: _FeatureViews | None = None
    serve_traits: list[_ServedTrait] | None = None


class _IdType(_Shape):
    name: ShortName
    extends: Text | None = None
    filters: list[dict[str, Any]] | None = None


class _Project(_Shape):
    name: Name
    schema_version: int = Field(ge=1)
    connection: Name
    model_folders: list[Text]
    entities: list[_Entity] = Field(min_length=1)
    id_types: list[_IdType] | None = None


def read(text: str | bytes) -> ProjectSpecification:
    """Read a file's text, or the bytes of an upload.

    Raises `SpecificationProblems` with everything that is wrong, each with its place; nothing else whatever the input.
    """
    document = Document(decode(text) if isinstance(text, bytes) else text.removeprefix("\ufeff"))
    problems = list(document.problems)
    if not isinstance(document.value, dict):
        raise SpecificationProblems(
            [Problem(*document.place(()), "A pb_project.yaml is a mapping that starts with `name:`.")]
        )
    shape = None
    try:
        shape = _Project.model_validate(document.value, strict=True)
    except ValidationError as error:
        problems += [_shape_problem(detail, document) for detail in error.errors(include_url=False)]
    entities = list(_sound_entities(document.value.get("entities")))
    problems += [Problem(*document.place(path), message) for path, message in _contradictions(entities)]
    if problems or shape is None:
        raise SpecificationProblems(problems)
    return _specification(shape)


def _sound_entities(values: Any) -> Iterator[tuple[int, _Entity]]:
    """Yield the entities that are well-formed by themselves, whatever else is wrong in the file."""
    for index, value in enumerate(values if isinstance(values, list) else ()):
        try:
            yield index, _Entity.model_validate(value, strict=True)
        except ValidationError:
            continue


def _specification(shape: _Project) -> ProjectSpecification:
    return ProjectSpecification(
        name=shape.name,
        schema_version=shape.schema_version,
        connection=shape.connection,
        model_folders=tuple(shape.model_folders),
        entities=tuple(_entity(entity) for entity in shape.entities),
        id_types=tuple(
            IdType(name=id_type.name, extends=id_type.extends, filters=tuple(id_type.filters or ()))
            for id_type in shape.id_types or ()
        ),
        others=dict(shape.model_extra or {}),
    )


def _entity(shape: _Entity) -> Entity:
    section = shape.feature_views or shape.serve_traits_360
    return Entity(
        name=shape.name,
        id_column_name=shape.id_column_name or f"{shape.name}_main_id",
        id_stitcher=shape.id_stitcher,
        id_types=tuple(shape.id_types),
        main_view=(section and section.name) or f"{shape.name}_feature_view",
        feature_views=tuple(_view(shape.name, id_type, name) for _, id_type, name in _served(shape)),
        others=dict(shape.model_extra or {}),
    )


def _view(entity: str, id_type: str, declared_name: str | None) -> FeatureView:
    return FeatureView(
        id_type=id_type,
        declared_name=declared_name,
        name=declared_name or f"{entity}_feature_view_using_{id_type}",
        path_ref=f"{entity}/all/feature_view/using_{id_type}",
    )


def _served(shape: _Entity) -> Iterator[tuple[Path, str, str | None]]:
    """Yield each served id with the path of its item inside the entity, whichever way the file spells the section."""
    for spelling in ("feature_views", "serve_traits_360"):
        section: _FeatureViews | None = getattr(shape, spelling)
        for index, item in enumerate((section and section.using_ids) or ()):
            yield (spelling, "using_ids", index), item.id, item.name
    for index, trait in enumerate(shape.serve_traits or ()):
        yield ("serve_traits", index), trait.id_served, trait.name


def _contradictions(shapes: Sequence[tuple[int, _Entity]]) -> Iterator[tuple[Path, str]]:
    """Yield what is well-formed but cannot be meant, with the path of its place."""
    entities = Counter[str]()
    views = Counter[str]()
    for index, shape in shapes:
        here: Path = ("entities", index)
        entities[shape.name] += 1
        if entities[shape.name] > 1:
            yield (*here, "name"), f"There are two entities called `{shape.name}`. Rename or remove one."
        if shape.name == RESERVED_ENTITY:
            message = f"An entity may not be called `{RESERVED_ENTITY}`: its keys are Activation API's own. Rename it."
            yield (*here, "name"), message
        yield from (((*here, *path), message) for path, message in _entity_contradictions(shape))
        for path, id_type, declared_name in _served(shape):
            view = _view(shape.name, id_type, declared_name)
            views[view.name] += 1
            if views[view.name] > 1:
                yield (*here, *path), f"There are two feature views called `{view.name}`. Give this one another name."


def _entity_contradictions(shape: _Entity) -> Iterator[tuple[Path, str]]:
    for index, id_type in enumerate(shape.id_types):
        if id_type in shape.id_types[:index]:
            yield ("id_types", index), f"`{id_type}` is listed twice. Remove one."
    spellings = [spelling for spelling in _SPELLINGS if getattr(shape, spelling) is not None]
    if len(spellings) > 1:
        yield (
            (spellings[1],),
            f"`{spellings[1]}` is an older spelling of `{spellings[0]}`, which is here too. Keep `{spellings[0]}`.",
        )
    for path, id_type, _ in _served(shape):
        if id_type not in shape.id_types:
            known = ", ".join(shape.id_types)
            yield (
                path,
                f"`{id_type}` is not an id type of `{shape.name}` ({known}). Add it to `id_types` or correct it.",
            )


def _shape_problem(detail: ErrorDetails, document: Document) -> Problem:
    path = tuple(detail["loc"])
    line, column = document.place(path)
    return Problem(line, column, f"{_subject(path)} {_complaint(detail)}")


def _subject(path: Path) -> str:
    """Name a value by the last key on its way: "`using_ids`", or "Item 2 of `using_ids`"."""
    if isinstance(path[-1], int):
        return f"Item {path[-1] + 1} of `{path[-2]}`"
    return f"`{path[-1]}`"


def _complaint(detail: ErrorDetails) -> str:
    kind = detail["type"]
    context = detail.get("ctx", {})
    if kind == "missing":
        return "is missing here. Add it."
    if kind == "too_short":
        return "is empty. List at least one."
    if kind == "string_too_long":
        return f"is longer than {context['max_length']} characters. Shorten it."
    wanted = {
        "string_type": "must be text, such as `name: user`.",
        "list_type": "must be a list: one `- …` line each.",
        "dict_type": "must be a mapping: `key: value` lines.",
        "model_type": "must be a mapping: `key: value` lines.",
        "int_type": "must be a whole number, such as 97.",
        "greater_than_equal": "must be 1 or more.",
    }
    return wanted.get(kind, detail["msg"])
