"""E-mails to people about their account and their organisations.

What a letter says may hold a secret (a link): it is sent from where it is written and is neither logged nor queued.
"""

import smtplib
from urllib.parse import urljoin

import structlog
from django.conf import settings
from django.core.mail import EmailMessage

log = structlog.get_logger(__name__)


class LetterNotSent(Exception):
    """There is no e-mail service, or it did not take the letter."""

    def __init__(self) -> None:
        super().__init__("The e-mail could not be sent.")


def send(*, to: str, subject: str, text: str) -> None:
    """Send a letter now. Raises `LetterNotSent`."""
    if not settings.SENDS_EMAIL:
        raise LetterNotSent
    message = EmailMessage(subject, text, to=[to], headers={"Auto-Submitted": "auto-generated"})
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as error:  # its text may repeat the message
        log.warning("letter_not_sent", error=type(error).__name__)
        raise LetterNotSent from None


def link(path: str) -> str:
    """Return the address of a page for a letter: of `PUBLIC_URL`, never of what a request calls its host."""
    return urljoin(f"{settings.PUBLIC_URL}/", path.lstrip("/"))
