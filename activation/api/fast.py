"""The thin path of plain reads and of batches, with a token and a destination known to this process.

A plain read is one profile by one id.

A WSGI callable in front of Django's handler, because the framework costs several times what the read does. It checks
nothing in its own way: it calls the functions that the views call, in the same order, and answers only what they all
agree with. Everything else goes to the handler, which finds the request as it came and is the reference: what is
answered here must be the same to the byte (`tests/contracts` asks both).

It must not ask our own database: nobody here closes its connections. Whoever is not remembered as of the last second
is looked up by the handler, which also notes a token's last use.
"""

import io
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import orjson
import structlog
from django.utils import timezone

from accounts import identities
from accounts.authentication import bearer
from accounts.identities import TokenIdentity
from activation import handles, look_ups, serving
from activation.api import bodies, errors, profiles
from activation.api.bodies import BodyInvalid, FetchRequest
from activation.api.delivery import deliver
from activation.api.formats import accepts_json, envelope
from activation.handles import DestinationUnavailable, Handle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PLAIN = frozenset({"entity", "destinationId", "id"})
_STATUS = {200: "200 OK", 304: "304 Not Modified"}
_LENGTH_DIGITS = len(str(bodies.MAX_BATCH_BYTES))

log = structlog.get_logger(__name__)


class Answer(NamedTuple):
    """What WSGI wants to know of an answer."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class Reads:
    """Answers plain reads and batches, and hands every other request on."""

    def __init__(self, handler: "WSGIApplication") -> None:
        self._handler = handler

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Answer a request, or let the handler do it."""
        attempt = PATHS.get(environ.get("PATH_INFO", ""))
        if attempt is not None and environ["REQUEST_METHOD"] == "POST":
            answer = _attempt(attempt, environ)
            if answer is not None:
                start_response(answer.status, answer.headers)
                return [answer.body]
        return self._handler(environ, start_response)


def _attempt(attempt: "Attempt", environ: "WSGIEnvironment") -> Answer | None:
    """Answer a request; None when the handler must answer, with the body as it came."""
    try:
        identity = _identity(environ)
        return None if identity is None else attempt(identity, environ)
    except Exception as error:  # noqa: BLE001 - the handler tells bugs, and finds those that are not of this module
        log.error("fast_read_failed", error=type(error).__name__)  # noqa: TRY400 - its text may hold data
        return None


def _identity(environ: "WSGIEnvironment") -> TokenIdentity | None:
    """Tell whose token came. What limits a token, its rate for one, is kept to by the handler only."""
    identity = identities.known(bearer(environ.get("HTTP_AUTHORIZATION", "")), now=timezone.now())
    if identity is None or identity.limits or not accepts_json(environ.get("HTTP_ACCEPT", "")):
        return None
    return identity


def _plain(identity: TokenIdentity, environ: "WSGIEnvironment") -> Answer | None:
    """Answer a plain read."""
    asked = _asked(_body(environ, most=bodies.MAX_BODY_BYTES))
    if asked is None:
        return None

    def read(handle: Handle) -> bytes:
        profile = serving.read_through(handle, identity, entity=asked.entity, id=asked.id)
        return envelope(asked.entity, asked.echo, profile)

    return _answer(identity, asked.destination, read, environ)


def _batch(identity: TokenIdentity, environ: "WSGIEnvironment") -> Answer | None:
    """Answer a batch, whatever its options."""
    try:
        batch = profiles.batch(_body(environ, most=bodies.MAX_BATCH_BYTES))
    except BodyInvalid:
        return None

    def read(handle: Handle) -> bytes:
        entity, ids, wanted = batch.entity, batch.ids, batch.wanted
        now = timezone.now()
        return batch.told(look_ups.each_through(handle, identity, entity=entity, ids=ids, wanted=wanted, now=now))

    return _answer(identity, batch.destination, read, environ)


def _body(environ: "WSGIEnvironment", *, most: int) -> bytes:
    """Read a body that has a told length, and put it back; nothing of others, which no request of ours is."""
    length: str = environ.get("CONTENT_LENGTH", "")
    told = length.isdecimal() and len(length) <= _LENGTH_DIGITS and 0 < int(length) <= most
    if not told or "HTTP_TRANSFER_ENCODING" in environ:
        return b""
    try:
        raw: bytes = environ["wsgi.input"].read(int(length))
    except OSError:
        return b""
    environ["wsgi.input"] = io.BytesIO(raw)
    return raw


def _asked(raw: bytes) -> FetchRequest | None:
    """Read the three members of a plain read."""
    try:
        body = orjson.loads(raw)
        return bodies.asked_by(body) if isinstance(body, dict) and body.keys() == PLAIN else None
    except (orjson.JSONDecodeError, BodyInvalid):
        return None


def _answer(
    identity: TokenIdentity, destination: object, read: "Callable[[Handle], bytes]", environ: "WSGIEnvironment"
) -> Answer | None:
    """Answer with what is read. A destination that fails is told here: asking it twice would take twice as long."""
    known = isinstance(destination, str) and handles.known(identity.actor.organisation.pk, destination)
    if not known:
        return None
    try:
        status, headers, body = deliver(read(known), environ)
        return Answer(_STATUS[status], headers, body)
    except DestinationUnavailable as error:
        told = errors.respond(errors.problem_of(error), method="POST")
        return Answer(f"{told.status_code} {told.reason_phrase}", list(told.items()), told.content)
    except serving.AccessRefused:
        return None


Attempt: TypeAlias = "Callable[[TokenIdentity, WSGIEnvironment], Answer | None]"
PATHS: dict[str, Attempt] = {"/v1/activation": _plain, "/v2/activation": _plain, "/v2/activation/batch": _batch}
