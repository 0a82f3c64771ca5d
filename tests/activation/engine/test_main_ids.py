"""A person's other ids are found through the main id, on every warehouse, with no more than was asked for."""

from collections.abc import Sequence

import pytest

from activation.engine import main_ids
from activation.engine.main_ids import Carrier
from activation.engine.snapshots import take
from projects.warehouses.port import Column, RelationMissing
from tests.activation.engine.customers import Customer, a_name, plan

PEOPLE = [("m1", "a@x"), ("m1", "A@x"), ("m1", "o'b?$1%s@x"), ("m2", "b@x"), (None, "c@x"), (" ", "d@x")]


def carrier_of(customer: Customer, *, kind: str = "VARCHAR(20)", rows: Sequence[tuple[object, str]]) -> Carrier:
    """Take a snapshot of a view of these rows of main id and e-mail."""
    customer.execute("DROP TABLE IF EXISTS people", f"CREATE TABLE people (email VARCHAR(60), rid {kind})")
    for main, email in rows:
        text = "NULL" if main is None else f"'{main}'"
        customer.execute(f"INSERT INTO people VALUES ('{email.replace(chr(39), chr(39) * 2)}', {text})")
    the_plan, name = plan(customer), a_name()
    take(customer.warehouse, the_plan, name=name)
    found = main_ids.carrier(name, the_plan.columns, "RID")
    assert found is not None
    return found


def test_the_ids_of_a_person_are_found_and_nobody_elses(customer: Customer):
    people = carrier_of(customer, rows=PEOPLE)

    assert main_ids.main_ids(customer.warehouse, people, ["o'b?$1%s@x", "nobody@x"], most=9) == ["m1"]
    assert set(main_ids.ids(customer.warehouse, people, ["m1"], most=9)) == {"a@x", "A@x", "o'b?$1%s@x"}
    assert set(main_ids.main_ids(customer.warehouse, people, ["a@x", "b@x"], most=9)) == {"m1", "m2"}


def test_a_person_without_a_main_id_is_nobody(customer: Customer):
    people = carrier_of(customer, rows=PEOPLE)
    assert main_ids.main_ids(customer.warehouse, people, ["c@x", "d@x"], most=9) == []
    assert main_ids.ids(customer.warehouse, people, [" ", ""], most=9) == []


@pytest.mark.parametrize("kind", ["INTEGER", "NUMERIC(30, 0)"])
def test_a_main_id_may_be_a_number(customer: Customer, kind):
    people = carrier_of(customer, kind=kind, rows=[(7, "a@x"), (7, "b@x"), (70, "c@x")])
    assert main_ids.main_ids(customer.warehouse, people, ["a@x"], most=9) == ["7"]
    assert set(main_ids.ids(customer.warehouse, people, ["7"], most=9)) == {"a@x", "b@x"}


def test_ids_that_no_warehouse_holds_are_not_asked_for(customer: Customer):
    people = carrier_of(customer, rows=PEOPLE)
    assert main_ids.main_ids(customer.warehouse, people, ["\0", "a@x\0", "x" * 1024, "\U0001f600"], most=9) == []
    assert main_ids.main_ids(customer.warehouse, people, [], most=9) == []


def test_no_more_is_returned_than_was_asked_for(customer: Customer):
    people = carrier_of(customer, rows=[("m", f"{number}@x") for number in range(8)])
    assert len(main_ids.ids(customer.warehouse, people, ["m"], most=3)) == 3


def test_many_ids_are_asked_for_in_portions(customer: Customer, monkeypatch):
    monkeypatch.setattr(main_ids, "_AT_ONCE", 2)
    people = carrier_of(customer, rows=[(f"m{number}", f"{number}@x") for number in range(5)])
    known = [f"{number}@x" for number in range(5)]
    assert sorted(main_ids.main_ids(customer.warehouse, people, known, most=9)) == [f"m{number}" for number in range(5)]
    assert len(main_ids.main_ids(customer.warehouse, people, known, most=3)) == 3


def test_a_snapshot_that_is_gone_is_told(customer: Customer):
    with pytest.raises(RelationMissing):
        main_ids.ids(customer.warehouse, Carrier(a_name(), Column("c0", "text")), ["m"], most=9)


def test_of_columns_that_differ_by_case_the_exact_one_carries_the_main_id():
    columns = [Column("RID", "text"), Column("rid", "text"), Column("Rid", "text")]
    assert [main_ids.carrier("t", columns, name) for name in ("rid", "RiD", "other")] == [
        Carrier("t", Column("c1", "text")),
        Carrier("t", Column("c0", "text")),
        None,
    ]
