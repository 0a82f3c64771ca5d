"""A destination as its readers and writers see it: which node owns a key, and commands sent there.

One server, a cluster, or the primary that sentinels name. Nothing is repeated by itself: only a redirection, which
says that nothing was done, is followed. Nodes that a cluster or a sentinel announces pass the same address guard as
what a person typed.
"""

from collections.abc import Sequence

from activation.engine.channel import Command, Limits
from activation.engine.cluster import Cluster
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
    UnexpectedType,
)
from activation.engine.node import Node, NotAtHand
from activation.engine.nodes import Nodes
from activation.engine.redis_settings import RedisSettings, SettingsInvalid
from activation.engine.replicas import Replicas
from activation.engine.replies import Reply
from activation.engine.sentinel import Sentinels, require_primary
from activation.engine.topology import OneServer, Topology
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
    "NotAtHand",
    "RedisSettings",
    "SettingsInvalid",
    "connect",
]

_REDIRECTIONS = 3


class Deployment:
    """The servers of a destination. Thread safe."""

    def __init__(self, settings: RedisSettings, policy: AddressPolicy, limits: Limits) -> None:
        self.settings = settings
        greet = require_primary if settings.sentinel_service else None
        self._nodes = Nodes(settings, policy, limits, greet, self.expire)
        self._sentinels = Nodes(settings.for_sentinels(), policy, limits)
        self._topology = self._found()
        self._replicas = Replicas(settings, policy, limits, self._topology)

    def _found(self) -> Topology:
        if self.settings.sentinel_service:
            service, copies = self.settings.sentinel_service, self.settings.read_from_replicas
            return Sentinels(service, self._sentinels, self._nodes, with_copies=copies)
        return Cluster(self._nodes) if self.settings.cluster_mode else OneServer(self._nodes.typed()[0])

    def node_for(self, key: str | bytes) -> Node:
        """Return the primary that owns a key, as far as we know. Raises `DestinationError`."""
        return self._topology.node_for(key)

    def primaries(self) -> list[Node]:
        """Return every primary that owns slots. Raises `DestinationError`."""
        return self._topology.primaries()

    def owners(self) -> list[Node]:
        """Return the owner of each slot, asking again when what we know is old. Raises `DestinationError`."""
        return self._topology.owners()

    def refresh(self) -> None:
        """Ask now who owns what. Raises `DestinationError`."""
        self._topology.refresh()

    def expire(self) -> None:
        """Have the next look-up ask again: something did not go where we sent it."""
        self._topology.expire()

    def execute(self, key: str | bytes, *command: str | bytes | int) -> Reply:
        """Run a command on the owner of `key`. Raises `DestinationError`."""
        return self._follow(self.node_for(key), command)

    def read(self, key: str | bytes, *command: str | bytes | int) -> Reply:
        """Run a command that only reads, on a replica where the settings allow it. Raises `DestinationError`.

        What a replica cannot answer is asked of the primary at once. A replica's answer may be old.
        """
        replica = self._replicas.one_for(key)
        if replica is not None:
            try:
                return replica.execute(*command)
            except DestinationError as error:
                if isinstance(error, UnexpectedType):
                    raise
        return self.execute(key, *command)

    async def read_soon(self, key: str | bytes, *command: str | bytes | int) -> Reply:
        """Run a command that only reads within the event loop, over a connection that all callers share.

        Raises `DestinationUnreachable`, and `NotAtHand` where `read` must answer: it knows where to ask, what an error
        reply means, and replicas.
        """
        node = None if self._replicas.may_be_read else self._topology.known_for(key)
        if node is None:
            raise NotAtHand
        reply = await node.ask(*command)
        if isinstance(reply, Exception):
            raise NotAtHand
        return reply

    def execute_many(self, commands: Sequence[tuple[str | bytes, Command]]) -> list[Reply | DestinationError]:
        """Run commands on the owners of their keys, one round trip a node; errors stand in the place of replies."""
        if not commands:
            return []
        by_node = self._topology.spread([key for key, _ in commands])
        if len(by_node) == 1:
            return self._pipeline(next(iter(by_node)), [command for _, command in commands])
        replies: list[Reply | DestinationError] = [None] * len(commands)
        for node, positions in by_node.items():
            for position, reply in zip(
                positions, self._pipeline(node, [commands[p][1] for p in positions]), strict=True
            ):
                replies[position] = reply
        return replies

    def close(self) -> None:
        """Close every idle connection; closing twice is fine."""
        self._nodes.close()
        self._sentinels.close()
        self._replicas.close()

    def _pipeline(self, node: Node, commands: Sequence[Command]) -> list[Reply | DestinationError]:
        try:
            replies = node.pipeline(commands)
        except DestinationError as error:
            return [error] * len(commands)
        if not any([isinstance(reply, DestinationError) for reply in replies]):  # noqa: C419 - a list takes half as long
            return replies
        if any(isinstance(reply, DestinationBusy) for reply in replies):
            self.expire()
        return [
            self._after_redirection(node, reply, command) if isinstance(reply, Redirected) else reply
            for reply, command in zip(replies, commands, strict=True)
        ]

    def _after_redirection(self, node: Node, redirected: Redirected, command: Command) -> Reply | DestinationError:
        try:
            return self._redirect(node, redirected, command, _REDIRECTIONS)
        except DestinationError as error:
            return error

    def _follow(self, node: Node, command: Command) -> Reply:
        try:
            return node.execute(*command)
        except Redirected as moved:
            redirected = moved
        except DestinationBusy:
            self.expire()
            raise
        return self._redirect(node, redirected, command, _REDIRECTIONS)

    def _redirect(self, sender: Node, redirected: Redirected, command: Command, left: int) -> Reply:
        if not self.settings.cluster_mode:
            raise DestinationMisconfigured("This Redis is a cluster.", code="is_cluster")
        if not redirected.ask:
            self.expire()
        if not left:
            raise DestinationBusy("The cluster keeps moving the keys to other nodes.", code="moved")
        node = self._nodes.get(redirected.host or sender.endpoint.host, redirected.port)
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
        return self._redirect(node, further, command, left - 1)


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
    return Deployment(settings, AddressPolicy(allow_private, frozenset(forbidden)), limits)
