"""Sync runs and their partitions.

States and counters here are only ever moved by conditional UPDATEs whose row count is checked.
"""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.identifiers import KSUID_LENGTH, new_public_id
from activation.models.sources import Source
from projects.models import ProfilesRun


class RunState(models.TextChoices):
    """States of a sync run; the transitions are a table in `activation.syncs`."""

    QUEUED = "queued", "Queued"
    SNAPSHOT = "snapshot", "Taking a snapshot"
    LOADING = "loading", "Loading"
    FINISHING = "finishing", "Finishing"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Stopped"


ACTIVE_STATES = (RunState.QUEUED, RunState.SNAPSHOT, RunState.LOADING, RunState.FINISHING)


class SyncRun(models.Model):
    """One attempt to bring a source's field in the destination in step with its view.

    `attempt` names the present claim: every move is conditional on it. Counts are rows. `kind` is what was asked for
    until the snapshot is taken and what was decided from then on, with `full_reason` saying why. `offer` is what
    `activation.offers` found. `dirty_upto` is the last `DirtyId` the run handles. `fences_open` is set while
    workers of the run might still write, behind fences of `fence_attempt`. `row_format` is what its tables are made in
    and its rows are encoded in (`activation.engine.snapshots`). Suppressions up to number
    `suppressions_known` stood when it began to load, so that it never wrote those. `tables_left` is set while a removal
    that succeeded may have left tables in the warehouse.
    """

    class Kind(models.TextChoices):
        FULL = "full", "Full"
        INCREMENTAL = "incremental", "Incremental"
        REMOVAL = "removal", "Removal"

    class Trigger(models.TextChoices):
        ENABLED = "enabled", "Sync was turned on"
        PROFILES_RUN = "profiles_run", "A Profiles run finished"
        PERSON = "person", "Sync Now"
        API = "api", "API"
        COMMAND = "command", "Command line"
        SCHEDULE = "schedule", "Schedule"
        RECONCILE = "reconcile", "Reconcile"
        MOVE = "move", "The destination moves"

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="runs")
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.INCREMENTAL)
    full_reason = models.CharField(max_length=40, blank=True)
    trigger = models.CharField(max_length=12, choices=Trigger)
    requested_by = models.CharField(max_length=254, blank=True)
    stopped_by = models.CharField(max_length=254, blank=True)
    profiles_run = models.ForeignKey(ProfilesRun, on_delete=models.SET_NULL, null=True, related_name="+")
    state = models.CharField(max_length=10, choices=RunState, default=RunState.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    retries = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(null=True)
    snapshot = models.CharField(max_length=63, blank=True)
    base_snapshot = models.CharField(max_length=63, blank=True)
    columns = models.JSONField(default=list)
    shape = models.CharField(max_length=64, blank=True)
    deletes_table = models.CharField(max_length=63, blank=True)
    upserts_table = models.CharField(max_length=63, blank=True)
    dirty_upto = models.BigIntegerField(default=0)
    evictions = models.JSONField(default=dict)
    fences_open = models.BooleanField(default=False)
    fence_attempt = models.PositiveIntegerField(default=0)
    fence_partitions = models.PositiveIntegerField(default=0)
    row_format = models.PositiveIntegerField(default=0)
    suppressions_known = models.BigIntegerField(default=0)
    tables_left = models.BooleanField(default=False)
    rows_in_view = models.BigIntegerField(null=True)
    snapshot_rows = models.BigIntegerField(null=True)
    unchanged = models.BigIntegerField(null=True)
    kept_rows = models.BigIntegerField(default=0)
    rows_planned = models.BigIntegerField(null=True)
    deletes_planned = models.BigIntegerField(null=True)
    null_ids = models.BigIntegerField(default=0)
    duplicate_ids = models.BigIntegerField(default=0)
    invalid_ids = models.BigIntegerField(default=0)
    written = models.BigIntegerField(default=0)
    deleted = models.BigIntegerField(default=0)
    suppressed = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    warnings = models.JSONField(default=list)
    offer = models.JSONField(default=dict)
    error_code = models.CharField(max_length=60, blank=True)
    error = models.CharField(max_length=1000, blank=True)
    queued_at = models.DateTimeField(default=timezone.now)
    snapshot_at = models.DateTimeField(null=True)
    loading_at = models.DateTimeField(null=True)
    finishing_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("source",), condition=Q(state__in=ACTIVE_STATES), name="one_active_run_per_source"
            ),
        )
        indexes = (
            models.Index(fields=("source", "-queued_at"), name="sync_run_newest_first"),
            models.Index(fields=("state", "not_before"), name="sync_run_waiting"),
        )

    def __str__(self) -> str:
        return f"{self.public_id}: {self.state}"

    @property
    def all_rows(self) -> int:
        """All rows that the run is about: those to write and to delete, and those that stay as they are."""
        return (self.rows_planned or 0) + (self.deletes_planned or 0) + (self.unchanged or 0)


class PartitionState(models.TextChoices):
    """States of a partition; a requeue goes back to WAITING with the attempt moved on."""

    WAITING = "waiting", "Waiting"
    LOADING = "loading", "Loading"
    DONE = "done", "Done"


class SyncPartition(models.Model):
    """A slice of a run's snapshot, loaded by one task at a time.

    `attempt` is the fence: a worker whose attempt is no longer this one can write nothing.
    """

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="partitions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=PartitionState, default=PartitionState.WAITING)
    attempt = models.PositiveIntegerField(default=1)
    retries = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(null=True)
    rows_planned = models.BigIntegerField(default=0)
    written = models.BigIntegerField(default=0)
    deleted = models.BigIntegerField(default=0)
    suppressed = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    failures = models.JSONField(default=dict)
    error_code = models.CharField(max_length=60, blank=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("run", "number"), name="partition_once"),)

    def __str__(self) -> str:
        return f"{self.run_id}/{self.number}: {self.state}"
