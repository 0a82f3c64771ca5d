"""Logs of ours in every adapter, by one contract: appended to, read back, and forgotten day by day."""

from datetime import date

import pytest

from projects.warehouses import duckdb_logs
from projects.warehouses.port import LOG_COLUMNS, LogOwner, Warehouse
from tests.projects.warehouses.test_own_tables import duckdb, postgresql, warehouse

__all__ = ["duckdb", "postgresql", "warehouse"]

LOG = "activation_0a1b2c3d_sync_log"
IDS = "activation_0a1b2c3d_s1_r1_a1_ids"
OWN, OTHER = LogOwner("2aOwn", "s1"), LogOwner("2bOther", "s11")


def rows_at(day: date, source: str, run: str, owner: LogOwner) -> str:
    at = f"CAST('{day:%Y-%m-%d} 23:59:59.5' AS TIMESTAMP)"
    texts = ", ".join(
        f"CAST('{text}' AS VARCHAR(60)) AS {name}"
        for name, text in zip(LOG_COLUMNS[:2], (owner.connection_id, run), strict=True)
    )
    more = "'delete' AS operation, 'succeeded' AS status, CAST(NULL AS VARCHAR(60)) AS error_reason"
    return (
        f'SELECT {texts}, "_id" AS primary_key, {more}, {at} AS sync_started_at, {at} AS sync_finished_at FROM {source}'
    )


def add(warehouse: Warehouse, day: date, run: str, ids: list[str], owner: LogOwner = OWN) -> int:
    warehouse.put_ids(IDS, ids)
    select = rows_at(day, warehouse.dialect.snapshot(IDS), run, owner)
    return warehouse.append(LOG, select, owner=owner, entry=run.lower(), day=day, uses=[IDS])


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
    warehouse.forget(LOG, owner=OWN, before=date(2026, 11, 3))
    assert logged(warehouse) == {("Run3", "a")}


def test_what_others_log_is_theirs_to_forget(warehouse: Warehouse) -> None:
    add(warehouse, date(2026, 11, 1), "Run1", ["a"])
    add(warehouse, date(2026, 11, 1), "Run2", ["b"], OTHER)
    warehouse.forget(LOG, owner=OWN, before=date(2026, 11, 3))
    assert logged(warehouse) == {("Run2", "b")}


def test_forgetting_keeps_every_row_that_is_young_enough(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_logs, "AT_ONCE", 2)
    for number in range(5):
        add(warehouse, date(2026, 11, 2), f"Run{number}", ["a", f"b{number}"])
    add(warehouse, date(2026, 11, 3), "Run8", ["a"])
    add(warehouse, date(2026, 11, 3), "Run9", ["a"])
    before = logged(warehouse)
    for _ in range(2):
        warehouse.forget(LOG, owner=OWN, before=date(2026, 11, 1))
        assert logged(warehouse) == before


def test_days_that_are_over_are_one_file_each_where_tables_cannot_grow(duckdb: Warehouse) -> None:
    for number in range(3):
        add(duckdb, date(2026, 11, 2), f"Run{number}", ["a"])
    add(duckdb, date(2026, 11, 3), "Run9", ["a"])
    duckdb.forget(LOG, owner=OWN, before=date(2026, 11, 1))
    assert duckdb.tables(LOG) == [f"{LOG}_20261102_s1_all", f"{LOG}_20261103_s1_run9"]


def test_a_join_that_was_cut_short_leaves_no_row_twice(duckdb: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    add(duckdb, date(2026, 11, 2), "Run1", ["a"])
    add(duckdb, date(2026, 11, 2), "Run2", ["a"])
    add(duckdb, date(2026, 11, 3), "Run9", ["a"])

    def killed(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(duckdb, "drop", killed)
    with pytest.raises(KeyboardInterrupt):
        duckdb.forget(LOG, owner=OWN, before=date(2026, 11, 1))
    monkeypatch.undo()
    duckdb.forget(LOG, owner=OWN, before=date(2026, 11, 1))
    joined = f"{LOG}_20261102_s1_all"
    assert duckdb.fetch(f"SELECT count(*) FROM {duckdb.dialect.snapshot(joined)}", uses=[joined]) == [(2,)]


def test_a_log_that_is_not_there_has_nothing_to_forget(warehouse: Warehouse) -> None:
    warehouse.forget(LOG, owner=OWN, before=date(2026, 11, 3))
    assert warehouse.tables(LOG) == []


def test_nothing_else_is_forgotten(warehouse: Warehouse) -> None:
    add(warehouse, date(2026, 11, 1), "Run1", ["a"])
    warehouse.put_ids(f"{LOG}x", ["stays"])
    warehouse.forget(LOG, owner=OWN, before=date(2027, 1, 1))
    assert IDS in warehouse.tables("activation_0a1b2c3d_")
    assert f"{LOG}x" in warehouse.tables("activation_0a1b2c3d_")


def test_only_a_log_of_ours_is_touched(warehouse: Warehouse) -> None:
    for wrong in ("people", "activation_0a1b2c3d_", 'activation_0a1b2c3d_x"; DROP TABLE y; --'):
        with pytest.raises(ValueError, match="not the name of a table of ours"):
            warehouse.append(wrong, "SELECT 1", owner=OWN, entry="run1", day=date(2026, 11, 1))
