"""Tells PostgreSQL's nested types in full: `row("street" text, "seen" timestamp with time zone)[]`.

`format_type` only names a composite type; what is in it decides how its values become JSON, and a change in it must
be noticed like a change of a column's type.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

# Every type that a relation's columns are made of: arrays' elements, domains' bases, composites' fields.
TYPES = """
    WITH RECURSIVE reached AS (
        SELECT a.atttypid AS oid
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ?::text AND c.relname = ?::text AND a.attnum > 0 AND NOT a.attisdropped
        UNION
        SELECT inner_type.oid FROM reached r JOIN pg_type t ON t.oid = r.oid CROSS JOIN LATERAL (
            SELECT t.typbasetype AS oid WHERE t.typtype = 'd'
            UNION ALL SELECT t.typelem WHERE t.typcategory = 'A' AND t.typtype = 'b'
            UNION ALL SELECT f.atttypid FROM pg_attribute f
            WHERE t.typtype = 'c' AND f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped
        ) inner_type
    )
    SELECT t.oid::int8, format_type(t.oid, NULL)::text, t.typbasetype::int8,
        (CASE WHEN t.typcategory = 'A' AND t.typtype = 'b' THEN t.typelem ELSE 0 END)::int8,
        t.typtype = 'c', f.attname::text, f.atttypid::int8
    FROM reached r JOIN pg_type t ON t.oid = r.oid
    LEFT JOIN pg_attribute f ON t.typtype = 'c' AND f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped
    ORDER BY t.oid, f.attnum
"""


@dataclass
class _Type:
    name: str
    base: int
    element: int
    composite: bool
    fields: list[tuple[str, int]] = field(default_factory=list)


class Types:
    """The types that `TYPES` found, by their oid."""

    def __init__(self, rows: Iterable[tuple[object, ...]]) -> None:
        self._types: dict[int, _Type] = {}
        for oid, name, base, element, composite, attribute, of in rows:
            found = self._types.setdefault(
                _whole(oid), _Type(str(name), _whole(base), _whole(element), bool(composite))
            )
            if attribute is not None:
                found.fields.append((str(attribute), _whole(of)))

    def text(self, oid: int) -> str:
        """Return the type in full, without its domains; no type of PostgreSQL contains itself."""
        found = self._types[oid]
        if found.base:
            return self.text(found.base)
        if found.element:
            return f"{self.text(found.element)}[]"
        if found.composite:
            return f"row({', '.join(self._field(name, of) for name, of in found.fields)})"
        return found.name

    def _field(self, name: str, oid: int) -> str:
        escaped = name.replace('"', '""')
        return f'"{escaped}" {self.text(oid)}'


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("an oid is no whole number")
    return value
