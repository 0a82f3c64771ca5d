"""Calls the lean handler in this process, as a WSGI server would, without a socket between."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from config import wsgi


@dataclass(frozen=True)
class Called:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(method: str, path: str, body: bytes = b"", *, application: Any = wsgi.application, **environ: str) -> Called:
    """Send a request; `environ` adds WSGI variables, such as `HTTP_AUTHORIZATION`."""
    started: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
        started.update(status=int(status[:3]), headers={name.lower(): value for name, value in headers})

    environment = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/json",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
        **environ,
    }
    with _connections_kept():
        answer = application(environment, start_response)
        try:
            return Called(body=b"".join(answer), **started)
        finally:
            getattr(answer, "close", lambda: None)()


@contextmanager
def _connections_kept() -> Iterator[None]:
    """A request would close the test's database connection in the middle of its transaction."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in signals:
            signal.connect(close_old_connections)


def api_within_a_page(environ: Any, start_response: Any) -> list[bytes]:
    """Be the API that a page under test calls (`API_APPLICATION`): the page's transaction is the test's own."""
    with _connections_kept():
        answer = wsgi.api(environ, start_response)
        try:
            return [b"".join(answer)]
        finally:
            getattr(answer, "close", lambda: None)()
