"""Every DuckDB type is read for encoding with its value kept: from the customer's file, through a snapshot, to the JSON text."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from activation.engine.encoding import Encoder, packed_text
from activation.engine.rows import bulk
from projects.warehouses.duckdb import DuckDBWarehouse
from projects.warehouses.duckdb_dialect import DuckDBDialect
from projects.warehouses.duckdb_types import parse
from projects.warehouses.port import Column, Relation

SNAPSHOT = "activation_00c0ffee_s1_r1_a1_full"
VIEW = Relation("main", "v")


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """Put expressions into a customer's view, and return each value's JSON text as a sync would write it."""
    folder = tmp_path_factory.mktemp("values")

    def read_(*expressions: str) -> list[str]:
        file = folder / "values.duckdb"
        file.unlink(missing_ok=True)
        with duckdb.connect(str(file)) as connection:
            named = ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(expressions))
            connection.execute(f"CREATE VIEW v AS SELECT {named}")
        with DuckDBWarehouse(file, folder=folder, snapshot_dir=folder / "snapshots") as warehouse:
            columns = warehouse.describe(VIEW)
            warehouse.create(SNAPSHOT, f"SELECT * FROM {warehouse.dialect.relation(VIEW)}")
            values = [warehouse.dialect.value(column) for column in columns]
            selected = ", ".join(value.expression for value in values)
            query = f"SELECT 'x' AS _id, {selected} FROM {warehouse.dialect.snapshot(SNAPSHOT)}"
            (batch,) = warehouse.stream(query, uses=[SNAPSHOT])
            texts = [_json_of(value, batch.select([0, number])) for number, value in enumerate(values, start=1)]
            rows = f"(SELECT 'x' AS _id, * FROM {warehouse.dialect.snapshot(SNAPSHOT)})"
            [(packed,)] = warehouse.fetch(f"SELECT {packed_text('', values)} FROM {rows}", uses=[SNAPSHOT])
            members = zip((value.column for value in values), texts, strict=True)
            text = "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in members) + "}"
            assert str(packed).encode() == bulk("x") + bulk(text), "encoded there it is another"
            return texts

    return read_


def _json_of(value: object, batch: object) -> str:
    with Encoder(prefix="w:d:user:email:", values=[value]) as encoder:  # type: ignore[list-item]  # a port.Value
        text = encoder.encode(batch).column(1)[0].as_py()
    assert isinstance(text, str)
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    return text.split(":", 1)[1].removesuffix("}")


VALUES = {
    "'x'::VARCHAR": '"x"',
    "''": '""',
    "NULL": "null",
    "NULL::INTEGER": "null",
    "'a\"b\\c' || chr(10) || 'é😀'": '"a\\"b\\\\c\\né😀"',
    "(-128)::TINYINT": "-128",
    "255::UTINYINT": "255",
    "(-32768)::SMALLINT": "-32768",
    "65535::USMALLINT": "65535",
    "(-2147483648)::INTEGER": "-2147483648",
    "4294967295::UINTEGER": "4294967295",
    "(-9223372036854775808)::BIGINT": "-9223372036854775808",
    "18446744073709551615::UBIGINT": "18446744073709551615",
    "170141183460469231731687303715884105727::HUGEINT": "170141183460469231731687303715884105727",
    "340282366920938463463374607431768211455::UHUGEINT": "340282366920938463463374607431768211455",
    "'123456789012345678901234567890123456789012345'::BIGNUM": "123456789012345678901234567890123456789012345",
    "0.1::FLOAT": "0.1",
    "0.1::DOUBLE": "0.1",
    "1e300::DOUBLE": "1e+300",
    "'NaN'::DOUBLE": "null",
    "'Infinity'::FLOAT": "null",
    "'-Infinity'::DOUBLE": "null",
    "1.10::DECIMAL(10,2)": "1.10",
    "(-0.5)::DECIMAL(1,1)": "-0.5",
    "0.123::DECIMAL(3,3)": "0.123",
    "99999999999999999999999999999999999999::DECIMAL(38,0)": "99999999999999999999999999999999999999",
    "0.00000000000000000000000000000000000001::DECIMAL(38,38)": "0.00000000000000000000000000000000000001",
    "true": "true",
    "false": "false",
    "DATE '2026-02-28'": '"2026-02-28"',
    "'infinity'::DATE": "null",
    "TIMESTAMP '2023-08-11 11:32:44.963062'": '"2023-08-11T11:32:44.963062Z"',
    "TIMESTAMP '2023-08-11 11:32:44.500'": '"2023-08-11T11:32:44.5Z"',
    "TIMESTAMP '2023-08-11 11:32:44'": '"2023-08-11T11:32:44Z"',
    "'2023-08-11 11:32:44'::TIMESTAMP_S": '"2023-08-11T11:32:44Z"',
    "'2023-08-11 11:32:44.12'::TIMESTAMP_MS": '"2023-08-11T11:32:44.12Z"',
    "'2023-08-11 11:32:44.123456789'::TIMESTAMP_NS": '"2023-08-11T11:32:44.123456789Z"',
    "'2023-08-11 13:32:44.5+02'::TIMESTAMPTZ": '"2023-08-11T11:32:44.5Z"',
    "'2023-08-11 13:32:44.123456789+02'::TIMESTAMPTZ_NS": '"2023-08-11T11:32:44.123456789Z"',
    "'infinity'::TIMESTAMP": "null",
    "'-infinity'::TIMESTAMPTZ": "null",
    "'infinity'::TIMESTAMP_S": "null",
    "'\\x00\\xFF'::BLOB": '"AP8="',
    '\'{"a": 1.10, "b":[ ]}\'::JSON': '{"a": 1.10, "b":[ ]}',
    "'null'::JSON": "null",
    "'123456789012345678901234567890.10'::JSON": "123456789012345678901234567890.10",
    '\'{"NaN": NaN, "s": "-inf, ]", "i": [-Infinity, 1,]}\'::JSON': '{"NaN": null, "s": "-inf, ]", "i": [null, 1]}',
    "'7a1b9b3c-0c6f-4f6e-9d5e-1f2a3b4c5d6e'::UUID": '"7a1b9b3c-0c6f-4f6e-9d5e-1f2a3b4c5d6e"',
    "TIME '10:11:12.5'": '"10:11:12.5"',
    "'10:11:12+02'::TIMETZ": '"10:11:12+02"',
    "INTERVAL '1 day 2 hours'": '"1 day 02:00:00"',
    "'gold'::ENUM('gold', 'it''s, (x)')": '"gold"',
    "'0101'::BIT": '"0101"',
    "'POINT(1 2)'::GEOMETRY": '"POINT (1 2)"',
}
NESTED = {
    "[1, NULL, 3]": "[1,null,3]",
    "[]::INTEGER[]": "[]",
    "NULL::INTEGER[]": "null",
    "[0.1::FLOAT, 'NaN'::FLOAT, 'inf'::FLOAT]": "[0.1,null,null]",
    "[1.10, 0.5]::DECIMAL(3,2)[]": "[1.10,0.50]",
    "[0.5]::DECIMAL(1,1)[]": "[0.5]",
    "['a\"', '']": '["a\\"",""]',
    "[true, false]": "[true,false]",
    "[TIMESTAMP '2023-08-11 11:32:44.50', 'infinity'::TIMESTAMP]": '["2023-08-11T11:32:44.5Z",null]',
    "['2023-08-11 13:32:44+02'::TIMESTAMPTZ]": '["2023-08-11T11:32:44Z"]',
    "[DATE '2026-01-02', 'infinity'::DATE]": '["2026-01-02",null]',
    "['\\xFF'::BLOB]": '["/w=="]',
    "['{\"a\": 1.10}'::JSON, NULL, '[NaN]'::JSON]": '[{"a": 1.10},null,[null]]',
    "[18446744073709551615::UBIGINT::HUGEINT]": "[18446744073709551615]",
    "[[1], [], NULL, [2, 3]]": "[[1],[],null,[2,3]]",
    "[1, 2]::INTEGER[2]": "[1,2]",
    "[[1.5, 2], [3, 4]]::FLOAT[2][2]": "[[1.5,2.0],[3.0,4.0]]",
    "{'a': 1, 'b \"c\"': [0.1::FLOAT], 'D': NULL::VARCHAR}": '{"a":1,"b \\"c\\"":[0.1],"D":null}',
    "NULL::STRUCT(a INTEGER)": "null",
    "{'o': {'t': TIMESTAMP '2023-08-11 11:32:44', 'd': 1.10::DECIMAL(5,2)}}": '{"o":{"t":"2023-08-11T11:32:44Z","d":1.10}}',
    "[{'id': 'o-1', 'total': 9.90::DECIMAL(10,2)}, NULL]": '[{"id":"o-1","total":9.90},null]',
    "ROW(1, 'a', NULL::DOUBLE)": '[1,"a",null]',
    "MAP {'a': 1, 'b\"': NULL}": '{"a":1,"b\\"":null}',
    "MAP {1: 'x', 2: 'y'}": '{"1":"x","2":"y"}',
    "MAP {DATE '2026-01-02': [1.5::DOUBLE]}": '{"2026-01-02":[1.5]}',
    "MAP {TIMESTAMP '2026-01-02 03:04:05': true}": '{"2026-01-02T03:04:05Z":true}',
    "MAP {['k']: 1}": '{"[\\"k\\"]":1}',
    "MAP([]::VARCHAR[], []::INTEGER[])": "{}",
    "NULL::MAP(VARCHAR, INTEGER)": "null",
    "union_value(num := 1)::UNION(num INTEGER, t TIMESTAMP)": "1",
    "union_value(t := TIMESTAMP '2026-01-02 03:04:05')::UNION(num INTEGER, t TIMESTAMP)": '"2026-01-02T03:04:05Z"',
    "['a', 'b']::ENUM('a', 'b')[]": '["a","b"]',
    "['7a1b9b3c-0c6f-4f6e-9d5e-1f2a3b4c5d6e'::UUID]": '["7a1b9b3c-0c6f-4f6e-9d5e-1f2a3b4c5d6e"]',
    "[INTERVAL '1 month']": '["1 month"]',
    "{'a': 42, 'b': ['x']}::VARIANT": '{"a":42,"b":["x"]}',
}


def test_every_plain_type_becomes_the_json_of_its_value(read: Callable[..., list[str]]) -> None:
    assert dict(zip(VALUES, read(*VALUES), strict=True)) == VALUES


def test_nested_values_follow_the_same_rules_at_any_depth(read: Callable[..., list[str]]) -> None:
    assert dict(zip(NESTED, read(*NESTED), strict=True)) == NESTED


def test_dates_outside_four_digit_years_are_the_same_inside_and_outside_a_list(read: Callable[..., list[str]]) -> None:
    for moment in (
        "TIMESTAMP '0044-03-15 (BC) 10:00:00.25'",
        "TIMESTAMP '12026-03-15 10:00:00'",
        "DATE '0044-03-15 (BC)'",
    ):
        plain, nested = read(moment, f"[{moment}]")
        assert nested == f"[{plain}]"


@pytest.mark.parametrize(
    ("type_", "shown"),
    [
        ("DECIMAL(18,3)", "DECIMAL"),
        ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP WITH TIME ZONE"),
        ('STRUCT(a INTEGER, "b ""c"", )" VARCHAR[])[]', "LIST"),
        ("MAP(VARCHAR, STRUCT(c DECIMAL(10,2)[3]))", "MAP"),
        ("ENUM('a, b', 'c''d', ')')", "ENUM"),
        ('"NULL"', "NULL"),
    ],
)
def test_a_types_name_is_parsed(type_: str, shown: str) -> None:
    assert parse(type_).name == shown


@pytest.mark.parametrize("type_", ["", "STRUCT(", "INTEGER[", "MAP(VARCHAR", "DECIMAL(1,1))", "'x"])
def test_what_is_no_type_is_read_as_text(type_: str) -> None:
    with pytest.raises(ValueError, match="the type"):
        parse(type_)
    assert DuckDBDialect("shop").value(Column("a", type_)).expression == 'CAST("a" AS VARCHAR)'


def texts(warehouse: DuckDBWarehouse, expression: Callable[[Column], str]) -> list[tuple[object, ...]]:
    (column,) = warehouse.describe(VIEW)
    return warehouse.fetch(f"SELECT {expression(column)} FROM {warehouse.dialect.relation(VIEW)}")


@pytest.mark.parametrize(
    "rows",
    [
        "(NULL), ('')",
        "('a'), ('A')",
        "('n'), (NULL)",
        "(['a, b']), (['a', 'b'])",
        "([NULL]), (['null'])",
        "([]::VARCHAR[]), (NULL)",
        "({'a': NULL::VARCHAR}), (NULL)",
        "(0.1::FLOAT), (0.10000001::FLOAT)",
        "(0.1::DOUBLE), (0.1::DOUBLE + 1e-17), (0.10000000000000002::DOUBLE)",
        "('\\x00'::BLOB), (''::BLOB)",
        "(TIMESTAMP '2026-01-01 00:00:00.000001'), (TIMESTAMP '2026-01-01')",
        "('{\"a\":1}'::JSON), ('{\"a\": 1}'::JSON)",
        # What DuckDB's own hash takes for the same.
        "(0.0::DOUBLE), ('-0.0'::DOUBLE), (0.0::DOUBLE + 1)",
        "(0.0::FLOAT), ('-0.0'::FLOAT)",
        "(INTERVAL 1 MONTH), (INTERVAL 30 DAY)",
        "(0::HUGEINT), (18446744073709551616::HUGEINT * 7 + 7), (18446744073709551616::HUGEINT * 8 + 8)",
        "(0::DECIMAL(38, 0)), (18446744073709551616::DECIMAL(38, 0) * 7 + 7)",
        "(NULL::UUID), ('00000000-0000-0007-0000-000000000007'::UUID), ('00000000-0000-0008-0000-000000000008'::UUID)",
        "(NULL::UBIGINT), (15515834664653156994::UBIGINT)",
        "('a'::ENUM('a', 'b')), ('b')",
    ],
)
def test_different_values_have_different_hashes(
    rows: str, make_file: Callable[..., Path], open_file: Callable[..., DuckDBWarehouse]
) -> None:
    collated = "a COLLATE NOCASE AS a" if rows.startswith("('a')") else "a"
    table = f"CREATE TABLE t AS SELECT a FROM (VALUES {rows}) r(a)"
    warehouse = open_file(make_file(table, f"CREATE VIEW v AS SELECT {collated} FROM t"))
    values = {repr(row) for row in warehouse.fetch(f"SELECT a FROM {warehouse.dialect.relation(VIEW)}")}
    hashes = [row[0] for row in texts(warehouse, lambda column: warehouse.dialect.row_hash([column]))]
    assert len(set(hashes)) == len(values)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("' Anna@X.com'", " Anna@X.com"),
        ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
        ("(-7)::BIGINT", "-7"),
        ("'7a1b9b3c-0c6f-4f6e-9d5e-1f2a3b4c5d6e'::UUID", "7a1b9b3c-0c6f-4f6e-9d5e-1f2a3b4c5d6e"),
        ("NULL::VARCHAR", None),
    ],
)
def test_an_id_is_the_text_of_its_value(
    value: str, text: str | None, make_file: Callable[..., Path], open_file: Callable[..., DuckDBWarehouse]
) -> None:
    warehouse = open_file(make_file(f"CREATE VIEW v AS SELECT {value} AS a"))
    assert texts(warehouse, warehouse.dialect.id_text) == [(text,)]


def test_ids_are_compared_bytewise_whatever_the_columns_collation(
    make_file: Callable[..., Path], open_file: Callable[..., DuckDBWarehouse]
) -> None:
    warehouse = open_file(make_file("CREATE TABLE v (a VARCHAR COLLATE NOCASE)", "INSERT INTO v VALUES ('x'), ('X')"))
    view, row_id = warehouse.dialect.relation(VIEW), warehouse.dialect.id_text(Column("a", "VARCHAR"))
    assert warehouse.fetch(f"SELECT count(DISTINCT a) FROM {view}") == [(1,)]
    warehouse.create(SNAPSHOT, f"SELECT {row_id} AS _id FROM {view}")
    grouped = f"SELECT _id, count(*) FROM {warehouse.dialect.snapshot(SNAPSHOT)} GROUP BY _id ORDER BY _id"
    assert warehouse.fetch(grouped, uses=[SNAPSHOT]) == [("X", 1), ("x", 1)]


def test_normalising_touches_ascii_only(open_file: Callable[..., DuckDBWarehouse]) -> None:
    warehouse = open_file("unused.duckdb")
    text = "\t\v Ünna İ@EXAMPLE.com\u00a0\r\n"
    trimmed = warehouse.dialect.normalise("CAST(? AS VARCHAR)", "trim")
    assert warehouse.fetch(f"SELECT {trimmed}", [text]) == [("Ünna İ@EXAMPLE.com\u00a0",)]
    lowered = warehouse.dialect.normalise("CAST(? AS VARCHAR)", "lower")
    assert warehouse.fetch(f"SELECT {lowered}", [text]) == [("\t\v Ünna İ@example.com\u00a0\r\n",)]
    with pytest.raises(ValueError, match="upper"):
        warehouse.dialect.normalise("x", "upper")


def test_values_that_change_places_or_types_change_the_hash(open_file: Callable[..., DuckDBWarehouse]) -> None:
    warehouse = open_file("unused.duckdb")

    def hashed(values: str, *types: str) -> object:
        columns = [Column(f"c{place}", type_) for place, type_ in enumerate(types)]
        read = zip(values.split(), columns, strict=True)
        row = ", ".join(f"CAST({value} AS {column.type}) AS {column.name}" for value, column in read)
        [(found,)] = warehouse.fetch(
            f"SELECT CAST({warehouse.dialect.row_hash(columns)} AS VARCHAR) FROM (SELECT {row})"
        )
        return found

    text, number, narrow, wide = "VARCHAR", "INTEGER", "DECIMAL(12,2)", "DECIMAL(12,3)"
    pairs = [("1 2", number), ("2 1", number), ("1 1", number), ("2 2", number), ("0 0", number), ("0 NULL", number)]
    pairs += [("NULL 0", number), ("'ab' ''", text), ("'' 'ab'", text), ("'a' 'b'", text), ("NULL 'ab'", text)]
    pairs += [("1.00 0", narrow), ("0.100 0", wide)]
    assert len({hashed(values, type_, type_) for values, type_ in pairs}) == len(pairs)


def test_both_halves_of_the_hash_tell_similar_rows_apart(open_file: Callable[..., DuckDBWarehouse]) -> None:
    warehouse = open_file("unused.duckdb")
    columns = [Column("a", "INTEGER"), Column("b", "INTEGER"), Column("c", "VARCHAR"), Column("d", "DOUBLE")]
    rows = (
        "SELECT i // 1000 AS a, i % 1000 AS b, repeat('the same for all ', i // 1000 % 7) || i % 13 AS c, "
        "CASE WHEN i % 3 > 0 THEN i % 11 / 7 END AS d FROM range(1000000) r(i)"
    )
    found = warehouse.dialect.row_hash(columns)
    halves = f"SELECT {found} AS h, {found} >> 64 AS first, CAST({found} & 18446744073709551615 AS UBIGINT) AS second"
    [counts] = warehouse.fetch(
        f"SELECT count(DISTINCT h), count(DISTINCT first), count(DISTINCT second) FROM ({halves} FROM ({rows}))"
    )
    assert counts == (1_000_000, 1_000_000, 1_000_000)


def test_texts_go_through_md5_whole(open_file: Callable[..., DuckDBWarehouse]) -> None:
    warehouse = open_file("unused.duckdb")
    found = warehouse.dialect.row_hash([Column("a", "VARCHAR"), Column("b", "VARCHAR"), Column("c", "INTEGER")])
    select = f"SELECT CAST({found} AS VARCHAR) FROM (SELECT {{a}} AS a, 'xy' AS b, 3 AS c)"
    [(one,)], [(other,)] = (warehouse.fetch(select.format(a=text)) for text in ("'abc'", "'abd'"))
    differ = int.from_bytes(hashlib.md5(b"abcxy").digest(), "little") ^ int.from_bytes(
        hashlib.md5(b"abdxy").digest(), "little"
    )
    assert int(str(one)) ^ int(str(other)) == differ


def test_buckets_are_even(open_file: Callable[..., DuckDBWarehouse]) -> None:
    warehouse = open_file("unused.duckdb")
    bucket = warehouse.dialect.bucket("'id-' || i", 7)
    rows = warehouse.fetch(f"SELECT {bucket} AS b, count(*) FROM range(70000) r(i) GROUP BY b ORDER BY b")
    assert [row[0] for row in rows] == list(range(7))
    assert all(9_000 < int(str(row[1])) < 11_000 for row in rows)
