"""What the thin path answers is what the framework answers, to the byte; what is not plain it leaves to the framework."""

import hashlib
import json
import subprocess
import sys
import time

import pytest
from django.conf import settings as django_settings
from django.core import signals
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.authentication import TokenAuthentication
from accounts.models import Membership, PersonalAccessToken
from accounts.roles import Role
from activation.api import bodies, fast
from activation.api.activation import ActivationView, FetchView
from activation.api.requests import TokenRate
from activation.models import DeletedProfilesPolicy, RedisDestination, Source
from config import wsgi
from tests.activation.test_suppressions import activation_of
from tests.contracts.server import ROOT
from tests.contracts.test_never_a_server_error import anything, headers, numbers, texts


@pytest.fixture
def world(either_world):
    return either_world


often = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("path", ["/v1/activation", "/v2/activation"])
@pytest.mark.parametrize("value", ["found", 'a"\\ä\x00😀', 7, -7, 2**64 - 1])
def test_a_plain_read_never_sees_the_framework(world, path, value):
    world.client.hset(world.key(value), mapping={"b:C": '{"x":1.10, "y":"\\ud800"}', "a": "[1]", "bad": "{"})

    assert not world.left_to_the_framework(world.plain(id={"type": "email", "value": value}), path=path)

    answer = world.ask(world.fast, world.plain(id={"type": "email", "value": value}), path=path)
    assert b'"data":{"b:C":{"x":1.10, "y":"\\ud800"},"a":[1]}}' in answer.body
    assert answer.headers == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "content-length": str(len(answer.body)),
        "etag": f'W/"{hashlib.sha256(answer.body).hexdigest()[:24]}"',
    }


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_ACCEPT": "application/json, text/plain, */*"},
        {"CONTENT_TYPE": "application/x-www-form-urlencoded"},
        {"CONTENT_TYPE": ""},
        {"HTTP_ACCEPT_ENCODING": "gzip", "HTTP_USER_AGENT": "x", "HTTP_COOKIE": "activation_session=x"},
        {"HTTP_X_FORWARDED_FOR": "192.0.2.1", "QUERY_STRING": "format=html"},
    ],
)
def test_headers_that_change_no_answer_do_not_cost_the_thin_path(world, environ):
    assert not world.left_to_the_framework(world.plain(), **environ)


def test_a_person_without_a_profile_and_a_key_of_another_kind_are_plain(world):
    world.client.set(world.key("text"), "x")
    assert not world.left_to_the_framework(world.plain())
    assert not world.left_to_the_framework(world.plain(id={"type": "email", "value": "text"}))


BODIES = {
    "a further member": {"views": ["a"]},
    "a number beyond 64 bits": {"id": {"type": "email", "value": 2**64}},
    "a list of ids": {"id": [{"type": "email", "value": "x"}]},
    "an unknown destination": {"destinationId": "1WhcOCGgj9asZu850HvugU2C3Aq"},
    "no destination's id": {"destinationId": []},
    "a blank entity": {"entity": " "},
    "the sync's own keys": {"entity": "_activation"},
    "a fraction": {"id": {"type": "email", "value": 1.5}},
}


@pytest.mark.parametrize("change", BODIES.values(), ids=BODIES)
def test_a_body_that_is_not_plain_is_left_to_the_framework(world, change):
    assert world.left_to_the_framework(world.plain(**change))


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"[1e999]", b'"' + b"x" * 65_536 + b'"', b"\xff"])
def test_a_body_that_is_no_plain_json_is_left_to_the_framework(world, raw):
    assert world.left_to_the_framework(raw)


@pytest.mark.parametrize(
    "how",
    [
        {"method": "DELETE"},
        {"method": "GET"},
        {"method": "OPTIONS"},
        {"path": "/v2/activation/"},
        {"path": "/v2/activation/batch"},
        {"method": "GET", "path": "/v2/activation/batch"},
        {"HTTP_ACCEPT": "text/html"},
        {"HTTP_AUTHORIZATION": ""},
        {"HTTP_AUTHORIZATION": "Basic eDp5"},
        {"HTTP_AUTHORIZATION": "Bearer \xff"},
        {"CONTENT_LENGTH": "5"},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "0"},
        {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
    ],
    ids=str,
)
def test_a_request_that_is_not_plain_is_left_to_the_framework(world, how):
    assert world.left_to_the_framework(world.plain(), **how)


@pytest.mark.parametrize(
    "change",
    [
        {"limits": {"rate": 100}},
        {"limits": {"verbs": ["read"]}},
        {"role": Role.VIEWER},
        {"revoked_at": "2026-01-01T00:00Z"},
    ],
    ids=str,
)
def test_a_token_that_may_not_do_everything_is_left_to_the_framework(world, change, caplog):
    activation = activation_of(world.destination, DeletedProfilesPolicy.STAY_DELETED)
    names = {"entity": "user", "id_type": "email", "feature_view": "view"}  # what limited tokens may ask for
    Source.objects.create(activation=activation, destination=world.destination, **names)
    PersonalAccessToken.objects.update(**change)
    assert world.left_to_the_framework(world.plain())
    assert "fast_read_failed" not in caplog.text


@pytest.mark.parametrize("remembered", ["identities", "handles"])
def test_what_is_not_remembered_is_looked_up_by_the_framework(world, monkeypatch, remembered):
    monkeypatch.setattr(getattr(fast, remembered), "known", lambda *_, **__: None)
    assert world.left_to_the_framework(world.plain())


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda: PersonalAccessToken.objects.update(revoked_at="2026-01-01T00:00Z"), 401),
        (lambda: Membership.objects.update(role=Role.VIEWER), 401),
        (lambda: RedisDestination.objects.all().delete(), 404),
        (lambda: RedisDestination.objects.update(settings={"address": "127.0.0.1:1"}, version=F("version") + 1), 503),
    ],
    ids=["a revoked token", "a demoted owner", "a removed destination", "changed settings"],
)
def test_within_a_second_the_thin_path_honours(world, change, status):
    assert not world.left_to_the_framework(world.plain())
    change()
    time.sleep(1.0)
    assert world.ask(world.fast, world.plain()).status == status


def test_the_thin_path_asks_nothing_of_our_database(world, django_assert_num_queries):
    world.ask(wsgi.lean, world.plain())
    with django_assert_num_queries(0):
        assert world.ask(world.fast, world.plain()).status == 200
    assert world.handler.requests == 0


def test_a_body_that_breaks_off_is_left_to_the_framework(thread_world):
    class Broken:
        def read(self, *_):
            raise OSError

        readline = read

    assert thread_world.left_to_the_framework(thread_world.plain(), **{"wsgi.input": Broken()})


@pytest.mark.parametrize(("broken", "status"), [("serving.read_by", 500), ("handles.known", 200)])
def test_a_bug_is_left_to_the_framework_and_logged_without_its_text(world, monkeypatch, caplog, broken, status):
    def fail(*_, **__):
        raise RuntimeError("person@example.com")

    world.ask(wsgi.lean, world.plain())
    monkeypatch.setattr(f"activation.{broken}", fail)
    assert world.ask(world.fast, world.plain()).status == status
    assert "fast_read_failed" in caplog.text
    assert "person@example.com" not in caplog.text


@often
@given(body=st.binary(max_size=200))
def test_any_bytes_have_the_same_answer(world, body):
    framework, thin = world.both(body)
    assert thin == framework


@often
@given(
    entity=texts | anything,
    id_type=texts | anything,
    value=texts | numbers | anything,
    more=st.dictionaries(texts, anything, max_size=1),
    ascii_only=st.booleans(),
)
def test_any_json_has_the_same_answer(world, entity, id_type, value, more, ascii_only):
    asked = world.plain(entity=entity, id={"type": id_type, "value": value, **more})
    body = json.dumps(asked, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    framework, thin = world.both(body)
    assert thin == framework


@often
@given(
    name=st.binary(max_size=10),
    value=st.binary(max_size=20)
    | anything.map(lambda value: json.dumps(value).encode())
    | st.sampled_from([b"NaN", b'{"a":1E400}', b'"\\ud800"', b" 1 ", b"01", b'"\t"', b"[" * 1030 + b"]" * 1030]),
)
def test_anything_in_redis_has_the_same_answer(world, name, value):
    world.client.delete(world.key("x"))
    world.client.hset(world.key("x"), mapping={name: value, b"good": b"{}"})
    assert not world.left_to_the_framework(world.plain())


@often
@given(
    method=st.sampled_from(["POST", "DELETE", "GET"]),
    authorization=st.none() | headers,
    accept=st.sampled_from(["*/*", "", "application/json;q=0"]) | headers,
    content_type=headers,
    length=st.none() | st.sampled_from(["", "0", "1", "5", "00", "²", "65537"]),
    others=st.dictionaries(st.from_regex(r"HTTP_[A-Z_]{1,9}", fullmatch=True), headers, max_size=2),
)
def test_any_headers_have_the_same_answer(world, method, authorization, accept, content_type, length, others):
    environ = {**others, "HTTP_ACCEPT": accept, "CONTENT_TYPE": content_type}
    if authorization is not None:
        environ["HTTP_AUTHORIZATION"] = authorization
    if length is not None:
        environ["CONTENT_LENGTH"] = length
    framework, thin = world.both(world.plain(id={"type": "email", "value": "nobody"}), method=method, **environ)
    assert thin == framework


def test_all_that_the_framework_does_for_a_request_is_known_to_the_thin_path():
    """Whoever adds a middleware, a throttle, a check or a header there adds it here, or leaves such requests to it."""
    assert django_settings.API_MIDDLEWARE == []
    for view in (FetchView, ActivationView):
        assert view.throttle_classes == (TokenRate,)
        assert (view.authentication_classes, view.permission_classes) == ([TokenAuthentication], [])
        assert view().default_response_headers == {}
    assert fast.PLAIN.isdisjoint(bodies.OPTIONS)
    listeners = {
        getattr(receiver[1](), "__name__", "")
        for signal in (signals.request_started, signals.request_finished)
        for receiver in signal.receivers
        if receiver[1]() is not None
    }
    assert listeners <= {"reset_queries", "close_old_connections", "close_caches", "reset_urlconf"}


@pytest.mark.parametrize(("value", "kind"), [("", "Reads"), ("1", "Reads"), ("0", "ApiHandler")])
def test_a_setting_turns_the_thin_path_off(value, kind):
    program = f"import os; os.environ['FAST_READS'] = '{value}'; from tests import environment; from config import wsgi"
    printed = subprocess.run(
        [sys.executable, "-c", f"{program}; print(type(wsgi.reads).__name__)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.strip() == kind
