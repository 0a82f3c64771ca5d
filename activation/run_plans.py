"""Decides whether a run may be incremental, and why not: the base must be there, alike, and still in the destination.

A snapshot's hashes can be compared with the base's only if both were made in the same way. All that this depends on
goes into one fingerprint, the *shape*.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from activation.engine import snapshots
from activation.engine.snapshots import SnapshotPlan
from activation.models import Source, SyncRun

# Why a run is full. Beside these a source says its own (`Source.full_next`), and so does who asked.
REASONS = {
    "requested": "Somebody asked for it",
    "first": "It is the first sync",
    "view_moved": "The view is in another place",
    "view_returned": "The feature view was given up before, and is synced again",
    "columns_changed": "The view's columns changed",
    "settings_changed": "The settings of the sync changed",
    "base_lost": "The snapshot of the last sync is gone from the warehouse",
    "record_lost": "The list of profiles that may be out of step is gone",
    "too_many_failures": "So many profiles failed in the last sync that they were not listed",
    "destination_lost_data": "The destination lost data, or was restored from a backup",
    "evicted": "The destination evicted data to make room",
    "evictions_forgotten": "The destination may evict data, and began to count anew, as after a restart",
    "destination_moved": "The profiles move to another place",
    "ids_expired": "Rows that failed were not synced for so long that their ids were forgotten",
}


@dataclass(frozen=True)
class Decision:
    """What a run is; `reason` says why it is full."""

    kind: SyncRun.Kind
    reason: str = ""

    @property
    def incremental(self) -> bool:
        """Tell whether only what changed is written."""
        return self.kind == SyncRun.Kind.INCREMENTAL


@dataclass(frozen=True)
class Found:
    """What is there: the base's state in the warehouse, the marker and the evictions in the destination.

    `base` and `record` tell whether the base snapshot, and all that lists ids out of step, are there as recorded.
    `evictions` maps each server's run id to its count of evicted keys, None where it is not told; `may_evict` tells
    whether some server would drop profiles to make room.
    """

    base: bool
    record: bool
    marker: str | None
    evictions: Mapping[str, int] | None = None
    may_evict: bool = False


def decide(run: SyncRun, source: Source, plan: SnapshotPlan, found: Found) -> Decision:
    """Decide what a run is. Every reason has words in `REASONS`."""
    reason = _reason(run, source, plan, found)
    return Decision(SyncRun.Kind.FULL, reason) if reason else Decision(SyncRun.Kind.INCREMENTAL)


def shape_of(source: Source, plan: SnapshotPlan) -> str:
    """Return the fingerprint of what a snapshot's rows, ids and hashes depend on."""
    parts = [
        snapshots.ROW_FORMAT,
        [plan.relation.schema, plan.relation.name],
        [[column.name, column.type] for column in plan.columns],
        plan.id_column,
        list(plan.normalisation),
        sorted(plan.ignored_columns),
        [source.destination.workspace_id, source.destination.public_id],
        source.destination.settings.get("useJSONModule", False),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _reason(run: SyncRun, source: Source, plan: SnapshotPlan, found: Found) -> str:
    """Return the first reason there is for a full run, or nothing."""
    columns = [{"name": column.name, "type": column.type} for column in plan.columns]
    marker = source.base_run.public_id if source.base_run else None
    reasons = (
        (run.kind == SyncRun.Kind.FULL, run.full_reason),
        (marker is None, "first"),
        (bool(source.full_next), source.full_next),
        (not found.base, "base_lost"),
        (not found.record, "record_lost"),
        (source.columns != columns, "columns_changed"),
        (source.shape != shape_of(source, plan), "settings_changed"),
        (found.marker != marker, "destination_lost_data"),
        (_evicted_more(source.base_evictions, found.evictions), "evicted"),
        (found.may_evict and _forgotten(source.base_evictions, found.evictions), "evictions_forgotten"),
    )
    return next((reason for holds, reason in reasons if holds), "")


def _evicted_more(before: Mapping[str, int], now: Mapping[str, int] | None) -> bool:
    """Tell whether any server evicted keys since; one that restarted counts from 0."""
    return any(count > before.get(server, 0) for server, count in (now or {}).items())


def _forgotten(before: Mapping[str, int], now: Mapping[str, int] | None) -> bool:
    """Tell whether a server that told how many keys it had evicted is gone, or has counted anew since.

    One that was restarted or took over for another does not know what was evicted before.
    """
    return now is not None and any(now.get(server, -1) < count for server, count in before.items())
