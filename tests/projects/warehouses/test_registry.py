"""Finished Profiles runs are found in the registry, on every warehouse there is an adapter for, by the same tests."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import duckdb
import pytest

from config import demo_warehouse
from projects.warehouses.duckdb import DuckDBWarehouse
from projects.warehouses.port import QueryFailed, Warehouse
from projects.warehouses.postgresql import PostgreSQLSettings, PostgreSQLWarehouse
from projects.warehouses.registry import RegistryMissing, RegistryRun, find_runs

MODELS = ["features_by_email", "Features_By_User_Id"]
COLUMNS = "seq_no BIGINT, model_name VARCHAR(200), end_ts {time}, metadata {json}"
COMPLETE, STARTED = '{"complete": {"status": 2}}', '{"complete": {"status": 1}}'

Registry = tuple[Callable[..., None], Warehouse]


def _at(hour: int, minute: int = 0) -> dt.datetime:
    return dt.datetime(2026, 5, 4, hour, minute, tzinfo=dt.UTC)


def _row(seq_no: int, model: str, end: str | None = "2026-05-04 10:00", metadata: str | None = COMPLETE) -> str:
    finished = f"'{end}'" if end else "NULL"
    return f"({seq_no}, '{model}', {finished}, " + (f"'{metadata}')" if metadata is not None else "NULL)")


@pytest.fixture(params=["duckdb", "postgresql"])
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    """How to run statements as the Profiles tool, and the warehouse as we see it."""
    with ExitStack() as stack:
        yield request.getfixturevalue(f"_{request.param}")(stack)


@pytest.fixture
def _duckdb(tmp_path: Path) -> Callable[[ExitStack], Registry]:
    file = tmp_path / "shop.duckdb"

    def arrange(*statements: str) -> None:
        with duckdb.connect(str(file)) as connection:
            for statement in statements:
                connection.execute(statement)

    def start(stack: ExitStack) -> Registry:
        arrange("CREATE SCHEMA out")
        return arrange, stack.enter_context(DuckDBWarehouse(file, folder=tmp_path, snapshot_dir=tmp_path / "snapshots"))

    return start


@pytest.fixture
def _postgresql(request: pytest.FixtureRequest) -> Callable[[ExitStack], Registry]:
    server, database = request.getfixturevalue("postgres"), request.getfixturevalue("postgres_database")
    settings = PostgreSQLSettings(server.host, server.port, database, server.user, server.password, "disable")

    def arrange(*statements: str) -> None:
        with closing(server.connect(database)) as connection:
            for statement in statements:
                connection.execute(statement)

    def start(stack: ExitStack) -> Registry:
        arrange("CREATE SCHEMA out")
        return arrange, stack.enter_context(PostgreSQLWarehouse(settings))

    return start


def _table(name: str, *rows: str, time: str = "TIMESTAMP", json: str = "JSON") -> tuple[str, ...]:
    columns = COLUMNS.format(time=time, json=json)
    return (f"CREATE TABLE out.{name} ({columns})", *(f"INSERT INTO out.{name} VALUES {row}" for row in rows))


def test_a_run_is_a_sequence_number_that_completed_one_of_our_models(registry: Registry) -> None:
    arrange, warehouse = registry
    arrange(
        *_table(
            "MATERIAL_REGISTRY_4",
            _row(11, "FEATURES_BY_EMAIL", "2026-05-03 09:00"),
            _row(12, "features_by_email", "2026-05-04 09:00"),
            _row(12, "features_by_user_id", "2026-05-04 09:30:15.25"),
            _row(12, "features_by_email", "2026-05-04 08:00"),
            _row(12, "user_id_stitcher", "2026-05-04 23:00"),
            _row(13, "features_by_email", metadata=STARTED),
            _row(14, "user_id_stitcher"),
            _row(15, "features_by_email", metadata="{}"),
            _row(16, "features_by_email", metadata=None),
            _row(17, "features_by_email", end=None),
        )
    )
    assert find_runs(warehouse, "out", models=MODELS, since_seq=None) == [
        RegistryRun(11, frozenset({"features_by_email"}), dt.datetime(2026, 5, 3, 9, tzinfo=dt.UTC)),
        RegistryRun(12, frozenset(MODELS), dt.datetime(2026, 5, 4, 9, 30, 15, 250000, dt.UTC)),
    ]


def test_only_runs_after_the_given_one_are_returned(registry: Registry) -> None:
    arrange, warehouse = registry
    arrange(*_table("material_registry_4", *(_row(seq, "features_by_email") for seq in (10, 11, 12))))
    found = [
        [run.seq_no for run in find_runs(warehouse, "out", models=MODELS, since_seq=since)]
        for since in (None, 10, 11, 12)
    ]
    assert found == [[10, 11, 12], [11, 12], [12], []]


def test_the_registry_with_the_highest_number_is_the_one_in_use(registry: Registry) -> None:
    arrange, warehouse = registry
    arrange(
        *_table('"Material_Registry_9"', _row(9, "features_by_email")),
        *_table('"MATERIAL_REGISTRY_10"', _row(10, "features_by_email")),
        *_table('"MATERIAL_REGISTRY_11_backup"', _row(11, "features_by_email")),
        *_table('"OLD_MATERIAL_REGISTRY_12"', _row(12, "features_by_email")),
    )
    assert [run.seq_no for run in find_runs(warehouse, "out", models=MODELS, since_seq=None)] == [10]


@pytest.mark.parametrize("time", ["TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "VARCHAR(40)"])
@pytest.mark.parametrize("json", ["JSON", "TEXT"])
def test_times_are_meant_in_utc_and_metadata_may_be_text(registry: Registry, time: str, json: str) -> None:
    arrange, warehouse = registry
    end = "2026-05-04 12:00:00+02:00" if "ZONE" in time else "2026-05-04 10:00:00"
    arrange(*_table("material_registry_4", _row(12, "features_by_email", end), time=time, json=json))
    (run,) = find_runs(warehouse, "out", models=MODELS, since_seq=None)
    assert run.finished_at == _at(10)
    assert run.finished_at.utcoffset() == dt.timedelta(0)


def test_hostile_model_names_are_only_names(registry: Registry) -> None:
    arrange, warehouse = registry
    arrange(*_table("material_registry_4", _row(12, "features_by_email")))
    hostile = ["x') OR ('1'='1", "?", '"; DROP TABLE out.material_registry_4; --']
    assert find_runs(warehouse, "out", models=hostile, since_seq=None) == []
    assert len(find_runs(warehouse, "out", models=[*hostile, "features_by_email"], since_seq=None)) == 1
    assert find_runs(warehouse, "out", models=[], since_seq=None) == []


def test_a_schema_without_a_registry_is_said_to_have_none(registry: Registry) -> None:
    arrange, warehouse = registry
    arrange("CREATE TABLE out.features_by_email (email VARCHAR(200))")
    with pytest.raises(RegistryMissing, match="out has no table MATERIAL_REGISTRY"):
        find_runs(warehouse, "out", models=MODELS, since_seq=None)
    with pytest.raises(RegistryMissing, match="no schema elsewhere"):
        find_runs(warehouse, "elsewhere", models=MODELS, since_seq=None)


def test_a_registry_of_another_shape_is_not_guessed_at(registry: Registry) -> None:
    arrange, warehouse = registry
    arrange("CREATE TABLE out.material_registry_4 (seq_no BIGINT, model_name VARCHAR(9))")
    with pytest.raises(QueryFailed, match="no column end_ts, metadata"):
        find_runs(warehouse, "out", models=MODELS, since_seq=None)


def test_the_demos_runs_are_found(tmp_path: Path) -> None:
    demo_warehouse.build(tmp_path / "demo.duckdb", people=100, now=_at(12))
    with DuckDBWarehouse(tmp_path / "demo.duckdb", folder=tmp_path, snapshot_dir=tmp_path / "s") as warehouse:
        runs = find_runs(warehouse, demo_warehouse.OUTPUT_SCHEMA, models=["features_by_email"], since_seq=11)
    assert runs == [RegistryRun(12, frozenset({"features_by_email"}), _at(11, 50))]
