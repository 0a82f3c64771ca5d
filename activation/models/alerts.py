"""Whom to tell when a project's syncs need somebody, what they were told, and what is still to be sent.

No row here holds an id of a person, a trait or a readable secret.
"""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.identifiers import KSUID_LENGTH, new_public_id
from accounts.models import Membership
from activation.models.runs import SyncRun
from activation.models.sources import Activation, Source


class AlertSettings(models.Model):
    """Who is told about an activation's syncs, and about what; one per activation, made when somebody sets it up.

    `webhook_secret` and, for a day after a rotation, `webhook_former_secret` are encrypted. Members are told as long
    as they are members. `webhook_broken_since` is when the webhook last began to fail without a success since.
    """

    activation = models.OneToOneField(Activation, on_delete=models.CASCADE, related_name="alerts")
    members = models.ManyToManyField(Membership, related_name="+")
    addresses = models.JSONField(default=list)
    on_failed = models.BooleanField(default=True)
    on_needs_confirmation = models.BooleanField(default=True)
    on_stale = models.BooleanField(default=True)
    on_hit_rate = models.BooleanField(default=True)
    on_recovered = models.BooleanField(default=True)
    stale_hours = models.PositiveSmallIntegerField(default=24)
    webhook_url = models.CharField(max_length=2000, blank=True)
    webhook_secret = models.TextField(blank=True)
    webhook_former_secret = models.TextField(blank=True)
    webhook_rotated_at = models.DateTimeField(null=True)
    webhook_broken_since = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(webhook_url="", webhook_secret="") | ~Q(webhook_url="") & ~Q(webhook_secret=""),
                name="webhook_has_its_secret",
            ),
        )

    def __str__(self) -> str:
        return f"alerts of {self.activation_id}"


class Problem(models.TextChoices):
    """What is wrong with a source; the values are part of the webhook's contract."""

    FAILED = "failed", "Sync failed"
    NEEDS_CONFIRMATION = "needs_confirmation", "Needs confirmation"
    STALE = "stale", "Out of date"
    HIT_RATE = "hit_rate", "Hit rate fell"


class Alert(models.Model):
    """A problem of a source from when it was noticed to when it was gone; told once, then at most daily.

    `code` is the error's: another one is another thing to tell. `told_at` is when somebody was last told. A hit rate
    is that of an entity and id type, told of the first of its sources; `rate_before` is what it was before it fell.
    """

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="alerts")
    problem = models.CharField(max_length=20, choices=Problem)
    code = models.CharField(max_length=60, blank=True)
    run = models.ForeignKey(SyncRun, on_delete=models.SET_NULL, null=True, related_name="+")
    rate_before = models.FloatField(null=True)
    opened_at = models.DateTimeField(default=timezone.now)
    told_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("source", "problem"), condition=Q(closed_at__isnull=True), name="problem_is_open_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.source_id}: {self.problem}"


class AlertDelivery(models.Model):
    """One message to one recipient. The row is the queue: it is tried again after a pause until taken or a day old.

    `not_before` is when it may be tried (again), and the end of the lease of who tries it now; `attempt` names the
    claim. `content` is the message: subject and text of an e-mail, or the body of a webhook. `to` is an address, and
    empty for the webhook, whose present URL is read when it is sent.
    """

    class Channel(models.TextChoices):
        EMAIL = "email", "E-mail"
        WEBHOOK = "webhook", "Webhook"

    class State(models.TextChoices):
        QUEUED = "queued", "Being sent"
        SENT = "sent", "Sent"
        GIVEN_UP = "given_up", "Given up"

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    settings = models.ForeignKey(AlertSettings, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=10, choices=Channel)
    to = models.CharField(max_length=254, blank=True)
    test = models.BooleanField(default=False)
    summary = models.CharField(max_length=200)
    content = models.JSONField()
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    trouble = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = (
            models.Index(fields=("state", "not_before"), name="alert_delivery_due"),
            models.Index(fields=("settings", "-created_at"), name="alert_delivery_newest_first"),
        )

    def __str__(self) -> str:
        return f"{self.public_id}: {self.state}"
