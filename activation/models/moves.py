"""Moves of a destination to another place: another server, another database, or another way to store profiles."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.identifiers import KSUID_LENGTH, new_public_id
from activation.models.destinations import RedisDestination


class DestinationMove(models.Model):
    """A destination's profiles on their way to another place; the old one is served until the switch.

    `origin` and `target` are the addresses, for people who look back. The place that is not served is a
    `RedisDestination` of its own while the move is open. Servers are not asked before `not_before`.
    """

    class State(models.TextChoices):
        LOADING = "loading", "Loading into the new place"
        SWITCHING = "switching", "About to switch"
        REMOVING = "removing", "Removing from the old place"
        CANCELLING = "cancelling", "Removing from the new place"
        DONE = "done", "Moved"
        CANCELLED = "cancelled", "Cancelled"

    BEFORE_SWITCH = (State.LOADING, State.SWITCHING)
    OPEN = (*BEFORE_SWITCH, State.REMOVING, State.CANCELLING)

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    destination = models.ForeignKey(RedisDestination, on_delete=models.CASCADE, related_name="moves")
    state = models.CharField(max_length=10, choices=State, default=State.LOADING)
    origin = models.CharField(max_length=2000)
    target = models.CharField(max_length=2000)
    requested_by = models.CharField(max_length=254)
    left_behind = models.BooleanField(default=False)
    not_before = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    switched_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("destination",),
                condition=Q(state__in=("loading", "switching", "removing", "cancelling")),
                name="one_move_at_a_time",
            ),
        )
        indexes = (models.Index(fields=("destination", "-created_at"), name="move_newest_first"),)

    def __str__(self) -> str:
        return f"{self.public_id}: {self.state}"
