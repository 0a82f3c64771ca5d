"""The sync log tells what a run did to each id, written by the warehouse from the run's own tables."""

from datetime import UTC, datetime

import pytest

from activation.engine import sync_logs
from activation.engine.snapshots import take
from activation.engine.sync_logs import Changes, Stamp
from projects.warehouses.port import LogOwner
from tests.activation.engine.customers import Customer, a_name, plan

LOG = sync_logs.log_name("0a1b2c3d")
STAMP = Stamp(
    owner=LogOwner("2aConnection", "s3"),
    entry="r7",
    run="2bRun",
    started_at=datetime(2026, 11, 23, 6, 0, tzinfo=UTC),
    finished_at=datetime(2026, 11, 23, 6, 1, 2, 500_000, tzinfo=UTC),
)


def snapshot(customer: Customer, *ids: str) -> str:
    """Take a real snapshot, so that its ids have the type and order that a run's have."""
    customer.execute("DROP TABLE IF EXISTS people", "CREATE TABLE people (email VARCHAR, visits INTEGER)")
    customer.execute(*[f"INSERT INTO people VALUES ('{each}', 1)" for each in ids])
    name = a_name()
    take(customer.warehouse, plan(customer), name=name)
    return name


def ids(customer: Customer, kind: str, *texts: str) -> str:
    name = a_name(kind)
    customer.warehouse.put_ids(name, texts)
    return name


def logged(customer: Customer) -> list[tuple[object, ...]]:
    """Read (id, operation, status, reason)."""
    rows: list[tuple[object, ...]] = []
    for name in customer.warehouse.tables(LOG):
        rows += customer.warehouse.fetch(
            "SELECT primary_key, operation, status, error_reason "
            f"FROM {customer.warehouse.dialect.snapshot(name)} ORDER BY 1, 2",
            uses=[name],
        )
    return rows


def test_everything_tells_inserts_updates_deletes_and_failures(customer: Customer) -> None:
    changes = Changes(
        upserts=snapshot(customer, "kept@x", "new@x", "big@x"),
        deletes=ids(customer, "deletes", "gone@x", "stuck@x"),
        base=snapshot(customer, "kept@x", "gone@x", "big@x"),
        failed={"too_large": ids(customer, "loga", "big@x"), "wrong_type": ids(customer, "logb", "stuck@x")},
    )
    assert sync_logs.append(customer.warehouse, LOG, changes, STAMP, everything=True) == 5
    assert logged(customer) == [
        ("big@x", "update", "failed", "too_large"),
        ("gone@x", "delete", "succeeded", None),
        ("kept@x", "update", "succeeded", None),
        ("new@x", "insert", "succeeded", None),
        ("stuck@x", "delete", "failed", "wrong_type"),
    ]


def test_deletes_and_failures_alone_leave_out_what_was_written(customer: Customer) -> None:
    changes = Changes(
        upserts=snapshot(customer, "kept@x", "big@x"),
        deletes=ids(customer, "deletes", "gone@x"),
        base=snapshot(customer, "kept@x", "gone@x"),
        failed={"too_large": ids(customer, "loga", "big@x")},
    )
    assert sync_logs.append(customer.warehouse, LOG, changes, STAMP, everything=False) == 2
    assert logged(customer) == [
        ("big@x", "insert", "failed", "too_large"),
        ("gone@x", "delete", "succeeded", None),
    ]


def test_without_failures_what_was_written_is_not_even_read(customer: Customer) -> None:
    changes = Changes("activation_0a1b2c3d_s1_r1_a1_upserts", deletes="activation_0a1b2c3d_s1_r1_a1_deletes")
    sql = sync_logs.select(customer.warehouse.dialect, changes, STAMP, everything=False)
    assert "_deletes" in sql
    assert "_upserts" not in sql


def test_a_first_run_inserts(customer: Customer) -> None:
    changes = Changes(upserts=snapshot(customer, "a@x"))
    assert sync_logs.append(customer.warehouse, LOG, changes, STAMP, everything=True) == 1
    assert logged(customer) == [("a@x", "insert", "succeeded", None)]


def test_every_row_tells_connection_run_and_times(customer: Customer) -> None:
    sync_logs.append(customer.warehouse, LOG, Changes(upserts=snapshot(customer, "a@x")), STAMP, everything=True)
    [name] = customer.warehouse.tables(LOG)
    [row] = customer.warehouse.fetch(f"SELECT * FROM {customer.warehouse.dialect.snapshot(name)}", uses=[name])
    assert row == (
        "2aConnection",
        "2bRun",
        "a@x",
        "insert",
        "succeeded",
        None,
        STAMP.started_at.replace(tzinfo=None),
        STAMP.finished_at.replace(tzinfo=None),
    )


@pytest.mark.parametrize("wrong", ["x'; DROP TABLE y; --", "", "a b", "ü"])
def test_only_ids_of_ours_go_into_the_text(customer: Customer, wrong: str) -> None:
    stamp = Stamp(LogOwner(wrong, "s3"), "r7", "run", STAMP.started_at, STAMP.finished_at)
    with pytest.raises(ValueError, match="neither an id of ours"):
        sync_logs.select(customer.warehouse.dialect, Changes("u"), stamp, everything=True)
