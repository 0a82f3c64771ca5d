"""Previews of what a sync would do; the row is the queue."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.identifiers import KSUID_LENGTH, new_public_id
from activation.models.sources import Source


class Preview(models.Model):
    """What the next sync of a source would do, worked out without doing it.

    `attempt` names the present claim and the tables it makes. `result` is as `activation.previews` keeps it: counts
    and names of columns. `sample` is some profiles before and after, encrypted, until `sample_expires_at`.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Comparing"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="previews")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    requested_by = models.CharField(max_length=254)
    attempt = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(null=True)
    result = models.JSONField(default=dict)
    sample = models.TextField(blank=True)
    sample_expires_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=60, blank=True)
    error = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("source",), condition=Q(state__in=("queued", "running")), name="one_active_preview_per_source"
            ),
        )
        indexes = (models.Index(fields=("source", "-created_at"), name="preview_newest_first"),)

    def __str__(self) -> str:
        return f"{self.public_id}: {self.state}"
