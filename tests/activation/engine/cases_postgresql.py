"""Every column type of PostgreSQL, with what its values look like in JSON."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.activation.engine import oracle
from tests.activation.engine.oracle import Case, as_text, elements, exactly, several

TYPES = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy, \"so\"')",
    "CREATE DOMAIN positive AS integer CHECK (value > 0)",
    "CREATE DOMAIN price AS numeric(12, 2)",
    "CREATE DOMAIN net_price AS price CHECK (value >= 0)",
    "CREATE DOMAIN moment AS timestamptz",
    "CREATE TYPE address AS (street text, number integer, lat numeric)",
    'CREATE TYPE stay AS ("the ""day" date, seen moment, score float8, photo bytea, "a, (b)" numeric[], tags text[])',
    "CREATE TYPE journey AS (name text, first stay, others stay[])",
    "CREATE EXTENSION IF NOT EXISTS hstore SCHEMA profiles",
)
NAMES = st.from_regex(r"[a-zé ]{1,15}", fullmatch=True)
NUMERICS = st.decimals(allow_nan=False, allow_infinity=False, places=5) | st.sampled_from(
    [Decimal("1.10"), Decimal(0), Decimal("NaN"), Decimal("Infinity"), Decimal(10) ** 30, Decimal("1E-20")]
)
BITS = st.text("01", min_size=8, max_size=8)
DAYS_AND_HOURS = st.tuples(st.integers(2, 900), st.integers(0, 23), st.integers(0, 59))


def a_numeric(value: Decimal, raw: str) -> bool:
    return raw == (oracle.plain(value) if value.is_finite() else "null")


def an_interval(value: tuple[int, int, int]) -> str:
    days, hours, minutes = value
    return f"{days} days" + (f" {hours:02}:{minutes:02}:00" if hours or minutes else "")


def an_address(value: tuple[str | None, int | None, Decimal | None], raw: str) -> bool:
    street, number, lat = value
    expected = {
        "street": street,
        "number": None if number is None else str(number),
        "lat": None if lat is None else oracle.plain(lat),
    }
    found = oracle.parsed(raw)
    return list(found.items()) == list(expected.items())


STAYS = st.tuples(
    oracle.DATES | st.none(),
    oracle.AWARE | st.none(),
    oracle.DOUBLES | st.none(),
    oracle.BINARIES | st.none(),
    st.none() | several(NUMERICS),
    st.none() | several(oracle.TEXTS),
)
A_STAY: dict[str, oracle.Matches] = {
    'the "day': oracle.a_date,
    "seen": oracle.an_instant,
    "score": oracle.a_double,
    "photo": exactly(oracle.base64_of),
    "a, (b)": elements(a_numeric),
    "tags": elements(as_text(str)),
}


def members(matches: dict[str, oracle.Matches]) -> oracle.Matches:
    """The cell is a compact object with these members in this order, null where the value is None."""

    def check(value: Any, raw: str) -> bool:
        if value is None:
            return raw == "null"
        found = oracle.cells(raw, list(matches))
        return all(
            cell == "null" if one is None else right(one, cell)
            for one, cell, right in zip(value, found, matches.values(), strict=True)
        )

    return check


def a_row(value: Any) -> str:
    """A row as PostgreSQL reads it from text: a composite's or an array's own literal, every value quoted."""
    return "NULL" if value is None else '"' + _unquoted(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + ",".join("" if one is None else a_row(one) for one in value) + ")"
    if isinstance(value, list):
        return "{" + ",".join(_unquoted(one) if isinstance(one, list) else a_row(one) for one in value) + "}"
    return "\\x" + value.hex() if isinstance(value, bytes) else str(value)


def timestamps(value: Any) -> Any:
    """The elements of an array as PostgreSQL reads them."""
    return None if value is None else [None if one is None else str(one) for one in value]


def money(value: int) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}${abs(value) // 100:,}.{abs(value) % 100:02}"


NUMBERS = [
    Case("smallint", oracle.integers(16), exactly(str)),
    Case("integer", oracle.integers(32), exactly(str)),
    Case("bigint", oracle.integers(64), exactly(str)),
    Case("oid", oracle.integers(32, signed=False), exactly(str)),
    Case("positive", st.integers(1, 1000), exactly(str)),
    Case("numeric", NUMERICS, a_numeric, bind=str),
    Case("numeric(20, 5)", oracle.decimals(20, 5), a_numeric, bind=str),
    Case("net_price", oracle.decimals(12, 2).map(abs), a_numeric, bind=str),
    Case("real", oracle.SINGLES, oracle.a_single, bind=str),
    Case("double precision", oracle.DOUBLES, oracle.a_double, bind=str),
    Case("boolean", oracle.BOOLEANS, exactly(lambda value: "true" if value else "false")),
    Case("money", st.integers(-(10**12), 10**12), as_text(money), bind=lambda cents: str(Decimal(cents).scaleb(-2))),
]
TEXTS = [
    Case("text", oracle.TEXTS, as_text(str)),
    Case("varchar(40)", oracle.TEXTS, as_text(str)),
    Case("char(20)", NAMES.map(str.strip), as_text(str)),
    Case("name", NAMES, as_text(str)),
    Case('"char"', st.sampled_from("aZ1"), as_text(str)),
    Case("mood", st.sampled_from(["sad", "ok", 'very happy, "so"']), as_text(str)),
    Case("bytea", oracle.BINARIES, exactly(oracle.base64_of)),
    Case("uuid", oracle.UUIDS, as_text(str), bind=str),
    Case("inet", oracle.ADDRESSES, as_text(str), bind=str),
    Case("bit(8)", BITS, as_text(str)),
    Case("varbit", BITS, as_text(str)),
    Case("xml", NAMES.map(lambda name: f"<a>{name}</a>"), as_text(str)),
    Case("json", oracle.JSON_TEXTS, exactly(str)),
    Case("jsonb", oracle.JSON_TEXTS, oracle.same_json),
    Case("tsvector", st.sampled_from(["'a' 'b'", "'cat':3"]), as_text(str)),
    Case("macaddr", st.sampled_from(["08:00:2b:01:02:03"]), as_text(str)),
]
TIMES = [
    Case("date", oracle.DATES, oracle.a_date, bind=str),
    Case("timestamp", oracle.NAIVE, oracle.an_instant, bind=str),
    Case("timestamp(3)", st.just(datetime.fromisoformat("2023-01-01T02:03:04.120")), oracle.an_instant, bind=str),
    Case("timestamptz", oracle.AWARE, oracle.an_instant, bind=str),
    Case("moment", oracle.AWARE, oracle.an_instant, bind=str),
    Case("time", oracle.TIMES, as_text(oracle.clock), bind=str),
    Case("timetz", oracle.TIMES, as_text(lambda value: oracle.clock(value) + "+00"), bind=lambda value: f"{value}+00"),
    Case("interval", DAYS_AND_HOURS, as_text(an_interval), bind=an_interval),
]
NESTED = [
    Case("integer[]", several(oracle.integers(32)), elements(exactly(str))),
    Case("text[]", several(oracle.TEXTS), elements(as_text(str))),
    Case("numeric[]", several(NUMERICS), elements(a_numeric)),
    Case("float8[]", several(oracle.DOUBLES), elements(oracle.a_double)),
    Case("real[]", several(oracle.SINGLES), elements(oracle.a_single)),
    Case("timestamptz[]", several(oracle.AWARE), elements(oracle.an_instant), bind=timestamps),
    Case("timestamp[]", several(oracle.NAIVE), elements(oracle.an_instant), bind=timestamps),
    Case("date[]", several(oracle.DATES), elements(oracle.a_date), bind=timestamps),
    Case("bytea[]", several(oracle.BINARIES), elements(exactly(oracle.base64_of))),
    Case("boolean[]", several(oracle.BOOLEANS), elements(exactly(lambda value: str(value).lower()))),
    Case("uuid[]", several(oracle.UUIDS), elements(as_text(str))),
    Case("positive[]", st.lists(st.integers(1, 9), max_size=3), elements(exactly(str))),
    Case(
        "integer[][]", st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), max_size=3), elements(exactly(str))
    ),
    Case(
        "address",
        st.tuples(oracle.TEXTS | st.none(), oracle.integers(32) | st.none(), oracle.decimals(9, 3) | st.none()),
        an_address,
        bind=lambda value: json.dumps(dict(zip(("street", "number", "lat"), value, strict=True)), default=str),
        insert="json_populate_record(NULL::address, %s::json)",
    ),
    Case("stay", STAYS, members(A_STAY), bind=_unquoted),
    Case("stay[]", several(STAYS), elements(members(A_STAY)), bind=_unquoted),
    Case(
        "journey",
        st.tuples(oracle.TEXTS, STAYS | st.none(), several(STAYS)),
        members({"name": as_text(str), "first": members(A_STAY), "others": elements(members(A_STAY))}),
        bind=_unquoted,
    ),
    Case(
        "bytea[][]",
        st.lists(st.lists(oracle.BINARIES | st.none(), min_size=2, max_size=2), max_size=3),
        elements(exactly(oracle.base64_of)),
        bind=_unquoted,
    ),
    Case(
        "bytea[]",
        st.just([[[b"a", None], [b"", b"b"]], [[b"c", b"d"], [b"e", b"f"]]]),
        elements(exactly(oracle.base64_of)),
        bind=_unquoted,
    ),
    Case(
        "hstore",
        st.dictionaries(NAMES, NAMES | st.none(), max_size=3),
        lambda value, raw: json.loads(raw) == value,
        bind=lambda value: ", ".join(
            f'"{key}" => ' + ("NULL" if one is None else f'"{one}"') for key, one in value.items()
        ),
    ),
    Case(
        "int4range",
        st.tuples(st.integers(0, 9), st.integers(10, 99)),
        as_text(lambda v: f"[{v[0]},{v[1]})"),
        bind=lambda v: f"[{v[0]},{v[1]})",
    ),
    Case(
        "point",
        st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
        as_text(lambda v: f"({v[0]},{v[1]})"),
        bind=lambda v: f"({v[0]},{v[1]})",
    ),
]
GROUPS = {"numbers": NUMBERS, "texts": TEXTS, "times": TIMES, "nested": NESTED}
