"""Logs of ours beside a DuckDB file, which cannot grow while others read it: a file for each entry, joined day by day.

A file takes half a megabyte however few rows it has, and a source may be synced every five minutes: so the entries of a
day that is over become one. A crash between writing that one and removing the others leaves rows twice, which the next
join takes for one.
"""

import re
from collections import defaultdict
from datetime import date

from projects.warehouses.port import LogOwner, Warehouse, own_table

AT_ONCE = 100
JOINED = "all"  # sorts before every entry's own word, so that the join of a day is its first


def entry_name(log: str, owner: LogOwner, day: date, entry: str) -> str:
    """Name the file of an entry: `<log>_<day>_<owner>_<entry>`."""
    return f"{own_table(log)}_{day:%Y%m%d}_{owner.short}_{entry}"


def tidy(warehouse: Warehouse, log: str, owner: LogOwner, before: date) -> None:
    """Remove an owner's entries of days before a day, and join those of each other day but the last."""
    pattern = re.compile(rf"{own_table(log)}_(\d{{8}})_{re.escape(owner.short)}_[0-9a-z]+")
    days: dict[str, list[str]] = defaultdict(list)
    for name in warehouse.tables(f"{log}_"):
        if found := pattern.fullmatch(name):
            days[found[1]].append(name)
    for day in sorted(days)[:-1]:
        if day >= f"{before:%Y%m%d}":
            _join(warehouse, f"{log}_{day}_{owner.short}_{JOINED}", days[day])
    for day, names in days.items():
        if day < f"{before:%Y%m%d}":
            for name in names:
                warehouse.drop(name)


def _join(warehouse: Warehouse, joined: str, names: list[str]) -> None:
    rest = sorted(names)
    while len(rest) > 1:
        some, rest = rest[:AT_ONCE], rest[AT_ONCE:]
        rows = " UNION ".join(f"SELECT * FROM {warehouse.dialect.snapshot(name)}" for name in some)
        warehouse.create(joined, rows, uses=some)
        for name in some:
            if name != joined:
                warehouse.drop(name)
        rest = [joined, *rest] if rest else []
