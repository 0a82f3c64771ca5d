"""What the calls that set things up share: lists in pages, and answers about things that are made, changed and gone."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson
from django.db.models import Model, QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from activation.api.formats import json_answer
from activation.api.paging import Paging

Row = TypeVar("Row", bound=Model)
CREATED, ACCEPTED, NO_CONTENT = 201, 202, 204


def listed(request: Request, name: str, found: QuerySet[Row], told: Callable[[Row], Mapping[str, Any]]) -> HttpResponse:
    """Answer with a page of rows, of those called as the query's `name` if it has one: `{name: […], "paging": …}`."""
    called = request.query_params.get("name")
    if called is not None:
        found = found.filter(name=called) if called.isprintable() else found.none()
    paging = Paging.of(request.path, request.query_params)
    rows = [told(row) for row in paging.rows(found.order_by("name"))]
    return answer({name: rows, "paging": paging.told(found.count())})


def answer(told: Mapping[str, Any], *, status: int = 200, at: str = "") -> HttpResponse:
    """Answer with an object; `at` is the address of what was made."""
    return json_answer(orjson.dumps(told), status=status, headers={"Location": at} if at else {})


def gone() -> HttpResponse:
    """Answer that something is deleted."""
    return HttpResponse(status=NO_CONTENT, headers={"Cache-Control": "no-store"})
