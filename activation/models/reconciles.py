"""Walks through a destination that find what no source accounts for."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.identifiers import KSUID_LENGTH, new_public_id
from activation.models.destinations import RedisDestination


class Reconcile(models.Model):
    """A look through all keys of a destination for what no source accounts for, and what was done about it.

    The row is the queue, as with sync runs: `attempt` names the present claim, and a worker lets go of it after some
    seconds with everything found so far. `positions` tells how far each primary is: `server` (its run id), `cursor`.
    `findings` has one entry a source, by primary key: `found`, `uncompared` (fields), `tables` (ours in the
    warehouse, with the ids that the source's base lacks), `strays` (their count) and, once handed over, `run`.
    `unclaimed` lists fields of views that no source writes as [entity, id type, view, count]; `counts` has the rest.
    `tidied` says that an ended look's tables are gone.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting for a worker"
        LOOKING = "looking", "Looking"
        READY = "ready", "Waits for a confirmation"
        REMOVING = "removing", "Handing over to syncs"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Stopped"

    OPEN = (State.QUEUED, State.LOOKING, State.READY, State.REMOVING)

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    destination = models.ForeignKey(RedisDestination, on_delete=models.CASCADE, related_name="reconciles")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    retries = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(null=True)
    layout = models.CharField(max_length=16, blank=True)
    positions = models.JSONField(default=dict)
    findings = models.JSONField(default=dict)
    unclaimed = models.JSONField(default=list)
    bookkeeping = models.JSONField(default=list)
    counts = models.JSONField(default=dict)
    warnings = models.JSONField(default=list)
    error_code = models.CharField(max_length=60, blank=True)
    error = models.CharField(max_length=1000, blank=True)
    requested_by = models.CharField(max_length=254)
    confirmed_by = models.CharField(max_length=254, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    ready_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    tidied = models.BooleanField(default=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("destination",),
                condition=Q(state__in=("queued", "looking", "ready", "removing")),
                name="one_reconcile_at_a_time",
            ),
        )
        indexes = (models.Index(fields=("destination", "-created_at"), name="reconcile_newest_first"),)

    def __str__(self) -> str:
        return f"{self.public_id}: {self.state}"
