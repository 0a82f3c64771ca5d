"""The OpenAPI document says what the API does: every operation is in it, and no call is answered in another way.

Schemathesis makes calls from the document, right and wrong ones, and judges the answers. `FUZZ_CASES` sets how many;
`make fuzz` makes ten times as many as `make test`.
"""

import os
import re
from typing import Any

import pytest
import schemathesis
from django.urls import URLPattern
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import load_all_checks
from schemathesis.core.result import Ok

from activation.api.openapi.document import document
from config import api_urls
from tests.contracts.server import ApiServer

CASES = int(os.environ.get("FUZZ_CASES", "2000"))
NOT_DESCRIBED = {"healthz", "readyz", "metrics", "v2/openapi.json"}
# What they would find is meant: bodies may hold more than is described, and be JSON whatever their content type says.
EXCLUDED = ("negative_data_rejection", "positive_data_acceptance", "unsupported_method", "missing_required_header")

load_all_checks()
SCHEMA = schemathesis.openapi.from_dict(document())
OPERATIONS = [result.ok() for result in SCHEMA.get_all_operations() if isinstance(result, Ok)]


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
        if str(pattern.pattern) not in NOT_DESCRIBED:
            view = pattern.callback.view_class  # type: ignore[attr-defined]  # a class-based view's
            methods = {name for name in view.http_method_names if hasattr(view, name)} - {"options", "head", "trace"}
            path = re.sub(r"<str:\w+>", "{}", f"/{pattern.pattern}")
            found |= {(path, method) for method in methods}
    assert found == described()


def test_anybody_may_read_the_document(server: ApiServer):
    answer = server.ask("GET", "/v2/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["paths"] == document()["paths"]
    refused = server.ask("POST", "/v2/openapi.json")
    assert (refused.status, refused.json["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_every_answer_is_as_described(server: ApiServer, operation: Any):
    known = {"destinationId": server.destinations["main"][1], **server.things}
    names = [
        parameter["name"] for parameter in document_of(operation).get("parameters", []) if parameter["in"] == "path"
    ]

    @settings(
        max_examples=max(1, CASES // (2 * len(OPERATIONS))),
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
        headers = {"Authorization": f"Bearer {server.tokens[token]}"}
        answer = case.call(base_url=f"http://127.0.0.1:{server.port}", headers=headers)
        case.validate_response(answer, excluded_checks=[check for check in checks() if check.__name__ in EXCLUDED])

    judge()


def document_of(operation: Any) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][operation.path][operation.method]
    return found


def checks() -> list[Any]:
    return list(schemathesis.checks.CHECKS.get_all())
