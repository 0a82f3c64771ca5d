"""Finds finished Profiles runs in the registry table that Profiles keeps in its output schema.

`MATERIAL_REGISTRY_<n>` has a row for each model and run; the highest suffix is the one in use. A model is complete
when `metadata.complete.status` is 2 (how to ask for that is the dialect's). Names come in the warehouse's case. The
table is the Profiles tool's own, so a column that is not as expected is a failed query, not a guess.
"""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

from projects.warehouses.port import QueryFailed, Relation, RelationMissing, Warehouse, WarehouseError

REGISTRY = re.compile(r"material_registry_(\d+)", re.IGNORECASE)
COLUMNS = ("seq_no", "model_name", "end_ts", "metadata")


class RegistryMissing(WarehouseError):
    """The output schema has no registry: Profiles has not run there, or the user cannot see the table."""

    code = "registry_missing"


@dataclass(frozen=True)
class RegistryRun:
    """One Profiles run: the given models it has completed so far, and when the newest of them was done (UTC)."""

    seq_no: int
    models: frozenset[str]
    finished_at: dt.datetime


def find_runs(warehouse: Warehouse, schema: str, *, models: Sequence[str], since_seq: int | None) -> list[RegistryRun]:
    """List the runs after `since_seq` that completed at least one of `models`, oldest first.

    Models are compared in any case and returned as given. A run may go on completing models, so whoever must know
    its last state asks again with a smaller `since_seq`.

    Raises:
        RegistryMissing: there is no registry table in the schema, or no such schema.
        WarehouseError: what the warehouse says to the query.

    """
    given = {model.lower(): model for model in models}
    if not given:
        return []
    table = _registry(warehouse, schema)
    runs: dict[int, RegistryRun] = {}
    for seq_no, name, finished in _complete(warehouse, table, sorted(given), since_seq):
        seen = runs.get(seq_no, RegistryRun(seq_no, frozenset(), finished))
        runs[seq_no] = RegistryRun(seq_no, seen.models | {given[name.lower()]}, max(seen.finished_at, finished))
    return [runs[seq_no] for seq_no in sorted(runs)]


def _registry(warehouse: Warehouse, schema: str) -> Relation:
    try:
        names = warehouse.relations(schema)
    except RelationMissing:
        raise RegistryMissing(f"There is no schema {schema} in the warehouse, or this user cannot see it.") from None
    numbered = [(int(match[1]), name) for name in names if (match := REGISTRY.fullmatch(name))]
    if not numbered:
        raise RegistryMissing(
            f"The schema {schema} has no table MATERIAL_REGISTRY_4 or the like: run your Profiles project first."
        )
    return Relation(schema, max(numbered)[1])


def _complete(
    warehouse: Warehouse, table: Relation, models: Sequence[str], since_seq: int | None
) -> list[tuple[int, str, dt.datetime]]:
    """Return `(seq_no, model_name, newest end_ts)` of the complete rows of the given models (lower case)."""
    seq_no, model_name, end_ts, metadata = _columns(warehouse, table)
    conditions = [
        warehouse.dialect.registry_complete(metadata),
        f"lower({model_name}) IN ({', '.join('?' * len(models))})",
        f"{end_ts} IS NOT NULL",
    ]
    parameters: list[object] = list(models)
    if since_seq is not None:
        conditions.append(f"{seq_no} > ?")
        parameters.append(since_seq)
    rows = warehouse.fetch(
        f"SELECT {seq_no}, {model_name}, max({end_ts}) FROM {warehouse.dialect.relation(table)}"
        f" WHERE {' AND '.join(conditions)} GROUP BY {seq_no}, {model_name}",
        parameters,
    )
    return [(int(str(seq)), str(name), _in_utc(finished)) for seq, name, finished in rows]


def _columns(warehouse: Warehouse, table: Relation) -> list[str]:
    """Return the needed columns, quoted as the catalogue spells them."""
    spelled = {column.name.lower(): column for column in warehouse.describe(table)}
    missing = [name for name in COLUMNS if name not in spelled]
    if missing:
        raise QueryFailed(f"The registry {table.schema}.{table.name} has no column {', '.join(missing)}.")
    return [warehouse.dialect.quote(spelled[name].name) for name in COLUMNS]


def _in_utc(value: object) -> dt.datetime:
    """Return a time of the registry as an aware one; without a zone it is meant in UTC."""
    moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
