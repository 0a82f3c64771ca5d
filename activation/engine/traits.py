"""Cuts some members out of a JSON object's text. The text of a value is copied, so no digit of a number changes."""

import json
import re
from collections.abc import Collection
from typing import Any

_BLANKS = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)


def only(text: bytes, names: Collection[str]) -> bytes:
    """Return the object's members of these names, in its own order; what is no object stays as it is.

    `text` is valid JSON in UTF-8. Of a name that occurs twice both are kept. What nests too deeply stays as it is too.
    """
    try:
        return _cut(text, names)
    except RecursionError:
        return text


def _cut(text: bytes, names: Collection[str]) -> bytes:
    source = text.decode()
    position = _after_blanks(source, 0)
    if source[position : position + 1] != "{":
        return text
    kept: list[str] = []
    position = _after_blanks(source, position + 1)
    while source[position] != "}":
        begin = position
        name, position = _DECODER.raw_decode(source, begin)
        position = _after_blanks(source, position) + 1  # the colon
        _, position = _DECODER.raw_decode(source, _after_blanks(source, position))
        if name in names:
            kept.append(source[begin:position])
        position = _after_blanks(source, position)
        if source[position] == ",":
            position = _after_blanks(source, position + 1)
    return f"{{{','.join(kept)}}}".encode()


def _after_blanks(source: str, position: int) -> int:
    found: Any = _BLANKS.match(source, position)
    return int(found.end())
