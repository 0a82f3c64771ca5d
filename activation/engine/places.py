"""Looks at two places where profiles could lie: are they one, does one hold a copy of the other's."""

import secrets
from collections.abc import Sequence
from contextlib import closing

from activation.engine.bookkeeping import Bookkeeping
from activation.engine.channel import Limits
from activation.engine.connection import Deployment, connect
from activation.engine.errors import DestinationError
from activation.engine.loader import Loader
from activation.engine.redis_settings import RedisSettings

_LIMITS = Limits(2.0, 5.0, connections=1)
_SECONDS = 60


def are_one(
    new: RedisSettings,
    old: RedisSettings,
    *,
    ids: tuple[str, str],
    allow_private: bool,
    forbidden: Sequence[tuple[str, int]] = (),
) -> bool:
    """Tell whether what is written to the new place is read in the old one. `ids` are workspace and destination.

    An old place that cannot be read is taken for another one. Raises `DestinationError` for the new one.
    """
    key, word = Bookkeeping(*ids, "move").key("place", "probe"), secrets.token_hex(16)
    with (
        closing(connect(new, allow_private=allow_private, forbidden=forbidden, limits=_LIMITS)) as there,
        closing(connect(old, allow_private=allow_private, forbidden=forbidden, limits=_LIMITS)) as here,
    ):
        there.execute(key, "SET", key, word, "EX", _SECONDS)
        try:
            return _reads(here, key, word)
        finally:
            there.execute(key, "DEL", key)


def holds_marker(
    settings: RedisSettings,
    *,
    ids: tuple[str, str],
    sources: Sequence[str],
    allow_private: bool,
    forbidden: Sequence[tuple[str, int]] = (),
) -> bool:
    """Tell whether a place holds the marker of a sync of any of the sources. Raises `DestinationError`."""
    for source in sources:
        with Loader(
            settings, Bookkeeping(*ids, source), "", allow_private=allow_private, forbidden=forbidden
        ) as loader:
            if loader.marker() is not None:
                return True
    return False


def _reads(place: Deployment, key: str, word: str) -> bool:
    try:
        return bool(place.execute(key, "GET", key) == word.encode())
    except DestinationError:
        return False
