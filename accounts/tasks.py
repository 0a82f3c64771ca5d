"""Wake-ups for the worker: each does one domain call. A lost or doubled one is harmless."""

import structlog
from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import invitations, letters, password_resets, sessions, token_expiries, trial_tokens

_EXPIRES = 600
log = structlog.get_logger(__name__)


def wake_password_reset(user_id: int, *, address: str | None) -> None:
    """Have the worker send the letter. The broker learns who, not the link; when it is away, people ask again."""
    try:
        send_password_reset.apply_async(kwargs={"user": user_id, "address": address}, expires=_EXPIRES, retry=False)
    except OperationalError:
        log.warning("wake_up_lost", task="accounts.send_password_reset")


def wake_notice(*, to: str, subject: str, text: str) -> None:
    """Have the worker send a letter that holds no secret: news about one's account."""
    try:
        send_notice.apply_async(kwargs={"to": to, "subject": subject, "text": text}, expires=_EXPIRES, retry=False)
    except OperationalError:
        log.warning("wake_up_lost", task="accounts.send_notice")


@shared_task(name="accounts.warn_of_expiries")
def warn_of_expiries(**_: object) -> None:
    """Tell owners of tokens that will expire."""
    token_expiries.warn(now=timezone.now())


@shared_task(name="accounts.forget")
def forget(**_: object) -> None:
    """Forget sessions and tokens of a few minutes that have expired, and invitations that were answered long ago."""
    now = timezone.now()
    sessions.forget_expired(now=now)
    invitations.forget(now=now)
    trial_tokens.forget(now=now)


@shared_task(name="accounts.send_password_reset", ignore_result=True)
def send_password_reset(*, user: int, address: str | None = None, **_: object) -> None:
    """Send the letter of a password reset; one that is not taken is asked for again by who waits for it."""
    try:
        password_resets.send(user, address=address)
    except letters.LetterNotSent:
        log.warning("password_reset_not_sent")


@shared_task(name="accounts.send_notice", ignore_result=True)
def send_notice(*, to: str, subject: str, text: str, **_: object) -> None:
    """Send a letter of news."""
    try:
        letters.send(to=to, subject=subject, text=text)
    except letters.LetterNotSent:
        log.warning("notice_not_sent")
