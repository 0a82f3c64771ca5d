"""Customers' Redis destinations, and the connection tests asked for on pages."""

import secrets
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.identifiers import KSUID_LENGTH, new_public_id
from accounts.models import Organisation
from projects.models import Project


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


class _Served(models.Manager["RedisDestination"]):
    def get_queryset(self) -> "models.QuerySet[RedisDestination]":
        return super().get_queryset().filter(other_place_of=None)


class RedisDestination(models.Model):
    """A customer's Redis. Its public id and workspace id are part of every key and never change.

    While a destination moves (`DestinationMove`), a second row with the same ids leads to the place that is not served:
    the new one, and after the switch the old one. It has sources and runs of its own; `objects` does not show it.

    `public_id` is unique within the organisation only (ids may be adopted), so it is always looked up together with
    the organisation. `version` grows with every change, so that processes drop cached connections.
    `rows_per_second` limits what all syncs together write into it.
    """

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="destinations")
    public_id = models.CharField(max_length=100, default=new_public_id, editable=False)
    workspace_id = models.CharField(max_length=100, editable=False)
    name = models.CharField(max_length=100)
    settings = models.JSONField(default=dict)
    credentials = models.TextField(blank=True)
    version = models.PositiveIntegerField(default=1)
    rows_per_second = models.PositiveIntegerField(null=True)
    last_suppression = models.BigIntegerField(default=0)
    other_place_of = models.OneToOneField("self", on_delete=models.CASCADE, null=True, related_name="other_place")
    created_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[models.Manager["RedisDestination"]] = _Served()
    every_place: ClassVar[models.Manager["RedisDestination"]] = models.Manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("organisation", "public_id"), condition=Q(other_place_of=None), name="destination_id_once"
            ),
            models.UniqueConstraint(
                fields=("organisation", "name"), condition=Q(other_place_of=None), name="destination_name_once"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def served_id(self) -> int:
        """The primary key of the row that is served, which suppressions belong to."""
        return int(self.other_place_of_id or self.pk)


class DestinationProbe(models.Model):
    """A connection test asked for on a page or by API; a control task runs it and writes the steps.

    Once passed it creates the destination as it was tried and, asked for in a project, turns that project's sync on;
    or, by its purpose, changes how a destination is reached, begins to move it to the place that was tried, or does
    nothing more. `token` names the token it was asked for with.
    What was typed is kept, secrets encrypted, so that a failed one is corrected without typing it all again; the
    secrets go once the probe has passed or is an hour old (`activation.probes`). `adopted` holds `public_id` and
    `workspace_id` where data already in Redis is adopted. `attempt` names the present claim.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        PASSED = "passed", "Passed"
        FAILED = "failed", "Failed"

    class Purpose(models.TextChoices):
        CONNECT = "connect", "Connect a new destination"
        EDIT = "edit", "Change how a destination is reached"
        MOVE = "move", "Move a destination"
        TRY = "try", "Only test a connection"

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    purpose = models.CharField(max_length=10, choices=Purpose, default=Purpose.CONNECT)
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
    token = models.CharField(max_length=100, blank=True)
    address = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    attempt = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = (models.Index(fields=("organisation", "-created_at"), name="probe_newest_first"),)

    def __str__(self) -> str:
        return f"{self.public_id}: {self.state}"
