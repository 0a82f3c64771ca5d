"""The thin path of plain reads and of batches, with a token and a destination known to this process.

A plain read is one profile by one id.

A WSGI callable in front of Django's handler, because the framework costs several times what the read does. It checks
nothing in its own way: it calls the functions that the views call, in the same order, and answers only what they all
agree with. Everything else goes to the handler, which finds the request as it came and is the reference: what is
answered here must be the same to the byte (`tests/contracts` asks both).

Reads come here by a thread for each, which waits for Redis (`Reads`, WSGI), or, plain ones, by the one event loop of a
server, where they wait for Redis together (`soon`, `config.arrivals`). Both ways are one, written as coroutines; a
thread runs them without a pause.

It must not ask our own database: nobody here closes its connections. Whoever is not remembered as of the last second
is looked up by the handler, which also notes a token's last use.
"""

import io
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

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
from activation.engine.connection import NotAtHand
from activation.handle import DestinationUnavailable, Handle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from typing import Any

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from activation.handle import Fields

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
            answer = serving.at_once(_attempt(attempt, Waiting(environ)))
            if answer is not None:
                start_response(answer.status, answer.headers)
                return [answer.body]
        return self._handler(environ, start_response)


class Asking(Protocol):
    """A request, its headers named as in WSGI, and how what it needs comes by."""

    hands_on: bool  # whether another thread answers what this one may not

    @property
    def headers(self) -> "Mapping[str, Any]": ...

    async def body(self, length: int) -> bytes:
        """Read the body, and keep it for who answers if it is not answered here. Raises `OSError`."""
        ...

    def read(self, handle: Handle, key: str) -> "Awaitable[Fields]":
        """Read a profile. Raises `DestinationUnavailable`, `NotAtHand`."""
        ...


class Waiting:
    """A request by WSGI: its thread waits."""

    hands_on = False

    def __init__(self, environ: "WSGIEnvironment") -> None:
        self.headers = environ

    async def body(self, length: int) -> bytes:
        """Read the body and put it back."""
        raw: bytes = self.headers["wsgi.input"].read(length)
        self.headers["wsgi.input"] = io.BytesIO(raw)
        return raw

    async def read(self, handle: Handle, key: str) -> "Fields":
        """Read a profile over a connection of its own."""
        return handle.read(key)


async def soon(asking: Asking) -> Answer | None:
    """Answer a plain read within the event loop; None when another thread must answer."""
    return await _attempt(_plain, asking)


async def _attempt(attempt: "Attempt", asking: Asking) -> Answer | None:
    """Answer a request; None when the handler must answer, with the body as it came."""
    try:
        identity = _identity(asking)
        return None if identity is None else await attempt(identity, asking)
    except NotAtHand:
        return None
    except Exception as error:  # noqa: BLE001 - the handler tells bugs, and finds those that are not of this module
        log.error("fast_read_failed", error=type(error).__name__)  # noqa: TRY400 - its text may hold data
        return None


def _identity(asking: Asking) -> TokenIdentity | None:
    """Tell whose token came. What limits a token, its rate for one, is kept to by the handler only."""
    headers = asking.headers
    text = bearer(headers.get("HTTP_AUTHORIZATION", ""))
    identity = identities.known(text, now=timezone.now(), hands_on=asking.hands_on)
    if identity is None or identity.limits or not accepts_json(headers.get("HTTP_ACCEPT", "")):
        return None
    return identity


async def _plain(identity: TokenIdentity, asking: Asking) -> Answer | None:
    """Answer a plain read."""
    asked = _asked(await _body(asking, most=bodies.MAX_BODY_BYTES))
    if asked is None:
        return None

    async def read(handle: Handle) -> bytes:
        read_key = partial(asking.read, handle)
        profile = await serving.read_by(read_key, handle, identity, entity=asked.entity, id=asked.id)
        return envelope(asked.entity, asked.echo, profile)

    return await _answer(identity, asked.destination, read, asking)


async def _batch(identity: TokenIdentity, asking: Asking) -> Answer | None:
    """Answer a batch, whatever its options."""
    try:
        batch = profiles.batch(await _body(asking, most=bodies.MAX_BATCH_BYTES))
    except BodyInvalid:
        return None

    async def read(handle: Handle) -> bytes:
        entity, ids, wanted = batch.entity, batch.ids, batch.wanted
        now = timezone.now()
        return batch.told(look_ups.each_through(handle, identity, entity=entity, ids=ids, wanted=wanted, now=now))

    return await _answer(identity, batch.destination, read, asking)


async def _body(asking: Asking, *, most: int) -> bytes:
    """Read a body that has a told length; nothing of others, which no request of ours is."""
    length: str = asking.headers.get("CONTENT_LENGTH", "")
    told = length.isdecimal() and len(length) <= _LENGTH_DIGITS and 0 < int(length) <= most
    if not told or "HTTP_TRANSFER_ENCODING" in asking.headers:
        return b""
    try:
        return await asking.body(int(length))
    except OSError:
        return b""


def _asked(raw: bytes) -> FetchRequest | None:
    """Read the three members of a plain read."""
    try:
        body = orjson.loads(raw)
        return bodies.asked_by(body) if isinstance(body, dict) and body.keys() == PLAIN else None
    except (orjson.JSONDecodeError, BodyInvalid):
        return None


async def _answer(
    identity: TokenIdentity, destination: object, read: "Callable[[Handle], Awaitable[bytes]]", asking: Asking
) -> Answer | None:
    """Answer with what is read. A destination that fails is told here: asking it twice would take twice as long."""
    organisation, hands_on = identity.actor.organisation.pk, asking.hands_on
    known = isinstance(destination, str) and handles.known(organisation, destination, hands_on=hands_on)
    if not known:
        return None
    try:
        status, headers, body = deliver(await read(known), asking.headers)
        return Answer(_STATUS[status], headers, body)
    except DestinationUnavailable as error:
        told = errors.respond(errors.problem_of(error), method="POST")
        return Answer(f"{told.status_code} {told.reason_phrase}", list(told.items()), told.content)
    except serving.AccessRefused:
        return None


Attempt: TypeAlias = "Callable[[TokenIdentity, Asking], Awaitable[Answer | None]]"
PLAIN_PATHS = frozenset({"/v1/activation", "/v2/activation"})
PATHS: dict[str, Attempt] = {**dict.fromkeys(PLAIN_PATHS, _plain), "/v2/activation/batch": _batch}
