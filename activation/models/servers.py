"""What was last seen of a destination's Redis."""

from django.db import models
from django.utils import timezone

from activation.models.destinations import RedisDestination


class ServerLook(models.Model):
    """The newest look at a destination's servers, and how memory and keys moved in the last day; one row each.

    `servers` is what `activation.engine.servers.Server` tells of each primary, as it was at `told_at`. `problem` is
    why the try at `tried_at` failed, as an error's code; empty if it did not. Who moves `next_at` on takes the look.
    `history` lists [seconds since 1970, bytes in use, keys], oldest first, null where that is unknown.
    """

    destination = models.OneToOneField(RedisDestination, on_delete=models.CASCADE, related_name="server_look")
    servers = models.JSONField(default=list)
    history = models.JSONField(default=list)
    problem = models.CharField(max_length=60, blank=True)
    told_at = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"servers of destination {self.destination_id}"
