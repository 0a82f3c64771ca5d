"""The browsers a person is logged in with: listed on their security page, ended from there.

Django's session rows name nobody, so a row of ours stands beside each. A session's key opens the account: it is
compared and deleted by, never shown.
"""

from datetime import datetime, timedelta

from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.addresses import client_address
from accounts.models import BrowserSession, User

SEEN_EVERY = timedelta(minutes=10)
_STATE = "browser_session"
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def note(request: HttpRequest, *, user: User, now: datetime) -> None:
    """Keep the row of this browser: made at its first page, then written every ten minutes and when its key changes."""
    key = request.session.session_key
    if key is None:
        return
    kept = request.session.get(_STATE)
    if kept and kept["key"] == key and now.timestamp() - kept["seen"] < SEEN_EVERY.total_seconds():
        return
    values = {
        "user": user,
        "session_key": key,
        "browser": browser_words(request.headers.get("User-Agent", "")),
        "address": client_address(request.META),
        "seen_at": now,
    }
    if not kept or not BrowserSession.objects.filter(session_key=kept["key"], user=user).update(**values):
        BrowserSession.objects.update_or_create(
            session_key=key, defaults=values, create_defaults={**values, "created_at": now}
        )
    request.session[_STATE] = {"key": key, "seen": now.timestamp()}


def of(user: User, *, now: datetime) -> QuerySet[BrowserSession]:
    """List the browsers in which a person is logged in, the last seen first."""
    live = Session.objects.filter(expire_date__gt=now).values("session_key")
    return BrowserSession.objects.filter(user=user, session_key__in=live).order_by("-seen_at", "-pk")


def end_others(user: User, *, keep: str | None) -> int:
    """Log a person out everywhere but in the session `keep`; returns of how many browsers."""
    others = BrowserSession.objects.filter(user=user).exclude(session_key=keep or "")
    return _end(others)


def end(user: User, public_id: str) -> int:
    """Log a person out of one browser; returns 0 when there is no such one."""
    return _end(BrowserSession.objects.filter(user=user, public_id=public_id))


def forget(session_key: str | None) -> None:
    """Drop the row of a browser that has logged out."""
    BrowserSession.objects.filter(session_key=session_key or "").delete()


def purge(user: User, *, now: datetime) -> None:
    """Drop the rows of a person whose sessions have expired."""
    BrowserSession.objects.filter(user=user).exclude(pk__in=of(user, now=now).order_by().values("pk")).delete()


def forget_expired(*, now: datetime) -> int:
    """Delete sessions that have expired and the rows beside them; returns how many of the latter."""
    Session.objects.filter(expire_date__lte=now).delete()
    gone = BrowserSession.objects.exclude(session_key__in=Session.objects.values("session_key"))
    deleted: int = gone.filter(seen_at__lt=now - SEEN_EVERY).delete()[0]
    return deleted


def browser_words(agent: str) -> str:
    """Say what a User-Agent is, in words: "Firefox on Linux"."""
    browser = next((name for sign, name in _BROWSERS if sign in agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in agent), "")
    return " on ".join(word for word in (browser or "A browser", system) if word)


def _end(sessions: QuerySet[BrowserSession]) -> int:
    keys = [*sessions.values_list("session_key", flat=True)]
    Session.objects.filter(session_key__in=keys).delete()
    BrowserSession.objects.filter(session_key__in=keys).delete()
    return len(keys)
