"""What a preview counts and shows, on every warehouse: rows, columns, NULLs, documents; and that it spoils nothing."""

import json

import pytest

from activation.engine import previews
from activation.engine.previews import ColumnChange, Comparison, Side, Tables
from activation.engine.snapshots import SnapshotPlan, take
from tests.activation.engine.customers import Customer, a_name, plan, profiles

PEOPLE = "CREATE TABLE people (email VARCHAR, plan VARCHAR, visits INTEGER, run_at VARCHAR)"
BEFORE = ["('a@x', 'pro', 1, 'r1')", "('b@x', NULL, 2, 'r1')", "('c@x', '', 3, 'r1')", "('d@x', 'pro', NULL, 'r1')"]


def people(customer: Customer, *rows: str, table: str = PEOPLE) -> None:
    """Replace what the view holds."""
    customer.execute("DROP TABLE IF EXISTS people", table)
    if rows:
        customer.execute(f"INSERT INTO people VALUES {', '.join(rows)}")


def taken(customer: Customer, ignored: frozenset[str] = frozenset()) -> tuple[SnapshotPlan, Side]:
    """Take a snapshot of the view as it is now."""
    the_plan, name = plan(customer, ignored_columns=ignored), a_name("preview")
    return the_plan, Side(name, the_plan.columns, take(customer.warehouse, the_plan, name=name).rows)


@pytest.fixture
def tables() -> Tables:
    return Tables(a_name("previewids"), a_name("previewdiff"), a_name("previewsample"))


def compared(customer: Customer, tables: Tables, base: Side | None, now: Side, **options: object) -> Comparison:
    found = previews.compare(customer.warehouse, tables, taken=now, base=base, **options)  # type: ignore[arg-type]  # the caller names options
    assert found.added + found.changed + found.unchanged == now.rows
    return found


@pytest.mark.parametrize("same_hash", [True, False])
def test_rows_and_columns_that_differ_are_counted(customer: Customer, tables: Tables, same_hash: bool) -> None:
    people(customer, *BEFORE)
    _, base = taken(customer)
    people(
        customer,
        "('a@x', 'pro', 1, 'r1')",
        "('b@x', '', 2, 'r1')",
        "('c@x', NULL, 30, 'r1')",
        "('e@x', 'new', 5, 'r2')",
        "('f@x', 'new', 6, 'r2')",
    )

    found = compared(customer, tables, base, taken(customer)[1], same_hash=same_hash)

    assert found == Comparison(
        added=2,
        changed=2,
        removed=1,
        unchanged=1,
        columns=(ColumnChange("plan", 2, 1, counts=True), ColumnChange("visits", 1, 0, counts=True)),
    )


@pytest.mark.parametrize("same_hash", [True, False])
def test_a_column_that_is_left_out_makes_no_row_differ_but_is_told_where_others_do(
    customer: Customer, tables: Tables, same_hash: bool
) -> None:
    people(customer, *BEFORE)
    ignored = frozenset({"run_at"})
    _, base = taken(customer, ignored)
    people(customer, "('a@x', 'free', 1, 'r2')", *(row.replace("r1", "r2") for row in BEFORE[1:]))

    now = taken(customer, ignored)[1]
    found = compared(customer, tables, base, now, ignored=ignored, same_hash=same_hash)

    assert (found.changed, found.unchanged) == (1, 3)
    assert set(found.columns) == {ColumnChange("plan", 1, 1, counts=True), ColumnChange("run_at", 1, 0, counts=False)}


def test_ids_out_of_step_are_counted_once_where_nothing_else_counts_them(customer: Customer, tables: Tables) -> None:
    people(customer, *BEFORE)
    _, base = taken(customer)
    people(customer, BEFORE[0], BEFORE[1], "('c@x', 'changed', 3, 'r1')", "('e@x', 'new', 5, 'r1')")
    now = taken(customer)[1]
    compared(customer, tables, base, now, same_hash=True)
    dirty = [a_name("previewlisted"), a_name("upserts")]
    customer.warehouse.put_ids(dirty[0], ["a@x", "c@x", "d@x", "gone@x"])
    customer.warehouse.put_ids(dirty[1], ["b@x", "a@x", "e@x", "gone@x", "left@x"])

    assert previews.out_of_step(customer.warehouse, tables, taken=now, base=base, dirty=dirty) == (2, 2)


def test_a_column_that_differs_alone_in_every_row_is_told(customer: Customer, tables: Tables) -> None:
    people(customer, *BEFORE)
    _, base = taken(customer)
    people(customer, *(row.replace("r1", "r2") for row in BEFORE))

    found = compared(customer, tables, base, taken(customer)[1], same_hash=True)

    assert found.columns == (ColumnChange("run_at", 4, 4, counts=True),)


def test_snapshots_with_other_columns_are_compared_by_what_both_have(customer: Customer, tables: Tables) -> None:
    people(customer, *BEFORE)
    _, base = taken(customer)
    people(
        customer,
        "(1, 'a@x', 'pro', '1')",
        "(2, 'b@x', 'free', '2')",
        "(3, 'c@x', '', '3')",
        table="CREATE TABLE people (score INTEGER, email VARCHAR, plan VARCHAR, visits VARCHAR)",
    )

    found = compared(customer, tables, base, taken(customer)[1])

    assert found == Comparison(0, 1, 1, 2, (ColumnChange("plan", 1, 1, counts=True),))


def test_without_a_base_everything_is_new(customer: Customer, tables: Tables) -> None:
    people(customer, *BEFORE)
    _, now = taken(customer)

    found = compared(customer, tables, None, now)
    shown = previews.documents(customer.warehouse, tables, taken=now, base=None, found=found)

    assert found == Comparison(4, 0, 0, 0)
    assert [(document.id, document.before) for document in shown] == [(f"{n}@x", None) for n in "abcd"]
    assert json.loads(shown[1].after or "") == {"email": "b@x", "plan": None, "visits": 2, "run_at": "r1"}


def test_an_emptied_view_removes_everybody(customer: Customer, tables: Tables) -> None:
    people(customer, *BEFORE)
    _, base = taken(customer)
    people(customer)

    _, now = taken(customer)
    found = compared(customer, tables, base, now, same_hash=True)

    assert found == Comparison(0, 0, 4, 0)
    shown = previews.documents(customer.warehouse, tables, taken=now, base=base, found=found)
    assert [(document.id, document.after) for document in shown] == [(f"{n}@x", None) for n in "abcd"]


def test_an_empty_view_without_a_base_has_nothing_to_show(customer: Customer, tables: Tables) -> None:
    people(customer)
    _, now = taken(customer)

    assert previews.nulls(customer.warehouse, now) == {"email": 0, "plan": 0, "visits": 0, "run_at": 0}
    found = compared(customer, tables, None, now)
    assert previews.documents(customer.warehouse, tables, taken=now, base=None, found=found) == []


def test_nulls_are_counted_by_column(customer: Customer) -> None:
    people(customer, *BEFORE)
    assert previews.nulls(customer.warehouse, taken(customer)[1]) == {"email": 0, "plan": 1, "visits": 1, "run_at": 0}


def test_documents_are_as_a_sync_writes_them_changed_new_and_removed_ones_in_turn(
    customer: Customer, tables: Tables
) -> None:
    people(customer, *(f"('c{n:02}@x', 'pro', {n}, 'r1')" for n in range(30)))
    the_plan, base = taken(customer)
    people(
        customer,
        *(f"('c{n:02}@x', 'free', {n}, 'r1')" for n in range(20)),
        *(f"('n{n:02}@x', 'new', {n}, 'r1')" for n in range(20)),
    )
    _, now = taken(customer)

    found = compared(customer, tables, base, now, same_hash=True)
    shown = previews.documents(customer.warehouse, tables, taken=now, base=base, found=found)

    assert [document.id for document in shown[:4]] == ["c00@x", "n00@x", "c20@x", "c01@x"]
    assert len(shown) == previews.SAMPLES
    before, after = profiles(customer, the_plan, base.name), profiles(customer, the_plan, now.name)
    assert all(document.before == before.get(document.id) for document in shown)
    assert all(document.after == after.get(document.id) for document in shown)
    assert "c00" not in repr(shown)


def test_unchanged_profiles_are_shown_where_there_is_nothing_else(customer: Customer, tables: Tables) -> None:
    people(customer, *BEFORE)
    _, base = taken(customer)
    _, now = taken(customer)

    found = compared(customer, tables, base, now, same_hash=True)
    shown = previews.documents(customer.warehouse, tables, taken=now, base=base, found=found)

    assert (found.changed, len(shown)) == (0, 4)
    assert all(document.before == document.after for document in shown)


def test_a_view_of_very_many_columns_is_compared(customer: Customer, tables: Tables) -> None:
    """More than one query counts."""
    many = ", ".join(f"f{n} INTEGER" for n in range(450))
    zeros = ", ".join(["0"] * 450)
    people(customer, f"('a@x', {zeros})", f"('b@x', {zeros})", table=f"CREATE TABLE people (email VARCHAR, {many})")
    _, base = taken(customer)
    customer.execute("UPDATE people SET f449 = NULL, f3 = 1 WHERE email = 'a@x'")
    _, now = taken(customer)

    found = compared(customer, tables, base, now, same_hash=True)

    assert {each.name for each in found.columns} == {"f3", "f449"}
    assert previews.nulls(customer.warehouse, now)["f449"] == 1
