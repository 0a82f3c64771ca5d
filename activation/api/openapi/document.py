"""`/v2/openapi.json`: the API as an OpenAPI 3.1 document. Anybody may read it."""

from functools import cache
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from activation.api.formats import MEDIA_TYPE
from activation.api.openapi import building, management_schemas, operations, schemas, suppressions
from activation.api.requests import ApiView

_ABOUT = (
    "Read and delete your customers' profiles in real time, start syncs and read how they went, and set up projects, "
    "warehouses and destinations. Every call carries a personal access token; calls about profiles want one with the "
    "role Admin."
)
_MANAGED = [{"name": "Projects"}, {"name": "Warehouses"}, {"name": "Destinations"}]
_CALLS = ("Profiles", "Suppressions", "Syncs", "Profiles runs")


class DocumentView(ApiView):
    """`GET /v2/openapi.json`, without a token."""

    http_method_names = ["get", "head"]
    authentication_classes = ()
    throttle_classes = ()

    def get(self, request: Request) -> HttpResponse:
        """Answer with the document."""
        body = orjson.dumps(document())
        return HttpResponse(body, content_type=MEDIA_TYPE, headers={"Cache-Control": "public, max-age=300"})


@cache
def document() -> dict[str, Any]:
    """Return the document."""
    return {
        "openapi": "3.1.1",
        "info": {"title": "Activation API", "version": "2", "description": _ABOUT},
        "servers": [{"url": settings.PUBLIC_URL}],
        "security": [{"token": []}],
        "tags": [*({"name": name} for name in _CALLS), *_MANAGED],
        "paths": operations.paths(),
        "components": {
            "schemas": {**schemas.ALL, "Suppression": suppressions.SUPPRESSION, **management_schemas.ALL},
            "responses": building.problem_responses(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Begins with actv_."}},
        },
    }
