"""Tells owners by e-mail that a token of theirs will expire, a week before."""

import smtplib
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import F

from accounts import tokens
from accounts.actors import Actor
from accounts.models import PersonalAccessToken
from accounts.roles import Permission

AHEAD = timedelta(days=7)
_AT_ONCE = 200
log = structlog.get_logger(__name__)


def soon(by: Actor, *, now: datetime) -> list[PersonalAccessToken]:
    """List the tokens that expire within a week or did within the last: one's own, and everyone's for who sees those.

    Of those that have expired, only the ones that were used: what used them is refused now.
    """
    rows = tokens.everyones(by) if by.may(Permission.MANAGE_ALL_TOKENS) else tokens.own(by)
    due = rows.filter(expires_at__lte=now + AHEAD, expires_at__gt=now - AHEAD, created_at__lt=F("expires_at") - AHEAD)
    return [token for token in due.order_by("expires_at") if not _is_over(token, now) or token.last_used_at]


def _is_over(token: PersonalAccessToken, now: datetime) -> bool:
    return token.expires_at is not None and token.expires_at <= now


def warn(*, now: datetime) -> int:
    """Write to the owners of tokens that expire within a week; returns how many. Each token is told of once.

    A token that was made for no longer than a week needs no warning. What the mail server does not take is tried again
    by the next call.
    """
    if not settings.SENDS_EMAIL:
        return 0
    due = PersonalAccessToken.objects.filter(
        revoked_at=None,
        expiry_warned_at=None,
        expires_at__gt=now,
        expires_at__lte=now + AHEAD,
        created_at__lt=F("expires_at") - AHEAD,
        owner__is_active=True,
    )
    warned = 0
    for token in due.select_related("owner", "organisation").order_by("expires_at")[:_AT_ONCE]:
        claimed = PersonalAccessToken.objects.filter(pk=token.pk, expiry_warned_at=None)
        if claimed.update(expiry_warned_at=now):
            warned += _write(token)
    return warned


def _write(token: PersonalAccessToken) -> int:
    assert token.expires_at is not None
    page = f"{settings.PUBLIC_URL.rstrip('/')}/o/{token.organisation.slug}/settings/profile/tokens/"
    text = (
        f"Your token {token.name} (actv_{token.public_part}…) of {token.organisation.name} expires on "
        f"{token.expires_at:%Y-%m-%d at %H:%M} UTC. What uses it is refused from then on.\n\n"
        f"Generate a new one in time, and delete this one: {page}\n"
    )
    headers = {"Auto-Submitted": "auto-generated"}
    message = EmailMessage(f"Your token {token.name} expires soon", text, to=[token.owner.email], headers=headers)
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as error:  # its text may repeat the message
        log.warning("expiry_not_told", token=token.public_part, error=type(error).__name__)
        PersonalAccessToken.objects.filter(pk=token.pk).update(expiry_warned_at=None)
        return 0
    return 1
