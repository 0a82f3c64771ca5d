"""Redis Cluster: which primary owns each slot, as its nodes tell."""

from activation.engine.errors import DestinationBusy, DestinationError
from activation.engine.node import Node
from activation.engine.nodes import Nodes
from activation.engine.slots import SLOTS, slot_of
from activation.engine.topology import Remembered, most_telling


class Cluster:
    """The nodes of a cluster. Thread safe. See `activation.engine.topology.Topology`."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._owners = Remembered[list[Node]](self._find)

    def node_for(self, key: str | bytes) -> Node:
        return self.owners()[slot_of(key)]

    def owners(self) -> list[Node]:
        return self._owners.get()

    def primaries(self) -> list[Node]:
        return list(dict.fromkeys(self.owners()))

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
        for first, last, primary, *_ in ranges:
            host = primary[0].decode() if primary[0] else node.endpoint.host
            owners[first : last + 1] = [self._nodes.get(host, primary[1])] * (last + 1 - first)
        covered = [owner for owner in owners if owner is not None]
        if len(covered) < SLOTS:
            raise DestinationBusy("The Redis cluster is down: some slots are served by no node.", code="clusterdown")
        return covered
