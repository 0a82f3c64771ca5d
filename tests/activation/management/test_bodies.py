"""Whatever is sent to the calls that set things up, the answer has the API's shape and is no error of ours."""

import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activation import tasks
from activation.api import fields
from activation.api.bodies import MAX_BATCH_BYTES, MAX_BODY_BYTES
from projects import checks
from projects.models import Project
from tests.activation.management.calling import ask
from tests.activation.pages.conftest import SPECIFICATION, VIEWS
from tests.contracts.caller import call

often = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
CALLS = [
    ("POST", "projects"),
    ("PATCH", "projects/{project}"),
    ("POST", "projects/{project}/specification"),
    ("POST", "projects/{project}/placements"),
    ("POST", "projects/{project}/main-views"),
    ("POST", "projects/{project}/activation"),
    ("POST", "warehouses"),
    ("PATCH", "warehouses/{warehouse}"),
    ("POST", "destinations"),
    ("PATCH", "destinations/{destination}"),
    ("POST", "destinations/probes"),
    ("POST", "destinations/{destination}/probes"),
]
NAMES = (
    *("name", "kind", "settings", "credentials", "warehouseId", "outputSchema", "specification", "schedule", "text"),
    *(
        "view",
        "relation",
        "idColumn",
        "enabled",
        "entity",
        "served",
        "destinationId",
        "removeProfiles",
        "leaveProfiles",
        "rowsPerSecond",
        "workspaceId",
    ),
    *("address", "password", "clusterMode", "secure", "database", "clientCertificate", "clientKey", "caCertificate"),
    *("host", "port", "user", "sslmode", "file", "minutes", "start", "expression", "forget", "earlier"),
)
texts = st.text(max_size=20) | st.sampled_from(["", " ", "\x00", "a:1", "duckdb", "postgresql", "cron", "basic", "-1"])
numbers = st.integers() | st.integers(-(10**40), 10**40) | st.floats()
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | texts, inner, max_size=6),
    max_leaves=12,
)


@pytest.fixture
def place(admin, activation, warehouse, monkeypatch) -> tuple[str, dict[str, str]]:
    """A token, and the ids of what is there; nothing is checked or tested, however often that is asked for."""
    monkeypatch.setattr(tasks, "wake_for_probe", lambda _: None)
    monkeypatch.setattr(checks, "MOST_IN_FIVE_MINUTES", 0)
    ids = {
        "project": activation.project.public_id,
        "warehouse": warehouse.public_id,
        "destination": activation.destination.public_id,
    }
    return admin.token(), ids


def assert_shape(answer: Any) -> None:
    assert answer.status in {200, 201, 202, 400, 404, 405, 409, 413, 422, 429}, answer.body
    assert answer.headers["content-type"] == "application/json"
    if answer.status >= 400:
        assert {"error", "code"} <= set(answer.json)
        assert all(isinstance(answer.json[name], str) and answer.json[name] for name in ("error", "code"))
    if answer.json.get("code") == "invalid_fields":
        assert answer.json["fields"]
        assert all(isinstance(text, str) and text for text in answer.json["fields"].values())


@pytest.mark.parametrize(("method", "path"), CALLS)
@often
@given(body=st.binary(max_size=100), media_type=st.sampled_from(["application/json", "application/yaml", "x", ""]))
def test_any_bytes_are_answered(place, method, path, body, media_type):
    assert_shape(ask(place[0], method, path.format(**place[1]), body, query="wait=0", CONTENT_TYPE=media_type))


@pytest.mark.parametrize(("method", "path"), CALLS)
@often
@given(body=st.dictionaries(st.sampled_from(NAMES), anything, max_size=8), ascii_only=st.booleans())
def test_any_json_is_answered(place, method, path, body, ascii_only):
    raw = json.dumps(body, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    assert_shape(ask(place[0], method, path.format(**place[1]), raw, query="wait=0"))


@pytest.mark.parametrize("where", ["projects", "warehouses", "destinations"])
@often
@given(query=st.text(st.characters(max_codepoint=255), max_size=30), ending=st.text(max_size=20))
def test_any_query_and_any_id_are_answered(place, where, query, ending):
    assert_shape(ask(place[0], "GET", where, query=f"name={query}&page={query}"))
    ending = ending.encode(errors="surrogatepass").decode("latin-1")
    assert_shape(ask(place[0], "GET", f"{where}/{ending}"))


def test_of_many_members_that_nobody_knows_some_are_told(admin):
    answer = ask(admin, "POST", "warehouses", {"kind": "duckdb", **{f"m{number}": 1 for number in range(500)}})
    assert answer.status == 422
    assert len(answer.json["fields"]) <= fields.MOST_TOLD + 2


@pytest.mark.parametrize("length", [MAX_BODY_BYTES * 2, MAX_BATCH_BYTES])
def test_a_file_that_comes_in_pieces_is_taken_whole_or_not_at_all(editor, project, length):
    file = (SPECIFICATION + VIEWS + "# " + "x" * length).encode()
    path = f"/v2/projects/{project.public_id}/specification"
    answer = call(
        "POST",
        path,
        CONTENT_LENGTH="",
        HTTP_TRANSFER_ENCODING="chunked",
        CONTENT_TYPE="application/yaml",
        HTTP_AUTHORIZATION=f"Bearer {editor.token()}",
        **{"wsgi.input": io.BytesIO(file)},  # type: ignore[arg-type]  # WSGI's own name
    )
    stored = Project.objects.get(pk=project.pk).specification_text
    if length == MAX_BATCH_BYTES:
        assert (answer.status, len(stored)) == (413, len(SPECIFICATION + VIEWS))
    else:
        assert (answer.status, len(stored)) == (200, len(file))
