"""The OpenAPI document says what the API does: every operation is in it, and no call is answered in another way.

Schemathesis makes calls from the document, right and wrong ones, and judges the answers. `FUZZ_CASES` sets how many at
least; `make fuzz` makes ten times as many as `make test`. Each test counts its own and fails below its share; the sum is
printed at the end.
"""

import gzip
import os
import re
from contextlib import suppress
from copy import deepcopy
from itertools import count
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from django.urls import URLPattern
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from schemathesis.checks import load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok

from accounts.token_limits import VERBS
from activation.api.openapi import access
from activation.api.openapi.document import document
from activation.api.openapi.management_projects import SPECIFICATION
from config import api_urls
from tests.contracts.conftest import WAYS
from tests.contracts.counting import record
from tests.contracts.server import ApiServer

CASES = int(os.environ.get("FUZZ_CASES", "2000"))
# Of all calls a sixth follow the documents' links, the rest are shared by operations; in each way to serve.
FOLLOWING = -(-CASES // (6 * len(WAYS)))
# Functions of Django's, which answer any method alike; GET is described.
PLAIN = {"healthz", "readyz", "metrics"}
# What they would find is meant: bodies may hold more than is described, and be JSON whatever their content type says.
EXCLUDED = ("negative_data_rejection", "positive_data_acceptance", "unsupported_method", "missing_required_header")

# Bodies that work, where none that is made up would.
WORKING: dict[str, dict[str, Any]] = {
    "createProject": {"warehouseId": "", "outputSchema": "profiles", "specification": SPECIFICATION},
    "connectWarehouse": {"kind": "duckdb", "settings": {"file": "made.duckdb"}},
}

# Examples name things that are made up, and a new project has never been synced.
NEED_MORE = {"changeProject": (409,), "switchActivation": (404,), "reportRun": (400,)}
RENAMES = {"changeWarehouse"}
# A receipt is not there for who may not delete.
REFUSED_WITH = {"readDeletion": 404}
_numbers = count()

load_all_checks()
SCHEMA = schemathesis.openapi.from_dict(deepcopy(document()))
OPERATIONS = [result.ok() for result in SCHEMA.get_all_operations() if isinstance(result, Ok)]
SHARE = -(-(CASES - FOLLOWING * len(WAYS)) // (len(OPERATIONS) * len(WAYS)))


def described() -> set[tuple[str, str]]:
    return {
        (re.sub(r"\{\w+\}", "{}", path), method)
        for path, operations in document()["paths"].items()
        for method in operations
    }


def test_the_document_has_every_operation_and_no_other():
    found = set()
    for pattern in api_urls.urlpatterns:
        assert isinstance(pattern, URLPattern)
        path = re.sub(r"<(str|path):\w+>", "{}", f"/{pattern.pattern}")
        if str(pattern.pattern) in PLAIN:
            found.add((path, "get"))
        else:
            view = pattern.callback.view_class  # type: ignore[attr-defined]  # a class-based view's
            methods = {name for name in view.http_method_names if hasattr(view, name)} - {"options", "head", "trace"}
            found |= {(path, method) for method in methods}
    assert found == described()


def test_the_document_is_an_openapi_document():
    SCHEMA.validate()
    names = [each["operationId"] for path in document()["paths"].values() for each in path.values()]
    assert document()["openapi"].startswith("3.1.")
    assert len(names) == len(set(names))


def test_every_example_is_as_its_schema_says():
    found = 0
    for operation in OPERATIONS:
        told = document_of(operation)
        bodies = [answer for answer in told["responses"].values() if "content" in answer]
        for body in (*bodies, *document()["components"]["responses"].values(), told.get("requestBody", {})):
            for content in body.get("content", {}).values():
                schema = {**content["schema"], "components": document()["components"]}
                examples = [each["value"] for each in content.get("examples", {}).values()]
                examples += [of["example"] for of in (content, content["schema"]) if "example" in of]
                for example in examples:
                    jsonschema_rs.validator_for(schema).validate(example)
                    found += 1
    assert found > 500


def test_anybody_may_read_the_document(server: ApiServer):
    answer = server.ask("GET", "/v2/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["paths"] == document()["paths"]
    packed = server.ask("GET", "/v2/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert (packed.headers["content-encoding"], packed.headers["cache-control"]) == ("gzip", "public, max-age=300")
    assert gzip.decompress(packed.body) == answer.body
    kept = server.ask("GET", "/v2/openapi.json", headers={"If-None-Match": answer.headers["etag"]})
    assert (kept.status, kept.body) == (304, b"")
    refused = server.ask("POST", "/v2/openapi.json")
    assert (refused.status, refused.json["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_every_answer_is_as_described(server: ApiServer, operation: Any, record_property: Any):
    known = {"destinationId": server.destinations["main"][1], **server.things}
    names = [
        parameter["name"] for parameter in document_of(operation).get("parameters", []) if parameter["in"] == "path"
    ]
    calls: list[str] = []

    @settings(
        max_examples=SHARE,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), really=st.booleans(), token=st.sampled_from(("admin", "viewer", "limited")))
    def judge(case: Any, really: bool, token: str) -> None:
        if really:
            case.path_parameters = {**(case.path_parameters or {}), **{name: known[name] for name in names}}
            if isinstance(case.body, dict) and "destinationId" in case.body:
                case.body["destinationId"] = known["destinationId"]
        wait_for_nothing(case)
        calls.append(token)
        headers = {"Authorization": f"Bearer {server.tokens[token]}"}
        answer = case.call(base_url=f"http://127.0.0.1:{server.port}", headers=headers)
        case.validate_response(answer, excluded_checks=excluded())

    # A call that takes little is soon made in every way there is, and then made again.
    while len(calls) < SHARE:
        before = len(calls)
        judge()
        assert len(calls) > before
    record(record_property, len(calls))


def test_calls_that_follow_one_another_by_the_documents_links_are_answered_as_described(
    server: ApiServer, record_property: Any
):
    calls: list[str] = []
    wrong: list[BaseException] = []
    fine = {*(place for name, (_, place) in server.destinations.items() if name in {"main", "managed"})}

    class Team(SCHEMA.as_state_machine()):  # type: ignore[misc]  # made anew from each document
        """Calls on and on; what creates a thing is mostly given what works."""

        def before_call(self, case: Any) -> None:
            wait_for_nothing(case)
            calls.append(operation_id(case))
            if len(calls) % 4 and operation_id(case) in WORKING:
                case.body = body_that_works(operation_id(case), server)
            # Some destinations, which a list tells, are closed or silent on purpose.
            for named in (case.body, case.path_parameters):
                place = named.get("destinationId") if isinstance(named, dict) else None
                if isinstance(place, str) and place in {each for _, each in server.destinations.values()} - fine:
                    named["destinationId"] = server.destinations["main"][1]

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return called_on(server)

        def validate_response(self, response: Any, case: Any, additional_checks: Any = None, **_: Any) -> None:
            try:
                case.validate_response(response, excluded_checks=excluded())
            except FailureGroup as found:
                wrong.append(found)

    few = settings(
        max_examples=10,
        stateful_step_count=10,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    while len(calls) < FOLLOWING:
        before = len(calls)
        # What a call finds depends on what others made, so that Hypothesis cannot count on finding it again.
        with suppress(Flaky):
            Team.run(settings=few)
        assert len(calls) > before
    assert wrong == []
    record(record_property, len(calls))


def test_as_many_calls_are_made_as_were_asked_for():
    assert (SHARE * len(OPERATIONS) + FOLLOWING) * len(WAYS) >= CASES


@pytest.mark.parametrize("maker", WORKING)
def test_what_a_call_makes_is_read_changed_and_deleted_by_the_calls_it_links_to(server: ApiServer, maker: str):
    made = perform(server, maker, {}, body_that_works(maker, server))
    assert made.status_code == 201
    links = document_of(by_id(maker))["responses"]["201"]["links"]
    for name in sorted(links, key=lambda name: name.startswith("delete")):
        given = {each: made.json()[at.rpartition("/")[2]] for each, at in links[name]["parameters"].items()}
        # Other tests may have taken the name of the example.
        answer = perform(server, name, given, {"name": f"Made {next(_numbers)}"} if name in RENAMES else None)
        assert answer.status_code in {200, 201, 202, 204, *NEED_MORE.get(name, ())}, name
        if name.startswith("delete"):
            again = perform(server, name, given)
            assert (answer.status_code, again.status_code) == (204, 404)


@pytest.mark.parametrize("name", access.WANTED)
def test_a_call_wants_the_role_and_the_call_that_the_document_says(server: ApiServer, name: str):
    operation = by_id(name)
    wanted = document_of(operation)["x-token"]
    roles = ["viewer", "editor", "admin"]
    enough = {role: roles.index(role) >= roles.index(wanted["role"]) for role in roles}
    allowed = {f"only {verb}": verb == wanted["call"] for verb in VERBS}
    body = example_of(operation)
    if isinstance(body, dict) and "destinationId" in body:
        body = {**body, "destinationId": server.things["destinationId"]}
    for token, may in {**enough, **allowed}.items():
        answer = perform(server, name, known_of(server, operation), body, token=token)
        assert (answer.status_code != REFUSED_WITH.get(name, 401)) == may, (token, answer.status_code)


def example_of(operation: Any) -> Any:
    content = document_of(operation).get("requestBody", {}).get("content", {}).get("application/json", {})
    return content.get("example") or content.get("schema", {}).get("example")


def known_of(server: ApiServer, operation: Any) -> dict[str, str]:
    """Things of the seed for the parts of an operation's address."""
    asked = [each["name"] for each in document_of(operation).get("parameters", ()) if each["in"] == "path"]
    return {name: server.things[name] for name in asked}


def perform(server: ApiServer, name: str, path: dict[str, str], body: Any = None, *, token: str = "admin") -> Any:
    """Make a call by its name in the document, with its example, and see that the answer is as described."""
    body = body or example_of(by_id(name))
    case = by_id(name).Case(path_parameters=path, **({"body": body, "media_type": "application/json"} if body else {}))
    wait_for_nothing(case)
    answer = case.call(**called_on(server, token=token))
    case.validate_response(answer, excluded_checks=excluded())
    return answer


def wait_for_nothing(case: Any) -> None:
    """Have a call that would wait for a worker, which is not there, wait no time; what is no time is left as it is."""
    waits = any(each["name"] == "wait" for each in document_of(case.operation).get("parameters", ()))
    if waits and str((case.query or {}).get("wait", 0)).isdigit():
        case.query = {**(case.query or {}), "wait": 0}


def operation_id(case: Any) -> str:
    name: str = document_of(case.operation)["operationId"]
    return name


def by_id(name: str) -> Any:
    [found] = [each for each in OPERATIONS if document_of(each)["operationId"] == name]
    return found


def called_on(server: ApiServer, *, token: str = "admin") -> dict[str, Any]:
    """Where calls go, and the token they carry."""
    headers = {"Authorization": f"Bearer {server.tokens[token]}"}
    return {"base_url": f"http://127.0.0.1:{server.port}", "headers": headers}


def body_that_works(name: str, server: ApiServer) -> dict[str, Any]:
    """A body that makes a thing, under a name that nothing has yet."""
    body = {**WORKING[name], "name": f"Made {next(_numbers)}"}
    return {**body, "warehouseId": server.things["warehouseId"]} if "warehouseId" in body else body


def document_of(operation: Any) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][operation.path][operation.method]
    return found


def excluded() -> list[Any]:
    return [check for check in schemathesis.checks.CHECKS.get_all() if check.__name__ in EXCLUDED]


def test_every_link_leads_to_an_operation_and_takes_what_the_answer_has():
    found = 0
    for path in document()["paths"].values():
        for operation in path.values():
            for answer in operation["responses"].values():
                for link in answer.get("links", {}).values():
                    target = document_of(by_id(link["operationId"]))
                    asked = {each["name"] for each in target["parameters"] if each.get("in") == "path"}
                    assert set(link["parameters"]) == asked
                    found += 1
    assert found > 20
