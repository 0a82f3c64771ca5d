"""Lays JSON text out for people to read. The text itself stays: reading and writing it anew would change numbers."""

import re

_INDENT = "  "
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_ENDS = {"{": "}", "[": "]"}


def indented(text: str) -> str:
    """Return JSON text over several lines, every digit and escape as it was."""
    pieces = _PIECE.findall(text)
    laid: list[str] = []
    depth = 0
    for before, piece in zip(["", *pieces], pieces, strict=False):
        if piece in _ENDS.values():
            depth -= 1
            # What has nothing in it stays on one line.
            laid.append(piece if _ENDS.get(before) == piece else _line(depth) + piece)
            continue
        if before in _ENDS:
            laid.append(_line(depth))
        laid.append(piece)
        if piece in _ENDS:
            depth += 1
        elif piece == ",":
            laid.append(_line(depth))
        elif piece == ":":
            laid.append(" ")
    return "".join(laid)


def _line(depth: int) -> str:
    return "\n" + _INDENT * max(depth, 0)
