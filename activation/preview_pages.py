"""What a preview's page tells: counts, columns with the share of rows and of NULLs, documents side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from activation import cures, previews, run_words
from activation.engine import documents
from activation.engine.errors import UnexpectedType
from activation.engine.previews import Document
from activation.models import Preview
from activation.offers import Offer
from projects.shares import percent

# A share of NULLs that moved by more is pointed at.
_POINTS = 10.0
_LOOKS = {
    Preview.State.QUEUED: "working",
    Preview.State.RUNNING: "working",
    Preview.State.DONE: "ok",
    Preview.State.FAILED: "failed",
}


@dataclass(frozen=True)
class ColumnLine:
    """A column that differs in changed rows; `note` says what is special about it."""

    name: str
    rows: int
    share: str
    note: str


@dataclass(frozen=True)
class NullLine:
    """A column's share of NULLs now and in the base; `moved` is the difference in words where it is large."""

    name: str
    now: str
    before: str
    moved: str


@dataclass(frozen=True)
class Told:
    """Everything a preview's page shows; of one that is not done only the state."""

    look: str
    word: str
    active: bool
    cure: str = ""
    full_because: str = ""
    counts: tuple[tuple[str, int, str], ...] = ()
    columns: tuple[ColumnLine, ...] = ()
    nulls: tuple[NullLine, ...] = ()
    offer: Offer | None = None


@dataclass(frozen=True, repr=False)
class Trait:
    """A trait of a document, before and after, as JSON text; None where there is none."""

    name: str
    before: str | None
    after: str | None

    @property
    def changed(self) -> bool:
        """Whether it differs."""
        return self.before != self.after


@dataclass(frozen=True, repr=False)
class Shown:
    """A document: what becomes of it, in words and a badge's state, and its traits; cut ones are shown as text."""

    id: str
    look: str
    word: str
    traits: tuple[Trait, ...]
    text: str = ""


def tell(preview: Preview) -> Told:
    """Gather what the page of a preview shows."""
    state = Preview.State(preview.state)
    look, word = _LOOKS[state], str(state.label)
    active = look == "working"
    if state != Preview.State.DONE:
        cure = cures.of_preview(preview) if state == Preview.State.FAILED else ""
        return Told(look, word, active, cure=cure)
    result: dict[str, Any] = preview.result
    reason = str(result["full_reason"])
    return Told(
        look,
        word,
        active,
        full_because=run_words.why_full(reason) if reason else "",
        counts=_counts(result),
        columns=tuple(_column(column, int(result["changed"])) for column in result["columns"]),
        nulls=tuple(_null(each, int(result["rows"]), result["base_rows"]) for each in result["nulls"]),
        offer=previews.offer(preview),
    )


def shown(document: Document) -> Shown:
    """Lay a document out trait by trait."""
    look, word = _becomes(document)
    try:
        before, after = _traits(document.before), _traits(document.after)
    except UnexpectedType:
        return Shown(document.id, look, word, (), text=document.after or document.before or "")
    names = dict.fromkeys([*after, *before])
    return Shown(document.id, look, word, tuple(Trait(name, before.get(name), after.get(name)) for name in names))


def _counts(result: Mapping[str, Any]) -> tuple[tuple[str, int, str], ...]:
    # Only an incremental sync that puts something right has these two.
    written, deleted = (int(result.get(key, 0)) for key in ("written_again", "deleted_again"))
    found = {**result, "unchanged": int(result["unchanged"]) - written}
    rows = (
        ("Added", "added", "Ids that are not in Redis yet"),
        ("Changed", "changed", "Rows that differ from the last good sync in a column that counts"),
        ("Removed", "removed", "Ids that left the view"),
        ("Unchanged", "unchanged", "An incremental sync does not write them again"),
        ("Rows in the view", "rows_in_view", ""),
        ("Without an id", "null_ids", "Null or blank, left out"),
        ("Duplicates", "duplicate_ids", "Rows that repeat another one exactly, counted once"),
        ("Invalid", "invalid_ids", "Ids with rows that differ: the profile is left as it was"),
    )
    told = [(name, int(found[key]), meaning) for name, key, meaning in rows]
    if written or deleted:
        told[4:4] = [
            ("Written again", written, "Unchanged, but earlier syncs may have left them otherwise in Redis"),
            ("Deleted again", deleted, "Not in the view, but earlier syncs may have left them in Redis"),
        ]
    return tuple(told)


def _column(column: Mapping[str, Any], changed: int) -> ColumnLine:
    note = ""
    if not column["counts"]:
        note = "Left out of the comparison"
    elif column["alone"]:
        note = f"The only difference in {column['alone']:,}"
    return ColumnLine(column["name"], int(column["rows"]), percent(int(column["rows"]), changed), note)


def _null(each: Mapping[str, Any], rows: int, base_rows: int | None) -> NullLine:
    now, before = int(each["now"]), each["before"]
    if before is None or not base_rows or not rows:
        return NullLine(each["name"], percent(now, rows), "", "")
    points = 100 * now / rows - 100 * before / base_rows
    moved = f"{'up' if points > 0 else 'down'} {abs(points):.0f} points" if abs(points) > _POINTS else ""
    return NullLine(each["name"], percent(now, rows), percent(before, base_rows), moved)


def _becomes(document: Document) -> tuple[str, str]:
    if document.before is None:
        return "ok", "Added"
    if document.after is None:
        return "attention", "Removed"
    return ("neutral", "Unchanged") if document.before == document.after else ("working", "Changed")


def _traits(text: str | None) -> dict[str, str]:
    """Cut a document into its traits' texts, so that no digit is changed. Raises `UnexpectedType` for a cut one."""
    if text is None:
        return {}
    return {name: value.decode() for name, value in documents.members(text.encode(), "preview").items()}
