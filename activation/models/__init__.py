"""What moves and is served: Redis destinations, activations, sources, sync runs, partitions, suppressions."""

from activation.models.destinations import DestinationProbe, Installation, RedisDestination
from activation.models.runs import ACTIVE_STATES, PartitionState, RunState, SyncPartition, SyncRun
from activation.models.sources import Activation, DeletedProfilesPolicy, DirtyId, GuardChoice, Source
from activation.models.suppressions import Suppression

__all__ = [
    "ACTIVE_STATES",
    "Activation",
    "DeletedProfilesPolicy",
    "DestinationProbe",
    "DirtyId",
    "GuardChoice",
    "Installation",
    "PartitionState",
    "RedisDestination",
    "RunState",
    "Source",
    "Suppression",
    "SyncPartition",
    "SyncRun",
]
