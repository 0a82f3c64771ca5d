"""Finds what else belongs to a person: through the main id that a snapshot's rows carry, in the warehouse.

Ids and main ids go into queries as parameters only, and what comes back is bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from activation.engine.snapshot_sql import positional
from projects.warehouses.port import Column, Dialect, Warehouse

# So many ids are compared by one query: warehouses limit how many parameters one may have.
_AT_ONCE = 500


@dataclass(frozen=True)
class Carrier:
    """A snapshot whose rows carry a main id, and the column that holds it, by position."""

    table: str
    column: Column


def carrier(table: str, columns: Sequence[Column], name: str) -> Carrier | None:
    """Return a snapshot as a carrier of the main id called `name`, in any letter case; None where it has none.

    `columns` are the view's, in the order of the snapshot. Where names differ by case only, the exact one counts.
    """
    same = [number for number, column in enumerate(columns) if column.name.lower() == name.lower()]
    exact = [number for number in same if columns[number].name == name]
    number = next(iter([*exact, *same]), None)
    return None if number is None else Carrier(table, positional(columns)[number])


def main_ids(warehouse: Warehouse, carrier: Carrier, known: Sequence[str], *, most: int) -> list[str]:
    """Return the main ids of the rows whose `_id` is known, at most `most`. Raises `WarehouseError`."""
    main, row_id = warehouse.dialect.id_text(carrier.column), warehouse.dialect.quote("_id")
    return _distinct(warehouse, carrier, main, among=row_id, given=known, most=most)


def ids(warehouse: Warehouse, carrier: Carrier, persons: Sequence[str], *, most: int) -> list[str]:
    """Return the `_id` of the rows that have one of these main ids, at most `most`. Raises `WarehouseError`."""
    main, row_id = warehouse.dialect.id_text(carrier.column), warehouse.dialect.quote("_id")
    return _distinct(warehouse, carrier, row_id, among=main, given=persons, most=most)


def _distinct(
    warehouse: Warehouse, carrier: Carrier, wanted: str, *, among: str, given: Sequence[str], most: int
) -> list[str]:
    """Return the values of one expression in rows that have a main id and another expression among the given texts."""
    select = _select(warehouse.dialect, carrier, wanted, among)
    # What holds a NUL is in no warehouse, and some refuse to be asked.
    texts = [text for text in dict.fromkeys(given) if "\0" not in text]
    found: dict[str, None] = {}
    for first in range(0, len(texts), _AT_ONCE):
        asked = texts[first : first + _AT_ONCE]
        left = most - len(found)
        if left <= 0:
            break
        places = ", ".join("?" for _ in asked)
        rows = warehouse.fetch(f"{select} ({places}) LIMIT {left:d}", asked, uses=[carrier.table])
        found |= dict.fromkeys(str(text) for (text,) in rows)
    return list(found)


def _select(dialect: Dialect, carrier: Carrier, wanted: str, among: str) -> str:
    main = dialect.id_text(carrier.column)
    # Names of ours and expressions of the dialect only; a blank main id is nobody's.
    return (
        f"SELECT DISTINCT {wanted} AS {dialect.quote('found')} FROM {dialect.snapshot(carrier.table)} "  # noqa: S608 - see above
        f"WHERE {dialect.normalise(main, 'trim')} <> '' AND {among} IN"
    )
