"""The reference of the API as pages, written from the OpenAPI document. Anybody may read them: they hold no secret."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.utils.cache import get_conditional_response, patch_vary_headers, set_response_etag
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from accounts.templatetags.components import Sample
from accounts.templatetags.frame import THEMES
from activation.api.openapi import access, problems
from activation.api.openapi.document import TAGS, document
from activation.api.reference import rows, samples

KEPT_FOR = 300
_EXPLAINED = {"405", "406", "500"}


@dataclass(frozen=True)
class Answer:
    """An answer with a status, and examples of it by name (empty where there is only one)."""

    status: str
    about: str
    headers: list[str]
    examples: list[tuple[str, str]]
    rows: list[rows.Row]


@dataclass(frozen=True)
class Operation:
    """A call as the page tells it."""

    name: str
    method: str
    path: str
    summary: str
    about: str
    token: str
    parameters: list[rows.Row]
    body: list[rows.Row]
    body_required: bool
    answers: list[Answer]
    refusals: list[Answer]
    variables: list[str]
    samples: list[Sample]


@dataclass(frozen=True)
class Group:
    """Calls about the same things."""

    name: str
    slug: str
    operations: list[Operation]


@require_safe
def index(request: HttpRequest) -> HttpResponseBase:
    """Show what all calls share, and list them."""
    return _answered(request, "")


@require_safe
def group(request: HttpRequest, group: str) -> HttpResponseBase:
    """Show the calls of a group. Raises `Http404` where there is none of this name."""
    if group not in {each.slug for each in groups()}:
        raise Http404
    return _answered(request, group)


def _answered(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Answer with a page that every cache may keep."""
    theme = request.COOKIES.get("theme", "")
    page = HttpResponse(_written_page(slug, theme if theme in THEMES else ""))
    page["Cache-Control"] = f"public, max-age={KEPT_FOR}"
    patch_vary_headers(page, ["Cookie"])
    set_response_etag(page)
    found = get_conditional_response(request, etag=page["ETag"], response=page)
    return found or page


@cache
def _written_page(slug: str, theme: str) -> str:
    """Write a page. It is the same for everybody, so it knows of the request only the theme."""
    request = HttpRequest()
    request.COOKIES["theme"] = theme
    found = next((each for each in groups() if each.slug == slug), None)
    context = {"request": request, "groups": groups(), "group": found, "document": document()}
    if found:
        return render_to_string("reference/group.html", context)
    return render_to_string("reference/index.html", {**context, "codes": problems.ALL})


@cache
def groups() -> list[Group]:
    """List the groups with their calls, in the document's order."""
    found: dict[str, list[Operation]] = {name: [] for name in TAGS}
    for path, methods in document()["paths"].items():
        for method, described in methods.items():
            found[described["tags"][0]].append(_operation(path, method, described))
    return [Group(name, slugify(name), operations) for name, operations in found.items()]


def _operation(path: str, method: str, described: dict[str, Any]) -> Operation:
    named = document()["components"]["schemas"]
    body = described.get("requestBody", {})
    schema = body.get("content", {}).get("application/json", {}).get("schema")
    call, written = samples.of(path, method, described)
    answers = [_answer(status, answer) for status, answer in described["responses"].items()]
    name = described["operationId"]
    return Operation(
        name=name,
        method=method.upper(),
        path=path,
        summary=described["summary"],
        about=described.get("description", ""),
        token=access.words(name) if name in access.WANTED else "",
        parameters=[rows.of_parameter(each, named) for each in described.get("parameters", ())],
        body=rows.of_body(schema, named) if schema else [],
        body_required=body.get("required", False),
        answers=[answer for answer in answers if answer.status[0] in "23"],
        refusals=[answer for answer in answers if answer.status[0] in "45" and answer.status not in _EXPLAINED],
        variables=call.variables,
        samples=written,
    )


def _answer(status: str, answer: dict[str, Any]) -> Answer:
    components = document()["components"]
    if "$ref" in answer:
        answer = components["responses"][status]
    content = answer.get("content", {})
    told = content.get("application/json") or content.get("text/plain") or {}
    examples = {name: each["value"] for name, each in told.get("examples", {}).items()}
    if "example" in told:
        examples[""] = told["example"]
    special = [name for name in answer.get("headers", {}) if not name.startswith(("RateLimit", "X-Request"))]
    good = status.startswith("2") and "schema" in told
    return Answer(
        status=status,
        about=answer["description"],
        headers=special,
        examples=[(name, _written(value, indent=2 if good else None)) for name, value in examples.items()],
        rows=rows.of_body(told["schema"], components["schemas"]) if good else [],
    )


def _written(value: Any, *, indent: int | None) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=indent)
