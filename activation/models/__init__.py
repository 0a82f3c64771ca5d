"""What moves and is served: Redis destinations, activations, sources, sync runs, partitions, suppressions."""

from activation.models.alerts import Alert, AlertDelivery, AlertSettings, Problem
from activation.models.deletions import Deletion
from activation.models.destinations import DestinationProbe, Installation, RedisDestination
from activation.models.moves import DestinationMove
from activation.models.previews import Preview
from activation.models.reconciles import Reconcile
from activation.models.runs import ACTIVE_STATES, PartitionState, RunState, SyncPartition, SyncRun
from activation.models.servers import ServerLook
from activation.models.sources import (
    Activation,
    DeletedProfilesPolicy,
    DirtyId,
    GuardChoice,
    Source,
    SourceTables,
    SyncLogContent,
)
from activation.models.suppressions import Suppression
from activation.models.usage import UsageHour

__all__ = [
    "ACTIVE_STATES",
    "Activation",
    "Alert",
    "AlertDelivery",
    "AlertSettings",
    "DeletedProfilesPolicy",
    "Deletion",
    "DestinationMove",
    "DestinationProbe",
    "DirtyId",
    "GuardChoice",
    "Installation",
    "PartitionState",
    "Preview",
    "Problem",
    "Reconcile",
    "RedisDestination",
    "RunState",
    "ServerLook",
    "Source",
    "SourceTables",
    "Suppression",
    "SyncLogContent",
    "SyncPartition",
    "SyncRun",
    "UsageHour",
]
