"""What a process keeps open to reach destinations: one pooled store each, looked up again at most a second later.

Handles are keyed by organisation and public id, because adopted ids are unique within an organisation only. A changed
destination gets a new store at its next look-up; the old one is closed, which lets calls under way end first. While
our own database cannot be reached, destinations that were known go on being served for `STALE_READS_FOR` seconds.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from accounts.renewal import Renewal
from accounts.vault import SecretUnreadable
from activation import destinations, known_destinations
from activation.engine.errors import DestinationError
from activation.engine.redis_settings import SettingsInvalid
from activation.engine.store import Store
from activation.handle import Handle
from activation.known_destinations import Found, Names
from activation.models import RedisDestination

# While the database is down one caller a second tries it again; a try may take as long as a connect times out.
TRY_DATABASE_EVERY = 1.0
TRY_TAKES_AT_MOST = 10.0
CONNECT_TIMEOUT = 0.2
COMMAND_TIMEOUT = 0.1
CONNECTIONS = 64

log = structlog.get_logger(__name__)


class InvalidDestination(Exception):
    """The organisation has no destination with this id."""

    def __init__(self) -> None:
        super().__init__("Invalid Destination. Please verify you are passing the right destination ID")


class ServiceUnavailable(Exception):
    """Our own database cannot be asked, and what this process knows is too old to be trusted without it."""

    def __init__(self) -> None:
        super().__init__("The service cannot reach its database at the moment. Try again in a few seconds.")


@dataclass
class _Place:
    """What is known about one (organisation, public id). `lock` is held while it is looked up."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    handle: Handle | None = None
    confirmed_at: float = float("-inf")
    renewal: Renewal = field(default_factory=Renewal)
    forgotten: bool = False


def _open_store(destination: RedisDestination) -> Store:
    return Store(
        destinations.settings_of(destination),
        allow_private=settings.ALLOW_PRIVATE_ADDRESSES,
        forbidden=destinations.forbidden_addresses(),
        connect_timeout=CONNECT_TIMEOUT,
        command_timeout=COMMAND_TIMEOUT,
        max_connections=CONNECTIONS,
    )


class Handles:
    """The handles of one process. Safe to use from many threads.

    `clock` counts seconds and never goes back; `look_up` asks our database, `open_store` makes a pooled client.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        look_up: Callable[[int, str], Found | None] = known_destinations.look_up,
        open_store: Callable[[RedisDestination], Store] = _open_store,
    ) -> None:
        self._clock = clock
        self._look_up = look_up
        self._open_store = open_store
        self._lock = threading.Lock()
        self._places: dict[tuple[int, str], _Place] = {}
        self._database_is_down = False
        self._try_database_at = float("-inf")

    def get(self, organisation_id: int, public_id: str, *, anew: bool = False) -> Handle:
        """Return the handle of a destination, whether or not its Redis can be reached.

        With `anew` our database is asked however lately it was, unless it is down.
        Raises `InvalidDestination`, `ServiceUnavailable`.
        """
        if not destinations.possible_id(public_id):
            raise InvalidDestination
        key = (organisation_id, public_id)
        while True:
            place = self._places.get(key)
            if place is not None and place.handle is not None and not anew and not self._is_due(place):
                return place.handle
            was_down = self._database_is_down
            if not self._may_ask():
                return self._stale(place)
            with self._lock:
                place = self._places.setdefault(key, _Place())
            with place.lock:
                # Somebody who waited for the lock of a place that is gone takes the next one, and somebody who saw
                # the database go down meanwhile does not try it again.
                if place.forgotten:
                    continue
                if self._database_is_down and not was_down:
                    return self._stale(place)
                return self._refreshed(place, key, anew=anew)

    def known(self, organisation_id: int, public_id: str, *, hands_on: bool = False) -> Handle | None:
        """Return a handle that was looked up at most a second ago, without our database; None when `get` must tell.

        A caller that `hands_on` leaves such a request to another thread. While the database is down and it is nobody's
        turn to try it, what `get` would go on with counts too.
        """
        place, at = self._places.get((organisation_id, public_id)) or _Place(), self._clock()
        age = at - place.confirmed_at
        waiting = self._database_is_down and at < self._try_database_at
        too_old = age > settings.STALE_READS_FOR if waiting else place.renewal.is_due(age, hands_on=hands_on)
        return None if too_old else place.handle

    def close(self) -> None:
        """Close every store and forget it."""
        with self._lock:
            places, self._places = list(self._places.values()), {}
        for place in places:
            if place.handle is not None:
                place.handle.close()

    def _is_due(self, place: _Place) -> bool:
        return place.renewal.is_due(self._clock() - place.confirmed_at)

    def _refreshed(self, place: _Place, key: tuple[int, str], *, anew: bool) -> Handle:
        """Look the destination up, unless another thread just has. The caller holds the place's lock."""
        # Counted from before the question, so that a slow answer does not lengthen the second.
        asked_at = self._clock()
        if place.handle is not None and not anew and not self._is_due(place):
            return place.handle
        try:
            found = self._look_up(*key)
        except (OperationalError, InterfaceError) as error:
            self._database_failed(error)
            if place.handle is None:
                self._forget(place, key)
            return self._stale(place)
        self._database_is_down = False
        if found is None:
            self._forget(place, key)
            raise InvalidDestination
        place.handle, place.confirmed_at, place.renewal = self._renewed(place.handle, found), asked_at, Renewal()
        return place.handle

    def _renewed(self, old: Handle | None, found: Found) -> Handle:
        """Keep the store of an unchanged destination; open one if there is none or the destination changed."""
        opened = old is not None and old.store is not None and (old.other is None or old.other.store is not None)
        if old is not None and opened and old.version == found.destination.version:
            return replace(old, names=found.names, synced=found.synced)
        new = replace(self._opened(found.destination, found.names), synced=found.synced)
        if found.other_place is not None:
            new = replace(new, other=self._opened(found.other_place, found.names))
        if old is not None:
            old.close()
        return new

    def _opened(self, destination: RedisDestination, names: Names) -> Handle:
        store, unopened = None, ""
        try:
            store = self._open_store(destination)
        except DestinationError as error:
            unopened = error.code
        except (SecretUnreadable, SettingsInvalid) as error:
            unopened = type(error).__name__
        if unopened:
            log.warning("destination_cannot_be_opened", destination=destination.public_id, code=unopened)
        return Handle(
            destination_id=destination.pk,
            workspace_id=destination.workspace_id,
            public_id=destination.public_id,
            version=destination.version,
            names=names,
            store=store,
            unopened=unopened,
        )

    def _stale(self, place: _Place | None) -> Handle:
        """Return what is known, if it is not too old. Raises `ServiceUnavailable`."""
        if place is None or place.handle is None or self._clock() - place.confirmed_at > settings.STALE_READS_FOR:
            raise ServiceUnavailable
        return place.handle

    def _may_ask(self) -> bool:
        """While the database is down, let one caller at a time try it; the others go on with what is known."""
        if not self._database_is_down:
            return True
        with self._lock:
            now = self._clock()
            if now < self._try_database_at:
                return False
            self._try_database_at = now + TRY_TAKES_AT_MOST
            return True

    def _forget(self, place: _Place, key: tuple[int, str]) -> None:
        place.forgotten = True
        with self._lock:
            self._places.pop(key, None)
        if place.handle is not None:
            place.handle.close()

    def _database_failed(self, error: Exception) -> None:
        with self._lock:
            first, self._database_is_down = not self._database_is_down, True
            self._try_database_at = self._clock() + TRY_DATABASE_EVERY
        if first:
            log.warning("destinations_cannot_be_looked_up", error=type(error).__name__)
        if not connection.in_atomic_block:
            connection.close()


_handles = Handles()
get = _handles.get
known = _handles.known
close = _handles.close
