"""The servers of one destination, each made once: every one of them passes the same address guard."""

from collections.abc import Callable

from activation.engine.channel import Channel, Limits
from activation.engine.endpoint import Endpoint, tls_context
from activation.engine.node import Node
from activation.engine.redis_settings import RedisSettings
from projects.warehouses.addresses import AddressPolicy


class Nodes:
    """Makes and keeps a destination's nodes. Thread safe.

    `greet` is called with every new connection before it is used, `broken` whenever a server could not be reached.
    """

    def __init__(
        self,
        settings: RedisSettings,
        policy: AddressPolicy,
        limits: Limits,
        greet: Callable[[Channel], None] | None = None,
        broken: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self._policy = policy
        self._limits = limits
        self._greet = greet
        self._broken = broken
        self._tls = tls_context(settings)
        self._known: dict[tuple[str, int], Node] = {}

    def get(self, host: str, port: int) -> Node:
        """Return the node at an address, dialling nothing. Its certificate may also show a name that was typed."""
        node = self._known.get((host, port))
        if node is None:
            typed = (name for name, _ in self.settings.addresses)
            names = tuple(dict.fromkeys((host, *typed)))
            endpoint = Endpoint(host, port, self._policy, self._tls, names)
            made = Node(endpoint, self.settings, self._limits, self._greet, self._broken)
            node = self._known.setdefault((host, port), made)
        return node

    def typed(self) -> list[Node]:
        """Return the nodes at the addresses that the settings name."""
        return [self.get(host, port) for host, port in self.settings.addresses]

    def close(self) -> None:
        """Close every idle connection; closing twice is fine."""
        for node in list(self._known.values()):
            node.close()
