"""Long lists on pages: searched by words, sorted by a column and cut into pages, all by the address.

`?q=` has the words, `?sort=` a column's name ("-name": down) and `?page=` a number; what makes no sense is passed over.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from django.core.paginator import Page, Paginator
from django.http import HttpRequest

LONGEST_QUERY = 100
Row = TypeVar("Row")


@dataclass(frozen=True)
class Listing(Generic[Row]):
    """The page that was asked for; `searchable` is false where there is too little to look for."""

    page: "Page[Row]"
    query: str
    searchable: bool


class Finder(Protocol[Row]):
    """Picks rows that have all the words of a query and sorts them, as `found` does."""

    def __call__(self, rows: Sequence[Row], /, *, query: str, sort: str) -> list[Row]: ...


def of(request: HttpRequest, rows: Sequence[Row], finder: Finder[Row], *, per_page: int) -> Listing[Row]:
    """Return the part of a list that a request asks for."""
    query = request.GET.get("q", "").strip()[:LONGEST_QUERY]
    matching = finder(rows, query=query, sort=request.GET.get("sort", ""))
    page = Paginator(matching, per_page).get_page(request.GET.get("page"))
    return Listing(page, query, searchable=bool(query) or len(rows) > per_page // 5)


def found(
    rows: Iterable[Row],
    *,
    query: str,
    sort: str,
    text: Callable[[Row], str],
    sorts: Mapping[str, Callable[[Row], Any]],
) -> list[Row]:
    """Return the rows whose text, in small letters, has all the words; by the first of `sorts` unless told."""
    words = query.lower().split()
    matching = [row for row in rows if all(word in text(row) for word in words)]
    key = sorts.get(sort.removeprefix("-")) or next(iter(sorts.values()))
    return sorted(matching, key=key, reverse=sort.startswith("-"))
