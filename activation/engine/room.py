"""How much memory profiles will take in Redis, worked out from a few of them before they are written."""

from itertools import islice

from activation.engine import snapshots
from activation.engine.encoding import Encoder
from activation.engine.memory import Memory
from projects.warehouses.port import Part, Warehouse

SAMPLED = 1_000
# What Redis and Valkey take for a key with a hash of one field beside the bytes of key, field and value (measured:
# docs/scaling.md).
OVERHEAD = 240


def bytes_per_profile(
    warehouse: Warehouse, plan: snapshots.SnapshotPlan, *, snapshot: str, prefix: str, field: str
) -> int:
    """Estimate a profile's memory in bytes from the first rows of a snapshot; 0 for an empty one.

    Raises:
        WarehouseError: as the warehouse says.

    """
    batches = snapshots.read_upserts(warehouse, plan.columns, snapshot=snapshot, part=Part(0, of=1))
    with Encoder(prefix=prefix, values=snapshots.values(warehouse.dialect, plan.columns)) as encoder:
        for batch in islice(batches, 1):
            rows = encoder.pack(batch.slice(0, SAMPLED))
            return int(rows.packed.nbytes / max(1, len(rows))) + len(field.encode()) + OVERHEAD
    return 0


def is_short(needed: int, servers: dict[str, Memory] | None) -> bool:
    """Tell whether so many bytes, spread evenly, do not fit; what servers do not tell counts as room enough."""
    limited = [server for server in (servers or {}).values() if server.maximum]
    if not limited or len(limited) < len(servers or {}):
        return False
    return needed > sum(max(0, server.maximum - server.used) for server in limited)
