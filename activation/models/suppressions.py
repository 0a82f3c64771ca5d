"""Profiles deleted through the API that must not be written again."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.identifiers import KSUID_LENGTH
from activation.models.destinations import RedisDestination


class Suppression(models.Model):
    """A profile deleted through the API: its key must not be written again.

    `digest` is of the whole key text (`activation.suppressions`), `sealed_checksum` finds it quickly
    (`activation.engine.kept_out`). `sequence` is taken under a lock of the
    destination's row, so it grows in the order of commits and a reader who knows number n has missed nothing below.
    `receipt` is the public id of the cascading delete that it belongs to.
    `pending_key` keeps the key encrypted until Redis has acknowledged the delete and syncs under way then have ended.
    """

    destination = models.ForeignKey(RedisDestination, on_delete=models.CASCADE, related_name="suppressions")
    sequence = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    sealed_checksum = models.BigIntegerField()
    key_version = models.PositiveIntegerField()
    pending_key = models.TextField(blank=True)
    requested_by = models.CharField(max_length=254)
    receipt = models.CharField(max_length=KSUID_LENGTH, blank=True)
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
