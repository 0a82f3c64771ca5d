"""`Server-Timing` for who sends `X-Server-Timing`: where the time of a call went, in ms, on both ways of a read.

Only when asked, since few want it and everybody would pay for it (https://www.w3.org/TR/server-timing/).
"""

import time
from typing import TYPE_CHECKING, Any

from activation.timing import spent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ASKED = "HTTP_X_SERVER_TIMING"
_TURN = "activation.turn"


def timed(handler: "WSGIApplication") -> "WSGIApplication":
    """Return a callable that tells the times of what the handler answers; goes around the queue."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        if ASKED not in environ:
            return handler(environ, start_response)
        began = time.perf_counter()
        spent.redis = 0.0

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            now = time.perf_counter()
            times = {"queue": environ.get(_TURN, now) - began, "redis": spent.redis, "total": now - began}
            told = ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in times.items())
            return start_response(status, [*headers, ("Server-Timing", told)], *more)

        return handler(environ, start)

    return answer


def from_its_turn_on(handler: "WSGIApplication") -> "WSGIApplication":
    """Return a callable that notes when the handler began; goes inside of the queue."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        if ASKED in environ:
            environ[_TURN] = time.perf_counter()
        return handler(environ, start_response)

    return answer
