"""The tables that a *Reconcile* makes in a source's warehouse: ids that it found, and those that nobody accounts for.

They are named like a run's, but for their `r`, which is the number of the look.
"""

import re
from collections.abc import Iterable

from activation.engine import snapshots
from activation.models import Installation, Reconcile

_MADE_BY = re.compile(r"_s(\d+)_r(\d+)_a\d+_(?:found|strays)$")


def table_name(tables_number: int, reconcile_id: int, number: int, kind: str) -> str:
    """Name a table of a look: `found` or `strays`."""
    return snapshots.table_name(Installation.own_code(), tables_number, reconcile_id, number, kind)


def of(reconcile_id: int, names: Iterable[str]) -> list[str]:
    """Return those of some tables that a look made."""
    return [name for name in names if (made_by := _MADE_BY.search(name)) and int(made_by[2]) == reconcile_id]


def left_over(names: Iterable[str]) -> list[str]:
    """Return those of some tables that looks made which have ended.

    A source may count on them all the same: read what it keeps after this call. The tables were listed before it.
    """
    open_looks = set(Reconcile.objects.filter(state__in=Reconcile.OPEN).values_list("pk", flat=True))
    return [name for name in names if (made_by := _MADE_BY.search(name)) and int(made_by[2]) not in open_looks]
