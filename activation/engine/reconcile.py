"""Finds what a destination holds that no source accounts for: keys and fields beside the ones that syncs know of.

A key is never parsed: what follows a source's exact prefix is the id, whatever characters it holds. Ids are compared
in the warehouse, some ten thousand at a time, so that memory stays flat. Nothing is deleted here: the ids that are
found become a table of ids out of step, which the source's next sync takes care of like any other
(`activation.engine.deltas`).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from activation.engine import delta_sql as sql
from activation.engine import deltas
from activation.engine.snapshots import drop
from projects.warehouses.port import Warehouse

# Beyond so many different ones, views that nobody writes and left bookkeeping are counted but not named.
MOST_NAMED = 500
_OURS = re.compile(r"\{[0-9a-f]+\}:([0-9A-Za-z]{27}):(?:fence|run|witness|marker)")


@dataclass(frozen=True)
class Field:
    """What a source writes: the field `view` of keys that begin with `prefix`."""

    source: int
    prefix: bytes
    view: bytes


@dataclass(frozen=True)
class Place:
    """An entity's id type, known from sources or a specification, and its keys' exact prefix."""

    entity: str
    id_type: str
    prefix: bytes


@dataclass
class Sorted:
    """What was found, by whose it is.

    `ids` are a source's, with `found` counting them; `unclaimed` counts fields of views that no source writes, by
    (entity, id type, view), blank where no known prefix fits. `bookkeeping` are keys of sources that are gone.
    `shared` counts fields that two sources may write because one's prefix begins with the other's, `foreign` keys
    that are no profiles, `unreadable` ids that are no text.
    """

    ids: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    found: Counter[int] = field(default_factory=Counter)
    unclaimed: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    bookkeeping: list[str] = field(default_factory=list)
    keys: int = 0
    shared: int = 0
    foreign: int = 0
    unreadable: int = 0

    @property
    def held(self) -> int:
        """How many ids wait in memory to be compared."""
        return sum(map(len, self.ids.values()))


class Sorter:
    """Tells whose each field of each key is."""

    def __init__(
        self, own_prefix: str, fields: Sequence[Field], places: Sequence[Place], sources: Iterable[str]
    ) -> None:
        """`own_prefix` begins every key of the destination; `sources` are the public ids of those that exist."""
        self._bookkeeping = own_prefix.encode() + b"_activation:"
        self._fields: dict[bytes, list[Field]] = defaultdict(list)
        for each in fields:
            self._fields[each.view].append(each)
        self._places = sorted(places, key=lambda place: len(place.prefix), reverse=True)
        self._sources = frozenset(sources)

    def sort(self, keys: Iterable[tuple[bytes, list[bytes] | None]], into: Sorted) -> None:
        """Sort keys with their fields into what was found so far."""
        for key, views in keys:
            if key.startswith(self._bookkeeping):
                self._sort_bookkeeping(key, into)
                continue
            into.keys += 1
            if views is None:
                into.foreign += 1
                continue
            for view in views:
                self._sort_field(key, view, into)

    def _sort_bookkeeping(self, key: bytes, into: Sorted) -> None:
        named = _OURS.fullmatch(key.removeprefix(self._bookkeeping).decode(errors="replace"))
        gone = named is not None and named[1] not in self._sources
        if gone and len(into.bookkeeping) < MOST_NAMED:
            into.bookkeeping.append(key.decode())

    def _sort_field(self, key: bytes, view: bytes, into: Sorted) -> None:
        owners = [each for each in self._fields.get(view, ()) if key.startswith(each.prefix)]
        if not owners:
            place = next((place for place in self._places if key.startswith(place.prefix)), None)
            name = view.decode(errors="replace")
            what = (place.entity, place.id_type, name) if place else ("", "", name)
            into.unclaimed[what if what in into.unclaimed or len(into.unclaimed) < MOST_NAMED else ("", "", "")] += 1
        elif len(owners) > 1:
            into.shared += 1
        else:
            [owner] = owners
            text = _text(key.removeprefix(owner.prefix))
            if text is None:
                into.unreadable += 1
            else:
                into.ids[owner.source].append(text)
                into.found[owner.source] += 1


def take_strays(warehouse: Warehouse, *, name: str, found: str, ids: Sequence[str], known: Sequence[str]) -> int:
    """Make the table `name` of those of some ids that none of the tables `known` has, and return how many.

    `found` is there in between only. Nothing is left behind when there are none. Raises `WarehouseError`.
    """
    warehouse.put_ids(found, ids)
    count = warehouse.create(name, sql.strays(warehouse.dialect, found=found, known=known), uses=[found, *known])
    drop(warehouse, found)
    if not count:
        drop(warehouse, name)
    return count


def merge_strays(warehouse: Warehouse, *, name: str, tables: Sequence[str]) -> int:
    """Make one table of several that `take_strays` made, each id once, and return its rows.

    They stay until it is on record that the new one stands for them. Raises `WarehouseError`.
    """
    return warehouse.create(name, sql.union(warehouse.dialect, tables), uses=tables)


def count_strays(warehouse: Warehouse, table: str) -> int:
    """Count a table's ids. Raises `WarehouseError`."""
    return deltas.count_rows(warehouse, table)


def _text(data: bytes) -> str | None:
    """Return an id as a text that a warehouse can hold, or None."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
