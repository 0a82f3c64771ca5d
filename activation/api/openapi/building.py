"""How an operation of the document is put together: parameters, body, answers, and the problems any call may meet."""

from typing import Any

from activation.api import paging
from activation.api.openapi.schemas import Schema, ref, text, whole

Operation = dict[str, Any]

PAGES: dict[str, Schema] = {
    "page": {"type": "integer", "minimum": 1, "maximum": 10**9, "default": 1},
    "per_page": {"type": "integer", "minimum": 1, "maximum": paging.MOST_PER_PAGE, "default": paging.PER_PAGE},
}

# Problems that any call may meet, by status; 405 and 406 are for callers who ask in a way that is not described here.
_ALWAYS = ("401", "405", "406", "429", "500", "503")
_PROBLEMS = {
    "400": ("The request is not what is asked for; the text says what and where.", "Error"),
    "401": ("The token is missing, wrong, expired, deleted, or may not do this.", "Error"),
    "404": ("There is no such thing in the token's organisation.", "Error"),
    "405": ("The method is not allowed here.", "Error"),
    "406": ("`Accept` excludes JSON.", "Error"),
    "409": ("It cannot be done now; `code` says why.", "Error"),
    "413": ("The body is too large.", "Error"),
    "422": ("What the body says cannot be used; `fields` says what is wrong with each member.", "Refusal"),
    "429": ("The token's rate is used up.", "Error"),
    "500": ("A fault of ours.", "Error"),
    "503": ("Redis or our own database does not answer in time.", "Error"),
}
_WITH_RETRY_AFTER = frozenset({"429", "503"})


def operation(
    what: tuple[str, str, str],
    *,
    answers: dict[str, tuple[str, Schema | None]],
    problems: tuple[str, ...],
    path: tuple[str, ...] = (),
    query: dict[str, Schema] | None = None,
    body: Schema | None = None,
    body_required: bool = True,
) -> Operation:
    """Describe an operation. `what` are tag, operation id and summary; `answers` tell status → words and schema."""
    tag, name, summary = what
    parameters = [{"name": each, "in": "path", "required": True, "schema": text(minLength=1)} for each in path]
    parameters += [{"name": each, "in": "query", "schema": schema} for each, schema in (query or {}).items()]
    described: Operation = {"tags": [tag], "operationId": name, "summary": summary}
    if parameters:
        described["parameters"] = parameters
    if body is not None:
        described["requestBody"] = {"required": body_required, "content": {"application/json": {"schema": body}}}
    described["responses"] = {
        **{status: _answer(about, schema) for status, (about, schema) in answers.items()},
        **{status: {"$ref": f"#/components/responses/{status}"} for status in sorted({*problems, *_ALWAYS})},
    }
    return described


def linked(described: Operation, status: str, **links: dict[str, str]) -> Operation:
    """Say which operations go on from an answer: operation id → parameter → where in the answer its value is."""
    found = {
        name: {"operationId": name, "parameters": {each: f"$response.body#/{at}" for each, at in parameters.items()}}
        for name, parameters in links.items()
    }
    described["responses"][status].setdefault("links", {}).update(found)
    return described


def problem_responses() -> dict[str, Any]:
    """Return the answers to calls that fail, by status."""
    found = {}
    for status, (about, schema) in _PROBLEMS.items():
        answer = _answer(about, ref(schema))
        if status in _WITH_RETRY_AFTER:
            answer["headers"] = {"Retry-After": {"description": "Seconds.", "schema": whole()}}
        found[status] = answer
    return found


def _answer(about: str, schema: Schema | None) -> dict[str, Any]:
    if schema is None:
        return {"description": about}
    return {"description": about, "content": {"application/json": {"schema": schema}}}
