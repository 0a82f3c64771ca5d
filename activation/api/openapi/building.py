"""How an operation of the document is put together: parameters, body, answers, and the problems any call may meet."""

from typing import Any

from activation.api import paging
from activation.api.openapi import access, answer_headers, problems
from activation.api.openapi.schemas import Schema, ref, text

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
    "503": ("Redis or our own database does not answer in time, or too many requests came at once.", "Error"),
}
# Of these the codes differ from call to call.
_OF_THE_CALL = frozenset({"404", "409", "422"})


def operation(
    what: tuple[str, str, str],
    *,
    answers: dict[str, tuple[str, Schema | None]],
    refused: tuple[str, ...],
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
    described["x-token"] = access.told(name)
    described["responses"] = {
        **{status: _answer(about, schema, status) for status, (about, schema) in answers.items()},
        **{status: _problem(status, name) for status in sorted({*refused, *_ALWAYS})},
    }
    return described


def with_headers(described: Operation, *statuses: str, names: tuple[str, ...]) -> Operation:
    """Say that answers with these statuses always carry these headers."""
    for status in statuses:
        described["responses"][status]["headers"] = answer_headers.of(status, *names)
    return described


def linked(described: Operation, status: str, **links: dict[str, str]) -> Operation:
    """Say which operations go on from an answer: operation id → parameter → where in the answer its value is.

    Where it is `path.<name>`, it is that part of the request's address.
    """
    found = {
        name: {
            "operationId": name,
            "parameters": {
                each: f"$request.{at}" if at.startswith("path.") else f"$response.body#/{at}"
                for each, at in parameters.items()
            },
        }
        for name, parameters in links.items()
    }
    described["responses"][status].setdefault("links", {}).update(found)
    return described


def problem_responses() -> dict[str, Any]:
    """Return the answers to calls that fail, by status, as far as they are the same for all calls."""
    return {
        status: _refusal(status, problems.codes_of(status, "")) for status in sorted(_PROBLEMS.keys() - _OF_THE_CALL)
    }


def _problem(status: str, name: str) -> dict[str, Any]:
    if status in _OF_THE_CALL:
        return _refusal(status, problems.codes_of(status, name))
    return {"$ref": f"#/components/responses/{status}"}


def _refusal(status: str, codes: list[problems.Code]) -> dict[str, Any]:
    about, schema = _PROBLEMS[status]
    answer = _answer(about, ref(schema), status)
    answer["content"]["application/json"]["examples"] = problems.examples(codes)
    return answer


def _answer(about: str, schema: Schema | None, status: str) -> dict[str, Any]:
    found: dict[str, Any] = {"description": about, "headers": answer_headers.of(status)}
    if schema is not None:
        found["content"] = {"application/json": {"schema": schema}}
    return found
