"""What a finished run did to each id, as rows of the sync log in the customer's warehouse: SQL over the warehouse port.

The warehouse writes the log from the run's own tables, so not one id passes through us but those whose write failed.
The columns are the hosted product's (`projects.warehouses.port.LOG_COLUMNS`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from projects.warehouses.port import LOG_COLUMNS, Dialect, LogOwner, Warehouse, own_table

# Every query below is put together from names of ours, checked words and expressions of the dialect.
# ruff: noqa: S608

_WORD = re.compile(r"[0-9A-Za-z_]{1,60}")


@dataclass(frozen=True)
class Changes:
    """The tables that tell what a run did.

    `upserts` are the ids it wrote: its delta's, or the whole snapshot's of a full run; a removal has none. `base` is
    the snapshot that was there before, `failed` maps a reason to the table of ids whose write failed for it. At least
    one of `upserts` and `deletes` is there.
    """

    upserts: str | None = None
    deletes: str | None = None
    base: str | None = None
    failed: Mapping[str, str] = field(default_factory=dict)

    def tables(self) -> list[str]:
        """List the tables, for `uses`."""
        return [name for name in (self.deletes, self.upserts, self.base, *self.failed.values()) if name]


@dataclass(frozen=True)
class Stamp:
    """What all of a run's rows say: the source, the run's public id, and when it began and ended.

    `entry` tells the run from others of the source in the name of a table: letters and digits, at most 9.
    """

    owner: LogOwner
    entry: str
    run: str
    started_at: datetime
    finished_at: datetime


def log_name(installation: str) -> str:
    """Return the name of this installation's sync log."""
    return own_table(f"activation_{installation}_sync_log")


def append(warehouse: Warehouse, log: str, changes: Changes, stamp: Stamp, *, everything: bool) -> int:
    """Log what a run did, once per run, and return the rows: everything, or deletes and failures only.

    Raises:
        WarehouseError: as the warehouse says.

    """
    sql = select(warehouse.dialect, changes, stamp, everything=everything)
    day = stamp.finished_at.astimezone(UTC).date()
    return warehouse.append(log, sql, owner=stamp.owner, entry=stamp.entry, day=day, uses=changes.tables())


def select(dialect: Dialect, changes: Changes, stamp: Stamp, *, everything: bool) -> str:
    """Return the SELECT of a run's log rows."""
    row_id, operation, reason = (dialect.quote(name) for name in ("_id", "_operation", "_reason"))
    values = {
        "connection_id": _text(stamp.owner.connection_id),
        "sync_run_id": _text(stamp.run),
        "primary_key": f"c.{row_id}",
        "operation": f"c.{operation}",
        "status": f"CASE WHEN f.{row_id} IS NULL THEN 'succeeded' ELSE 'failed' END",
        "error_reason": f"f.{reason}",
        "sync_started_at": _time(stamp.started_at),
        "sync_finished_at": _time(stamp.finished_at),
    }
    columns = ", ".join(f"{values[name]} AS {dialect.quote(name)}" for name in LOG_COLUMNS)
    only = "" if everything else f" WHERE c.{operation} = 'delete' OR f.{row_id} IS NOT NULL"
    return (
        f"SELECT {columns} FROM ({_changed(dialect, changes, everything=everything)}) c "
        f"LEFT JOIN ({_failed(dialect, changes)}) f ON f.{row_id} = c.{row_id}{only}"
    )


def _changed(dialect: Dialect, changes: Changes, *, everything: bool) -> str:
    """Read (id, operation). What was written is left out where none of it would be logged."""
    row_id, operation = dialect.quote("_id"), dialect.quote("_operation")
    parts = []
    if changes.upserts and (everything or changes.failed or not changes.deletes):
        upserts = dialect.snapshot(changes.upserts)
        if changes.base:
            parts.append(
                f"SELECT u.{row_id} AS {row_id}, CASE WHEN b.{row_id} IS NULL THEN 'insert' ELSE 'update' END "
                f"AS {operation} FROM {upserts} u "
                f"LEFT JOIN {dialect.snapshot(changes.base)} b ON b.{row_id} = u.{row_id}"
            )
        else:
            parts.append(f"SELECT u.{row_id} AS {row_id}, 'insert' AS {operation} FROM {upserts} u")
    if changes.deletes:
        deletes = dialect.snapshot(changes.deletes)
        parts.append(f"SELECT d.{row_id} AS {row_id}, 'delete' AS {operation} FROM {deletes} d")
    return " UNION ALL ".join(parts)


def _failed(dialect: Dialect, changes: Changes) -> str:
    """Read (id, reason), an id once; without failures, none of the right shape."""
    row_id, reason = dialect.quote("_id"), dialect.quote("_reason")
    rows = " UNION ALL ".join(
        f"SELECT {row_id}, {_text(word)} AS {reason} FROM {dialect.snapshot(table)}"
        for word, table in changes.failed.items()
    )
    if not rows:
        any_ids = dialect.snapshot(changes.tables()[0])
        return f"SELECT {row_id}, CAST(NULL AS VARCHAR(60)) AS {reason} FROM {any_ids} WHERE 1 = 0"
    return f"SELECT {row_id}, min({reason}) AS {reason} FROM ({rows}) r GROUP BY {row_id}"


def _text(word: str) -> str:
    """Quote an id of ours or a reason's code: letters, digits and underscores only."""
    if _WORD.fullmatch(word) is None:
        raise ValueError("this is neither an id of ours nor a reason")
    return f"CAST('{word}' AS VARCHAR(60))"


def _time(at: datetime) -> str:
    """Write a time as a timestamp without zone, in UTC."""
    return f"CAST('{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}' AS TIMESTAMP)"
