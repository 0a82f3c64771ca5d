"""Profiles read from and deleted in a destination: the only readers of Redis, right for one server and for clusters."""

from collections.abc import Sequence

from activation.engine.channel import Limits
from activation.engine.connection import connect
from activation.engine.documents import members
from activation.engine.errors import DestinationError, UnexpectedType
from activation.engine.redis_settings import RedisSettings
from activation.engine.replies import Reply

Fields = dict[str, bytes]


class Store:
    """A destination's profiles. Thread safe and pooled; kept for as long as the settings are the same.

    Hashes and RedisJSON documents are read alike, first as what the settings say.

    Nothing is retried. While a server is down its circuit breaker answers at once, and one call now and then,
    at least every half second, finds out whether it is back.
    """

    def __init__(
        self,
        settings: RedisSettings,
        *,
        allow_private: bool,
        forbidden: Sequence[tuple[str, int]] = (),
        connect_timeout: float = 0.2,
        command_timeout: float = 0.1,
        max_connections: int = 32,
    ) -> None:
        """Times in seconds; `forbidden` holds (IP, port) of our own servers. Dials nothing yet."""
        limits = Limits(connect_timeout, command_timeout, max_connections, trip_after=5)
        self._deployment = connect(settings, allow_private=allow_private, forbidden=forbidden, limits=limits)
        self._documents_first = settings.use_json_module
        layouts = (self._read_hash, self._read_document)
        self._layouts = layouts[::-1] if self._documents_first else layouts

    def read(self, key: str, views: Sequence[str] | None = None) -> Fields:
        """Return a profile's fields, feature view → JSON text, in Redis's order; empty when there is none.

        With `views` only those, in that order, without the ones that are missing. Raises `DestinationError`.
        """
        if views is not None and not views:
            return {}
        first, second = self._layouts
        try:
            return first(key, views)
        except UnexpectedType as error:
            unexpected = error
        try:
            return second(key, views)
        except DestinationError as error:
            # A server without the module, or a user who may not use it, has no such document.
            if error.transient:
                raise
        raise unexpected

    async def read_soon(self, key: str) -> Fields:
        """Return what `read` returns of a whole profile, within the event loop.

        Raises `DestinationError`, and `NotAtHand` where `read` must answer.
        """
        if not self._documents_first:
            return _pairs(await self._deployment.read_soon(key, "HGETALL", key))
        return self._members(key, await self._deployment.read_soon(key, "JSON.GET", key))

    def read_many(self, keys: Sequence[str]) -> list[Fields]:
        """Return the fields of several profiles, in the order of `keys`. Raises `DestinationError`."""
        found = self.read_each(keys)
        for fields in found:
            if isinstance(fields, DestinationError):
                raise fields
        return [fields for fields in found if not isinstance(fields, DestinationError)]

    def read_each(self, keys: Sequence[str], views: Sequence[str] | None = None) -> list[Fields | DestinationError]:
        """Return the fields of several profiles, or `views` of them, in the order of `keys`, one round trip a server.

        An error stands where a profile's server did not answer. Raises `DestinationError` when no server is known.
        """
        if views is not None and not views:
            return [{} for _ in keys]
        named: Sequence[str] = () if views is None or self._documents_first else views
        command = "JSON.GET" if self._documents_first else "HGETALL" if views is None else "HMGET"
        replies = self._deployment.execute_many([(key, (command, key, *named)) for key in keys])
        if command == "HGETALL":
            return [
                _pairs(reply) if type(reply) is list else self._fields(key, reply, views)
                for key, reply in zip(keys, replies, strict=True)
            ]
        return [self._fields(key, reply, views) for key, reply in zip(keys, replies, strict=True)]

    def delete(self, keys: Sequence[str]) -> int:
        """Remove profiles whole and return how many existed. Raises `DestinationError`, after trying every key."""
        replies = self._deployment.execute_many([(key, ("UNLINK", key)) for key in dict.fromkeys(keys)])
        return sum(_sound(replies))

    def ping(self) -> None:
        """Ask every primary whether it answers. Raises `DestinationError`."""
        for node in self._deployment.primaries():
            node.execute("PING")

    def any_key(self, beginning: str, *, picks: int = 32) -> str | None:
        """Return a key that begins so, if the servers pick one at random in a few picks; None when they do not.

        A pick costs a server one step, however much it holds. Raises `DestinationError`.
        """
        nodes = self._deployment.primaries()
        for number in range(picks):
            picked = nodes[number % len(nodes)].execute("RANDOMKEY")
            key = picked.decode(errors="replace") if isinstance(picked, bytes) else ""
            if key.startswith(beginning) and "\ufffd" not in key:
                return key
        return None

    def _fields(
        self, key: str, reply: Reply | DestinationError, views: Sequence[str] | None
    ) -> Fields | DestinationError:
        try:
            if isinstance(reply, UnexpectedType):
                return self.read(key, views)
            if isinstance(reply, DestinationError):
                return reply
            if self._documents_first:
                return _chosen(self._members(key, reply), views)
        except UnexpectedType:
            return {}  # somebody else's key holds no profile
        except DestinationError as error:
            return error
        return _pairs(reply) if views is None else _named(views, reply)

    def _read_hash(self, key: str, views: Sequence[str] | None) -> Fields:
        if views is None:
            return _pairs(self._deployment.read(key, "HGETALL", key))
        return _named(views, self._deployment.read(key, "HMGET", key, *views))

    def _read_document(self, key: str, views: Sequence[str] | None) -> Fields:
        return _chosen(self._members(key, self._deployment.read(key, "JSON.GET", key)), views)

    def _members(self, key: str, reply: Reply) -> Fields:
        return {} if reply is None else members(reply, self._deployment.node_for(key).endpoint.text)

    def close(self) -> None:
        """Close the connections; calls under way end first. Closing twice is fine."""
        self._deployment.close()


def _pairs(reply: Reply) -> Fields:
    fields: Fields = {}
    names_and_values = iter(reply)
    for name in names_and_values:  # a third of what it takes to pair them up first
        fields[name.decode("utf-8", "replace")] = next(names_and_values)
    return fields


def _chosen(fields: Fields, views: Sequence[str] | None) -> Fields:
    return fields if views is None else {view: fields[view] for view in views if view in fields}


def _named(views: Sequence[str], values: Reply) -> Fields:
    return {view: value for view, value in zip(views, values, strict=True) if value is not None}


def _sound(replies: Sequence[Reply | DestinationError]) -> Sequence[Reply]:
    for reply in replies:
        if isinstance(reply, DestinationError):
            raise reply
    return replies
