"""The demo's warehouse is what a Profiles run leaves behind, and the project file names what is in it."""

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import yaml

from config import demo_warehouse

NOW = dt.datetime(2026, 5, 4, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    file = tmp_path_factory.mktemp("demo") / "northlight.duckdb"
    started = time.perf_counter()
    demo_warehouse.build(file, now=NOW)
    assert time.perf_counter() - started < 15  # about 1 s on a machine of its own
    assert [entry.name for entry in file.parent.iterdir()] == ["northlight.duckdb"]
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute(f"SET search_path = '{demo_warehouse.OUTPUT_SCHEMA}'")
        yield connection


def _using_ids() -> list[tuple[str, str, str]]:
    project = yaml.safe_load(demo_warehouse.PB_PROJECT)
    return [
        (entity["name"], view["id"], view["name"])
        for entity in project["entities"]
        for view in entity["feature_views"]["using_ids"]
    ]


def test_every_feature_view_of_the_project_is_there_with_its_id_column(warehouse: duckdb.DuckDBPyConnection) -> None:
    declared = _using_ids()
    assert len({entity for entity, _, _ in declared}) == 2
    assert len({id_type for _, id_type, _ in declared}) == 3
    for _, id_type, view in declared:
        assert id_type in [row[0] for row in warehouse.execute(f"DESCRIBE {view}").fetchall()]


def test_fifty_thousand_people_and_more_are_known(warehouse: duckdb.DuckDBPyConnection) -> None:
    counts = warehouse.execute("SELECT count(*), count(email), count(DISTINCT email) FROM features_by_email").fetchone()
    assert counts == (52_002, 52_000, 51_998)


def test_the_example_is_one_person(warehouse: duckdb.DuckDBPyConnection) -> None:
    _, id_type, value = demo_warehouse.EXAMPLE
    rows = warehouse.execute(f"SELECT first_name FROM features_by_{id_type} WHERE {id_type} = ?", [value]).fetchall()
    assert rows == [("Amelia",)]


def test_values_are_of_many_types_and_some_are_missing(warehouse: duckdb.DuckDBPyConnection) -> None:
    types = {row[1].split("(")[0] for row in warehouse.execute("DESCRIBE features_by_email").fetchall()}
    assert types >= {"VARCHAR", "INTEGER", "DECIMAL", "DOUBLE", "FLOAT", "BOOLEAN", "DATE", "TIMESTAMP"}
    assert types >= {"VARCHAR[]", "STRUCT", "JSON"}
    nulls = warehouse.execute("SELECT count(*) FROM features_by_email WHERE plan IS NULL").fetchone()
    assert nulls is not None
    assert nulls[0] > 1_000


def test_the_newest_run_of_the_registry_finished_a_moment_before(warehouse: duckdb.DuckDBPyConnection) -> None:
    newest = warehouse.execute(
        "SELECT max(seq_no), max(end_ts) FROM MATERIAL_REGISTRY_4 WHERE metadata->>'$.complete.status' = '2'"
    ).fetchone()
    assert newest == (12, dt.datetime(2026, 5, 4, 11, 50))  # noqa: DTZ001 - the registry's times have no zone


def test_two_builds_hold_the_same_people(tmp_path: Path) -> None:
    digests = []
    for name in ("one.duckdb", "two.duckdb"):
        demo_warehouse.build(tmp_path / name, people=500, now=NOW)
        with duckdb.connect(str(tmp_path / name), read_only=True) as connection:
            query = "SELECT md5(string_agg(f::VARCHAR, '|' ORDER BY f::VARCHAR)) FROM profiles.features_by_email f"
            digests.append(connection.execute(query).fetchone())
    assert digests[0] == digests[1]


def test_a_rebuild_replaces_the_file_whole(tmp_path: Path) -> None:
    file = tmp_path / "demo.duckdb"
    file.write_text("left over")
    demo_warehouse.build(file, people=100)
    with duckdb.connect(str(file), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM profiles.user_feature_view").fetchone() == (98,)
