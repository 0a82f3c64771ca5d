"""Every error of the API in one shape: `{"error": text, "code": code}` (https://www.rudderstack.com/docs/api/).

The hosted DELETE reports its own errors under `message`, so there the text stands under both names; 401 and 404 are
alike for both verbs. Texts are ours: no exception's text that may hold data of a request or a driver is ever passed on.
"""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
import structlog
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from rest_framework import exceptions

from accounts.actors import PermissionRefused
from activation import erasures, handles, serving, suppressions
from activation.api import bodies, refusals
from activation.api.formats import json_answer
from activation.api.problems import Kinds, Problem
from activation.handle import DestinationUnavailable

UNAUTHORIZED = "Unauthorized request. Please check your access token"
INTERNAL = "Internal server error"
TRY_DESTINATION_AGAIN_AFTER = 1
TRY_SERVICE_AGAIN_AFTER = 5
_ALIKE_FOR_BOTH_VERBS = frozenset({401, 404})

log = structlog.get_logger(__name__)


def answer(error: Exception, context: Mapping[str, object]) -> HttpResponse:
    """Turn whatever a view raised into an answer (DRF's `EXCEPTION_HANDLER`)."""
    request = context.get("request")
    method = str(getattr(request, "method", ""))
    problem = problem_of(error)
    if isinstance(error, exceptions.MethodNotAllowed):
        allowed = getattr(context.get("view"), "allowed_methods", ())
        problem = Problem(problem.status, problem.code, problem.text, {"Allow": ", ".join(allowed)})
    return respond(problem, method=method)


def respond(problem: Problem, *, method: str) -> HttpResponse:
    """Write a problem as the verb's callers expect it."""
    body: dict[str, object] = {"error": problem.text, "code": problem.code, **problem.more}
    if method == "DELETE" and problem.status not in _ALIKE_FOR_BOTH_VERBS:
        body = {"message": problem.text, **body}
    response = json_answer(orjson.dumps(body), status=problem.status, headers=problem.headers)
    # Django would log a line for each of them; bugs are logged by `problem_of`, the rest is the callers' business.
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 - Django's mark for its own logger
    return response


def problem_of(error: Exception) -> Problem:
    """Say what an exception means to the caller. What nobody foresaw is logged as a bug, without its text."""
    for kinds, problem in _PROBLEMS:
        if isinstance(error, kinds):
            return problem(error)
    log.error(
        "unhandled_error",
        error=type(error).__name__,
        where=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)],
    )
    return Problem(500, "internal", INTERNAL)


def _unauthorized(_: Exception) -> Problem:
    return Problem(401, "unauthorized", UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})


def _invalid_destination(error: Exception) -> Problem:
    return Problem(404, "invalid_destination", str(error))


def _too_large(error: Exception) -> Problem:
    told = error if isinstance(error, bodies.BodyTooLarge) else bodies.BodyTooLarge()
    return Problem(413, "too_large", str(told))


def _invalid_body(error: Exception) -> Problem:
    return Problem(400, "invalid_request", str(error))


def _bad_request(_: Exception) -> Problem:
    return Problem(400, "invalid_request", "The request cannot be read.")


def _not_found(_: Exception) -> Problem:
    return Problem(404, "not_found", "Nothing is here. Check the path and the ids in it.")


def _destination_unavailable(error: Exception) -> Problem:
    return Problem(503, "destination_unavailable", str(error), {"Retry-After": str(TRY_DESTINATION_AGAIN_AFTER)})


def _delete_pending(error: Exception) -> Problem:
    """The delete goes on without the caller; a cascading one has a receipt."""
    problem, receipt = _destination_unavailable(error), getattr(error, "receipt", "")
    return replace(problem, more={"receiptId": receipt}) if receipt else problem


def _service_unavailable(_: Exception) -> Problem:
    text = str(handles.ServiceUnavailable())
    return Problem(503, "service_unavailable", text, {"Retry-After": str(TRY_SERVICE_AGAIN_AFTER)})


def _key_missing(error: Exception) -> Problem:
    return Problem(503, "service_unavailable", str(error), {"Retry-After": str(TRY_SERVICE_AGAIN_AFTER)})


def _method_not_allowed(_: Exception) -> Problem:
    return Problem(405, "method_not_allowed", "This method is not allowed here.")


def _not_acceptable(_: Exception) -> Problem:
    return Problem(406, "not_acceptable", "Only application/json can be answered; the Accept header excludes it.")


def _rate_limited(error: Exception) -> Problem:
    seconds = getattr(error, "wait", None) or 1
    text = "Too many requests. Wait for as long as Retry-After says."
    return Problem(429, "rate_limited", text, {"Retry-After": str(int(seconds))})


def _by_framework(error: Exception) -> Problem:
    """Tell what DRF raised, or a view of ours through DRF's exceptions: their texts are written for callers."""
    assert isinstance(error, exceptions.APIException)
    if error.status_code == TEMPORARILY:
        return _service_unavailable(error)
    code = "invalid_request" if error.status_code == INVALID else error.default_code
    return Problem(error.status_code, code, _text(error.detail))


def _text(detail: object) -> str:
    """Flatten DRF's nested details into one line that names the fields."""
    if isinstance(detail, Mapping):
        return " ".join(f"{name}: {_text(inner)}" for name, inner in detail.items())
    if isinstance(detail, list | tuple):
        return " ".join(_text(inner) for inner in detail)
    return str(detail)


INVALID = exceptions.ParseError.status_code
TEMPORARILY = 503
# The first that fits counts, so narrower kinds come before wider ones.
_PROBLEMS: tuple[tuple[Kinds, Callable[[Any], Problem]], ...] = (
    (
        (
            exceptions.AuthenticationFailed,
            exceptions.NotAuthenticated,
            exceptions.PermissionDenied,
            PermissionRefused,
            serving.AccessRefused,
        ),
        _unauthorized,
    ),
    (handles.InvalidDestination, _invalid_destination),
    ((bodies.BodyTooLarge, RequestDataTooBig), _too_large),
    (bodies.BodyInvalid, _invalid_body),
    (erasures.DeletePending, _delete_pending),
    (DestinationUnavailable, _destination_unavailable),
    ((handles.ServiceUnavailable, OperationalError, InterfaceError), _service_unavailable),
    ((Http404, exceptions.NotFound), _not_found),
    (suppressions.SuppressionKeyMissing, _key_missing),
    (exceptions.MethodNotAllowed, _method_not_allowed),
    (exceptions.NotAcceptable, _not_acceptable),
    (exceptions.Throttled, _rate_limited),
    ((SuspiciousOperation, BadRequest, UnreadablePostError), _bad_request),
    (exceptions.APIException, _by_framework),
    *refusals.PROBLEMS,
)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's `handler400` for the API's addresses."""
    return respond(problem_of(exception), method=request.method or "")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's `handler404` for the API's addresses."""
    return respond(_not_found(exception), method=request.method or "")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's `handler500` for the API's addresses."""
    return respond(Problem(500, "internal", INTERNAL), method=request.method or "")
