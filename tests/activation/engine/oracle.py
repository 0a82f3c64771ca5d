"""What a value should look like in the JSON text, told from the Python value alone: shares no code with the engine."""

import base64
import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

Matches = Callable[[Any, str], bool]


@dataclass(frozen=True)
class Case:
    """A column type: values to draw, how one is handed to the warehouse, and whether a cell's raw JSON is right.

    `insert` is the SQL around the one parameter, `bind` makes that parameter of a value.
    """

    type: str
    values: st.SearchStrategy[Any]
    matches: Matches
    bind: Callable[[Any], Any] = lambda value: value
    insert: str = ""


class RawNumber(str):
    """The digits of a number as they stand in JSON."""

    __slots__ = ()


def parsed(raw: str) -> Any:
    """Parse JSON and keep every number's digits."""
    return json.loads(raw, parse_float=RawNumber, parse_int=RawNumber, parse_constant=_refuse)


def cells(row: str, names: list[str]) -> list[str]:
    """Cut a row's JSON text into its cells' raw texts; it must be compact and have these names in this order."""
    decoder, position, found = json.JSONDecoder(), 0, []
    for number, name in enumerate(names):
        opening = ("{" if number == 0 else ",") + json.dumps(name, ensure_ascii=False) + ":"
        assert row.startswith(opening, position), f"{row[position : position + 80]!r} does not begin with {opening!r}"
        start = position + len(opening)
        _, position = decoder.raw_decode(row, start)
        found.append(row[start:position])
    assert row[position:] == "}"
    return found


def exactly(text: Callable[[Any], str]) -> Matches:
    """The cell is this JSON text."""
    return lambda value, raw: raw == text(value)


def as_text(text: Callable[[Any], str]) -> Matches:
    """The cell is a JSON string that holds this text, however it escapes it."""
    return lambda value, raw: json.loads(raw) == text(value)


def a_double(value: float, raw: str) -> bool:
    if not math.isfinite(value):
        return raw == "null"
    read = float(raw)
    return read == value and math.copysign(1, read) == math.copysign(1, value)


def a_single(value: float, raw: str) -> bool:
    """A 32-bit float in a form no longer than it needs: 0.1, never 0.10000000149011612."""
    if not math.isfinite(value):
        return raw == "null"
    digits = raw.lower().partition("e")[0].replace("-", "").replace(".", "").strip("0")
    return struct.pack("f", float(raw)) == struct.pack("f", value) and len(digits) <= 9


def an_instant(value: datetime | str, raw: str) -> bool:
    return raw == (json.dumps(instant(value)) if isinstance(value, datetime) else "null")


def instant(value: datetime) -> str:
    """ISO 8601 in UTC with Z, the fraction without trailing zeros and none when zero."""
    text = (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat()
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "Z"


def a_date(value: date | str, raw: str) -> bool:
    return raw == (f'"{value.isoformat()}"' if isinstance(value, date) else "null")


def clock(value: time) -> str:
    text = value.replace(tzinfo=None).isoformat()
    return text.rstrip("0").rstrip(".") if "." in text else text


def elements(matches: Matches, *, null: str = "null") -> Matches:
    """The cell is a compact JSON array whose elements, at any depth, match."""

    def check(value: Any, raw: str) -> bool:
        if value is None:
            return raw == null
        if not isinstance(value, list):
            return matches(value, raw)
        inner = _array(raw)
        return len(inner) == len(value) and all(check(one, text) for one, text in zip(value, inner, strict=True))

    return check


def _array(raw: str) -> list[str]:
    """Cut a compact JSON array into its elements' raw texts."""
    assert raw[0] == "[", raw
    if raw == "[]":
        return []
    decoder, position, found = json.JSONDecoder(), 1, []
    while True:
        _, end = decoder.raw_decode(raw, position)
        found.append(raw[position:end])
        if raw[end] == "]":
            assert end == len(raw) - 1
            return found
        assert raw[end] == ","
        position = end + 1


def same_json(value: Any, raw: str) -> bool:
    """The cell holds what the stored JSON text held, with every digit of its numbers."""
    return bool(parsed(raw) == parsed(value))


def plain(value: Decimal) -> str:
    return format(value, "f")


def base64_of(value: bytes) -> str:
    return json.dumps(base64.b64encode(value).decode())


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


# Values to draw.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20) | st.sampled_from(
    ["", "null", '"', "\\", "'", "\u2028", "😀", "\x01\x1f\x7f", "{}", "%s", "$1", "?", "\r\n\t"]
)
BINARIES = st.binary(max_size=80)
BOOLEANS = st.booleans()
DOUBLES = st.floats() | st.sampled_from([0.1, -0.0, 1e16, 1e-5, 5e-324, float("nan"), float("inf"), float("-inf")])
SINGLES = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(
    [struct.unpack("f", struct.pack("f", 0.1))[0], float("nan"), float("inf")]
)
INFINITIES = st.sampled_from(["infinity", "-infinity"])
DATES = st.dates() | INFINITIES
NAIVE = st.datetimes() | INFINITIES
NANOSECOND_YEARS = st.datetimes(datetime.fromisoformat("1700-01-01"), datetime.fromisoformat("2250-01-01"))
AWARE = (
    st.datetimes(
        datetime.fromisoformat("0001-01-03"),
        datetime.fromisoformat("9999-12-29"),
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-11))]),
    )
    | INFINITIES
)
TIMES = st.times()
UUIDS = st.uuids()
JSON_NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,10})?", fullmatch=True).filter(
    lambda text: Decimal(text) != 0 or not text.startswith("-")
)
JSON_TEXTS = st.recursive(
    st.sampled_from(["null", "true", "false", "1.10", "12345678901234567890.10"])
    | JSON_NUMBERS
    | TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False)),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
        | st.dictionaries(TEXTS, inner, max_size=3).map(
            lambda items: "{" + ",".join(f"{json.dumps(key)} : {text}" for key, text in items.items()) + "}"
        )
    ),
    max_leaves=6,
)
ADDRESSES = st.ip_addresses()


def integers(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    """Whole numbers of so many bits, with their ends."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return st.integers(low, high) | st.sampled_from([low, high, 0])


def decimals(digits: int, places: int) -> st.SearchStrategy[Decimal]:
    """Decimals with exactly so many places."""
    limit = 10**digits - 1
    return st.integers(-limit, limit).map(lambda units: Decimal(units).scaleb(-places))


def several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Lists with nulls among them."""
    return st.lists(values | st.none(), max_size=4)
