"""Values of every column type: Python → warehouse → snapshot → stream → encoder → JSON, against an independent oracle."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from activation.engine.snapshots import drop, take
from tests.activation.engine import cases_duckdb, cases_postgresql
from tests.activation.engine.customers import (
    Customer,
    DuckDBCustomer,
    PostgreSQLCustomer,
    a_name,
    duckdb_customer,
    plan,
    postgresql_customer,
    profiles,
)
from tests.activation.engine.oracle import Case, cells
from tests.postgres import PostgresServer

EXAMPLES = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # a failure names type, value and cell; shrinking whole warehouses would take minutes
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


def rows_of(cases: Sequence[Case]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Rows with a value or null of each type."""
    return st.lists(st.tuples(*(case.values | st.none() for case in cases)), min_size=1, max_size=4)


def check(customer: Customer, cases: Sequence[Case], rows: Sequence[Sequence[Any]]) -> None:
    """Take the rows, now in the view, through everything, and compare every cell."""
    the_plan, name = plan(customer, "id"), a_name()
    report = take(customer.warehouse, the_plan, name=name)
    found = profiles(customer, the_plan, name)
    drop(customer.warehouse, name)
    assert (report.rows, report.invalid_ids) == (len(rows), 0)
    for number, row in enumerate(rows):
        raw = cells(found[str(number)], ["id", *(f"x{position}" for position in range(len(cases)))])
        for case, value, cell in zip(cases, row, raw[1:], strict=True):
            assert cell == "null" if value is None else case.matches(value, cell), f"{case.type}: {value!r} → {cell}"


def columns(cases: Sequence[Case]) -> str:
    return ", ".join(["id VARCHAR", *(f"x{number} {case.type}" for number, case in enumerate(cases))])


def inserted(cases: Sequence[Case], placeholder: str) -> str:
    cast = [case.insert or f"CAST({placeholder} AS {case.type})" for case in cases]
    return f"INSERT INTO people VALUES ({', '.join([placeholder, *cast])})"


def parameters(cases: Sequence[Case], rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [
        [str(number), *(None if value is None else case.bind(value) for case, value in zip(cases, row, strict=True))]
        for number, row in enumerate(rows)
    ]


@pytest.mark.parametrize("group", cases_postgresql.GROUPS)
def test_every_type_of_postgresql_comes_through(group: str, postgres: PostgresServer, engine_database: str) -> None:
    cases = cases_postgresql.GROUPS[group]
    with postgresql_customer(postgres, engine_database) as customer:
        assert isinstance(customer, PostgreSQLCustomer)
        customer.execute(*cases_postgresql.TYPES, f"CREATE TABLE people ({columns(cases)})", "SET TimeZone = 'UTC'")
        connection = customer.connection

        @EXAMPLES
        @given(rows=rows_of(cases))
        def comes_through(rows: list[tuple[Any, ...]]) -> None:
            connection.execute("TRUNCATE people")
            connection.cursor().executemany(inserted(cases, "%s").encode(), parameters(cases, rows))
            check(customer, cases, rows)

        comes_through()


@pytest.mark.parametrize("group", cases_duckdb.GROUPS)
def test_every_type_of_duckdb_comes_through(group: str, tmp_path: Path) -> None:
    cases = cases_duckdb.GROUPS[group]
    with duckdb_customer(tmp_path) as customer:
        assert isinstance(customer, DuckDBCustomer)
        customer.execute(f"CREATE TABLE people ({columns(cases)})")

        @EXAMPLES
        @given(rows=rows_of(cases))
        def comes_through(rows: list[tuple[Any, ...]]) -> None:
            customer.execute("DELETE FROM people")
            customer.insert(inserted(cases, "?"), parameters(cases, rows))
            check(customer, cases, rows)

        comes_through()
