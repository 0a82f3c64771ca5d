"""What a JSON Schema says, as rows that people read: each member by its path, its type in words, its limits."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from activation.api.openapi.schemas import Schema

_DEEPEST = 3
_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object",
    "null": "null",
}


@dataclass(frozen=True)
class Row:
    """One member. `name` is its path, with `[]` for each item of a list and `*` for any name."""

    name: str
    kind: str
    required: bool
    limits: str
    about: str


def of_body(schema: Schema, named: dict[str, Schema]) -> list[Row]:
    """List the members of a schema and of what is in it."""
    return list(_members(schema, named, "", 0))


def of_parameter(parameter: dict[str, Any], named: dict[str, Schema]) -> Row:
    """Return a parameter of an address, a query or a header as a row."""
    schema = parameter["schema"]
    about = parameter.get("description", schema.get("description", ""))
    return Row(parameter["name"], kind(schema, named), parameter.get("required", False), limits(schema), about)


def kind(schema: Schema, named: dict[str, Schema]) -> str:
    """Say the type of a value."""
    schema = resolved(schema, named)
    if "anyOf" in schema:
        return ", or ".join(dict.fromkeys(kind(each, named) for each in schema["anyOf"]))
    if "enum" in schema:
        return "one of " + ", ".join("null" if each is None else f"`{each}`" for each in schema["enum"])
    types = schema.get("type", "object")
    return " or ".join(_type(each, schema, named) for each in (types if isinstance(types, list) else [types]))


def limits(schema: Schema) -> str:
    """Say what a value is limited to, and what counts without it."""
    found = [
        "not empty" if (schema.get("minLength"), schema.get("maxLength")) == (1, None) else "",
        _between({**schema, "minLength": 0}, "minLength", "maxLength", " characters"),
        _between(schema, "minimum", "maximum", ""),
        _between(schema, "minItems", "maxItems", " items"),
        _between(schema, "minProperties", "maxProperties", " names"),
    ]
    if schema.get("format") == "date-time":
        found.append("ISO 8601")
    if "default" in schema:
        default = schema["default"]
        found.append(f"`{str(default).lower() if isinstance(default, bool) else default}` by default")
    return ", ".join(filter(None, found))


def resolved(schema: Schema, named: dict[str, Schema]) -> Schema:
    """Follow a schema to the one that it points to."""
    return named[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _type(name: str, schema: Schema, named: dict[str, Schema]) -> str:
    if name == "array":
        return f"list of: {kind(schema['items'], named)}" if "items" in schema else "empty list"
    return _WORDS[name]


def _between(schema: Schema, least: str, most: str, unit: str) -> str:
    low, high = schema.get(least), schema.get(most)
    if high is not None:
        return f"{low:,}–{high:,}{unit}" if low else f"at most {high:,}{unit}"  # noqa: RUF001 - a range
    return f"at least {low:,}{unit}" if low else ""


def _members(schema: Schema, named: dict[str, Schema], before: str, depth: int) -> Iterator[Row]:
    schema = resolved(schema, named)
    required = schema.get("required", ())
    for name, member in schema.get("properties", {}).items():
        target = resolved(member, named)
        about = member.get("description", target.get("description", ""))
        yield Row(before + name, kind(member, named), name in required, limits(target), about)
        if depth < _DEEPEST:
            yield from _inside(target, named, before + name, depth + 1)


def _inside(schema: Schema, named: dict[str, Schema], path: str, depth: int) -> Iterator[Row]:
    if "anyOf" in schema:
        schema = resolved(schema["anyOf"][0], named)
    if "items" in schema:
        yield from _members(schema["items"], named, f"{path}[].", depth)
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from _members(schema["additionalProperties"], named, f"{path}.*.", depth)
    else:
        yield from _members(schema, named, f"{path}.", depth)
