"""Brings alerts to their recipients. The rows are the queue: each is tried until it is taken or a day old.

A row is claimed by a conditional UPDATE that also moves its `not_before` behind a lease, so a worker that dies while
it sends costs a minute. A message may arrive twice then; its id tells. Called by control workers only.
"""

import json
import smtplib
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import QuerySet

from accounts import vault
from accounts.vault import SecretUnreadable
from activation import alert_texts, webhooks
from activation.alert_texts import News
from activation.models import AlertDelivery, AlertSettings
from activation.run_faults import place_of
from activation.webhooks import WebhookFailed, WebhookInvalid
from projects import own_servers

GIVEN_UP_AFTER = timedelta(days=1)
FORMER_SECRET_FOR = timedelta(days=1)
KEPT_FOR = timedelta(days=30)
_LEASE = timedelta(seconds=60)
_SHORTEST_WAIT, _LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
_MOST_DOUBLINGS = 7
_AT_ONCE = 20
_Channel, _State = AlertDelivery.Channel, AlertDelivery.State

log = structlog.get_logger(__name__)


class NotDelivered(Exception):
    """A message was not taken; the text is fit for the page. `final` tells that trying again is no use."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def queue(row: AlertSettings, news: Sequence[News], *, now: datetime) -> None:
    """Queue messages about what is new in a project: one e-mail about all of it to each, one post about each."""
    if not news:
        return
    project = row.activation.project
    email = alert_texts.email(project, news)
    made = [_new(row, _Channel.EMAIL, email["subject"], email, to=to, now=now) for to in recipients(row)]
    if row.webhook_url:
        made += [
            _new(row, _Channel.WEBHOOK, alert_texts.headline(each), alert_texts.webhook(project, each), now=now)
            for each in news
        ]
    AlertDelivery.objects.bulk_create(made)


def queue_test(row: AlertSettings, *, now: datetime) -> list[AlertDelivery]:
    """Queue a test to every recipient and return what was queued."""
    project = row.activation.project
    email = alert_texts.trial_email(project)
    made = [_new(row, _Channel.EMAIL, email["subject"], email, to=to, test=True, now=now) for to in recipients(row)]
    if row.webhook_url:
        body = alert_texts.trial_webhook(project)
        made.append(_new(row, _Channel.WEBHOOK, "A test of alerts", body, test=True, now=now))
    return AlertDelivery.objects.bulk_create(made)


def recipients(row: AlertSettings) -> list[str]:
    """List the addresses that e-mails go to: those of members who still are, and the others."""
    members = row.members.order_by("user__email").values_list("user__email", flat=True)
    return list(dict.fromkeys([*members, *row.addresses]))


def due(*, now: datetime) -> list[int]:
    """List the messages to try now, oldest first, at most a handful."""
    waiting = AlertDelivery.objects.filter(state=_State.QUEUED, not_before__lte=now).order_by("not_before", "pk")
    return list(waiting.values_list("pk", flat=True)[:_AT_ONCE])


def deliver(delivery_id: int, *, now: datetime) -> None:
    """Try to bring one message; whatever happens, its row says what comes next."""
    row = _claim(delivery_id, now=now)
    if row is None:
        return
    try:
        if row.channel == _Channel.EMAIL:
            _send_email(row)
        else:
            _post(row, now=now)
    except NotDelivered as trouble:
        _not_taken(row, trouble, now=now)
    except Exception as error:  # noqa: BLE001 - a bug must not keep the message queued for ever
        log.error("alert_broke", delivery=row.public_id, error=type(error).__name__, at=place_of(error))  # noqa: TRY400 - no text
        _not_taken(row, NotDelivered(f"Something unexpected happened ({type(error).__name__})."), now=now)
    else:
        _still_ours(row).update(state=_State.SENT, finished_at=now, trouble="")
        if row.channel == _Channel.WEBHOOK:
            AlertSettings.objects.filter(pk=row.settings_id).update(webhook_broken_since=None)


def tidy(*, now: datetime) -> None:
    """Forget messages that were settled weeks ago."""
    AlertDelivery.objects.exclude(state=_State.QUEUED).filter(finished_at__lt=now - KEPT_FOR).delete()


def _new(
    row: AlertSettings,
    channel: AlertDelivery.Channel,
    summary: str,
    content: dict[str, object] | dict[str, str],
    *,
    now: datetime,
    to: str = "",
    test: bool = False,
) -> AlertDelivery:
    return AlertDelivery(
        settings=row,
        channel=channel,
        to=to,
        test=test,
        summary=summary[:200],
        content=content,
        created_at=now,
        not_before=now,
    )


def _send_email(row: AlertDelivery) -> None:
    if not settings.SENDS_EMAIL:
        raise NotDelivered("This installation sends no e-mail: EMAIL_URL is not set.", final=True)
    if row.to not in recipients(row.settings):
        raise NotDelivered("This address gets no alerts any more.", final=True)
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip(">")
    headers = {"Message-ID": f"<{row.public_id}@{domain}>", "Auto-Submitted": "auto-generated"}
    message = EmailMessage(row.content["subject"], row.content["text"], to=[row.to], headers=headers)
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused:
        raise NotDelivered("The mail server refused this address.") from None
    except (OSError, smtplib.SMTPException) as error:  # its text may repeat the message
        raise NotDelivered(f"The mail server could not take it ({type(error).__name__}).") from None


def _post(row: AlertDelivery, *, now: datetime) -> None:
    to = row.settings
    if not to.webhook_url:
        raise NotDelivered("The webhook was removed.", final=True)
    policy = own_servers.policy()
    body = json.dumps(
        {"id": row.public_id, "createdAt": f"{row.created_at:%Y-%m-%dT%H:%M:%SZ}", **row.content}
    ).encode()
    try:
        target = webhooks.parse(to.webhook_url, allow_http=policy.allow_private)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Activation-API",
            "X-Activation-Id": row.public_id,
            webhooks.SIGNATURE_HEADER: webhooks.signature(_secrets(to, now=now), body, at=int(now.timestamp())),
        }
        webhooks.post(target, body, headers, policy=policy)
    except (WebhookFailed, WebhookInvalid, SecretUnreadable) as error:
        raise NotDelivered(str(error)) from None


def _secrets(to: AlertSettings, *, now: datetime) -> list[str]:
    """Return the secrets to sign with: the present one and, for a day after a rotation, the former one."""
    rotated = to.webhook_rotated_at
    both = bool(to.webhook_former_secret and rotated and now - rotated < FORMER_SECRET_FOR)
    return [
        vault.decrypt(text) for text in ([to.webhook_secret, to.webhook_former_secret] if both else [to.webhook_secret])
    ]


def _not_taken(row: AlertDelivery, trouble: NotDelivered, *, now: datetime) -> None:
    """Try later, or give up: a test at once, an alert after a day."""
    words = str(trouble)[:300]
    webhook_broke = row.channel == _Channel.WEBHOOK and not trouble.final
    if webhook_broke:
        AlertSettings.objects.filter(pk=row.settings_id, webhook_broken_since=None).update(webhook_broken_since=now)
    if trouble.final or row.test or now - row.created_at >= GIVEN_UP_AFTER:
        _still_ours(row).update(state=_State.GIVEN_UP, finished_at=now, trouble=words)
        log.warning("alert_given_up", delivery=row.public_id, channel=row.channel)
        return
    wait = min(_SHORTEST_WAIT * 2 ** min(row.attempt - 1, _MOST_DOUBLINGS), _LONGEST_WAIT)
    _still_ours(row).update(not_before=now + wait, trouble=words)
    if webhook_broke:
        # The others to the same webhook wait with it: each would cost the worker five seconds.
        waiting = AlertDelivery.objects.filter(settings=row.settings_id, channel=_Channel.WEBHOOK, state=_State.QUEUED)
        waiting.filter(test=False, not_before__lt=now + wait).update(not_before=now + wait)


def _claim(delivery_id: int, *, now: datetime) -> AlertDelivery | None:
    rows = AlertDelivery.objects.select_related("settings")
    row = rows.filter(pk=delivery_id, state=_State.QUEUED, not_before__lte=now).first()
    if row is None:
        return None
    mine = AlertDelivery.objects.filter(pk=row.pk, state=_State.QUEUED, attempt=row.attempt)
    if not mine.update(attempt=row.attempt + 1, not_before=now + _LEASE):
        return None
    row.attempt += 1
    return row


def _still_ours(row: AlertDelivery) -> QuerySet[AlertDelivery]:
    return AlertDelivery.objects.filter(pk=row.pk, state=_State.QUEUED, attempt=row.attempt)
