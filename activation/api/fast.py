"""The thin path of the plain read: one profile by one id, with a token and a destination known to this process.

A WSGI callable in front of Django's handler, because the framework costs several times what the read does. It checks
nothing in its own way: it calls the functions that the views call, in the same order, and answers only what they all
agree with. Everything else goes to the handler, which finds the request as it came and is the reference: what is
answered here must be the same to the byte (`tests/contracts` asks both).

It must not ask our own database: nobody here closes its connections. Whoever is not remembered as of the last second
is looked up by the handler, which also notes a token's last use.
"""

import io
from typing import TYPE_CHECKING, NamedTuple

import orjson
import structlog
from django.utils import timezone

from accounts import identities
from accounts.authentication import bearer
from accounts.identities import TokenIdentity
from activation import handles, serving
from activation.api import bodies, errors
from activation.api.bodies import BodyInvalid, FetchRequest
from activation.api.delivery import deliver
from activation.api.formats import accepts_json, envelope
from activation.handles import DestinationUnavailable, Handle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATHS = frozenset({"/v1/activation", "/v2/activation"})
PLAIN = frozenset({"entity", "destinationId", "id"})
_STATUS = {200: "200 OK", 304: "304 Not Modified"}
_LENGTH_DIGITS = len(str(bodies.MAX_BODY_BYTES))

log = structlog.get_logger(__name__)


class Plain(NamedTuple):
    """A request that may be answered here."""

    identity: TokenIdentity
    handle: Handle
    asked: FetchRequest
    environ: "WSGIEnvironment"


class Answer(NamedTuple):
    """What WSGI wants to know of an answer."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class Reads:
    """Answers plain reads, and hands every other request on."""

    def __init__(self, handler: "WSGIApplication") -> None:
        self._handler = handler

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Answer a request, or let the handler do it."""
        if environ.get("PATH_INFO") in PATHS and environ["REQUEST_METHOD"] == "POST":
            answer = _attempt(environ)
            if answer is not None:
                start_response(answer.status, answer.headers)
                return [answer.body]
        return self._handler(environ, start_response)


def _attempt(environ: "WSGIEnvironment") -> Answer | None:
    """Answer a plain read; None when the handler must answer, with the body as it came."""
    try:
        plain = _plain(environ)
        return None if plain is None else _answer(plain)
    except Exception as error:  # noqa: BLE001 - the handler tells bugs, and finds those that are not of this module
        log.error("fast_read_failed", error=type(error).__name__)  # noqa: TRY400 - its text may hold data
        return None


def _plain(environ: "WSGIEnvironment") -> Plain | None:
    """Tell what is asked for; None when the handler must look at it. The body can be read again in either case."""
    identity = _identity(environ)
    if identity is None or not accepts_json(environ.get("HTTP_ACCEPT", "")):
        return None
    asked = _asked(environ)
    if asked is None or not isinstance(asked.destination, str):
        return None
    handle = handles.known(identity.actor.organisation.pk, asked.destination)
    return None if handle is None else Plain(identity, handle, asked, environ)


def _identity(environ: "WSGIEnvironment") -> TokenIdentity | None:
    """Tell whose token came. What limits a token, its rate for one, is kept to by the handler only."""
    identity = identities.known(bearer(environ.get("HTTP_AUTHORIZATION", "")), now=timezone.now())
    return None if identity is None or identity.limits else identity


def _asked(environ: "WSGIEnvironment") -> FetchRequest | None:
    """Read a body that has a told length and the three members of a plain read, and put it back."""
    length: str = environ.get("CONTENT_LENGTH", "")
    told = length.isdecimal() and len(length) <= _LENGTH_DIGITS and 0 < int(length) <= bodies.MAX_BODY_BYTES
    if not told or "HTTP_TRANSFER_ENCODING" in environ:
        return None
    try:
        raw: bytes = environ["wsgi.input"].read(int(length))
    except OSError:
        return None
    environ["wsgi.input"] = io.BytesIO(raw)
    try:
        body = orjson.loads(raw)
        return bodies.asked_by(body) if isinstance(body, dict) and body.keys() == PLAIN else None
    except (orjson.JSONDecodeError, BodyInvalid):
        return None


def _answer(plain: Plain) -> Answer | None:
    """Read the profile. A destination that fails is told here: asking it twice would take twice as long."""
    identity, handle, asked, _ = plain
    try:
        profile = serving.read_through(handle, identity, entity=asked.entity, id=asked.id)
        status, headers, body = deliver(envelope(asked.entity, asked.echo, profile), plain.environ)
        return Answer(_STATUS[status], headers, body)
    except DestinationUnavailable as error:
        told = errors.respond(errors.problem_of(error), method="POST")
        return Answer(f"{told.status_code} {told.reason_phrase}", list(told.items()), told.content)
    except serving.AccessRefused:
        return None
