"""JSON in and out for DRF: compact, by orjson, whatever content type a client names."""

from collections.abc import Iterable, Mapping
from typing import IO, Any

import orjson
from django.http import HttpResponse
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from activation.api import bodies
from activation.serving import Profile

MEDIA_TYPE = "application/json"


class JsonRenderer(BaseRenderer):
    """Writes compact JSON; `orjson.Fragment`s are spliced in as they are."""

    media_type = MEDIA_TYPE
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return the bytes of an answer."""
        return b"" if data is None else orjson.dumps(data)


class JsonParser(BaseParser):
    """Reads any body as JSON: curl's default content type is a form's, and means JSON here."""

    media_type = "*/*"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return what the body says. Raises `BodyInvalid`, `BodyTooLarge`."""
        return bodies.read_json(stream.read(bodies.MAX_BODY_BYTES + 1))


class JsonNegotiation(BaseContentNegotiation):
    """Every answer is JSON, so the only question is whether the client takes JSON."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        """Return the only parser."""
        return next(iter(parsers))

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        """Return the only renderer. Raises `NotAcceptable`."""
        if not accepts_json(request.META.get("HTTP_ACCEPT", "")):
            raise NotAcceptable
        return next(iter(renderers)), MEDIA_TYPE


def accepts_json(header: str) -> bool:
    """Tell whether an `Accept` header takes JSON: the closest range decides, and weighs more than nothing."""
    if header in {"", "*/*", MEDIA_TYPE}:
        return True
    weights = weights_in(header, unreadable=1.0)
    closest = next((name for name in (MEDIA_TYPE, "application/*", "*/*") if name in weights), None)
    return closest is not None and weights[closest] > 0


def weights_in(header: str, *, unreadable: float) -> dict[str, float]:
    """Return what an `Accept` header or one like it names, each with its weight; `unreadable` is that of a bad one."""
    found = {}
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            found[name] = float(weight)
        except ValueError:
            found[name] = unreadable
    return found


def envelope(entity: str, echo: Mapping[str, object], profile: Profile) -> bytes:
    """Return the answer to POST: what was asked, and each feature view's JSON text as Redis holds it."""
    data = {name: orjson.Fragment(value) for name, value in profile.features.items()}
    return orjson.dumps({"entity": entity, "id": echo, "data": data})


def json_answer(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return an answer of the API."""
    return HttpResponse(body, status=status, headers=dict(headers_of(body)) | dict(headers or {}))


def headers_of(body: bytes) -> list[tuple[str, str]]:
    """Return the headers that every answer has. No cache may keep it: it is about a person."""
    return [("Content-Type", MEDIA_TYPE), ("Cache-Control", "no-store"), ("Content-Length", str(len(body)))]
