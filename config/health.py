"""`/healthz` and `/readyz`: for load balancers and supervisors. No log-in, no secrets, no texts of drivers.

Alive means that the process answers. Ready means that it can do its work: pages need the database; the API goes on
without it for `STALE_READS_FOR` seconds with what it knows. Broker, beat and its tick move profiles but answer no
request, so without them the process is *degraded* and still ready. A process that is about to leave is not ready, so
that no more is sent to it. What was found is remembered for a second: anybody
may ask.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse

from activation import pulse
from activation.api.formats import json_answer
from config import departure

# The WSGI environment tells which work the answering process does (`config.wsgi`).
ROLE = "activation.role"
API, WEB = "api", "web"
FOUND_HOLDS_FOR = 1.0
BROKER_WITHIN = 0.5


@dataclass(frozen=True)
class Findings:
    """What was found: whether each part works, and for how many seconds the database has been missed."""

    database: bool
    broker: bool
    beat: bool
    tick: bool
    database_missed_for: float


@dataclass
class Readiness:
    """Looks at the parts, at most once a second. `clock` counts seconds."""

    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _found: Findings | None = None
    _found_at: float = float("-inf")
    _database_seen_at: float = float("-inf")

    def findings(self) -> Findings:
        """Return what is known, looking again if it is older than a second."""
        with self._lock:
            if self._found is None or self.clock() - self._found_at > FOUND_HOLDS_FOR:
                self._found = self._look()
                self._found_at = self.clock()
            return self._found

    def _look(self) -> Findings:
        database = _database_answers()
        now = self.clock()
        if database:
            self._database_seen_at = now
        return Findings(
            database=database,
            broker=_broker_answers(),
            beat=not pulse.is_late(),
            tick=not pulse.is_broken(),
            database_missed_for=now - self._database_seen_at,
        )


_readiness = Readiness()


def alive(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - Django's signature
    """Tell that this process answers."""
    return json_answer(orjson.dumps({"status": "ok"}))


def ready(request: HttpRequest) -> HttpResponse:
    """Tell whether this process can do its work, and which parts are missing: 200 or 503."""
    found = _readiness.findings()
    role = request.META.get(ROLE, WEB)
    knows_enough = found.database or (role == API and found.database_missed_for <= settings.STALE_READS_FOR)
    can_serve = knows_enough and not departure.this.announced
    parts = {"database": found.database, "broker": found.broker, "beat": found.beat, "tick": found.tick}
    missing = [name for name, works in parts.items() if not works]
    working = "degraded" if missing else "ready"
    unable = "leaving" if departure.this.announced else "unavailable"
    body = {"status": working if can_serve else unable, "role": role, "degraded": missing}
    return json_answer(orjson.dumps(body), status=200 if can_serve else 503)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        if not connection.in_atomic_block:
            connection.close()
        return False
    return True


def _broker_answers() -> bool:
    """Ping the broker. One that is not a plain Redis URL (Sentinel) is judged by the beat that comes through it."""
    url: str = settings.BROKER_URL
    if not url.startswith(("redis://", "rediss://")):
        return not pulse.is_late()
    try:
        with redis.Redis.from_url(url, socket_timeout=BROKER_WITHIN, socket_connect_timeout=BROKER_WITHIN) as client:
            client.ping()
    except (redis.RedisError, OSError):
        return False
    return True
