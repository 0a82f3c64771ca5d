"""Logs of ours in every adapter, by one contract: appended to, read back, and forgotten day by day."""

from datetime import date

import pytest

from projects.warehouses.port import LOG_COLUMNS, Warehouse
from tests.projects.warehouses.test_own_tables import duckdb, postgresql, warehouse

__all__ = ["duckdb", "postgresql", "warehouse"]

LOG = "activation_0a1b2c3d_sync_log"
IDS = "activation_0a1b2c3d_s1_r1_a1_ids"


def rows_at(day: date, source: str, run: str) -> str:
    at = f"CAST('{day:%Y-%m-%d} 23:59:59.5' AS TIMESTAMP)"
    texts = ", ".join(
        f"CAST('{text}' AS VARCHAR(60)) AS {name}" for name, text in zip(LOG_COLUMNS[:2], ("c", run), strict=True)
    )
    more = "'delete' AS operation, 'succeeded' AS status, CAST(NULL AS VARCHAR(60)) AS error_reason"
    return (
        f'SELECT {texts}, "_id" AS primary_key, {more}, {at} AS sync_started_at, {at} AS sync_finished_at FROM {source}'
    )


def add(warehouse: Warehouse, day: date, run: str, ids: list[str]) -> int:
    warehouse.put_ids(IDS, ids)
    select = rows_at(day, warehouse.dialect.snapshot(IDS), run)
    return warehouse.append(LOG, select, entry=run, day=day, uses=[IDS])


def logged(warehouse: Warehouse) -> set[tuple[object, ...]]:
    """Read (run, id) of all of the log, in one table or in many."""
    return {
        (run, each)
        for name in warehouse.tables(LOG)
        for run, each in warehouse.fetch(
            f"SELECT sync_run_id, primary_key FROM {warehouse.dialect.snapshot(name)}", uses=[name]
        )
    }


def test_entries_add_up(warehouse: Warehouse) -> None:
    assert add(warehouse, date(2026, 11, 1), "Run1", ["a", "b"]) == 2
    assert add(warehouse, date(2026, 11, 1), "Run2", ["b"]) == 1
    assert add(warehouse, date(2026, 11, 2), "Run3", []) == 0
    assert logged(warehouse) == {("Run1", "a"), ("Run1", "b"), ("Run2", "b")}


def test_a_log_has_the_columns_of_the_hosted_product(warehouse: Warehouse) -> None:
    add(warehouse, date(2026, 11, 1), "Run1", ["a"])
    [name] = warehouse.tables(LOG)
    [batch] = warehouse.stream(f"SELECT * FROM {warehouse.dialect.snapshot(name)}", uses=[name])
    assert tuple(batch.schema.names) == LOG_COLUMNS
    assert batch.to_pylist()[0]["sync_finished_at"].isoformat() == "2026-11-01T23:59:59.500000"


def test_days_before_a_day_are_forgotten(warehouse: Warehouse) -> None:
    for day in (1, 2, 3):
        add(warehouse, date(2026, 11, day), f"Run{day}", ["a"])
    warehouse.forget(LOG, before=date(2026, 11, 3))
    assert logged(warehouse) == {("Run3", "a")}


def test_a_log_that_is_not_there_has_nothing_to_forget(warehouse: Warehouse) -> None:
    warehouse.forget(LOG, before=date(2026, 11, 3))
    assert warehouse.tables(LOG) == []


def test_nothing_else_is_forgotten(warehouse: Warehouse) -> None:
    add(warehouse, date(2026, 11, 1), "Run1", ["a"])
    warehouse.put_ids(f"{LOG}x", ["stays"])
    warehouse.forget(LOG, before=date(2027, 1, 1))
    assert IDS in warehouse.tables("activation_0a1b2c3d_")
    assert f"{LOG}x" in warehouse.tables("activation_0a1b2c3d_")


def test_only_a_log_of_ours_is_touched(warehouse: Warehouse) -> None:
    for wrong in ("people", "activation_0a1b2c3d_", 'activation_0a1b2c3d_x"; DROP TABLE y; --'):
        with pytest.raises(ValueError, match="not the name of a table of ours"):
            warehouse.append(wrong, "SELECT 1", entry="Run1", day=date(2026, 11, 1))
