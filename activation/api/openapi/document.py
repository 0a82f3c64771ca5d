"""`/v2/openapi.json`: the API as an OpenAPI 3.1 document. Anybody may read it."""

from functools import cache
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from activation.api.openapi import operations, schemas

_ABOUT = (
    "Read and delete your customers' profiles in real time, start syncs and read how they went. Every call carries a "
    "personal access token; calls about profiles want one with the role Admin."
)


@require_safe
def show(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - Django's signature
    """Answer with the document."""
    body = orjson.dumps(document())
    return HttpResponse(body, content_type="application/json", headers={"Cache-Control": "public, max-age=300"})


@cache
def document() -> dict[str, Any]:
    """Return the document."""
    return {
        "openapi": "3.1.1",
        "info": {"title": "Activation API", "version": "2", "description": _ABOUT},
        "servers": [{"url": settings.PUBLIC_URL}],
        "security": [{"token": []}],
        "tags": [{"name": "Profiles"}, {"name": "Syncs"}, {"name": "Profiles runs"}],
        "paths": operations.paths(),
        "components": {
            "schemas": schemas.ALL,
            "responses": operations.problem_responses(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Begins with actv_."}},
        },
    }
