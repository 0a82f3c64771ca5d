"""Arrow batches become keys and JSON text exactly as the format wants it; each trap of a naive encoder by name."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest

from activation.engine.encoding import Encoder
from activation.engine.kept_out import Mark
from projects.warehouses.port import Kind, Value

PREFIX = "w:d:user:email:"
MICROSECONDS = pa.timestamp("us")


def encode(kind: Kind, cells: Sequence[object] | pa.Array, type_: pa.DataType | None = None) -> list[str]:
    """Encode one column named `x` and return what stands behind `{"x":` in each row."""
    column = cells if isinstance(cells, pa.Array) else pa.array(cells, type_)
    ids = pa.array([str(number) for number in range(len(column))])
    with Encoder(prefix=PREFIX, values=[Value("x", "", kind)]) as encoder:
        encoded = encoder.encode(pa.RecordBatch.from_arrays([ids, column], names=["_id", "v0"]))
    texts = encoded.column("json").to_pylist()
    assert all(text.startswith('{"x":') and text.endswith("}") for text in texts)
    return [text[len('{"x":') : -1] for text in texts]


def encode_row(names: Sequence[str], cells: Sequence[tuple[Kind, object]]) -> str:
    """Encode one row and return its JSON text."""
    values = [Value(name, "", kind) for name, (kind, _) in zip(names, cells, strict=True)]
    arrays = [pa.array(["id"]), *(pa.array([cell]) for _, cell in cells)]
    batch = pa.RecordBatch.from_arrays(arrays, names=["_id", *(f"v{at}" for at in range(len(cells)))])
    with Encoder(prefix=PREFIX, values=values) as encoder:
        text: str = encoder.encode(batch).column("json")[0].as_py()
    return text


def test_the_hosted_writer_s_test_case_is_written_byte_for_byte() -> None:
    names = ["MODEL_ID", "VALID_AT", "USER_MAIN_ID", "CHURN_SCORE_7_DAYS", "PERCENTILE_CHURN_SCORE_7_DAYS"]
    cells: list[tuple[Kind, object]] = [
        (Kind.TEXT, "1691755780"),
        (Kind.TIMESTAMP, datetime(2023, 8, 11, 11, 32, 44, 963062, tzinfo=UTC)),
        (Kind.TEXT, "rid5530313526204a95efe71d98cd17d5a1"),
        (Kind.FLOAT, 0.027986),
        (Kind.INTEGER, 0),
    ]
    assert encode_row(names, cells) == (
        '{"MODEL_ID":"1691755780","VALID_AT":"2023-08-11T11:32:44.963062Z",'
        '"USER_MAIN_ID":"rid5530313526204a95efe71d98cd17d5a1","CHURN_SCORE_7_DAYS":0.027986,'
        '"PERCENTILE_CHURN_SCORE_7_DAYS":0}'
    )


def test_the_key_is_the_prefix_and_the_id_whatever_they_hold() -> None:
    ids = ["a:b", "{c}", "é😀", "it's", "a\nb", "%s ?"]
    prefix = "it's:{d}:?:$1:"
    with Encoder(prefix=prefix, values=[Value("x", "", Kind.INTEGER)]) as encoder:
        encoded = encoder.encode(pa.record_batch({"_id": ids, "v0": list(range(6))}))
    assert encoded.column("key").to_pylist() == [prefix + value for value in ids]


def test_a_null_of_every_kind_is_null() -> None:
    types = {Kind.INTEGER: pa.int64(), Kind.FLOAT: pa.float32(), Kind.TIMESTAMP: MICROSECONDS, Kind.DATE: pa.date32()}
    types |= {Kind.BOOLEAN: pa.bool_(), Kind.BINARY: pa.binary()}
    for kind in Kind:
        assert encode(kind, [None], types.get(kind, pa.string())) == ["null"], kind


def test_a_float_keeps_its_shortest_form_and_is_not_widened() -> None:
    assert encode(Kind.FLOAT, [0.1, 16777216.0], pa.float32()) == ["0.1", "16777216.0"]
    cells = [0.1, 1e16, 1e-7, 5e-324, 1.7976931348623157e308, -2.5, 123456789.123]
    assert [float(text) for text in encode(Kind.FLOAT, cells, pa.float64())] == cells
    assert all(json.loads(text) == cell for text, cell in zip(encode(Kind.FLOAT, cells), cells, strict=True))


def test_nan_and_infinities_are_null() -> None:
    cells = [float("nan"), float("inf"), float("-inf"), 1.5]
    assert encode(Kind.FLOAT, cells, pa.float64()) == ["null", "null", "null", "1.5"]
    assert encode(Kind.FLOAT, cells, pa.float32()) == ["null", "null", "null", "1.5"]


def test_a_timestamp_has_a_t_and_a_z_and_no_trailing_zeros() -> None:
    cells = [
        datetime(2023, 8, 11, 11, 32, 44, 963062, tzinfo=UTC),
        datetime(2023, 8, 11, 11, 32, 44, 500000, tzinfo=UTC),
        datetime(2023, 8, 11, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
    ]
    expected = [
        '"2023-08-11T11:32:44.963062Z"',
        '"2023-08-11T11:32:44.5Z"',
        '"2023-08-11T00:00:00Z"',
        '"1969-12-31T23:59:59.999999Z"',
        '"0001-01-01T00:00:00Z"',
    ]
    assert encode(Kind.TIMESTAMP, cells, pa.timestamp("us", tz="UTC")) == expected
    assert encode(Kind.TIMESTAMP, [cell.replace(tzinfo=None) for cell in cells], MICROSECONDS) == expected


def test_a_timestamp_of_any_unit_or_zone_is_the_same_instant_in_utc() -> None:
    assert encode(Kind.TIMESTAMP, pa.array([1], pa.timestamp("s"))) == ['"1970-01-01T00:00:01Z"']
    assert encode(Kind.TIMESTAMP, pa.array([1500], pa.timestamp("ms"))) == ['"1970-01-01T00:00:01.5Z"']
    assert encode(Kind.TIMESTAMP, pa.array([1], pa.timestamp("ns"))) == ['"1970-01-01T00:00:00.000000001Z"']
    berlin = pa.array([0], pa.timestamp("us", tz="Europe/Berlin"))
    assert encode(Kind.TIMESTAMP, berlin) == ['"1970-01-01T00:00:00Z"']


def test_a_timestamp_outside_the_years_1_to_9999_has_six_digits_and_a_sign() -> None:
    year_10000, year_0 = 253402300800_000_000, -62167219200_000_000
    cells = pa.array([year_10000 + 500_000, year_0, year_0 - 1], MICROSECONDS)
    assert encode(Kind.TIMESTAMP, cells) == [
        '"+010000-01-01T00:00:00.5Z"',
        '"+000000-01-01T00:00:00Z"',
        '"-000001-12-31T23:59:59.999999Z"',
    ]


def test_infinity_as_a_timestamp_or_date_is_null() -> None:
    infinities = [9223372036854775807, -9223372036854775807]
    assert encode(Kind.TIMESTAMP, pa.array(infinities, MICROSECONDS)) == ["null", "null"]
    dates = pa.array([2147483647, -2147483647], pa.int32()).cast(pa.date32())
    assert encode(Kind.DATE, dates) == ["null", "null"]


def test_a_date_is_year_month_day() -> None:
    assert encode(Kind.DATE, [date(2024, 2, 29), date(1, 1, 1)]) == ['"2024-02-29"', '"0001-01-01"']
    assert encode(Kind.DATE, pa.array([2932897], pa.int32()).cast(pa.date32())) == ['"+010000-01-01"']


def test_binary_is_base64() -> None:
    cells = [b"\x00\xff", b"", bytes(range(256))]
    assert encode(Kind.BINARY, cells) == [json.dumps(base64.b64encode(cell).decode()) for cell in cells]


def test_a_decimal_keeps_every_digit() -> None:
    cells = ["1.10", "0.00", "-123456789012345678901234567890.123456789", "1" + "0" * 60]
    assert encode(Kind.NUMBER, cells) == cells
    decimals = pa.array([Decimal("1.10"), Decimal("-0.01")], pa.decimal128(38, 2))
    assert encode(Kind.NUMBER, decimals) == ["1.10", "-0.01"]


def test_an_integer_of_any_width_keeps_every_digit() -> None:
    assert encode(Kind.INTEGER, [9223372036854775807, -9223372036854775808]) == [
        "9223372036854775807",
        "-9223372036854775808",
    ]
    assert encode(Kind.INTEGER, [18446744073709551615], pa.uint64()) == ["18446744073709551615"]
    assert encode(Kind.INTEGER, [-128], pa.int8()) == ["-128"]


def test_booleans_are_booleans() -> None:
    assert encode(Kind.BOOLEAN, [True, False]) == ["true", "false"]


def test_stored_json_is_spliced_verbatim() -> None:
    cells = ['{"a": 1.10, "big": 12345678901234567890123456789.10, "e":1E5}', "[ ]", '"x"', "null", '{"b":1,"b":2}']
    assert encode(Kind.JSON, cells) == cells


@pytest.mark.parametrize(
    "text",
    [
        "".join(map(chr, range(32))),
        "\x7f\x80\x9f",
        "\u2028\u2029\ufeff\ufffe",
        "😀𝄞\U0010ffff",
        "e\u0301\u200d",
        "\"'\\/ {}[]:,",
        "",
        " ",
        "null",
        "1.10",
        '{"a": 1.10}',
        "x" * 100_000,
    ],
)
def test_a_text_comes_out_of_the_json_as_it_was(text: str) -> None:
    [encoded] = encode(Kind.TEXT, [text])
    assert json.loads(encoded) == text
    assert isinstance(json.loads(encoded), str)


def test_names_that_differ_only_by_case_or_not_at_all_are_kept_apart_by_position() -> None:
    names = ["Plan", "plan", "PLAN", "plan"]
    text = encode_row(names, [(Kind.INTEGER, number) for number in range(4)])
    assert text == '{"Plan":0,"plan":1,"PLAN":2,"plan":3}'


def test_odd_names_are_written_as_json_names() -> None:
    names = ['quo"te', "apo'strophe", "back\\slash", "é😀", "a\nb\t\x01", "{x}", "_id", "key", "", "$1 ?", "v0"]
    text = encode_row(names, [(Kind.INTEGER, number) for number in range(len(names))])
    assert json.loads(text) == {name: number for number, name in enumerate(names)}
    assert list(json.loads(text)) == names


def test_a_wide_row_is_written_whole() -> None:
    names = [f"column_{number}" for number in range(1000)]
    text = encode_row(names, [(Kind.INTEGER, number) for number in range(1000)])
    assert json.loads(text) == {name: number for number, name in enumerate(names)}


def test_driver_s_extension_types_are_read_by_what_they_store() -> None:
    column = pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a": 1.10}']))
    assert encode(Kind.JSON, column) == ['{"a": 1.10}']


def test_an_empty_batch_gives_an_empty_batch() -> None:
    batch = pa.record_batch({"_id": pa.array([], pa.string()), "v0": pa.array([], pa.int64())})
    with Encoder(prefix=PREFIX, values=[Value("x", "", Kind.INTEGER)]) as encoder:
        encoded = encoder.encode(batch)
    assert encoded.num_rows == 0
    assert encoded.schema.names == ["key", "json", "suppressed"]


def ids_batch(ids: Sequence[str]) -> pa.RecordBatch:
    return pa.record_batch({"_id": list(ids), "v0": list(range(len(ids)))})


def test_a_suppressed_row_has_no_json_and_says_so() -> None:
    secret = b"secret-1"
    mark = Mark.of(secret, PREFIX + "b@é😀")
    with Encoder(
        prefix=PREFIX, values=[Value("x", "", Kind.INTEGER)], secrets={1: secret}, suppressed=[mark]
    ) as encoder:
        encoded = encoder.encode(ids_batch(["a", "b@é😀", "c"]))
    assert encoded.column("key").to_pylist() == [PREFIX + "a", PREFIX + "b@é😀", PREFIX + "c"]
    assert encoded.column("json").to_pylist() == ['{"x":0}', None, '{"x":2}']
    assert encoded.column("suppressed").to_pylist() == [False, True, False]


def test_a_mark_of_any_live_secret_suppresses_and_one_of_another_does_not() -> None:
    secrets = {1: b"old", 2: b"new"}
    marks = [
        Mark.of(b"old", PREFIX + "a"),
        Mark.of(b"new", PREFIX + "b"),
        Mark.of(b"other", PREFIX + "c"),
    ]
    with Encoder(prefix=PREFIX, values=[Value("x", "", Kind.INTEGER)], secrets=secrets, suppressed=marks) as encoder:
        encoded = encoder.encode(ids_batch(["a", "b", "c"]))
    assert encoded.column("suppressed").to_pylist() == [True, True, False]


def test_a_profile_suppressed_meanwhile_is_left_out_from_the_next_batch_on() -> None:
    secret = b"secret-1"
    with Encoder(prefix=PREFIX, values=[Value("x", "", Kind.INTEGER)], secrets={1: secret}) as encoder:
        before = encoder.encode(ids_batch(["a"]))
        encoder.suppress([Mark.of(secret, PREFIX + "a")] * 2)
        after = encoder.encode(ids_batch(["a"]))
    assert before.column("suppressed").to_pylist() == [False]
    assert after.column("json").to_pylist() == [None]


def test_suppressed_rows_stay_in_their_places_in_a_large_batch() -> None:
    secret = b"secret-1"
    ids = [f"id{number}" for number in range(20_000)]
    marks = [Mark.of(secret, PREFIX + value) for value in ids[::7]]
    with Encoder(
        prefix=PREFIX, values=[Value("x", "", Kind.INTEGER)], secrets={1: secret}, suppressed=marks
    ) as encoder:
        encoded = encoder.encode(ids_batch(ids))
    assert encoded.column("key").to_pylist() == [PREFIX + value for value in ids]
    assert encoded.column("suppressed").to_pylist() == [number % 7 == 0 for number in range(20_000)]


def test_marks_without_their_secrets_are_refused() -> None:
    with pytest.raises(ValueError, match="keys"):
        Encoder(prefix=PREFIX, values=[Value("x", "", Kind.INTEGER)], suppressed=[Mark(0, "0" * 64)])


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM read_text('/etc/hostname')", "ATTACH '/tmp/x.duckdb'", "SET threads = 4", "INSTALL httpfs"],
)
def test_the_encoder_s_database_reaches_nothing_outside(statement: str) -> None:
    with Encoder(prefix=PREFIX, values=[]) as encoder, pytest.raises(duckdb.Error):
        encoder._connection.execute(statement)
