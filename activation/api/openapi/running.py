"""The addresses by which a process is watched, and of this document: without a personal access token."""

from typing import Any

from activation.api.openapi import answer_headers
from activation.api.openapi.schemas import Schema, obj, text

_TAG = "Operation"


def paths() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the operations by path and method."""
    return {
        "/v2/openapi.json": {"get": _document()},
        "/healthz": {"get": _alive()},
        "/readyz": {"get": _ready()},
        "/metrics": {"get": _metrics()},
    }


def _open(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"tags": [_TAG], "operationId": name, "summary": summary, "security": [], "responses": responses}


def _json(about: str, schema: Schema, example: Any = None) -> dict[str, Any]:
    content = {"schema": schema, **({} if example is None else {"example": example})}
    return {"description": about, "content": {"application/json": content}}


def _document() -> dict[str, Any]:
    schema = obj(("openapi", "info", "paths"), openapi=text(), info={"type": "object"}, paths={"type": "object"})
    made = _open(
        "readDocument",
        "Read this API as an OpenAPI document",
        {
            "200": _json(
                "The document.", schema, {"openapi": "3.1.1", "info": {"title": "Activation API"}, "paths": {}}
            ),
            "304": {"description": "It is as `If-None-Match` says that the caller has it."},
        },
    )
    for answer in made["responses"].values():
        answer["headers"] = answer_headers.tagged()
    return made


def _alive() -> dict[str, Any]:
    schema = obj(("status",), status={"enum": ["ok"]})
    return _open("readHealth", "Tell that the process answers", {"200": _json("It answers.", schema, {"status": "ok"})})


def _ready() -> dict[str, Any]:
    parts = {"type": "array", "items": {"enum": ["database", "broker", "beat", "tick"]}}
    schema = obj(
        ("status", "role", "degraded"),
        status={"enum": ["ready", "degraded", "unavailable"]},
        role={"enum": ["web", "api"]},
        degraded={**parts, "description": "Parts that are missing."},
    )
    example = {"status": "ready", "role": "api", "degraded": []}
    return _open(
        "readReadiness",
        "Tell whether the process can do its work, and which parts are missing",
        {
            "200": _json("It can; `degraded` names what is missing all the same.", schema, example),
            "503": _json("It cannot.", schema, {**example, "status": "unavailable", "degraded": ["database"]}),
        },
    )


def _metrics() -> dict[str, Any]:
    example = 'activation_look_ups_total{destination="…",entity="user",id_type="email",outcome="hit"} 40.0\n'
    text_format = {"text/plain": {"schema": text(), "example": example}}
    refused = {"error": "Nothing is here. Check the path and the ids in it.", "code": "not_found"}
    made = _open(
        "readMetrics",
        "Read what the process has counted, for Prometheus",
        {
            "200": {"description": "Prometheus' text format.", "content": text_format},
            "404": _json("The caller may not see it.", {"$ref": "#/components/schemas/Error"}, refused),
        },
    )
    made["security"] = [{}, {"metrics": []}]
    made["description"] = (
        "With `METRICS_TOKEN` set, that token is sent as a bearer token; without it only programs on the same machine "
        "are answered."
    )
    return made
