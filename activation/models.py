"""What moves and is served: Redis destinations, activations, sources, sync runs, partitions, suppressions.

States and counters here are only ever moved by conditional UPDATEs whose row count is checked (`activation.syncs`).
"""

import secrets

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.identifiers import KSUID_LENGTH, new_public_id
from accounts.models import Organisation
from projects.models import ProfilesRun, Project


def _new_installation_code() -> str:
    return secrets.token_hex(4)


class Installation(models.Model):
    """The name we go by in warehouses shared with others: eight hex digits, made once."""

    code = models.CharField(max_length=8, default=_new_installation_code, editable=False)

    def __str__(self) -> str:
        return self.code

    @classmethod
    def own_code(cls) -> str:
        """Return this installation's code, made on the first call."""
        return cls.objects.get_or_create(pk=1)[0].code


class RedisDestination(models.Model):
    """A customer's Redis. Its public id and workspace id are part of every key and never change.

    `public_id` is unique within the organisation only (ids may be adopted), so it is always looked up together with
    the organisation. `version` grows with every change, so that processes drop cached connections.
    """

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="destinations")
    public_id = models.CharField(max_length=100, default=new_public_id, editable=False)
    workspace_id = models.CharField(max_length=100, editable=False)
    name = models.CharField(max_length=100)
    settings = models.JSONField(default=dict)
    credentials = models.TextField(blank=True)
    version = models.PositiveIntegerField(default=1)
    last_suppression = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("organisation", "public_id"), name="destination_id_once"),
            models.UniqueConstraint(fields=("organisation", "name"), name="destination_name_once"),
        )

    def __str__(self) -> str:
        return self.name


class DestinationProbe(models.Model):
    """A connection test asked for on a page; a control task runs it and writes the steps.

    Once passed it creates the destination as it was tried and, asked for in a project, turns that project's sync on.
    What was typed is kept, secrets encrypted, so that a failed one is corrected without typing it all again; the
    secrets go once the probe has passed or is an hour old (`activation.probes`). `adopted` holds `public_id` and
    `workspace_id` where data already in Redis is adopted. `attempt` names the present claim.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        PASSED = "passed", "Passed"
        FAILED = "failed", "Failed"

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, related_name="+")
    destination = models.ForeignKey(RedisDestination, on_delete=models.CASCADE, null=True, related_name="probes")
    name = models.CharField(max_length=100)
    settings = models.JSONField(default=dict)
    credentials = models.TextField(blank=True)
    adopted = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    steps = models.JSONField(default=list)
    problem = models.CharField(max_length=500, blank=True)
    requested_by = models.CharField(max_length=254)
    requested_by_id = models.BigIntegerField(null=True)
    address = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    attempt = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = (models.Index(fields=("organisation", "-created_at"), name="probe_newest_first"),)

    def __str__(self) -> str:
        return f"{self.public_id}: {self.state}"


class DeletedProfilesPolicy(models.TextChoices):
    """What a DELETE through the API means for later syncs."""

    STAY_DELETED = "stay_deleted", "Deleted profiles stay deleted"
    MAY_RETURN = "may_return", "Deleted profiles may return with the next sync"


class Activation(models.Model):
    """A project's switch *Enable sync to Redis*: one per project, with one destination.

    `seen_revision` and `seen_placements_at` tell which specification and places its sources were made from.
    """

    # A project whose profiles are in Redis cannot vanish and leave them there unknown.
    project = models.OneToOneField(Project, on_delete=models.PROTECT, related_name="activation")
    destination = models.ForeignKey(RedisDestination, on_delete=models.PROTECT, related_name="activations")
    enabled = models.BooleanField(default=True)
    schedule = models.JSONField(default=dict)
    deleted_profiles = models.CharField(
        max_length=20, choices=DeletedProfilesPolicy, default=DeletedProfilesPolicy.STAY_DELETED
    )
    guard_percent = models.PositiveSmallIntegerField(default=30)
    guard_rows = models.PositiveIntegerField(default=100)
    seen_revision = models.PositiveIntegerField(default=0)
    seen_placements_at = models.DateTimeField(null=True)
    enabled_by = models.CharField(max_length=254)
    enabled_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"activation of project {self.project_id}"


class Source(models.Model):
    """One feature view served by one id type; its public id is the hosted API's `connectionId`.

    `base_*` tell the snapshot that the destination is known to hold: they move only when a run succeeds.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        RETIRED = "retired", "Retired"

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    activation = models.ForeignKey(Activation, on_delete=models.CASCADE, related_name="sources")
    destination = models.ForeignKey(RedisDestination, on_delete=models.PROTECT, related_name="sources")
    entity = models.CharField(max_length=100)
    id_type = models.CharField(max_length=100)
    feature_view = models.CharField(max_length=255)
    relation = models.CharField(max_length=255)
    id_column = models.CharField(max_length=255)
    columns = models.JSONField(default=list)
    ignored_columns = models.JSONField(default=list)
    normalisation = models.JSONField(default=list)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    full_next = models.BooleanField(default=False)
    base_snapshot = models.CharField(max_length=63, blank=True)
    base_rows = models.BigIntegerField(default=0)
    base_run = models.ForeignKey("SyncRun", on_delete=models.SET_NULL, null=True, related_name="+")
    seen_profiles_run = models.ForeignKey(ProfilesRun, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("destination", "entity", "id_type", "feature_view"), name="field_written_by_one_source"
            ),
        )

    def __str__(self) -> str:
        return f"{self.feature_view} by {self.id_type}"


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

    `attempt` names the present claim: every move is conditional on it. Counts are rows.
    """

    class Kind(models.TextChoices):
        FULL = "full", "Full"
        INCREMENTAL = "incremental", "Incremental"

    class Trigger(models.TextChoices):
        ENABLED = "enabled", "Sync was turned on"
        PROFILES_RUN = "profiles_run", "A Profiles run finished"
        PERSON = "person", "Sync Now"
        API = "api", "API"
        COMMAND = "command", "Command line"

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="runs")
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.FULL)
    trigger = models.CharField(max_length=12, choices=Trigger)
    requested_by = models.CharField(max_length=254, blank=True)
    profiles_run = models.ForeignKey(ProfilesRun, on_delete=models.SET_NULL, null=True, related_name="+")
    state = models.CharField(max_length=10, choices=RunState, default=RunState.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    retries = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(null=True)
    snapshot = models.CharField(max_length=63, blank=True)
    base_snapshot = models.CharField(max_length=63, blank=True)
    columns = models.JSONField(default=list)
    rows_in_view = models.BigIntegerField(null=True)
    rows_planned = models.BigIntegerField(null=True)
    deletes_planned = models.BigIntegerField(null=True)
    null_ids = models.BigIntegerField(default=0)
    duplicate_ids = models.BigIntegerField(default=0)
    invalid_ids = models.BigIntegerField(default=0)
    written = models.BigIntegerField(default=0)
    deleted = models.BigIntegerField(default=0)
    suppressed = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
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


class Suppression(models.Model):
    """A profile deleted through the API: its key must not be written again.

    `digest` is of the whole key text (`activation.suppressions`). `sequence` is taken under a lock of the
    destination's row, so it grows in the order of commits and a reader who knows number n has missed nothing below.
    `pending_key` keeps the key encrypted until Redis has acknowledged the delete and syncs under way then have ended.
    """

    destination = models.ForeignKey(RedisDestination, on_delete=models.CASCADE, related_name="suppressions")
    sequence = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    key_version = models.PositiveIntegerField()
    pending_key = models.TextField(blank=True)
    requested_by = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)
    deleted_at = models.DateTimeField(null=True)
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("destination", "sequence"), name="suppression_sequence_once"),
            models.UniqueConstraint(
                fields=("destination", "digest"), condition=Q(lifted_at__isnull=True), name="suppressed_once"
            ),
        )
        indexes = (models.Index(fields=("created_at",), condition=~Q(pending_key=""), name="suppression_pending"),)

    def __str__(self) -> str:
        return f"{self.destination_id}/{self.sequence}"
