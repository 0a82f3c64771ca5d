"""Profiles as RedisJSON documents: one a key, a feature view's name as top-level member (docs/architecture.md).

Reading cuts the document's text into its members' texts, so that no digit the server gives is changed.
"""

import json

from activation.engine.errors import UnexpectedType

_DECODER = json.JSONDecoder()


def member_path(view: str) -> str:
    """Return the JSONPath of a top-level member, for names that hold anything: dots, quotes, brackets, blanks.

    Only quote and backslash are escaped: the servers' JSONPath knows no further escape.
    """
    quoted = view.replace("\\", "\\\\").replace('"', '\\"')
    return f'$["{quoted}"]'


def members(document: bytes, where: str) -> dict[str, bytes]:
    """Return a document's top-level members, name → JSON text. Raises `UnexpectedType` where it is no object."""
    try:
        return _cut(document.decode())
    except ValueError:
        pass
    raise UnexpectedType(f"The key holds a document that is no JSON object. ({where})")


def _cut(text: str) -> dict[str, bytes]:
    """Raises `ValueError` for what is no JSON object."""
    found: dict[str, bytes] = {}
    at = _after(text, _blanks(text, 0), "{")
    while text[at : at + 1] != "}":
        if found:
            at = _after(text, at, ",")
        name, at = _DECODER.raw_decode(text, at)
        start = _after(text, _blanks(text, at), ":")
        _, at = _DECODER.raw_decode(text, start)
        found[name] = text[start:at].encode()
        at = _blanks(text, at)
    return found


def _after(text: str, at: int, sign: str) -> int:
    if text[at : at + 1] != sign:
        raise ValueError
    return _blanks(text, at + 1)


def _blanks(text: str, at: int) -> int:
    while text[at : at + 1] in {" ", "\t", "\n", "\r"}:
        at += 1
    return at
