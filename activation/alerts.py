"""Whom to tell about a project's syncs: recipients, events, and a webhook with its secret. For Admins only.

A webhook's secret is made here, encrypted at rest and returned once; its URL may itself be a secret, so the audit log
gets the host only.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from accounts import audit, vault
from accounts.actors import Actor
from accounts.models import Membership
from accounts.roles import Permission
from activation import alert_deliveries, webhooks
from activation.models import Activation, AlertDelivery, AlertSettings, Problem
from projects.models import Project

MOST_ADDRESSES = 20
MOST_TESTS = 5
TESTS_WITHIN = timedelta(minutes=5)
SECRET_PREFIX = "whsec" + "_"
EVENTS = (*(problem.value for problem in Problem), "recovered")


class TooManyTests(Exception):
    """More tests were sent in a few minutes than a person needs."""

    def __init__(self) -> None:
        super().__init__(
            "Several tests were sent in the last five minutes. Wait a little, then press Send a test again."
        )


class NobodyToTell(Exception):
    """There is neither a recipient nor a webhook."""

    def __init__(self) -> None:
        super().__init__("Choose a recipient or add a webhook first.")


@dataclass(frozen=True)
class Wanted:
    """What is told, to whom. `members` are memberships' keys, `events` of `EVENTS`; a due sync may be so late."""

    members: tuple[int, ...]
    addresses: tuple[str, ...]
    events: frozenset[str]
    stale_hours: int


def of(activation: Activation) -> AlertSettings | None:
    """Return the activation's alerts, if they were ever set up."""
    return AlertSettings.objects.filter(activation=activation).first()


@transaction.atomic
def change(activation: Activation, wanted: Wanted, *, by: Actor, now: datetime) -> AlertSettings:
    """Say who is told about what. Raises `PermissionRefused`."""
    by.require(Permission.MANAGE_ALERTS)
    row = _row(activation, now=now)
    row.members.set(Membership.objects.filter(organisation=by.organisation, pk__in=wanted.members))
    row.addresses, row.stale_hours = list(wanted.addresses[:MOST_ADDRESSES]), wanted.stale_hours
    fields = [f"on_{event}" for event in EVENTS]
    for event, field in zip(EVENTS, fields, strict=True):
        setattr(row, field, event in wanted.events)
    row.save(update_fields=["addresses", "stale_hours", *fields])
    details = {
        "recipients": alert_deliveries.recipients(row),
        "events": sorted(wanted.events),
        "stale_hours": wanted.stale_hours,
    }
    _record("alerts_changed", activation.project, by=by, details=details, now=now)
    return row


@transaction.atomic
def set_webhook(activation: Activation, url: str, *, by: Actor, now: datetime) -> str | None:
    """Set the webhook's URL; return its new secret where it had none. An empty URL removes webhook and secret.

    Raises `PermissionRefused`, `activation.webhooks.WebhookInvalid`.
    """
    by.require(Permission.MANAGE_ALERTS)
    if url:
        webhooks.parse(url, allow_http=settings.ALLOW_PRIVATE_ADDRESSES)
    row = _row(activation, now=now)
    row.webhook_url, row.webhook_broken_since = url, None
    secret = None
    if not url:
        row.webhook_secret = row.webhook_former_secret = ""
    elif not row.webhook_secret:
        secret = _new_secret()
        row.webhook_secret, row.webhook_former_secret, row.webhook_rotated_at = vault.encrypt(secret), "", None
    row.save(update_fields=_WEBHOOK_FIELDS)
    _record("alert_webhook_changed", activation.project, by=by, details={"host": urlsplit(url).hostname or ""}, now=now)
    return secret


@transaction.atomic
def rotate(project: Project, *, by: Actor, now: datetime) -> str:
    """Make a new secret for the webhook and return it; the former one signs beside it for a day.

    Raises `PermissionRefused`, `NobodyToTell` where there is no webhook.
    """
    by.require(Permission.MANAGE_ALERTS)
    row = AlertSettings.objects.select_for_update().filter(activation__project=project).exclude(webhook_url="").first()
    if row is None:
        raise NobodyToTell
    secret = _new_secret()
    row.webhook_former_secret, row.webhook_secret = row.webhook_secret, vault.encrypt(secret)
    row.webhook_rotated_at = now
    row.save(update_fields=_WEBHOOK_FIELDS)
    _record("alert_secret_rotated", project, by=by, details={}, now=now)
    return secret


@transaction.atomic
def send_test(project: Project, *, by: Actor, now: datetime) -> list[AlertDelivery]:
    """Queue a test to everyone who is told; the edge sends the wake-up.

    Raises `PermissionRefused`, `TooManyTests`, `NobodyToTell`.
    """
    by.require(Permission.MANAGE_ALERTS)
    row = AlertSettings.objects.select_for_update().filter(activation__project=project).first()
    if row is None:
        raise NobodyToTell
    recent = row.deliveries.filter(test=True, created_at__gt=now - TESTS_WITHIN)
    if recent.values("created_at").distinct().count() >= MOST_TESTS:
        raise TooManyTests
    queued = alert_deliveries.queue_test(row, now=now)
    if not queued:
        raise NobodyToTell
    _record("alert_test_sent", project, by=by, details={"messages": len(queued)}, now=now)
    return queued


_WEBHOOK_FIELDS = [
    "webhook_url",
    "webhook_secret",
    "webhook_former_secret",
    "webhook_rotated_at",
    "webhook_broken_since",
]


def _row(activation: Activation, *, now: datetime) -> AlertSettings:
    AlertSettings.objects.get_or_create(activation=activation, defaults={"created_at": now})
    return AlertSettings.objects.select_for_update().select_related("activation__project").get(activation=activation)


def _new_secret() -> str:
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def _record(action: str, project: Project, *, by: Actor, details: dict[str, object], now: datetime) -> None:
    audit.record(
        action, by=by, target_type="project", target_id=project.public_id, target=project.name, details=details, now=now
    )
