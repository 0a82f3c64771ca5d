"""`/v2/openapi.json`: the API as an OpenAPI 3.1 document. Anybody may read it."""

from functools import cache
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from activation.api.openapi import (
    answer_headers,
    building,
    examples,
    management_schemas,
    operations,
    problems,
    schemas,
    suppressions,
)
from activation.api.requests import ApiView, delivered

_ABOUT = (
    "Read and delete your customers' profiles in real time, start syncs and read how they went, and set up projects, "
    "warehouses and destinations. Every call carries a personal access token; calls about profiles want one with the "
    "role Admin."
)
TAGS = (
    *("Profiles", "Suppressions", "Syncs", "Profiles runs"),
    *("Projects", "Warehouses", "Destinations", "Audit log", "Operation"),
)
_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "A personal access token; it begins with `actv_`. `x-token` of each call tells the weakest `role` "
    "that may make it, and which `call` a token that is limited to some calls must be allowed (null: none is enough).",
}
_METRICS = {"type": "http", "scheme": "bearer", "description": "The operator's `METRICS_TOKEN`."}


class DocumentView(ApiView):
    """`GET /v2/openapi.json`, without a token."""

    http_method_names = ["get", "head"]
    authentication_classes = ()
    throttle_classes = ()

    def get(self, request: Request) -> HttpResponse:
        """Answer with the document."""
        answer = delivered(orjson.dumps(document()), request)
        answer["Cache-Control"] = "public, max-age=300"
        return answer


@cache
def document() -> dict[str, Any]:
    """Return the document."""
    named = {
        **schemas.ALL,
        **{name: problems.with_codes(schemas.ALL[name]) for name in ("Error", "Refusal")},
        "Suppression": suppressions.SUPPRESSION,
        **management_schemas.ALL,
    }
    return {
        "openapi": "3.1.1",
        "info": {"title": "Activation API", "version": "2", "description": _ABOUT},
        "servers": [{"url": settings.PUBLIC_URL}],
        "security": [{"token": []}],
        "tags": [{"name": name} for name in TAGS],
        "paths": _with_examples(operations.paths(), named),
        "components": {
            "schemas": named,
            "headers": answer_headers.ALL,
            "responses": building.problem_responses(),
            "securitySchemes": {"token": _TOKEN, "metrics": _METRICS},
        },
    }


def _with_examples(paths: dict[str, Any], named: dict[str, schemas.Schema]) -> dict[str, Any]:
    """Give every answer that is JSON an example, where it has none."""
    for method, operation in (each for path in paths.values() for each in path.items()):
        for status, answer in operation["responses"].items():
            told = answer.get("content", {}).get("application/json")
            if told and not {"example", "examples"} & told.keys():
                told["example"] = examples.of_answer(method, status, told["schema"], named)
    return paths
