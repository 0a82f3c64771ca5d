"""A WSGI callable that tells what it was asked, checked for WSGI's rules on both sides by the standard library."""

import json
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

from config.front import Left

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

JSON = [("Content-Type", "application/json")]
PIECE = b"x" * 100_000
PIECES = 30
BETWEEN = 0.3
closed: list[str] = []


class Slow:
    """An answer in pieces, with a pause before the last; notes that it was closed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __iter__(self) -> Iterator[bytes]:
        yield b"first,"
        time.sleep(BETWEEN)
        yield b""
        yield b"last"

    def close(self) -> None:
        closed.append(self._name)


def _answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/fails":
        raise {"StopIteration": StopIteration, "SystemExit": SystemExit}.get(environ["QUERY_STRING"], RuntimeError)
    if path == "/slow":
        start_response("200 OK", JSON)
        return Slow(environ["QUERY_STRING"])
    if path == "/large":
        start_response("200 OK", [*JSON, ("Content-Length", str(len(PIECE) * PIECES))])
        return iter([PIECE] * PIECES)
    if path == "/short":
        start_response("200 OK", [*JSON, ("Content-Length", "2")])
        return [b"{}"]
    if path == "/closed":
        told: Any = closed
    elif path == "/body":
        told = _length_of_body(environ)
    else:
        told = {key: value for key, value in environ.items() if isinstance(value, str)}
    body = json.dumps(told).encode()
    start_response("201 Created", [*JSON, ("Content-Length", str(len(body))), ("X-Two", "1"), ("X-Two", "2")])
    return [body] if environ["REQUEST_METHOD"] != "HEAD" else []


def _length_of_body(environ: "WSGIEnvironment") -> int | str:
    length = 0
    try:
        while piece := environ["wsgi.input"].read(70_000):
            length += len(piece)
    except OSError as error:
        closed.append("body")
        return str(error)
    return length


class Application:
    """The callable; of two paths it answers one within the event loop, and leaves the other with its body."""

    def __init__(self) -> None:
        self._answer = validator(_answer)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return self._answer(environ, start_response)

    async def first(self, scope: Any, protocol: Any) -> Left | None:
        if scope.path == "/loop":
            protocol.response_bytes(200, JSON, b"loop")
            return None
        return Left(await protocol()) if scope.query_string == "taken" else Left()


application = Application()
