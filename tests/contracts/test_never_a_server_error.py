"""Nothing a client can send is an error of ours: whatever the bytes are, the answer has the contract's shape."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activation import handles, serving
from tests.activation.conftest import connected
from tests.contracts.caller import call

ROUTES = [("POST", "/v1/activation"), ("POST", "/v2/activation"), ("DELETE", "/v2/activation")]
FOUND, REFUSED = {200}, {400, 401, 404, 405, 406, 413}
often = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

texts = st.text(max_size=30) | st.sampled_from(["", " ", "\x00", "_activation", "a:b", "{x}", "\U0001f600", "x" * 1030])
numbers = st.integers() | st.integers(-(10**1100), 10**1100) | st.floats()
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
ids = st.fixed_dictionaries({}, optional={"type": texts | anything, "value": texts | numbers | anything})


@pytest.fixture
def credentials(admin, redis_server):
    """A destination that is there and a token that may use it."""
    destination = connected(admin, redis_server)
    yield destination.public_id, f"Bearer {admin.token()}"
    handles.close()


def assert_shape(answer, method):
    """The answer is a profile, a deletion or an error of the contract."""
    assert answer.status in FOUND | REFUSED
    assert answer.headers["content-type"] == "application/json"
    told = answer.json
    if answer.status == 200:
        expected = {"entity", "id", "data"} if method == "POST" else {"deletedKeys", "actualKeys"}
        assert set(told) == expected
        return
    assert set(told) - {"message"} == {"error", "code"}
    assert all(isinstance(text, str) and text for text in told.values())
    if method == "DELETE" and answer.status not in {401, 404}:
        assert told["message"] == told["error"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@often
@given(body=st.binary(max_size=200) | st.binary(max_size=20).map(lambda piece: piece * 5_000))
def test_for_any_bytes(credentials, method, path, body):
    assert_shape(call(method, path, body, HTTP_AUTHORIZATION=credentials[1]), method)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@often
@given(
    entity=texts | anything,
    place=st.none() | texts | anything,
    asked=ids | st.lists(ids, max_size=3) | anything,
    ascii_only=st.booleans(),
)
def test_for_any_json(credentials, method, path, entity, place, asked, ascii_only):
    destination = credentials[0] if place is None else place
    text = json.dumps({"entity": entity, "destinationId": destination, "id": asked}, ensure_ascii=ascii_only)
    answer = call(method, path, text.encode(errors="surrogatepass"), HTTP_AUTHORIZATION=credentials[1])
    assert_shape(answer, method)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@often
@given(entity=texts, id_type=texts, value=texts | st.integers())
def test_for_any_names_that_fit(credentials, method, path, entity, id_type, value):
    asked = {"entity": entity, "destinationId": credentials[0], "id": {"type": id_type, "value": value}}
    answer = call(method, path, json.dumps(asked).encode(), HTTP_AUTHORIZATION=credentials[1])
    assert_shape(answer, method)
    if answer.status == 200 and method == "POST":
        assert answer.json == {"entity": entity, "id": {"type": id_type, "value": value}, "data": {}}


headers = st.text(st.characters(max_codepoint=255), max_size=40)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@often
@given(
    authorization=headers, accept=headers, content_type=headers, length=st.sampled_from(["", "0", "1", "5"]) | headers
)
def test_for_any_headers(db, method, path, authorization, accept, content_type, length):
    answer = call(
        method,
        path,
        b"{}",
        HTTP_AUTHORIZATION=authorization,
        HTTP_ACCEPT=accept,
        CONTENT_TYPE=content_type,
        CONTENT_LENGTH=length,
    )
    assert_shape(answer, method)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_bug_of_ours_is_told_without_its_text_and_logged_without_it_too(
    credentials, method, path, monkeypatch, caplog
):
    def fail(*_, **__):
        raise RuntimeError("person@example.com")

    monkeypatch.setattr(serving, "read", fail)
    monkeypatch.setattr(serving, "delete", fail)
    asked = {"entity": "user", "destinationId": credentials[0], "id": {"type": "email", "value": "x"}}

    answer = call(method, path, json.dumps(asked).encode(), HTTP_AUTHORIZATION=credentials[1])

    told = {"error": "Internal server error", "code": "internal"}
    if method == "DELETE":
        told = {"message": "Internal server error", **told}
    assert (answer.status, answer.json) == (500, told)
    assert "RuntimeError" in caplog.text
    assert "person@example.com" not in caplog.text
