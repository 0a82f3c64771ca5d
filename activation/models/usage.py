"""How applications use the API, hour by hour."""

from typing import Any

from django.db import models

from activation.models.destinations import RedisDestination

# Upper ends in milliseconds of the latencies that are counted apart; what takes longer is in the last column.
LATENCIES_MS = (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256)
LATENCY_COLUMNS = tuple(f"latency_{number}" for number in range(len(LATENCIES_MS) + 1))


class UsageHour(models.Model):
    """What one token asked of one id type in an hour: counts of ids, and how long look-ups took.

    `requests` are look-ups of one id; of those `hits` found a profile, `misses` none and `errors` got no answer.
    `deletes` are ids that were asked to be deleted. Names that no source declares are `unknown`. `token` is the
    primary key of a token that may be gone. `latency_<n>` counts look-ups up to `LATENCIES_MS[n]`.
    """

    destination = models.ForeignKey(RedisDestination, on_delete=models.CASCADE, related_name="usage")
    token = models.BigIntegerField()
    entity = models.CharField(max_length=100)
    id_type = models.CharField(max_length=100)
    hour = models.DateTimeField()
    requests = models.BigIntegerField(default=0)
    hits = models.BigIntegerField(default=0)
    misses = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    deletes = models.BigIntegerField(default=0)
    latency_0 = models.BigIntegerField(default=0)
    latency_1 = models.BigIntegerField(default=0)
    latency_2 = models.BigIntegerField(default=0)
    latency_3 = models.BigIntegerField(default=0)
    latency_4 = models.BigIntegerField(default=0)
    latency_5 = models.BigIntegerField(default=0)
    latency_6 = models.BigIntegerField(default=0)
    latency_7 = models.BigIntegerField(default=0)
    latency_8 = models.BigIntegerField(default=0)
    latency_9 = models.BigIntegerField(default=0)
    latency_10 = models.BigIntegerField(default=0)
    latency_11 = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("destination", "hour", "token", "entity", "id_type"), name="usage_of_an_hour_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.destination_id} at {self.hour:%Y-%m-%d %H}"

    @property
    def latencies(self) -> list[int]:
        """The counts of look-ups by how long they took."""
        return [int(getattr(self, name)) for name in LATENCY_COLUMNS]


def counters() -> dict[str, Any]:
    """Return the columns that are counted up, each at nothing."""
    return dict.fromkeys(("requests", "hits", "misses", "errors", "deletes", *LATENCY_COLUMNS), 0)
