"""The headers of answers: which there are, and which answers carry which."""

from typing import Any

from activation.api.openapi.schemas import Schema, text, whole


def _header(about: str, schema: Schema, *, always: bool) -> dict[str, Any]:
    return {"description": about, "required": always, "schema": schema}


# What an answer with this header always has is required; the rest depends on the token or on the request.
ALL: dict[str, dict[str, Any]] = {
    "X-Request-ID": _header(
        "The `X-Request-ID` of the request, of up to 128 visible characters.", text(example="order-4711"), always=False
    ),
    "Server-Timing": _header(
        "Where the time went, in ms, for who sends `X-Server-Timing`: waiting for a turn, for Redis, and in all.",
        text(example="queue;dur=0.012, redis;dur=0.214, total;dur=0.391"),
        always=False,
    ),
    "RateLimit-Limit": _header(
        "Requests per second that the token may make; for tokens with a rate.", text(example="50"), always=False
    ),
    "RateLimit-Remaining": _header("Requests that are left just now.", whole(example=49), always=False),
    "RateLimit-Reset": _header("Seconds until there are more.", whole(example=1), always=False),
    "ETag": _header(
        "Names what is told. Sent as `If-None-Match`, it is answered with 304 while nothing has changed.",
        text(example='W/"5f0c1d2e3b4a59687786958a"'),
        always=True,
    ),
    "Retry-After": _header("Seconds to wait before the call is made again.", whole(example=1), always=True),
    "WWW-Authenticate": _header("How to authenticate.", text(example="Bearer"), always=True),
    "Allow": _header("The methods that are allowed.", text(example="POST, DELETE"), always=True),
    "Location": _header("The address of what was made, or of the test that goes on.", text(), always=True),
}
_FOR_ANYBODY = ("X-Request-ID", "Server-Timing")
ON_EVERY_ANSWER = (*_FOR_ANYBODY, "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_BY_STATUS = {
    "202": ("Location",),
    "401": ("WWW-Authenticate",),
    "405": ("Allow",),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
}
_NO_RATE = frozenset({"401"})


def of(status: str, *more: str) -> dict[str, Any]:
    """Return the headers of an answer with a status, as references."""
    usual = _FOR_ANYBODY if status in _NO_RATE else ON_EVERY_ANSWER
    names = (*usual, *_BY_STATUS.get(status, ()), *more)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def tagged() -> dict[str, Any]:
    """Return the headers of an answer that is the same for everybody."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", "ETag")}
