"""Counts a view's rows and each column's NULLs: one scan for every 200 columns, the same SQL in every warehouse."""

from dataclasses import dataclass

from projects.warehouses.port import Column, Relation, Warehouse

_AT_ONCE = 200  # columns counted by one query: warehouses limit how long a row or a query may be


@dataclass(frozen=True)
class Counted:
    """What was counted; `nulls` are in the order of `columns`."""

    rows: int
    columns: tuple[Column, ...]
    nulls: tuple[int, ...]


def count(warehouse: Warehouse, relation: Relation) -> Counted:
    """Count a view as it is now; one that changes meanwhile has each portion of its columns as that was counted.

    Raises `WarehouseError`.
    """
    dialect = warehouse.dialect
    columns = tuple(warehouse.describe(relation))
    rows, nulls = 0, list[int]()
    for start in range(0, max(len(columns), 1), _AT_ONCE):
        portion = columns[start : start + _AT_ONCE]
        counts = ", ".join(["count(*)", *(f"count({dialect.quote(column.name)})" for column in portion)])
        query = f"SELECT {counts} FROM {dialect.relation(relation)}"
        [(there, *values)] = warehouse.fetch(query)
        nulls += [_whole(there) - _whole(value) for value in values]
        rows = rows or _whole(there)
    return Counted(rows, columns, tuple(nulls))


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a count is no whole number")
    return value
