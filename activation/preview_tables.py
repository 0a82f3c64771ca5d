"""The names of the tables that previews make, and which of them nobody needs any more.

They are told from a run's by their kind, which begins with `preview`; where a run's name says its number, theirs says
the preview's. So a run never drops what a preview compares with, nor the other way round.
"""

import re
from collections.abc import Iterable

from activation.engine import snapshots
from activation.models import Installation, Preview

_MADE_BY = re.compile(r"_r(\d+)_a(\d+)_preview[a-z]*$")


def name(preview: Preview, kind: str = "") -> str:
    """Name a table of the preview's present attempt; without a kind its snapshot."""
    return snapshots.table_name(
        Installation.own_code(), preview.source.tables_number, preview.pk, preview.attempt, f"preview{kind}"
    )


def left_over(source_id: int, tables: Iterable[str]) -> list[str]:
    """Return those of a source's tables that were made by previews which are over.

    `tables` were listed before the call: whoever made one of them had claimed the preview before that.
    """
    rows = Preview.objects.filter(source=source_id, state=Preview.State.RUNNING)
    running = set(rows.values_list("pk", "attempt"))
    made = ((table, _MADE_BY.search(table)) for table in tables)
    return [table for table, by in made if by and (int(by[1]), int(by[2])) not in running]
