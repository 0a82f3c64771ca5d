"""Reads DuckDB's type names as `DESCRIBE` tells them, nested ones included."""

import re
from dataclasses import dataclass

INTEGERS = frozenset("TINYINT SMALLINT INTEGER BIGINT UTINYINT USMALLINT UINTEGER UBIGINT".split())  # noqa: SIM905 - reads better
WIDE_INTEGERS = frozenset({"HUGEINT", "UHUGEINT", "BIGNUM", "VARINT"})
FLOATS = frozenset({"FLOAT", "DOUBLE"})
ZONED = frozenset({"TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"})
TIMESTAMPS = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}) | ZONED
NESTED = frozenset({"LIST", "ARRAY", "STRUCT", "TUPLE", "MAP", "UNION", "VARIANT"})

_TOKEN = re.compile(r"""\s*(?:"((?:[^"]|"")*)"|'((?:[^']|'')*)'|([^\s"'(),\[\]]+)|([(),\[\]]))""")


@dataclass(frozen=True)
class Type:
    """A parsed type. Fields of STRUCT and UNION have names, those of TUPLE, MAP (key, value), LIST and ARRAY none."""

    name: str
    fields: tuple[tuple[str, "Type"], ...] = ()
    parameters: tuple[str, ...] = ()

    @property
    def element(self) -> "Type":
        """The type of a LIST's or ARRAY's elements."""
        return self.fields[0][1]

    @property
    def point_first(self) -> bool:
        """Whether DuckDB writes it without a digit before the point (.5), which is no JSON number."""
        return self.name == "DECIMAL" and self.parameters[0] == self.parameters[1]


def parse(text: str) -> Type:
    """Parse a type's name. Raises `ValueError` for what is not one."""
    tokens = _Tokens(text)
    parsed = _type(tokens)
    if not tokens.done:
        raise ValueError("the type does not end where it should")
    return parsed


class _Tokens:
    """The tokens of a type's name: `(class, text)`, class being name, quoted, literal or sign."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position, text = 0, text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError("the type cannot be read")
            position = match.end()
            quoted, literal, name, sign = match.groups()
            if quoted is not None:
                self._tokens.append(("quoted", quoted.replace('""', '"')))
            elif literal is not None:
                self._tokens.append(("literal", literal.replace("''", "'")))
            else:
                self._tokens.append(("name", name) if name is not None else ("sign", sign))
        self._position = 0

    @property
    def done(self) -> bool:
        return self._position >= len(self._tokens)

    def peek(self) -> tuple[str, str]:
        return ("end", "") if self.done else self._tokens[self._position]

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self._position += 1
        return token

    def accept(self, sign: str) -> bool:
        found = self.peek() == ("sign", sign)
        self._position += found
        return found

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            raise ValueError(f"the type lacks a {sign}")


def _type(tokens: _Tokens) -> Type:
    parsed = _base(tokens)
    while tokens.accept("["):
        size = tokens.take() if tokens.peek()[0] == "name" else None
        tokens.expect("]")
        parsed = Type("ARRAY" if size else "LIST", (("", parsed),), (size[1],) if size else ())
    return parsed


def _base(tokens: _Tokens) -> Type:
    words = []
    while tokens.peek()[0] in {"name", "quoted"}:
        words.append(tokens.take()[1])
    if not words:
        raise ValueError("the type has no name")
    name = " ".join(words)
    if not tokens.accept("("):
        return Type(name)
    fields: list[tuple[str, Type]] = []
    parameters: list[str] = []
    while True:
        if name in {"STRUCT", "UNION"}:
            fields.append((tokens.take()[1], _type(tokens)))
        elif name in {"MAP", "TUPLE"}:
            fields.append(("", _type(tokens)))
        else:
            parameters.append(tokens.take()[1])
        if not tokens.accept(","):
            break
    tokens.expect(")")
    return Type(name, tuple(fields), tuple(parameters))
