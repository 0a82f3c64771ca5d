"""A call to the API made from a page, for a person who wants to see an answer before they write any code.

It is a real call: a token of a few minutes is made for the person, and the API's own WSGI callable answers in this
process, from the check of the token to the bytes of the body. So it needs no way back to `PUBLIC_URL`, and shows what
an application would be answered by a process with the same settings. It is counted like every other look-up.

The answer is personal data: it is for the page that was asked, and is kept nowhere. The audit log says that somebody
looked, not for whom.
"""

import contextvars
import http
import io
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.module_loading import import_string

from accounts import audit, trial_tokens
from accounts.actors import Actor
from accounts.identifiers import new_public_id
from accounts.roles import Permission
from activation import handles, json_layout, usage
from activation.engine import profiles
from activation.models import RedisDestination, Source

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

PATH = "/v2/activation"
MOST_IN_FIVE_MINUTES = 60
_ACTION = "api_tried"
_MOST_SHOWN = 50_000


class TooManyTrials(Exception):
    """The organisation tried more calls in a few minutes than people do."""

    def __init__(self) -> None:
        super().__init__("Many calls were tried in the last five minutes. Wait a little, then try again.")


class NoSample(Exception):
    """No id was found to try with."""

    def __init__(self, id_type: str) -> None:
        super().__init__(f"No profile with an id of the type {id_type} was found quickly. Type an id yourself.")


@dataclass(frozen=True)
class Answer:
    """What the API answered, and the body that it was asked with. Neither is for a log."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str = field(repr=False)
    seconds: float
    request: str = field(repr=False)

    @property
    def status_words(self) -> str:
        """The status as HTTP has it: "200 OK"."""
        return f"{self.status} {http.HTTPStatus(self.status).phrase}"

    @property
    def milliseconds(self) -> str:
        """How long it took: "3.4"."""
        return f"{self.seconds * 1_000:.1f}"

    @property
    def found(self) -> bool:
        """Tell whether there is a profile in it."""
        return self.status == http.HTTPStatus.OK and bool(json.loads(self.body).get("data"))

    @property
    def shown(self) -> str:
        """The body as people read it; a very long one is cut."""
        text = json_layout.indented(self.body)
        return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}\n… cut here"


def may(actor: Actor) -> bool:
    """Tell whether somebody may try a call: they may call the API, and see what it tells."""
    return actor.may(Permission.CALL_ACTIVATION_API) and actor.may(Permission.SEE_PERSONAL_DATA)


def make(source: Source, value: str, *, by: Actor, now: datetime) -> Answer:
    """Ask the API for a profile of the source's entity and id type.

    Raises `PermissionRefused`, `TooManyTrials`.
    """
    _require(by)
    if audit.of(by).filter(action=_ACTION, at__gt=now - timedelta(minutes=5)).count() >= MOST_IN_FIVE_MINUTES:
        raise TooManyTrials
    destination = source.destination
    issued = trial_tokens.issue(destination=destination.public_id, entity=source.entity, by=by, now=now)
    body = json.dumps(
        {
            "entity": source.entity,
            "destinationId": destination.public_id,
            "id": {"type": source.id_type, "value": value},
        },
        ensure_ascii=False,
    )
    answer = _ask(body, token=issued.text, address=by.address)
    usage.write(now=now)
    _record(destination, source, answer, by=by, now=now)
    return answer


def sample_id(source: Source, *, by: Actor) -> str:
    """Return an id of the source's type that has a profile in Redis.

    Raises `PermissionRefused`, `NoSample`, and what `activation.handles` raises.
    """
    _require(by)
    handle = handles.get(by.organisation.pk, source.destination.public_id)
    beginning = profiles.key(handle.workspace_id, handle.public_id, source.entity, source.id_type, "")
    key = handle.any_key(beginning)
    if key is None:
        raise NoSample(source.id_type)
    return key.removeprefix(beginning)


def _require(by: Actor) -> None:
    by.require(Permission.CALL_ACTIVATION_API)
    by.require(Permission.SEE_PERSONAL_DATA)


def _ask(body: str, *, token: str, address: str | None) -> Answer:
    """Have the API answer, as its server would. What a request sets for itself is not left to the page's own."""
    application: WSGIApplication = import_string(settings.API_APPLICATION)
    raw = body.encode()
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": PATH,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": address or "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(raw)),
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "HTTP_X_REQUEST_ID": f"try-{new_public_id()}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(raw),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    started = time.perf_counter()
    status, headers, content = contextvars.copy_context().run(_run, application, environ)
    seconds = time.perf_counter() - started
    text = content.decode(errors="replace")
    return Answer(status, tuple(headers), text, seconds, request=body)


def _run(application: "WSGIApplication", environ: "WSGIEnvironment") -> tuple[int, Iterable[tuple[str, str]], bytes]:
    told: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Any:
        told.update(status=int(status[:3]), headers=headers)

    answer = application(environ, start_response)
    try:
        content = b"".join(answer)
    finally:
        getattr(answer, "close", lambda: None)()
    return told["status"], told["headers"], content


def _record(destination: RedisDestination, source: Source, answer: Answer, *, by: Actor, now: datetime) -> None:
    audit.record(
        _ACTION,
        by=by,
        target_type="destination",
        target_id=destination.public_id,
        target=destination.name,
        details={"entity": source.entity, "id_type": source.id_type, "status": answer.status},
        now=now,
    )
