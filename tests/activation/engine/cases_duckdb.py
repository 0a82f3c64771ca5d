"""Every column type of DuckDB, with what its values look like in JSON."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.activation.engine import oracle
from tests.activation.engine.oracle import Case, as_text, elements, exactly, several

WORDS = st.from_regex(r"[a-zé ]{1,10}", fullmatch=True)
YEARS = oracle.NANOSECOND_YEARS
DAYS_AND_HOURS = st.tuples(st.integers(2, 900), st.integers(0, 23), st.integers(0, 59))
STRUCT = 'STRUCT(a INTEGER, "B b" VARCHAR, d DECIMAL(10, 2), f FLOAT, t TIMESTAMP)'


def a_decimal(value: Decimal, raw: str) -> bool:
    return raw == oracle.plain(value)


def an_interval(value: tuple[int, int, int]) -> str:
    days, hours, minutes = value
    return f"{days} days" + (f" {hours:02}:{minutes:02}:00" if hours or minutes else "")


def truncated(value: datetime, unit: int) -> datetime:
    return value.replace(microsecond=value.microsecond // unit * unit)


def members(value: dict[str, Any], raw: str) -> bool:
    """The cell is an object with the struct's names in their order, each value by its own rule."""
    rules: dict[str, oracle.Matches] = {
        "a": exactly(str),
        "B b": as_text(str),
        "d": a_decimal,
        "f": oracle.a_single,
        "t": oracle.an_instant,
    }
    found = oracle.cells(raw, list(rules))
    return all(
        cell == "null" if value[name] is None else rules[name](value[name], cell)
        for name, cell in zip(rules, found, strict=True)
    )


def entries(value: dict[Any, int | None], raw: str) -> bool:
    expected = [(str(key), None if one is None else str(one)) for key, one in value.items()]
    return json.loads(raw, object_pairs_hook=list, parse_int=oracle.RawNumber) == (expected or {}) or (
        not expected and raw == "{}"
    )


def of_struct(value: dict[str, Any]) -> str:
    return json.dumps({name: str(one) if isinstance(one, datetime | Decimal) else one for name, one in value.items()})


def a_time_list(value: list[Any]) -> list[Any]:
    return [None if one is None else str(one) for one in value]


NUMBERS = [
    *(
        Case(f"{name}INT", oracle.integers(bits), exactly(str), bind=str)
        for name, bits in (("TINY", 8), ("SMALL", 16), ("BIG", 64), ("HUGE", 128))
    ),
    *(
        Case(f"U{name}INT", oracle.integers(bits, signed=False), exactly(str), bind=str)
        for name, bits in (("TINY", 8), ("SMALL", 16), ("BIG", 64), ("HUGE", 128))
    ),
    Case("INTEGER", oracle.integers(32), exactly(str)),
    Case("UINTEGER", oracle.integers(32, signed=False), exactly(str)),
    Case("FLOAT", oracle.SINGLES, oracle.a_single, bind=str),
    Case("DOUBLE", oracle.DOUBLES, oracle.a_double, bind=str),
    Case("DECIMAL(38, 10)", oracle.decimals(38, 10), a_decimal, bind=str),
    Case("DECIMAL(4, 4)", oracle.decimals(4, 4), a_decimal, bind=str),
    Case("DECIMAL(9, 0)", oracle.decimals(9, 0), a_decimal, bind=str),
    Case("BIGNUM", st.integers(-(10**60), 10**60), exactly(str), bind=str),
    Case("BOOLEAN", oracle.BOOLEANS, exactly(lambda value: str(value).lower())),
]
TEXTS = [
    Case("VARCHAR", oracle.TEXTS | st.just("a\0b"), as_text(str)),
    Case("ENUM ('sad', 'it''s', 'so \"so\"')", st.sampled_from(["sad", "it's", 'so "so"']), as_text(str)),
    Case("BLOB", oracle.BINARIES, exactly(oracle.base64_of)),
    Case("UUID", oracle.UUIDS, as_text(str), bind=str),
    Case("BIT", st.text("01", min_size=1, max_size=20), as_text(str)),
    Case("JSON", oracle.JSON_TEXTS, exactly(str)),
]
TIMES = [
    Case("DATE", oracle.DATES, oracle.a_date, bind=str),
    Case("TIMESTAMP", oracle.NAIVE, oracle.an_instant, bind=str),
    Case("TIMESTAMP_S", YEARS.map(lambda value: truncated(value, 10**6)), oracle.an_instant, bind=str),
    Case("TIMESTAMP_MS", YEARS.map(lambda value: truncated(value, 1000)), oracle.an_instant, bind=str),
    Case("TIMESTAMP_NS", YEARS, oracle.an_instant, bind=str),
    Case(
        "TIMESTAMPTZ",
        oracle.AWARE,
        oracle.an_instant,
        bind=str,
    ),
    Case("TIME", oracle.TIMES, as_text(oracle.clock), bind=str),
    Case("TIMETZ", oracle.TIMES, as_text(lambda value: oracle.clock(value) + "+00"), bind=lambda value: f"{value}+00"),
    Case("INTERVAL", DAYS_AND_HOURS, as_text(an_interval), bind=an_interval),
]
NESTED = [
    Case("INTEGER[]", several(oracle.integers(32)), elements(exactly(str))),
    Case("VARCHAR[]", several(oracle.TEXTS), elements(as_text(str))),
    Case("DECIMAL(12, 3)[]", several(oracle.decimals(12, 3)), elements(a_decimal)),
    Case("DOUBLE[]", several(oracle.DOUBLES), elements(oracle.a_double)),
    Case("TIMESTAMPTZ[]", several(oracle.AWARE), elements(oracle.an_instant), bind=a_time_list),
    Case("TIMESTAMP_NS[]", several(YEARS), elements(oracle.an_instant), bind=a_time_list),
    Case("DATE[]", several(oracle.DATES), elements(oracle.a_date), bind=a_time_list),
    Case("BLOB[]", several(oracle.BINARIES), elements(exactly(oracle.base64_of))),
    Case("INTEGER[2]", st.lists(oracle.integers(32), min_size=2, max_size=2), elements(exactly(str))),
    Case("INTEGER[][]", several(several(st.integers(0, 9))), elements(exactly(str))),
    Case("JSON[]", several(oracle.JSON_TEXTS), elements(exactly(str))),
    Case(
        STRUCT,
        st.fixed_dictionaries(
            {
                "a": oracle.integers(32) | st.none(),
                "B b": WORDS | st.none(),
                "d": oracle.decimals(8, 2) | st.none(),
                "f": st.floats(width=32, allow_nan=False, allow_infinity=False) | st.none(),
                "t": YEARS | st.none(),
            }
        ),
        members,
        bind=of_struct,
        insert=f"CAST(CAST(? AS JSON) AS {STRUCT})",
    ),
    Case(
        "MAP(VARCHAR, INTEGER)",
        st.dictionaries(WORDS, oracle.integers(32) | st.none(), max_size=3),
        entries,
        bind=json.dumps,
        insert="CAST(CAST(? AS JSON) AS MAP(VARCHAR, INTEGER))",
    ),
]
GROUPS = {"numbers": NUMBERS, "texts": TEXTS, "times": TIMES, "nested": NESTED}
