"""Redis Sentinel: the primary that the sentinels name, followed when it changes.

What a sentinel says is checked by asking the server itself for its role, with every new connection: a primary that
was demoted would otherwise go on answering reads as a replica. Format: https://redis.io/docs/latest/develop/reference/sentinel-clients/
"""

from collections.abc import Mapping, Sequence

from activation.engine.channel import Channel
from activation.engine.errors import DestinationBusy, DestinationError, DestinationMisconfigured
from activation.engine.node import Node
from activation.engine.nodes import Nodes
from activation.engine.slots import SLOTS
from activation.engine.topology import Remembered, most_telling


class Sentinels:
    """The servers of one Sentinel service. Thread safe. See `activation.engine.topology.Topology`."""

    def __init__(self, service: str, sentinels: Nodes, servers: Nodes, *, with_copies: bool) -> None:
        """`servers` greets its connections with `require_primary`; `with_copies` asks for the replicas as well."""
        self._service = service
        self._sentinels = sentinels.typed()
        self._servers = servers
        self._with_copies = with_copies
        self._copies: list[tuple[str, int]] = []
        self._primary = Remembered[Node](self._find)

    def node_for(self, _: str | bytes) -> Node:
        return self._primary.get()

    def spread(self, keys: Sequence[str | bytes]) -> Mapping[Node, Sequence[int]]:
        return {self._primary.get(): range(len(keys))}

    def known_for(self, _: str | bytes) -> Node | None:
        return self._primary.known()

    def owners(self) -> list[Node]:
        return [self._primary.get()] * SLOTS

    def primaries(self) -> list[Node]:
        return [self._primary.get()]

    def copies_of(self, _: str | bytes) -> Sequence[tuple[str, int]]:
        self._primary.get()
        return self._copies

    def refresh(self) -> None:
        self._primary.refresh()

    def expire(self) -> None:
        self._primary.expire()

    def _find(self, _: Node | None) -> Node:
        """Ask one sentinel after the other, those that did not answer last; the first good answer counts."""
        failures: list[DestinationError] = []
        for sentinel in list(self._sentinels):
            try:
                return self._checked(sentinel)
            except DestinationError as error:
                failures.append(error)
                self._sentinels = [*(other for other in self._sentinels if other is not sentinel), sentinel]
        raise most_telling(failures)

    def _checked(self, sentinel: Node) -> Node:
        primary = self._ask(sentinel)
        with primary.connection() as channel:
            require_primary(channel)
        if self._with_copies:
            self._copies = self._ask_for_copies(sentinel)
        return primary

    def _ask(self, sentinel: Node) -> Node:
        try:
            reply = sentinel.execute("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        except DestinationError as error:
            if error.code != "redis_unknowncommand":
                raise
            where = sentinel.endpoint.text
            raise DestinationMisconfigured(f"{where} is a Redis server, not a sentinel.", code="no_sentinel") from None
        if reply is None:
            raise DestinationMisconfigured(
                f"The sentinel {sentinel.endpoint.text} watches no service called {self._service}.",
                code="sentinel_service",
            )
        host, port = reply
        return self._servers.get(host.decode(), int(port))

    def _ask_for_copies(self, sentinel: Node) -> list[tuple[str, int]]:
        """Return the replicas that are up and in touch with their primary."""
        told = [
            dict(zip(flat[::2], flat[1::2], strict=True))
            for flat in sentinel.execute("SENTINEL", "REPLICAS", self._service)
        ]
        sound = [facts for facts in told if facts[b"flags"] == b"slave" and facts[b"master-link-status"] == b"ok"]
        return [(facts[b"ip"].decode(), int(facts[b"port"])) for facts in sound]


def require_primary(channel: Channel) -> None:
    """Ask a server for its role. Raises `DestinationBusy` for a replica; a role that is not told counts as unknown."""
    reply = channel.ask("ROLE")
    if isinstance(reply, list) and reply[0] != b"master":
        raise DestinationBusy(f"{channel.endpoint.text} is not the primary: a failover is under way.", code="failover")
