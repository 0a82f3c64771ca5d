"""What a snapshot holds, leaves out and carries over, what counts as gone, and which tables may be touched."""

import json

import pytest

from activation.engine import snapshot_sql, snapshots
from activation.engine.deltas import Known, take_deletes
from activation.engine.snapshots import MAX_PARTITIONS, PARTITION_ROWS, SnapshotReport, partitions_for, table_name, take
from projects.warehouses.port import Column, QueryFailed, Relation, WarehouseError
from tests.activation.engine.customers import VIEW, Customer, a_name, gone, plan, profiles, sizes

PEOPLE = "CREATE TABLE people (email VARCHAR, plan VARCHAR, visits INTEGER)"


def people(customer: Customer, *rows: str) -> None:
    """Replace what the view holds."""
    customer.execute("DROP TABLE IF EXISTS people", PEOPLE)
    if rows:
        customer.execute(f"INSERT INTO people VALUES {', '.join(rows)}")


def test_every_row_of_the_view_is_in_the_snapshot_with_all_its_columns_in_order(customer: Customer) -> None:
    people(customer, "('a@x', 'pro', 1)", "('b@x', NULL, 2)")
    the_plan, name = plan(customer), a_name()

    report = take(customer.warehouse, the_plan, name=name)

    assert report == SnapshotReport(2, 2, null_ids=0, duplicate_ids=0, invalid_ids=0, partitions=1)
    assert profiles(customer, the_plan, name) == {
        "a@x": '{"email":"a@x","plan":"pro","visits":1}',
        "b@x": '{"email":"b@x","plan":null,"visits":2}',
    }


def test_what_happens_to_the_view_later_matters_nothing(customer: Customer) -> None:
    people(customer, "('a@x', 'pro', 1)")
    the_plan, name = plan(customer), a_name()
    take(customer.warehouse, the_plan, name=name)

    people(customer, "('b@x', 'free', 2)")

    assert list(profiles(customer, the_plan, name)) == ["a@x"]


def test_null_and_blank_ids_are_left_out_and_counted(customer: Customer) -> None:
    people(
        customer, "(NULL, 'a', 1)", "('', 'b', 2)", "(' ', 'c', 3)", "(chr(9) || chr(11), 'd', 4)", "('e@x', 'e', 5)"
    )
    the_plan, name = plan(customer), a_name()

    report = take(customer.warehouse, the_plan, name=name)

    assert (report.rows, report.rows_in_view, report.null_ids) == (1, 5, 4)
    assert list(profiles(customer, the_plan, name)) == ["e@x"]


def test_ids_that_look_alike_by_chance_are_no_duplicates(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_sql, "_ALIKE", 1)
    people(customer, "('a@x', 'pro', 1)", "('b@x', NULL, 2)", "(NULL, NULL, 3)")
    the_plan, name = plan(customer), a_name()

    report = take(customer.warehouse, the_plan, name=name)

    assert report == SnapshotReport(2, 3, null_ids=1, duplicate_ids=0, invalid_ids=0, partitions=1)
    assert list(profiles(customer, the_plan, name)) == ["a@x", "b@x"]


def test_identical_duplicates_count_once(customer: Customer) -> None:
    people(customer, *["('a@x', NULL, 1)"] * 3, "('b@x', '', 2)")
    the_plan, name = plan(customer), a_name()

    report = take(customer.warehouse, the_plan, name=name)

    assert (report.rows, report.rows_in_view, report.duplicate_ids, report.invalid_ids) == (2, 4, 1, 0)
    assert json.loads(profiles(customer, the_plan, name)["a@x"]) == {"email": "a@x", "plan": None, "visits": 1}


def test_an_id_with_differing_rows_is_left_out_where_there_is_no_base(customer: Customer) -> None:
    people(customer, "('a@x', NULL, 1)", "('a@x', '', 1)", "('b@x', 'pro', 2)")
    the_plan, name = plan(customer), a_name()

    report = take(customer.warehouse, the_plan, name=name)

    assert (report.rows, report.duplicate_ids, report.invalid_ids) == (1, 0, 1)
    assert list(profiles(customer, the_plan, name)) == ["b@x"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("('a@x', NULL, 1)", "('a@x', '', 1)"),
        ("('a@x', NULL, 1)", "('a@x', '-', 1)"),
        ("('a@x', 'n', 1)", "('a@x', NULL, 1)"),
        ("('a@x', '1', 11)", "('a@x', '11', 1)"),
        ("('a@x', '1:a', 1)", "('a@x', '1', 1)"),
        ("('a@x', 'A', 1)", "('a@x', 'a', 1)"),
        ("('a@x', 'a ', 1)", "('a@x', 'a', 1)"),
    ],
)
def test_rows_that_look_alike_are_told_apart(customer: Customer, one: str, other: str) -> None:
    people(customer, one, other)
    assert take(customer.warehouse, plan(customer), name=a_name()).invalid_ids == 1


def test_an_invalid_id_keeps_its_base_row_and_is_not_taken_for_gone(customer: Customer) -> None:
    people(customer, "('a@x', 'pro', 1)", "('b@x', 'pro', 2)", "('c@x', 'pro', 3)")
    the_plan, base, name, deletes = plan(customer), a_name(), a_name(), a_name("deletes")
    take(customer.warehouse, the_plan, name=base)
    before = profiles(customer, the_plan, base)

    people(
        customer, "('a@x', 'free', 9)", "('a@x', 'pro', 9)", "('c@x', 'new', 3)", "('d@x', 'x', 1)", "('d@x', 'y', 1)"
    )
    report = take(customer.warehouse, the_plan, name=name, base=base)
    count = take_deletes(
        customer.warehouse, name=deletes, snapshot=name, known=Known(base), partitions=report.partitions
    )

    assert (report.rows, report.invalid_ids) == (2, 2)
    after = profiles(customer, the_plan, name)
    assert after == {"a@x": before["a@x"], "c@x": '{"email":"c@x","plan":"new","visits":3}'}
    assert (count, gone(customer, deletes)) == (1, ["b@x"])


def test_a_carried_over_row_has_the_columns_both_have_by_name_and_type_and_else_null(customer: Customer) -> None:
    people(customer, "('a@x', 'pro', 1)")
    old_plan, base, name = plan(customer), a_name(), a_name()
    take(customer.warehouse, old_plan, name=base)

    customer.execute(
        "DROP TABLE people",
        "CREATE TABLE people (score DOUBLE PRECISION, visits BIGINT, plan VARCHAR, email VARCHAR, seen DATE)",
        "INSERT INTO people VALUES (0.5, 2, 'x', 'a@x', NULL), (0.6, 3, 'y', 'a@x', NULL), (0.7, 4, 'z', 'b@x', NULL)",
    )
    new_plan = plan(customer)
    report = take(customer.warehouse, new_plan, name=name, base=base, base_columns=old_plan.columns)

    assert (report.rows, report.invalid_ids) == (2, 1)
    assert profiles(customer, new_plan, name) == {
        "a@x": '{"score":null,"visits":null,"plan":"pro","email":"a@x","seen":null}',
        "b@x": '{"score":0.7,"visits":4,"plan":"z","email":"b@x","seen":null}',
    }


def test_a_carried_over_row_is_hashed_as_the_same_row_from_the_view_would_be(customer: Customer) -> None:
    people(customer, "('a@x', 'pro', 1)")
    the_plan, base, name = plan(customer), a_name(), a_name()
    take(customer.warehouse, the_plan, name=base)
    people(customer, "('a@x', 'x', 9)", "('a@x', 'y', 9)")
    take(customer.warehouse, the_plan, name=name, base=base)

    hashes = [
        customer.warehouse.fetch(
            f'SELECT CAST("_hash" AS VARCHAR(40)) FROM {customer.warehouse.dialect.snapshot(table)}', uses=[table]
        )
        for table in (base, name)
    ]

    assert hashes[0] == hashes[1]
    assert len(str(hashes[0][0][0])) >= 32


def test_columns_that_do_not_count_leave_the_hash_alone(customer: Customer) -> None:
    people(customer, "('a@x', 'pro', 1)", "('a@x', 'pro', 2)")

    report = take(customer.warehouse, plan(customer, ignored_columns=frozenset({"visits"})), name=a_name())

    assert (report.rows, report.duplicate_ids, report.invalid_ids) == (1, 1, 0)


def test_a_snapshot_of_an_empty_view_is_empty_and_all_of_the_base_is_gone(customer: Customer) -> None:
    people(customer, "('a@x', 'pro', 1)", "('b@x', 'pro', 2)")
    the_plan, base, name, deletes = plan(customer), a_name(), a_name(), a_name("deletes")
    take(customer.warehouse, the_plan, name=base)
    people(customer)

    report = take(customer.warehouse, the_plan, name=name, base=base)
    count = take_deletes(
        customer.warehouse, name=deletes, snapshot=name, known=Known(base), partitions=report.partitions
    )

    assert report == SnapshotReport(0, 0, null_ids=0, duplicate_ids=0, invalid_ids=0, partitions=1)
    assert (count, gone(customer, deletes)) == (2, ["a@x", "b@x"])
    assert profiles(customer, the_plan, name) == {}


def test_rows_are_spread_over_as_many_partitions_as_the_rows_need(customer: Customer) -> None:
    customer.execute(PEOPLE, "INSERT INTO people SELECT 'p' || i, 'x', i FROM generate_series(1, 2001) AS s(i)")
    the_plan, base, name, deletes = plan(customer, partition_rows=500), a_name(), a_name(), a_name("deletes")
    take(customer.warehouse, the_plan, name=base)
    customer.execute("DELETE FROM people WHERE visits > 1501")

    report = take(customer.warehouse, the_plan, name=name, base=base)
    take_deletes(customer.warehouse, name=deletes, snapshot=name, known=Known(base), partitions=report.partitions)
    partitions = sizes(customer, name, deletes, report.partitions)

    assert report.partitions == 4
    assert [number for number, _, _ in partitions] == [0, 1, 2, 3]
    assert sum(upserts for _, upserts, _ in partitions) == 1501
    assert sum(deletes for _, _, deletes in partitions) == 500
    assert all(200 < upserts < 600 and deletes > 50 for _, upserts, deletes in partitions)
    assert len(profiles(customer, the_plan, name, report.partitions)) == 1501
    assert len(gone(customer, deletes, report.partitions)) == 500
    assert profiles(customer, the_plan, name, 4).keys().isdisjoint(gone(customer, deletes, 4))


def test_only_a_snapshot_that_is_read_by_partition_is_laid_out_by_it(customer: Customer) -> None:
    def indexes(*, laid_out: bool) -> list[tuple[object, ...]]:
        name = a_name()
        take(customer.warehouse, plan(customer), name=name, laid_out=laid_out)
        return customer.warehouse.fetch("SELECT indexname FROM pg_indexes WHERE tablename = ?", [name])

    customer.execute(PEOPLE)
    if customer.kind == "postgresql":  # in a DuckDB file rows are found by their positions
        assert len(indexes(laid_out=True)) == 1
        assert indexes(laid_out=False) == []


def test_there_are_never_more_than_4096_partitions(customer: Customer) -> None:
    customer.execute(PEOPLE, "INSERT INTO people SELECT 'p' || i, 'x', i FROM generate_series(1, 5000) AS s(i)")
    report = take(customer.warehouse, plan(customer, partition_rows=1), name=a_name())
    assert (report.rows, report.partitions) == (5000, 4096)


def test_an_id_is_normalised_before_anything_is_compared(customer: Customer) -> None:
    people(customer, "(' A@X ', 'pro', 1)", "('a@x', 'pro', 1)", "('B@X', 'pro', 2)", "('É', 'pro', 3)")
    the_plan, name = plan(customer, normalisation=("trim", "lower")), a_name()

    report = take(customer.warehouse, the_plan, name=name)

    found = profiles(customer, the_plan, name)
    assert sorted(found) == ["b@x", "É"]
    assert report.invalid_ids == 1
    assert json.loads(found["b@x"])["email"] == "B@X"


def test_ids_are_compared_bytewise(customer: Customer) -> None:
    people(customer, "('a', 'p', 1)", "('A', 'p', 1)", "('a ', 'p', 1)", "('é', 'p', 1)", "('e' || chr(769), 'p', 1)")
    the_plan, name = plan(customer), a_name()

    report = take(customer.warehouse, the_plan, name=name)

    assert report.rows == 5
    assert set(profiles(customer, the_plan, name)) == {"a", "A", "a ", "é", "e\u0301"}


def test_an_id_that_is_a_number_is_its_decimal_text(customer: Customer) -> None:
    customer.execute("CREATE TABLE people (id BIGINT, x INTEGER)", "INSERT INTO people VALUES (9007199254740993, 1)")
    the_plan, name = plan(customer, "id"), a_name()
    take(customer.warehouse, the_plan, name=name)
    assert profiles(customer, the_plan, name) == {"9007199254740993": '{"id":9007199254740993,"x":1}'}


def test_columns_may_be_called_like_ours_or_oddly(customer: Customer) -> None:
    customer.execute(
        """CREATE TABLE people ("_id" VARCHAR, "_hash" INTEGER, "_part" INTEGER, "c0" INTEGER, "c5" INTEGER,
           "quo""te" INTEGER, "a b;--" INTEGER, "é😀" INTEGER, "{x}" INTEGER, "SELECT" INTEGER, "_nth" INTEGER,
           "found" INTEGER, "low" INTEGER, "v1" INTEGER)""",
        "INSERT INTO people VALUES ('a@x', 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)",
    )
    customer.execute("INSERT INTO people SELECT * FROM people")
    the_plan, name = plan(customer, "_id"), a_name()

    report = take(customer.warehouse, the_plan, name=name)

    assert report.duplicate_ids == 1
    assert json.loads(profiles(customer, the_plan, name)["a@x"]) == {
        "_id": "a@x",
        "_hash": 1,
        "_part": 2,
        "c0": 3,
        "c5": 4,
        'quo"te': 5,
        "a b;--": 6,
        "é😀": 7,
        "{x}": 8,
        "SELECT": 9,
        "_nth": 10,
        "found": 11,
        "low": 12,
        "v1": 13,
    }


def test_only_the_snapshot_is_left_after_success_and_nothing_after_a_failure(customer: Customer) -> None:
    customer.execute(
        "CREATE TABLE words (email VARCHAR)",
        "INSERT INTO words VALUES ('1')",
        "CREATE VIEW people AS SELECT email, CAST(email AS INTEGER) AS x FROM words",
    )
    the_plan, name = plan(customer), a_name()
    take(customer.warehouse, the_plan, name=name)
    assert customer.warehouse.tables("activation_0a1b2c3d_") == [name]

    customer.execute("INSERT INTO words VALUES ('secret@person')")
    with pytest.raises(QueryFailed) as failed:
        take(customer.warehouse, the_plan, name=a_name())

    assert "secret@person" not in f"{failed.value!s} {failed.value!r} {failed.value.detail}"
    assert customer.warehouse.tables("activation_0a1b2c3d_") == [name]


def test_a_second_attempt_of_the_same_name_replaces_the_first(customer: Customer) -> None:
    people(customer, "('a@x', 'pro', 1)")
    the_plan, name = plan(customer), a_name()
    take(customer.warehouse, the_plan, name=name)
    people(customer, "('b@x', 'pro', 1)")
    take(customer.warehouse, the_plan, name=name)
    assert list(profiles(customer, the_plan, name)) == ["b@x"]


def test_a_dropped_snapshot_is_gone_and_dropping_it_again_is_fine(customer: Customer) -> None:
    people(customer, "('a@x', 'pro', 1)")
    the_plan, name = plan(customer), a_name()
    take(customer.warehouse, the_plan, name=name)

    snapshots.drop(customer.warehouse, name)
    snapshots.drop(customer.warehouse, name)

    assert customer.warehouse.tables("activation_") == []
    with pytest.raises(WarehouseError):
        profiles(customer, the_plan, name)


@pytest.mark.parametrize(
    "name",
    ["people", "activation_0a1b2c3d_sync_log", "rudder_s1_r1_a1_snapshot", "activation_0a1b2c3d_s1_r1_a1_x; DROP", ""],
)
def test_no_other_table_is_ever_dropped(customer: Customer, name: str) -> None:
    with pytest.raises(ValueError, match="only tables"):
        snapshots.drop(customer.warehouse, name)


def test_a_table_s_name_holds_what_it_belongs_to_and_stays_within_55_bytes() -> None:
    assert table_name("0a1b2c3d", 12, 34, 5, "snapshot") == "activation_0a1b2c3d_s12_r34_a5_snapshot"
    for parts in (("0A1B2C3D", "x"), ("0a1b2c3", "x"), ("0a1b2c3d", "X"), ("0a1b2c3d", "x" * 40), ("0a1b2c3d", "a_b")):
        with pytest.raises(ValueError, match="name of a table"):
            table_name(parts[0], 1, 2, 3, parts[1])


def test_a_plan_without_its_id_column_is_refused() -> None:
    with pytest.raises(ValueError, match="id column"):
        snapshots.SnapshotPlan(Relation("s", "v"), (Column("a", "text"),), "A")


def test_the_view_of_these_tests_is_the_one_they_describe(customer: Customer) -> None:
    people(customer)
    assert [column.name for column in customer.warehouse.describe(VIEW)] == ["email", "plan", "visits"]


@pytest.mark.parametrize(
    ("rows", "partitions"),
    [(0, 1), (1, 1), (25_000, 1), (25_001, 2), (90_000, 4), (750_000, 4), (1_000_001, 5), (10**10, MAX_PARTITIONS)],
)
def test_rows_go_into_as_many_partitions_as_processes_can_use(rows: int, partitions: int) -> None:
    assert partitions_for(rows, PARTITION_ROWS) == partitions
