"""Lists in pages: `?page=&per_page=` in, `{"total", "next"}` out, as the hosted product's."""

from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from django.db.models import Model, QuerySet
from django.http import QueryDict

from activation.api.bodies import BodyInvalid

PER_PAGE, MOST_PER_PAGE = 50, 100
# Beyond this a page is empty anyway, and the database could not count so far.
_LAST_PAGE = 10**9
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Paging:
    """The page that was asked for; `path` and `asked` are what the next one's address is made of."""

    path: str
    asked: QueryDict
    number: int
    size: int

    @classmethod
    def of(cls, path: str, asked: QueryDict) -> "Paging":
        """Read the query. Raises `BodyInvalid`."""
        number = _whole(asked, "page", 1, most=_LAST_PAGE)
        return cls(path, asked, number, _whole(asked, "per_page", PER_PAGE, most=MOST_PER_PAGE))

    def rows(self, found: QuerySet[Row]) -> list[Row]:
        """Return the page's rows."""
        return list(found[(self.number - 1) * self.size : self.number * self.size])

    def told(self, total: int) -> dict[str, object]:
        """Say how many rows there are in all, and where the next page is."""
        following = None
        if self.number * self.size < total:
            following = f"{self.path}?{urlencode({**self.asked.dict(), 'page': self.number + 1})}"
        return {"total": total, "next": following}


def _whole(asked: QueryDict, name: str, default: int, *, most: int) -> int:
    text = asked.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise BodyInvalid(f"{name} must be a whole number from 1 to {most}.")
    return int(text)
