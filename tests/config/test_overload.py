"""What is too much is refused at once, before any work; what is accepted waits its turn; health checks never wait."""

import io
import threading
from contextlib import contextmanager
from typing import Any

import pytest

from config import departure, overload, queues, serve, wsgi
from config.overload import Queue, Refusal, Room
from tests.contracts.caller import call

REFUSAL = Refusal("503 Service Unavailable", [("Retry-After", "1")], b"full")


class Handler:
    """Answers when it is let; counts what is under way in it."""

    def __init__(self):
        self.entered, self.let = threading.Semaphore(0), threading.Semaphore(0)
        self.under_way = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, environ, start_response):
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self.entered.release()
        self.let.acquire()
        with self._lock:
            self.under_way -= 1
        start_response("200 OK", [])
        return [b"done"]


def ask(application, method="POST", body=b"{}"):
    told = []
    environ = {"REQUEST_METHOD": method, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    answer = application(environ, lambda status, *_: told.append(status))
    return told[0][:3], b"".join(answer), environ["wsgi.input"].tell()


@contextmanager
def asking(application, number):
    """Ask so many times at once; gives the list of what came back."""
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(application)[0])) for _ in range(number)]
    for thread in threads:
        thread.start()
    yield answers
    for thread in threads:
        thread.join()


def test_beyond_the_queue_requests_are_refused_at_once_and_all_others_are_answered():
    handler = Handler()
    queue = Queue(Room(active=2, waiting=3, seconds=30), {"": REFUSAL})
    application = queue.guard(handler)

    with asking(application, 5) as answers:
        handler.entered.acquire()
        handler.entered.acquire()
        while len(queue._waiting) < 3:
            threading.Event().wait(0.001)
        assert ask(application) == ("503", b"full", 2)  # its body is off the connection
        handler.let.release(5)

    assert answers == ["200"] * 5
    assert (handler.most, queue.refused) == (2, 1)
    handler.let.release()
    assert ask(application)[0] == "200"


def test_who_waits_too_long_is_refused_and_leaves_its_place():
    handler = Handler()
    application = Queue(Room(active=1, waiting=1, seconds=0.01), {"": REFUSAL}).guard(handler)
    with asking(application, 1):
        handler.entered.acquire()
        assert [ask(application)[0] for _ in range(3)] == ["503"] * 3
        handler.let.release(2)
    assert ask(application)[0] == "200"


def test_a_handler_that_fails_gives_its_turn_away():
    def fail(environ, start_response):
        raise RuntimeError

    application = Queue(Room(1, 0, 1), {"": REFUSAL}).guard(fail)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            ask(application)


def test_an_answer_that_is_still_being_sent_holds_its_turn():
    class Slow:
        def __iter__(self):
            return iter([b"a", b"b"])

        def close(self):
            closed.append(True)

    def stream(environ, start_response):
        start_response("200 OK", [])
        return Slow()

    def start(*_: Any) -> Any:
        return None

    closed: list[bool] = []
    application = Queue(Room(1, 0, 1), {"": REFUSAL}).guard(stream)
    answer: Any = application({"REQUEST_METHOD": "GET"}, start)
    assert ask(application)[0] == "503"
    assert b"".join(answer) == b"ab"
    answer.close()
    assert closed == [True]
    assert application({"REQUEST_METHOD": "GET"}, start)


def test_a_server_has_more_threads_than_requests_may_hold():
    assert overload.threads(16) > overload.api(16).threads + overload.PAGES.threads


@contextmanager
def full(queue, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(queue, "_free", 0)
        patch.setattr(queue, "_most_waiting", 0)
        yield


@pytest.mark.parametrize("application", [wsgi.application, wsgi.api])
@pytest.mark.parametrize("path", ["/v1/activation", "/v2/activation", "/v2/activation/batch", "/v2/projects"])
@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
def test_a_full_api_says_so_before_it_looks_at_the_request(application, path, method, monkeypatch):
    """Without a database: a test that asked for it would fail."""
    with full(queues.api, monkeypatch):
        answer = call(method, path, b"{", application=application, HTTP_X_REQUEST_ID="mine")

    told = {"error": queues.BUSY, "code": "service_unavailable"}
    assert answer.status == 503
    assert answer.json == ({"message": queues.BUSY, **told} if method == "DELETE" else told)
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["x-request-id"] == "mine"


@pytest.mark.parametrize("application", [wsgi.application, wsgi.api])
def test_health_checks_and_metrics_never_wait(application, db, monkeypatch):
    with full(queues.api, monkeypatch), full(queues.pages, monkeypatch):
        call("GET", "/v2/projects", application=application)
        refused = queues.api.refused
        assert refused
        assert call("GET", "/healthz", application=application).status == 200
        assert call("GET", "/readyz", application=application).status == 200
        metrics = call("GET", "/metrics", application=application, REMOTE_ADDR="127.0.0.1")
    assert f'activation_refused_total{{queue="api"}} {refused}.0' in metrics.body.decode()


def test_pages_and_the_api_do_not_starve_each_other(db, monkeypatch):
    with full(queues.api, monkeypatch):
        assert call("GET", "/account/login/").status != 503
    with full(queues.pages, monkeypatch):
        page = call("GET", "/account/login/")
        assert (page.status, page.headers["retry-after"]) == (503, "1")
        assert call("POST", "/v2/activation", b"{}").status == 401


def test_a_process_that_leaves_ends_its_connections_and_is_not_ready_when_it_said_so(db, monkeypatch):
    def ask_for(path, **environ):
        return call("GET", path, **environ)

    assert "connection" not in ask_for("/healthz").headers
    monkeypatch.setattr(departure.this, "announced", True)
    ready = ask_for("/readyz")
    assert (ready.status, ready.json["status"]) == (503, "leaving")
    assert "connection" not in ready.headers
    monkeypatch.setattr(departure.this, "under_way", True)
    for path in ("/healthz", "/v2/projects", "/account/login/"):
        assert ask_for(path).headers["connection"] == "close"
        assert "connection" not in ask_for(path, SERVER_PROTOCOL="HTTP/2").headers


def test_threads_are_for_as_many_calls_as_the_queue_lets_in_however_the_setting_is_given(monkeypatch, tmp_path):
    (tmp_path / "calls").write_text("40\n")
    monkeypatch.setenv("API_REQUESTS_AT_ONCE_FILE", str(tmp_path / "calls"))
    assert serve.requests_at_once() == 40
    monkeypatch.delenv("API_REQUESTS_AT_ONCE_FILE")
    monkeypatch.setenv("API_REQUESTS_AT_ONCE", "none")
    assert serve.requests_at_once() == overload.API_REQUESTS_AT_ONCE


def test_a_burst_of_a_few_dozen_calls_and_a_browser_that_loads_a_page_are_served():
    assert overload.api(overload.API_REQUESTS_AT_ONCE).threads >= 96
    assert overload.PAGES.threads >= 6 * 10, "ten browsers ask for files over six connections each"
