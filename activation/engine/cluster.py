"""Redis Cluster: which primary owns each slot, as its nodes tell."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from activation.engine.errors import DestinationBusy, DestinationError
from activation.engine.node import Node
from activation.engine.nodes import Nodes
from activation.engine.replies import Reply
from activation.engine.slots import SLOTS, slot_of
from activation.engine.topology import Remembered, most_telling

Copies = list[tuple[str, int]]


class Cluster:
    """The nodes of a cluster. Thread safe. See `activation.engine.topology.Topology`."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._owners = Remembered[list[Node]](self._find)
        self._copies: dict[Node, Copies] = {}

    def node_for(self, key: str | bytes) -> Node:
        return self.owners()[slot_of(key)]

    def spread(self, keys: Sequence[str | bytes]) -> Mapping[Node, Sequence[int]]:
        owners = self.owners()
        by_node: dict[Node, list[int]] = defaultdict(list)
        for position, key in enumerate(keys):
            by_node[owners[slot_of(key)]].append(position)
        return by_node

    def known_for(self, key: str | bytes) -> Node | None:
        owners = self._owners.known()
        return None if owners is None else owners[slot_of(key)]

    def owners(self) -> list[Node]:
        return self._owners.get()

    def primaries(self) -> list[Node]:
        return list(dict.fromkeys(self.owners()))

    def copies_of(self, key: str | bytes) -> Sequence[tuple[str, int]]:
        owner = self.node_for(key)  # first: it may learn of the copies
        return self._copies.get(owner, ())

    def refresh(self) -> None:
        self._owners.refresh()

    def expire(self) -> None:
        self._owners.expire()

    def _find(self, known: list[Node] | None) -> list[Node]:
        """Ask the nodes we know, then those that were typed; the first answer that serves every slot counts."""
        failures: list[DestinationError] = []
        for node in dict.fromkeys([*(known or ()), *self._nodes.typed()]):
            try:
                return self._read_slots(node)
            except DestinationError as error:
                failures.append(error)
        raise most_telling(failures)

    def _read_slots(self, node: Node) -> list[Node]:
        ranges = node.execute("CLUSTER", "SLOTS")
        owners: list[Node | None] = [None] * SLOTS
        copies: dict[Node, Copies] = {}
        for first, last, *servers in ranges:
            (host, port), *replicas = [_place(server, node) for server in servers]
            primary = self._nodes.get(host, port)
            owners[first : last + 1] = [primary] * (last + 1 - first)
            copies[primary] = replicas
        covered = [owner for owner in owners if owner is not None]
        if len(covered) < SLOTS:
            raise DestinationBusy("The Redis cluster is down: some slots are served by no node.", code="clusterdown")
        self._copies = copies
        return covered


def _place(server: Reply, told_by: Node) -> tuple[str, int]:
    """Return a server's place; one without a host is where it was told of."""
    host, port, *_ = server
    return (host.decode() if host else told_by.endpoint.host), port
