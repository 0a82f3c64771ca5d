"""The queues of a web or api process (`config.overload`), and how each tells that it is full."""

from django.conf import settings

from activation.api import errors
from activation.api.problems import Problem
from config import overload
from config.overload import Queue, Refusal

TRY_AGAIN_AFTER = "1"
BUSY = "Too many requests at once. Try again in a second."


def _of_api(method: str) -> Refusal:
    """Refuse as the API refuses everything."""
    problem = Problem(503, "service_unavailable", BUSY, {"Retry-After": TRY_AGAIN_AFTER})
    told = errors.respond(problem, method=method)
    return Refusal(f"{told.status_code} {told.reason_phrase}", list(told.items()), told.content)


def _of_pages() -> Refusal:
    body = b"Too many people at once. Load this page again in a second.\n"
    headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))}
    headers |= {"Cache-Control": "no-store", "Retry-After": TRY_AGAIN_AFTER}
    return Refusal("503 Service Unavailable", list(headers.items()), body)


api = Queue(overload.api(settings.API_REQUESTS_AT_ONCE), {"": _of_api("POST"), "DELETE": _of_api("DELETE")})
pages = Queue(overload.PAGES, {"": _of_pages()})
BY_NAME = {"api": api, "pages": pages}
