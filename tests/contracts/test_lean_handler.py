"""The API is lean on the shared port too, and both handlers tell how they are."""

import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError, connection
from django.http import Http404
from django.utils.module_loading import import_string

from activation import pulse
from config import api_urls, health, wsgi
from config.embedded import EmbeddedServer, free_port
from tests.contracts.caller import call
from tests.contracts.server import running_server


def outermost(handler):
    """What a handler calls first: a middleware, or without any its own way to the views."""
    return handler._middleware_chain.__wrapped__


def test_the_api_handler_has_no_middleware_and_the_pages_keep_theirs():
    assert django_settings.API_MIDDLEWARE == []
    assert outermost(wsgi.lean).__name__ == "_get_response"
    assert "django.contrib.sessions.middleware.SessionMiddleware" in django_settings.MIDDLEWARE
    assert isinstance(outermost(wsgi.pages), import_string(django_settings.MIDDLEWARE[0]))


def test_an_answer_of_the_api_sets_no_cookie_and_no_page_header(db):
    answer = call("POST", "/v2/activation", HTTP_COOKIE="activation_session=x", HTTP_HOST="anything")
    assert answer.status == 401
    assert set(answer.headers) == {"content-type", "cache-control", "content-length", "www-authenticate"}


def test_a_page_is_none_of_the_apis_business():
    answer = call("GET", "/account/login/", application=wsgi.api)
    assert (answer.status, answer.json["code"]) == (404, "not_found")


@pytest.mark.parametrize("application", [wsgi.application, wsgi.api, wsgi.pages])
def test_every_handler_tells_that_it_is_alive_whoever_asks(application):
    answer = call("GET", "/healthz", application=application, HTTP_HOST="localhost")
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}')


def test_health_is_asked_by_ip_address_too():
    assert call("GET", "/healthz", HTTP_HOST="10.1.2.3").status == 200


@pytest.fixture
def parts(monkeypatch):
    """What readiness finds, with knobs and a clock."""
    parts = SimpleNamespace(time=1000.0, database=True, broker=True, beat_is_late=False, tick_is_broken=False)
    monkeypatch.setattr(health, "_readiness", health.Readiness(clock=lambda: parts.time))
    monkeypatch.setattr(health, "_database_answers", lambda: parts.database)
    monkeypatch.setattr(health, "_broker_answers", lambda: parts.broker)
    monkeypatch.setattr(pulse, "is_late", lambda: parts.beat_is_late)
    monkeypatch.setattr(pulse, "is_broken", lambda: parts.tick_is_broken)
    return parts


def test_a_process_with_all_its_parts_is_ready(parts):
    answer = call("GET", "/readyz")
    assert (answer.status, answer.json) == (200, {"status": "ready", "role": "web", "degraded": []})


def test_without_broker_and_beat_a_process_is_degraded_and_ready(parts):
    parts.broker, parts.beat_is_late = False, True
    answer = call("GET", "/readyz")
    assert (answer.status, answer.json) == (200, {"status": "degraded", "role": "web", "degraded": ["broker", "beat"]})


def test_with_a_tick_that_breaks_a_process_is_degraded_and_ready(parts):
    parts.tick_is_broken = True
    answer = call("GET", "/readyz", application=wsgi.api)
    assert (answer.status, answer.json) == (200, {"status": "degraded", "role": "api", "degraded": ["tick"]})


def test_without_the_database_pages_are_not_ready_and_the_api_is_for_a_while(parts, settings):
    settings.STALE_READS_FOR = 60
    assert call("GET", "/readyz", application=wsgi.api).status == 200
    parts.database = False
    parts.time += 59
    assert call("GET", "/readyz", application=wsgi.api).json == {
        "status": "degraded",
        "role": "api",
        "degraded": ["database"],
    }
    assert call("GET", "/readyz").status == 503
    parts.time += 2
    answer = call("GET", "/readyz", application=wsgi.api)
    assert (answer.status, answer.json["status"]) == (503, "unavailable")


def test_the_parts_are_looked_at_once_a_second(parts):
    assert call("GET", "/readyz").status == 200
    parts.database = False
    parts.time += 1
    assert call("GET", "/readyz").status == 200
    parts.time += 0.1
    assert call("GET", "/readyz").status == 503


def test_the_parts_themselves_are_found(db, settings, monkeypatch):
    assert (health._database_answers(), health._broker_answers()) == (True, True)
    settings.BROKER_URL = f"redis://:x@127.0.0.1:{free_port()}/0"
    assert not health._broker_answers()

    def down(*_):
        raise OperationalError("down")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "cursor", down)
        assert not health._database_answers()


def test_reads_go_on_without_our_database_for_a_while_and_then_say_so(tmp_path, redis_server: EmbeddedServer):
    with running_server(tmp_path, redis_server, STALE_READS_FOR="3") as server:
        asked = {
            "entity": "user",
            "destinationId": server.destinations["main"][1],
            "id": {"type": "email", "value": "x"},
        }
        assert server.call("POST", "/v2/activation", asked).status == 200
        away = Path(f"{server.folder}-away")
        shutil.move(server.folder, away)

        time.sleep(1.2)
        stale = server.call("POST", "/v2/activation", asked)
        unknown_token = server.call("POST", "/v2/activation", asked, token="limited")
        delete = server.call("DELETE", "/v2/activation", asked)
        time.sleep(3)
        late = [server.call(method, "/v2/activation", asked) for method in ("POST", "DELETE")]
        shutil.move(away, server.folder)
        time.sleep(1.2)
        back = server.call("POST", "/v2/activation", asked)

    assert stale.status == 200
    told = {
        "error": "The service cannot reach its database at the moment. Try again in a few seconds.",
        "code": "service_unavailable",
    }
    for answer in (unknown_token, late[0]):
        assert (answer.status, answer.json) == (503, told)
    for answer in (delete, late[1]):
        assert (answer.status, answer.json) == (503, {"message": told["error"], **told})
        assert answer.headers["retry-after"] == "5"
    assert back.status == 200
    assert json.loads(back.body)["data"] == {}


@pytest.mark.parametrize(
    ("verb", "handler", "error", "status", "code"),
    [
        ("POST", "handler400", SuspiciousOperation("person@example.com"), 400, "invalid_request"),
        ("DELETE", "handler400", RequestDataTooBig("x"), 413, "too_large"),
        ("POST", "handler404", Http404("person@example.com"), 404, "not_found"),
        ("DELETE", "handler500", None, 500, "internal"),
    ],
)
def test_what_fails_outside_of_the_views_has_the_same_shape(rf, verb, handler, error, status, code):
    view = import_string(getattr(api_urls, handler))
    answer = view(rf.generic(verb, "/v2/"), *([error] if error else []))
    told = json.loads(answer.content)
    assert (answer.status_code, told["code"]) == (status, code)
    assert ("message" in told) == (verb == "DELETE")
    assert b"person@example.com" not in answer.content
