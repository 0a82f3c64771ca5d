"""Walks through every key of a destination that begins with its ids: the only place that uses SCAN.

SCAN promises to return each key that is there from a walk's beginning to its end, at least once, on a server that
stays up; a server that restarted is walked from its beginning. The walk is paced by time: a step is made as large as
what a server does in a few milliseconds, and a rest several times as long follows it, so that reads go on.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from activation.engine.channel import Limits
from activation.engine.connection import connect
from activation.engine.errors import DestinationError, DestinationRefused, UnexpectedType
from activation.engine.node import Node
from activation.engine.redis_settings import RedisSettings
from activation.engine.replies import Reply

# What has more fields than this is no profile; its fields are not read.
MOST_FIELDS = 1_000
_GLOB = re.compile(rb"([*?\[\]^\\-])")
_STEP = 0.003
_NO_PROFILE = -1  # in the place of a length or of fields
_SMALLEST, _LARGEST = 10, 10_000


@dataclass(frozen=True)
class Position:
    """How far the walk through a server is: its run id ('' where it is not told) and the next cursor, '' at the end."""

    server: str
    cursor: str


@dataclass(frozen=True)
class Page:
    """The keys of one step on the primary at `place`, each with its fields; None stands for what is no profile."""

    place: str
    position: Position
    keys: list[tuple[bytes, list[bytes] | None]]


class Pace:
    """Decides how many keys a step looks at and how long the rest after it is.

    `share` is the part of a server's time that the walk may take, `away` how long a server is away (s) for an answer.
    """

    def __init__(self, share: float, *, away: float, sleep: Callable[[float], None]) -> None:
        self.count = 100
        self._rest = (1 - share) / share
        self._away = away
        self._sleep = sleep

    def stepped(self, seconds: float) -> None:
        """Take note of how long a step's SCAN took."""
        taken = max(seconds - self._away, 0)
        if taken < _STEP / 2:
            self.count = min(2 * self.count, _LARGEST)
        elif taken > _STEP:
            self.count = max(self.count // 2, _SMALLEST)

    def rest(self, seconds: float) -> None:
        """Rest after a step that took so long altogether."""
        self._sleep(self._rest * seconds)


class Walk:
    """A walk through a destination's keys. For one thread; a context manager. Raises `DestinationError` throughout."""

    def __init__(
        self,
        settings: RedisSettings,
        prefix: str,
        *,
        allow_private: bool,
        forbidden: Sequence[tuple[str, int]] = (),
        share: float = 0.2,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`prefix` is taken literally, whatever characters it holds."""
        limits = Limits(2.0, 10.0, connections=2)
        self._deployment = connect(settings, allow_private=allow_private, forbidden=forbidden, limits=limits)
        self._documents = settings.use_json_module
        self._pattern = _GLOB.sub(rb"\\\1", prefix.encode()) + b"*"
        self._share = share
        self._sleep = sleep

    def places(self) -> list[str]:
        """Return the primaries' `host:port`."""
        return [node.endpoint.text for node in self._deployment.primaries()]

    def layout(self) -> str:
        """Return a digest of which primary owns which slot: another one means that keys moved between servers."""
        self._deployment.refresh()
        owners = "\n".join(owner.endpoint.text for owner in self._deployment.owners())
        return hashlib.sha256(owners.encode()).hexdigest()[:16]

    def pages(self, done: Mapping[str, Position]) -> Iterator[Page]:
        """Yield what there is beyond the positions in `done`, by place, one primary after the other."""
        for node in self._deployment.primaries():
            place, server = node.endpoint.text, _run_id(node)
            position = done.get(place)
            if position is None or position.server != server:
                position = Position(server, "0")
            pace = Pace(self._share, away=_away(node), sleep=self._sleep)
            while position.cursor:
                began = time.monotonic()
                cursor, keys = node.execute("SCAN", position.cursor, "MATCH", self._pattern, "COUNT", pace.count)
                pace.stepped(time.monotonic() - began)
                position = Position(server, "" if cursor == b"0" else cursor.decode())
                page = Page(place, position, self._with_fields(keys))
                pace.rest(time.monotonic() - began)
                yield page

    def unlink(self, keys: Sequence[str]) -> int:
        """Remove keys and return how many were there."""
        replies = self._deployment.execute_many([(key, ("UNLINK", key)) for key in keys])
        return sum(_sound(reply) for reply in replies)

    def close(self) -> None:
        """Close the connections; closing twice is fine."""
        self._deployment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _with_fields(self, keys: Sequence[bytes]) -> list[tuple[bytes, list[bytes] | None]]:
        """Read the keys' fields; keys that are gone by now are left out."""
        length, names = ("JSON.OBJLEN", "JSON.OBJKEYS") if self._documents else ("HLEN", "HKEYS")
        lengths = self._ask(length, keys)
        small = [key for key, found in zip(keys, lengths, strict=True) if found and 0 < found <= MOST_FIELDS]
        fields = {
            key: None if found == _NO_PROFILE else found
            for key, found in zip(small, self._ask(names, small), strict=True)
        }
        # A key that is not there has the length 0 as a hash and none as a document.
        return [(key, fields.get(key)) for key, found in zip(keys, lengths, strict=True) if found]

    def _ask(self, command: str, keys: Sequence[bytes]) -> list[Reply]:
        found = self._deployment.execute_many([(key, (command, key)) for key in keys])
        return [_NO_PROFILE if isinstance(reply, UnexpectedType) else _sound(reply) for reply in found]


def _sound(reply: Reply | DestinationError) -> Reply:
    if isinstance(reply, DestinationError):
        raise reply
    return reply


def _run_id(node: Node) -> str:
    """Return what a server calls itself since it started; '' when it does not tell."""
    try:
        reply = node.execute("INFO", "server")
    except DestinationRefused:
        return ""
    text: str = reply.decode(errors="replace")
    facts = dict(line.partition(":")[::2] for line in text.splitlines())
    return facts.get("run_id", "")


def _away(node: Node) -> float:
    """Return how long (s) a server takes for an answer that costs it nothing."""
    began = time.monotonic()
    node.execute("PING")
    return time.monotonic() - began
