"""What the destination must hold, worked out from the customer's file alone: shares no code with the engine."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import redis

from tests.chaos.customer import IGNORED, SCHEMA, VIEW
from tests.chaos.warehouse import CATALOG, Shelf

Row = dict[str, Any]


@dataclass
class Content:
    """What a view shows: its columns (name, type), the row of each valid id, and the ids with differing rows."""

    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)
    invalid: set[str] = field(default_factory=set)

    def of(self, names: list[str]) -> "Content":
        """Return the content of some columns only."""
        columns = [(name, type_) for name, type_ in self.columns if name in names]
        rows = {number: {name: row[name] for name in names} for number, row in self.rows.items()}
        return Content(columns, rows, self.invalid)


def read_view(shelf: Shelf, id_column: str) -> Content:
    """Read the view as its owner would."""
    with shelf.cursor() as cursor:
        described = cursor.execute(f"DESCRIBE SELECT * FROM {CATALOG}.{SCHEMA}.{VIEW}").fetchall()
        found = cursor.execute(f"SELECT * FROM {CATALOG}.{SCHEMA}.{VIEW}").fetchall()
    columns = [(str(name), str(type_)) for name, type_, *_ in described]
    content = Content(columns)
    for values in found:
        row = {name: _plain(value) for (name, _), value in zip(columns, values, strict=True)}
        number = row[id_column]
        if number is None or not str(number).strip():
            continue
        first = content.rows.setdefault(str(number), row)
        if _compared(first) != _compared(row):
            content.invalid.add(str(number))
    for number in content.invalid:
        del content.rows[number]
    return content


def _plain(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    text = value.isoformat()
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "Z"


def _compared(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != IGNORED}


@dataclass
class Truth:
    """What a history's syncs should have achieved.

    `seen` are the times each id's row has carried, because a column left out of the comparison may be behind.
    """

    base: Content = field(default_factory=Content)
    taken: dict[str, Content] = field(default_factory=dict)
    suppressed: set[str] = field(default_factory=set)
    seen: dict[str, set[str | None]] = field(default_factory=dict)

    def take(self, snapshot: str, content: Content) -> None:
        """Note what the view showed when a run copied it."""
        self.taken[snapshot] = content
        for number, row in content.rows.items():
            self.seen.setdefault(number, {None}).add(row[IGNORED])

    def succeed(self, snapshot: str, names: list[str]) -> None:
        """Note that the run of this snapshot succeeded: an id with differing rows keeps its last good one.

        `names` are the columns it took: one that came between its look at them and the copy is left for the next run.
        """
        base, now = self.base, self.taken[snapshot].of(names)
        kept = {number: _carried(base, now, number) for number in now.invalid & base.rows.keys()}
        self.base = Content(now.columns, {**now.rows, **kept})

    def remove(self) -> None:
        """Note that everything was removed: no row is there any more to be kept."""
        self.base = Content()

    @property
    def expected(self) -> dict[str, Row]:
        """The row of every id that must be there."""
        return {number: row for number, row in self.base.rows.items() if number not in self.suppressed}


def _carried(base: Content, now: Content, number: str) -> Row:
    """Take over what has kept its name and type."""
    row = base.rows[number]
    return {name: row[name] if (name, type_) in base.columns else None for name, type_ in now.columns}


def differences(
    client: redis.Redis, *, prefix: str, field_name: str, truth: Truth, foreign: dict[str, dict[str, str]]
) -> list[str]:
    """Compare the whole destination with the truth; one line for each difference.

    `prefix` is what the profiles' keys begin with; `foreign` are fields that others wrote, by key.
    """
    found = _everything(client)
    wanted: dict[str, dict[str, Any]] = {key: dict(fields) for key, fields in foreign.items()}
    for number, row in truth.expected.items():
        wanted.setdefault(f"{prefix}{number}", {})[field_name] = row
    lines = []
    for key in sorted(found.keys() | wanted.keys()):
        fields, should = found.get(key, {}), wanted.get(key, {})
        for name in sorted(fields.keys() | should.keys()):
            seen = truth.seen.get(key.removeprefix(prefix), {None})
            if not _same(fields.get(name), should.get(name), seen):
                lines.append(f"{key.removeprefix(prefix)}/{name}: holds {fields.get(name)}, should {should.get(name)}")
    return lines


def bookkeeping(client: redis.Redis) -> set[str]:
    """The kinds of bookkeeping keys that are there."""
    return {key.decode().rpartition(":")[2] for key in client.scan_iter("*:_activation:*")}


def others(client: redis.Redis, ours: str) -> dict[str, dict[str, str]]:
    """Read what other programs wrote: key → field → text."""
    found = {
        key: {name: text for name, text in fields.items() if name != ours}
        for key, fields in _everything(client).items()
    }
    return {key: fields for key, fields in found.items() if fields and "" not in fields}


def unblock(client: redis.Redis) -> None:
    """Remove the keys that another program used for something else."""
    for key in client.scan_iter(count=1_000, _type="string"):
        if b":_activation:" not in key:
            client.delete(key)


def _everything(client: redis.Redis) -> dict[str, dict[str, str]]:
    """Read every key but the bookkeeping: key → field → text."""
    found: dict[str, dict[str, str]] = {}
    for key in client.scan_iter(count=1_000):
        name = key.decode()
        if ":_activation:" in name:
            continue
        if client.type(key) != b"hash":
            found[name] = {"": "no hash"}
            continue
        fields: dict[bytes, bytes] = client.hgetall(key)  # type: ignore[assignment]  # nothing is decoded
        found[name] = {field.decode(): text.decode() for field, text in fields.items()}
    return found


def _same(text: str | None, should: Row | str | None, seen: set[str | None]) -> bool:
    if text is None or should is None or isinstance(should, str):
        return text == should
    holds = json.loads(text, object_pairs_hook=list)
    if [name for name, _ in holds] != list(should):
        return False
    return all(value in seen if name == IGNORED else _equal(value, should[name]) for name, value in holds)


def _equal(value: Any, should: Any) -> bool:
    kinds = (int, float) if isinstance(should, float) else type(should)
    return isinstance(value, kinds) and value == should
