"""Replicas that may be read from: only what somebody asks for a profile, never what a sync or a delete must know.

A replica may be behind its primary by what it has not copied yet, usually milliseconds; one that lost touch with its
primary goes on answering with what it knew, unless its server is told otherwise (replica-serve-stale-data no).
"""

import itertools
import time
from dataclasses import replace

from activation.engine.channel import Channel, Limits
from activation.engine.errors import DestinationError
from activation.engine.node import Node
from activation.engine.nodes import Nodes
from activation.engine.redis_settings import RedisSettings
from activation.engine.topology import Topology
from projects.warehouses.addresses import AddressPolicy

REST = 1.0
LOOK_AGAIN = 10.0


class Replicas:
    """A destination's replicas, taken in turn. Thread safe.

    The first failure of one rests it for a second, so that a replica that is down costs one caller a time limit.
    """

    def __init__(self, settings: RedisSettings, policy: AddressPolicy, limits: Limits, topology: Topology) -> None:
        greet = _ask_to_read if settings.cluster_mode else None
        limits = replace(limits, trip_after=1, rest=REST, first_rest=REST)
        self._nodes = Nodes(settings, policy, limits, greet, topology.expire)
        self._topology = topology if settings.read_from_replicas else None
        self._turn = itertools.count()
        self._looked_at = time.monotonic()

    @property
    def may_be_read(self) -> bool:
        """Whether the settings allow it."""
        return self._topology is not None

    def one_for(self, key: str | bytes) -> Node | None:
        """Return a replica that holds a key; None where there is none to read. Raises `DestinationError`."""
        if self._topology is None:
            return None
        if time.monotonic() - self._looked_at > LOOK_AGAIN:  # nothing else would tell of a replica that is new
            self._looked_at = time.monotonic()
            self._topology.expire()
        copies = self._topology.copies_of(key)
        return self._nodes.get(*copies[next(self._turn) % len(copies)]) if copies else None

    def close(self) -> None:
        """Close every idle connection; closing twice is fine."""
        self._nodes.close()


def _ask_to_read(channel: Channel) -> None:
    """Tell a cluster's replica that its own copy will do; it redirects to its primary otherwise."""
    reply = channel.ask("READONLY")
    if isinstance(reply, DestinationError):
        raise reply
