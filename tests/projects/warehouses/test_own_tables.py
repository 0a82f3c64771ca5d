"""The tables of ours that every adapter makes, by one contract: ids handed in, and SELECTs of many shapes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from projects.warehouses import postgresql_pages
from projects.warehouses.duckdb import DuckDBWarehouse
from projects.warehouses.port import Column, Part, Warehouse, WarehouseError
from projects.warehouses.postgresql import PostgreSQLSettings, PostgreSQLWarehouse
from tests.postgres import PostgresServer

IDS = "activation_0a1b2c3d_s1_r1_a1_ids"
OTHER = "activation_0a1b2c3d_s1_r1_a1_other"
ODD = [
    "plain@example.com",
    "o'clock",
    "'; DROP TABLE x; --",
    'say "hi"',
    "{curly}",
    "{1,2,NULL}",
    "NULL",
    "",
    " ",
    "line\nfeed\r\ttab",
    "back\\slash \\N \\. \\x41",
    "\\.",
    "Größe",
    "grösse",
    "naïve e\u0301",
    "日本語 😀",
    "\u2028\u200b\ufeff",
    "?",
    "$1",
    "x" * 1024,
]


@pytest.fixture
def duckdb(make_file: Callable[..., Path], open_file: Callable[..., DuckDBWarehouse]) -> Warehouse:
    return open_file(make_file("CREATE TABLE nothing (a INTEGER)"))


@pytest.fixture
def postgresql(postgres: PostgresServer, postgres_database: str) -> Iterator[Warehouse]:
    with postgres.connect(postgres_database) as owner:
        owner.execute("CREATE SCHEMA _rudderstack")
    settings = PostgreSQLSettings(postgres.host, postgres.port, postgres_database, postgres.user, postgres.password)
    with PostgreSQLWarehouse(settings) as warehouse:
        yield warehouse


@pytest.fixture(params=["duckdb", "postgresql"])
def warehouse(request: pytest.FixtureRequest) -> Warehouse:
    made: Warehouse = request.getfixturevalue(request.param)
    return made


def ids_of(warehouse: Warehouse, name: str) -> list[str]:
    query = f'SELECT "_id" FROM {warehouse.dialect.snapshot(name)} ORDER BY "_id"'
    return [str(text) for (text,) in warehouse.fetch(query, uses=[name])]


def types_of(warehouse: Warehouse, name: str) -> list[pa.DataType]:
    query = f"SELECT * FROM (SELECT 1 AS one) o LEFT JOIN {warehouse.dialect.snapshot(name)} t ON 1 = 1"
    [batch] = warehouse.stream(query, uses=[name])
    return list(batch.schema.types)[1:]


def test_ids_are_put_as_they_are_and_sorted_bytewise(warehouse: Warehouse) -> None:
    assert warehouse.put_ids(IDS, ODD) == len(ODD)
    assert ids_of(warehouse, IDS) == sorted(ODD, key=str.encode)


def test_ids_named_twice_are_put_once(warehouse: Warehouse) -> None:
    assert warehouse.put_ids(IDS, ["b", "a", "b", "A"]) == 3
    assert ids_of(warehouse, IDS) == ["A", "a", "b"]


def test_put_ids_join_a_snapshot_s_ids_bytewise(warehouse: Warehouse) -> None:
    texts = " UNION ALL ".join(f"SELECT '{text}' AS t" for text in ("a", "A", "a ", "e\u0301", "é"))
    warehouse.create(OTHER, f'SELECT t AS "_id" FROM ({texts}) x')
    warehouse.put_ids(IDS, ["a", "é", "b"])
    ours, theirs = warehouse.dialect.snapshot(IDS), warehouse.dialect.snapshot(OTHER)
    query = f'SELECT o."_id" FROM {ours} o JOIN {theirs} t ON t."_id" = o."_id" ORDER BY o."_id"'
    assert warehouse.fetch(query, uses=[IDS, OTHER]) == [("a",), ("é",)]


def test_no_ids_make_an_empty_table_of_text(warehouse: Warehouse) -> None:
    assert warehouse.put_ids(IDS, []) == 0
    assert ids_of(warehouse, IDS) == []
    assert types_of(warehouse, IDS) == [pa.string()]


def test_many_ids_are_put_at_once(warehouse: Warehouse) -> None:
    assert warehouse.put_ids(IDS, [f"person {number:06d}" for number in range(100_000)]) == 100_000
    query = f'SELECT count(*), min("_id"), max("_id") FROM {warehouse.dialect.snapshot(IDS)}'
    assert warehouse.fetch(query, uses=[IDS]) == [(100_000, "person 000000", "person 099999")]


@pytest.mark.parametrize("refused", ["a\0b", "\ud800"])
def test_an_id_that_is_no_text_is_refused_and_the_older_table_stays(warehouse: Warehouse, refused: str) -> None:
    warehouse.put_ids(IDS, ["before"])
    with pytest.raises(ValueError, match="not a text") as failed:
        warehouse.put_ids(IDS, ["secret", refused])
    assert "secret" not in repr(failed.value)
    assert failed.value.__suppress_context__ or failed.value.__context__ is None
    assert ids_of(warehouse, IDS) == ["before"]


def test_put_ids_replace_a_table_of_that_name_are_listed_and_dropped(warehouse: Warehouse) -> None:
    warehouse.create(IDS, "SELECT 1 AS a, 2 AS b")
    warehouse.put_ids(IDS, ["x"])
    assert ids_of(warehouse, IDS) == ["x"]
    assert warehouse.tables("activation_0a1b2c3d_s1_") == [IDS]
    warehouse.drop(IDS)
    assert warehouse.tables("activation_") == []


def test_ids_are_put_into_tables_of_ours_only(warehouse: Warehouse) -> None:
    with pytest.raises(ValueError, match="table of ours"):
        warehouse.put_ids("people", ["x"])


def test_ids_that_cannot_be_put_leave_no_trace(postgresql: PostgreSQLWarehouse) -> None:
    postgresql.put_ids(IDS, ["before"])
    postgresql.fetch("SELECT set_config('statement_timeout', '1ms', false)")
    with pytest.raises(WarehouseError) as failed:
        postgresql.put_ids(IDS, [f"{number} someone@private.example" for number in range(50_000)])
    assert "private" not in f"{failed.value!s} {failed.value!r} {failed.value.__cause__!r}"
    postgresql.fetch("SELECT set_config('statement_timeout', '0', false)")
    assert postgresql.tables("activation_") == [IDS]
    assert ids_of(postgresql, IDS) == ["before"]


def test_one_select_may_use_sixty_tables(warehouse: Warehouse) -> None:
    names = [f"activation_0a1b2c3d_s1_r{number}_a1_ids" for number in range(60)]
    for number, name in enumerate(names):
        warehouse.put_ids(name, [f"id {number}", "everywhere"])
    union = " UNION ALL ".join(f'SELECT "_id" FROM {warehouse.dialect.snapshot(name)}' for name in names)
    assert warehouse.create(OTHER, f'SELECT "_id", 1 AS one FROM ({union}) u', uses=names) == 120
    assert len(set(ids_of(warehouse, OTHER))) == 61


def test_an_empty_select_makes_an_empty_table_of_the_right_types(warehouse: Warehouse) -> None:
    types = {"_id": "TEXT", "_part": "BIGINT", "c0": "DOUBLE PRECISION", "c1": "BOOLEAN", "c2": "DATE"}
    nulls = ", ".join(f'CAST(NULL AS {type_}) AS "{name}"' for name, type_ in types.items())
    select = f"SELECT {nulls} WHERE 1 = 0"
    assert warehouse.create(IDS, select, partitioned=True) == 0
    assert types_of(warehouse, IDS) == [pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.date32()]


PEOPLE = (
    "SELECT 'person ' || i || ''' é' AS \"_id\", i % 3 AS \"_part\", i AS c0, 'x' || i AS c1 "
    "FROM (SELECT {numbers} AS i) n"
)
NUMBERS = {"duckdb": "unnest(range(60000))", "postgresql": "generate_series(0, 59999)"}


def people(warehouse: Warehouse) -> str:
    kind = "duckdb" if isinstance(warehouse, DuckDBWarehouse) else "postgresql"
    return PEOPLE.format(numbers=NUMBERS[kind])


def test_partitions_are_streamed_whole_and_each_row_once(warehouse: Warehouse) -> None:
    assert warehouse.create(OTHER, people(warehouse), partitioned=True) == 60_000
    seen: set[str] = set()
    for number in range(3):
        batches = list(warehouse.stream_partition(OTHER, Part(number, of=3), ["c0 + 1", "c1"], batch_rows=1_000))
        assert max(batch.num_rows for batch in batches) <= 2_048
        rows = pa.Table.from_batches(batches)
        assert rows.schema.names == ["_id", "v0", "v1"]
        found = rows.column(0).to_pylist()
        assert len(found) == 20_000
        assert rows.column(1).to_pylist() == [int(row_id.split()[1].rstrip("'")) + 1 for row_id in found]
        seen.update(found)
    assert len(seen) == 60_000
    assert warehouse.partition_sizes(OTHER, 3) == [20_000] * 3


def test_odd_ids_are_streamed_as_they_are(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_pages, "MOST_ROWS", 1)
    warehouse.put_ids(IDS, ODD)
    warehouse.create(
        OTHER, f'SELECT "_id", 0 AS "_part" FROM {warehouse.dialect.snapshot(IDS)}', partitioned=True, uses=[IDS]
    )
    batches = warehouse.stream_partition(OTHER, Part(0, of=1))
    assert sorted(row_id for batch in batches for row_id in batch.column(0).to_pylist()) == sorted(ODD)


def test_nothing_moves_from_one_column_to_the_next_in_a_row_s_hash(warehouse: Warehouse) -> None:
    pairs = [("a", "bc"), ("ab", "c"), ("a|b", "c"), ("a", "|bc"), ("1:a", "b"), (None, "n"), ("n", None), ("", None)]
    pairs += [(None, ""), (None, None), ("", ""), ("a,b", "c"), ("a", "b,c"), ('a"', "b"), ("a", '"b'), ("(a", "b)")]
    rows = " UNION ALL ".join(f"SELECT {_text(a)} AS a, {_text(b)} AS b, 1 AS n" for a, b in pairs)
    both = warehouse.dialect.row_hash([Column("a", "text"), Column("b", "text")])
    assert warehouse.fetch(f"SELECT count(*), count(DISTINCT {both}) FROM ({rows}) r") == [(len(pairs), len(pairs))]


def _text(value: str | None) -> str:
    return "CAST(NULL AS TEXT)" if value is None else f"'{value}'"


def test_numbers_beside_texts_and_nulls_keep_their_place_in_a_row_s_hash(warehouse: Warehouse) -> None:
    rows = "SELECT 1 AS a, CAST(NULL AS INTEGER) AS b, '1' AS c UNION ALL SELECT NULL, 1, '1' UNION ALL SELECT 1, 1, ''"
    types = {"duckdb": ("INTEGER", "VARCHAR"), "postgresql": ("integer", "text")}
    number, text = types["duckdb" if isinstance(warehouse, DuckDBWarehouse) else "postgresql"]
    row = warehouse.dialect.row_hash([Column("a", number), Column("b", number), Column("c", text)])
    assert warehouse.fetch(f"SELECT count(DISTINCT {row}) FROM ({rows}) r") == [(3,)]


def test_a_row_without_columns_has_a_hash(warehouse: Warehouse) -> None:
    [(found,)] = warehouse.fetch(f"SELECT CAST({warehouse.dialect.row_hash([])} AS VARCHAR(40))")
    assert len(str(found)) >= 32


def test_a_table_may_be_replaced_by_what_is_selected_from_it(warehouse: Warehouse) -> None:
    warehouse.put_ids(IDS, ["a", "b"])
    table = warehouse.dialect.snapshot(IDS)
    assert warehouse.create(IDS, f'SELECT "_id" FROM {table} WHERE "_id" = \'b\'', uses=[IDS]) == 1
    assert ids_of(warehouse, IDS) == ["b"]
