"""JSON texts as people read them: laid out, and told by type. No digit of a number is changed on the way."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

LONGEST_INLINE = 80
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_OPEN, _CLOSE = "{[", "}]"


@dataclass(frozen=True, repr=False)
class Value:
    """A value: the word for its type, the text to show, the instant it tells, if it is one. Personal data.

    `text` of a text is the text itself; of an object or a list it is its JSON in one line.
    """

    kind: str
    text: str
    at: datetime | None = None


def pretty(text: str) -> str:
    """Lay a valid JSON text out in lines, each token as it is."""
    parts: list[str] = []
    depth, before = 0, ""
    for part in _TOKEN.findall(text):
        if part in _CLOSE:
            depth -= 1
            parts.append(part if before in _OPEN else f"\n{'  ' * depth}{part}")
        else:
            parts.append(f"\n{'  ' * depth}{part}" if before and before in "{[," and part != "," else part)
        if part in _OPEN:
            depth += 1
        elif part == ":":
            parts.append(" ")
        before = part
    return "".join(parts)


def one_line(text: str) -> str:
    """Write a valid JSON text in one line, with a blank after each comma and colon."""
    return "".join(f"{part} " if part in ",:" else part for part in _TOKEN.findall(text))


def value(text: str) -> Value:
    """Tell a valid JSON text by its type."""
    text = text.strip()
    if text[0] == '"':
        return _text(text)
    if text[0] in _OPEN:
        return Value("list" if text[0] == "[" else "object", one_line(text))
    if text in {"true", "false"}:
        return Value("boolean", text)
    return Value("null" if text == "null" else "number", text)


def _text(literal: str) -> Value:
    # A lone half of a surrogate pair may be written as an escape, and no page can hold it.
    text = str(json.loads(literal)).encode(errors="replace").decode()
    try:
        if _TIME.fullmatch(text):
            return Value("time", text, datetime.fromisoformat(text).astimezone(UTC))
        if _DATE.fullmatch(text):
            date.fromisoformat(text)
            return Value("date", text)
    except (ValueError, OverflowError):
        pass
    return Value("text", text)
