"""Checks a PostgreSQL warehouse in the named steps, each with what cures it."""

from collections.abc import Sequence
from contextlib import suppress
from secrets import token_hex

from projects.warehouses.checks import CONNECTION, OWN_SCHEMA, SCHEMAS, Action, reads
from projects.warehouses.cures import CURES, GRANTS
from projects.warehouses.port import (
    GrantMissing,
    QueryFailed,
    Relation,
    RelationMissing,
    Warehouse,
    WarehouseError,
    WarehouseRefused,
    WarehouseUnreachable,
)
from projects.warehouses.postgresql_catalogue import SCHEMA_USABLE
from projects.warehouses.postgresql_dialect import SCHEMA


def actions(warehouse: Warehouse, relations: Sequence[Relation]) -> list[Action]:
    """Return the steps: connection, schemas, our schema, then each view by itself."""
    return [
        Action(CONNECTION, lambda: _connect(warehouse), _connection_cure),
        Action(SCHEMAS, lambda: f"{len(warehouse.schemas())} found", _grants_cure),
        Action(OWN_SCHEMA, lambda: _use_own_schema(warehouse), _grants_cure),
        *(_reading(warehouse, relation) for relation in relations),
    ]


def _connect(warehouse: Warehouse) -> str:
    [(version,)] = warehouse.fetch("SELECT current_setting('server_version')")
    return f"PostgreSQL {version}"


def _use_own_schema(warehouse: Warehouse) -> str:
    """Write, read and drop a table, as a sync will."""
    if not warehouse.fetch(SCHEMA_USABLE, ("USAGE", SCHEMA)):
        raise RelationMissing(f"There is no schema {SCHEMA}.", detail="3F000")
    name = f"activation_{token_hex(4)}_check"
    try:
        warehouse.create(name, "SELECT 1 AS one")
        warehouse.fetch(f"SELECT one FROM {warehouse.dialect.snapshot(name)}")
    finally:
        with suppress(WarehouseError):
            warehouse.drop(name)
    return f"in {SCHEMA}"


def _reading(warehouse: Warehouse, relation: Relation) -> Action:
    def read() -> str:
        columns = warehouse.describe(relation)
        warehouse.fetch(f"SELECT count(*) FROM (SELECT * FROM {warehouse.dialect.relation(relation)} LIMIT 1) q")
        return f"{len(columns)} columns"

    return Action(reads(relation), read, _grants_cure, needed=False)


def _connection_cure(error: WarehouseError) -> str:
    kind = WarehouseRefused if isinstance(error, WarehouseRefused) else WarehouseUnreachable
    return CURES[kind.code]


def _grants_cure(error: WarehouseError) -> str:
    if error.transient:
        return "Try again in a moment."
    if isinstance(error, GrantMissing | RelationMissing):
        return GRANTS
    return CURES[QueryFailed.code]
