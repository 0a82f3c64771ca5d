"""Activations and their sources: which feature view is served by which id type, and what the destination holds."""

from typing import Any, ClassVar

from django.db import models
from django.db.models.deletion import Collector
from django.utils import timezone

from accounts.identifiers import KSUID_LENGTH, new_public_id
from activation.models.destinations import RedisDestination
from projects.models import ProfilesRun, Project, Warehouse


class DeletedProfilesPolicy(models.TextChoices):
    """What a DELETE through the API means for later syncs."""

    STAY_DELETED = "stay_deleted", "Deleted profiles stay deleted"
    MAY_RETURN = "may_return", "Deleted profiles may return with the next sync"


class SyncLogContent(models.TextChoices):
    """What the sync log in the warehouse tells."""

    OFF = "off", "Nothing"
    CHANGES = "changes", "Deleted profiles and failures"
    EVERYTHING = "everything", "Every profile that was written, deleted or failed"


def unless_profiles_are_left(
    collector: Collector, field: "models.Field[Any, Any]", sub_objs: "models.QuerySet[Activation]", using: str
) -> None:
    """Keep a project whose profiles are in Redis from vanishing and leaving them there unknown (`on_delete`)."""
    left = Source.every_place.using(using).filter(activation__in=list(sub_objs)).exclude(status=Source.Status.REMOVED)
    (models.PROTECT if left.exists() else models.CASCADE)(collector, field, sub_objs, using)


class Activation(models.Model):
    """A project's switch *Enable sync to Redis*: one per project, with one destination.

    `schedule` is as `activation.schedules` keeps it, `next_sync_at` when it is due, if it goes by the clock.
    `seen_revision` and `seen_placements_at` tell which specification and places its sources were made from.
    """

    project = models.OneToOneField(Project, on_delete=unless_profiles_are_left, related_name="activation")
    destination = models.ForeignKey(RedisDestination, on_delete=models.PROTECT, related_name="activations")
    enabled = models.BooleanField(default=True)
    schedule = models.JSONField(default=dict)
    next_sync_at = models.DateTimeField(null=True, db_index=True)
    keep_snapshots = models.PositiveSmallIntegerField(default=1)
    deleted_profiles = models.CharField(
        max_length=20, choices=DeletedProfilesPolicy, default=DeletedProfilesPolicy.STAY_DELETED
    )
    guard_percent = models.PositiveSmallIntegerField(default=30)
    guard_rows = models.PositiveIntegerField(default=100)
    sync_log = models.CharField(max_length=12, choices=SyncLogContent, default=SyncLogContent.CHANGES)
    sync_log_days = models.PositiveSmallIntegerField(default=30)
    sync_log_tidied_at = models.DateTimeField(null=True)
    seen_revision = models.PositiveIntegerField(default=0)
    seen_placements_at = models.DateTimeField(null=True)
    enabled_by = models.CharField(max_length=254)
    enabled_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"activation of project {self.project_id}"


class GuardChoice(models.TextChoices):
    """What an Admin chose when a run would delete more than the guard lets pass."""

    DELETE = "delete", "Apply the deletes"
    KEEP = "keep", "Apply without deletes"


class _Served(models.Manager["Source"]):
    def get_queryset(self) -> "models.QuerySet[Source]":
        return super().get_queryset().filter(other_place_of=None)


class Source(models.Model):
    """One feature view served by one id type; its public id is the hosted API's `connectionId`.

    `base_*` tell the snapshot that the destination is known to hold: they move only when a run succeeds; `shape` is
    the fingerprint of what a snapshot's rows and hashes depend on (`activation.run_plans`). `dirty_tables` are our
    tables in the warehouse with the ids whose state in the destination is not known to match the base; `tombstones` are
    those with ids deleted in the last weeks, each with its day. `base_evictions` maps a server's run id to what its
    `evicted_keys` said when the base's run began to load. `confirmed_*` is the guard's confirmation, good for one base
    and at most so many deletes. `follow_up` is what was asked for while a run was active: `trigger`, `full`, `by`.
    `left_at` is when its removal was given up for a Redis that was said to be gone for good, until a run succeeds.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        RETIRED = "retired", "Retired"
        REMOVING = "removing", "Being removed"
        REMOVED = "removed", "Removed"

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
    shape = models.CharField(max_length=64, blank=True)
    full_next = models.CharField(max_length=40, blank=True)
    base_snapshot = models.CharField(max_length=63, blank=True)
    base_rows = models.BigIntegerField(default=0)
    base_run = models.ForeignKey("SyncRun", on_delete=models.SET_NULL, null=True, related_name="+")
    base_evictions = models.JSONField(default=dict)
    dirty_tables = models.JSONField(default=list)
    tombstones = models.JSONField(default=list)
    confirmed_base = models.CharField(max_length=63, blank=True)
    confirmed_deletes = models.BigIntegerField(null=True)
    confirmed_choice = models.CharField(max_length=10, choices=GuardChoice, blank=True)
    follow_up = models.JSONField(default=dict)
    seen_profiles_run = models.ForeignKey(ProfilesRun, on_delete=models.SET_NULL, null=True, related_name="+")
    left_at = models.DateTimeField(null=True)
    tables_of = models.BigIntegerField(null=True)
    other_place_of = models.OneToOneField("self", on_delete=models.CASCADE, null=True, related_name="at_other_place")
    created_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[models.Manager["Source"]] = _Served()
    every_place: ClassVar[models.Manager["Source"]] = models.Manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("destination", "entity", "id_type", "feature_view"),
                condition=~models.Q(status="removed"),
                name="field_written_by_one_source",
            ),
        )

    def __str__(self) -> str:
        return f"{self.feature_view} by {self.id_type}"

    @property
    def tables_number(self) -> int:
        """The number in the names of its tables."""
        return int(self.tables_of or self.pk)

    @property
    def served(self) -> "Source":
        """The source as people know it, also of one that stands for another place."""
        return self.other_place_of or self


class SourceTables(models.Model):
    """That a warehouse may have tables with the number of a source, which may be gone by now (`tables_number`)."""

    warehouse = models.ForeignKey(Warehouse, on_delete=models.CASCADE, related_name="+")
    number = models.BigIntegerField()
    not_before = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("warehouse", "number"), name="tables_noted_once"),)

    def __str__(self) -> str:
        return f"s{self.number} in warehouse {self.warehouse_id}"


class DirtyId(models.Model):
    """An id whose profile must be handled by the next run whatever the comparison says, encrypted.

    Rows that Redis refused, profiles deleted by API, and lifted suppressions. The run that handles it
    removes it by succeeding.
    """

    class Reason(models.TextChoices):
        WRONG_TYPE = "wrong_type", "The key holds something else"
        TOO_LARGE = "too_large", "Too large for Redis"
        UNENCODABLE = "unencodable", "Cannot be written as JSON"
        DELETED = "deleted", "Deleted by API"
        LIFTED = "lifted", "Suppression lifted"

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="dirty_ids")
    run = models.ForeignKey("SyncRun", on_delete=models.SET_NULL, null=True, related_name="failed_ids")
    encrypted_id = models.TextField()
    reason = models.CharField(max_length=20, choices=Reason)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = (models.Index(fields=("source", "id"), name="dirty_id_in_order"),)

    def __str__(self) -> str:
        return f"{self.source_id}: {self.reason}"
