"""A destination as its readers and writers see it: which node owns a key, and commands sent there.

One server or a cluster. Nothing is repeated by itself: only a redirection, which says that nothing was done, is
followed. Nodes that a cluster announces pass the same address guard as what a person typed.
"""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Sequence

from activation.engine.endpoint import Endpoint, tls_context
from activation.engine.errors import (
    CertificateRefused,
    DestinationAddressRefused,
    DestinationBusy,
    DestinationError,
    DestinationMisconfigured,
    DestinationRefused,
    DestinationTimeout,
    DestinationUnreachable,
    Redirected,
)
from activation.engine.node import Command, Limits, Node, Reply
from activation.engine.redis_settings import RedisSettings, SettingsInvalid
from activation.engine.slots import SLOTS, slot_of
from projects.warehouses.addresses import AddressPolicy

__all__ = [
    "CertificateRefused",
    "Deployment",
    "DestinationAddressRefused",
    "DestinationBusy",
    "DestinationError",
    "DestinationMisconfigured",
    "DestinationRefused",
    "DestinationTimeout",
    "DestinationUnreachable",
    "Limits",
    "RedisSettings",
    "SettingsInvalid",
    "connect",
]

REFRESH_EVERY = 0.25
_REDIRECTIONS = 3


class Deployment:
    """The nodes of a destination. Thread safe."""

    def __init__(self, settings: RedisSettings, policy: AddressPolicy, limits: Limits) -> None:
        self.settings = settings
        self._policy = policy
        self._limits = limits
        self._tls = tls_context(settings)
        self._nodes: dict[tuple[str, int], Node] = {}
        self._owners: list[Node] | None = None
        self._stale = True
        self._looked_at = 0.0
        self._lock = threading.Lock()
        self._seeds = [self._node(host, port) for host, port in settings.addresses]

    def node_for(self, key: str | bytes) -> Node:
        """Return the primary that owns a key, as far as we know. Raises `DestinationError`."""
        if not self.settings.cluster_mode:
            return self._seeds[0]
        return self.owners()[slot_of(key)]

    def primaries(self) -> list[Node]:
        """Return every primary that owns slots. Raises `DestinationError`."""
        return list(dict.fromkeys(self.owners())) if self.settings.cluster_mode else [self._seeds[0]]

    def owners(self) -> list[Node]:
        """Return the owner of each slot, asking the cluster when what we know is old. Raises `DestinationError`."""
        if self._owners is None:
            with self._lock:
                if self._owners is None:
                    self._refresh()
        elif self._stale and time.monotonic() - self._looked_at > REFRESH_EVERY and self._lock.acquire(blocking=False):
            try:
                with contextlib.suppress(DestinationError):
                    self._refresh()
            finally:
                self._lock.release()
        assert self._owners is not None
        return self._owners

    def refresh(self) -> None:
        """Ask the cluster now who owns what. Raises `DestinationError`."""
        if self.settings.cluster_mode:
            with self._lock:
                self._refresh()

    def expire(self) -> None:
        """Have the next look-up of a slot ask the cluster: something did not go where we sent it."""
        self._stale = True

    def execute(self, key: str | bytes, *command: str | bytes | int) -> Reply:
        """Run a command on the owner of `key`. Raises `DestinationError`."""
        return self._follow(self.node_for(key), command)

    def execute_many(self, commands: Sequence[tuple[str | bytes, Command]]) -> list[Reply | DestinationError]:
        """Run commands on the owners of their keys, one round trip a node; errors stand in the place of replies."""
        by_node: dict[Node, list[int]] = defaultdict(list)
        for position, (key, _) in enumerate(commands):
            by_node[self.node_for(key)].append(position)
        replies: list[Reply | DestinationError] = [None] * len(commands)
        for node, positions in by_node.items():
            for position, reply in zip(
                positions, self._pipeline(node, [commands[p][1] for p in positions]), strict=True
            ):
                replies[position] = reply
        return replies

    def close(self) -> None:
        """Close every idle connection; closing twice is fine."""
        for node in list(self._nodes.values()):
            node.close()

    def _pipeline(self, node: Node, commands: Sequence[Command]) -> list[Reply | DestinationError]:
        try:
            replies = node.pipeline(commands)
        except DestinationError as error:
            self.expire()
            return [error] * len(commands)
        return [
            self._after_redirection(reply, command) if isinstance(reply, Redirected) else reply
            for reply, command in zip(replies, commands, strict=True)
        ]

    def _after_redirection(self, redirected: Redirected, command: Command) -> Reply | DestinationError:
        try:
            return self._redirect(redirected, command, _REDIRECTIONS)
        except DestinationError as error:
            return error

    def _follow(self, node: Node, command: Command) -> Reply:
        try:
            return node.execute(*command)
        except Redirected as moved:
            redirected = moved
        except DestinationUnreachable:
            self.expire()
            raise
        return self._redirect(redirected, command, _REDIRECTIONS)

    def _redirect(self, redirected: Redirected, command: Command, left: int) -> Reply:
        if not self.settings.cluster_mode:
            raise DestinationMisconfigured("This Redis is a cluster. Turn Cluster Mode on.", code="is_cluster")
        if not redirected.ask:
            self.expire()
        if not left:
            raise DestinationBusy("The cluster keeps moving the keys to other nodes.", code="moved")
        node = self._node(redirected.host or self._seeds[0].endpoint.host, redirected.port)
        try:
            if not redirected.ask:
                return node.execute(*command)
            _, reply = node.pipeline([("ASKING",), command])
        except Redirected as again:
            further = again
        else:
            if not isinstance(reply, DestinationError):
                return reply
            if not isinstance(reply, Redirected):
                raise reply
            further = reply
        return self._redirect(further, command, left - 1)

    def _node(self, host: str, port: int) -> Node:
        node = self._nodes.get((host, port))
        if node is None:
            typed = tuple(host for host, _ in self.settings.addresses)
            endpoint = Endpoint(host, port, self._policy, self._tls, tuple(dict.fromkeys((host, *typed))))
            node = self._nodes.setdefault((host, port), Node(endpoint, self.settings, self._limits))
        return node

    def _refresh(self) -> None:
        self._looked_at = time.monotonic()
        known = [] if self._owners is None else list(dict.fromkeys(self._owners))
        failure: DestinationError | None = None
        for node in dict.fromkeys([*known, *self._seeds]):
            try:
                self._owners = self._read_slots(node)
            except DestinationError as error:
                failure = failure if isinstance(failure, DestinationMisconfigured) else error
                continue
            self._stale = False
            return
        assert failure is not None
        raise failure

    def _read_slots(self, node: Node) -> list[Node]:
        ranges = node.execute("CLUSTER", "SLOTS")
        owners: list[Node | None] = [None] * SLOTS
        for first, last, primary, *_ in ranges:
            host = primary[0].decode() if primary[0] else node.endpoint.host
            owners[first : last + 1] = [self._node(host, primary[1])] * (last + 1 - first)
        covered = [owner for owner in owners if owner is not None]
        if len(covered) < SLOTS:
            raise DestinationBusy("The Redis cluster is down: some slots are served by no node.", code="clusterdown")
        return covered


def connect(
    settings: RedisSettings,
    *,
    allow_private: bool,
    forbidden: Sequence[tuple[str, int]] = (),
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Deployment:
    """Prepare the way to a destination; nothing is dialled before the first command.

    `forbidden` holds (IP, port) of our own servers. Raises `DestinationMisconfigured` for what we cannot do.
    """
    if settings.use_json_module:
        raise DestinationMisconfigured(
            "Profiles are stored as hashes. Turn “Store data using the JSON module” off.", code="json_module"
        )
    return Deployment(settings, AddressPolicy(allow_private, frozenset(forbidden)), limits)
