"""Deletes that go on after their answer: the person's other ids."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.identifiers import KSUID_LENGTH, new_public_id
from activation.models.destinations import RedisDestination


class Deletion(models.Model):
    """A cascading delete, from its call until a person's other ids are deleted too; its public id is the receipt.

    The row is the queue: `attempt` names the present claim. `ids` is encrypted and empty once the deletion has ended:
    what was `named` and what was `found` since, each as [id type, id]. `looked` tells that nothing more is to be
    looked for, `noted_at` when the next syncs were last told of the ids. `missed` has one entry for each source that
    could not be looked at: `source` (public id), `id_type`, `view`, `code`, `message`. Keys are counted once, those of
    the ids that were named too.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting for a worker"
        RUNNING = "running", "Looking and deleting"
        FINISHED = "finished", "Finished"
        FAILED = "failed", "Failed"

    OPEN = (State.QUEUED, State.RUNNING)

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    destination = models.ForeignKey(RedisDestination, on_delete=models.CASCADE, related_name="deletions")
    entity = models.TextField()
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    retries = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(null=True)
    ids = models.TextField(blank=True)
    noted_at = models.DateTimeField(null=True)
    looked = models.BooleanField(default=False)
    missed = models.JSONField(default=list)
    ids_found = models.PositiveIntegerField(default=0)
    keys_addressed = models.PositiveIntegerField(default=0)
    keys_deleted = models.PositiveIntegerField(default=0)
    error_code = models.CharField(max_length=60, blank=True)
    error = models.CharField(max_length=1000, blank=True)
    requested_by = models.CharField(max_length=254)
    requested_by_id = models.BigIntegerField(null=True)
    token = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=("queued", "running"), finished_at=None)
                | Q(state__in=("finished", "failed"), finished_at__isnull=False, ids=""),
                name="deletion_forgets_its_ids",
            ),
        )
        indexes = (models.Index(fields=("state", "not_before"), name="deletion_waiting"),)

    def __str__(self) -> str:
        return f"{self.public_id}: {self.state}"
