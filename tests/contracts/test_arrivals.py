"""What is special about reads within the event loop; that they answer as all others do is shown with the thin path."""

import asyncio
import io
import time
from contextlib import suppress

import pytest

from accounts.renewal import RENEWED_AFTER
from activation.api import fast
from config import body_lengths, departure, overload, queues, wsgi
from config.arrivals import Arrivals
from config.overload import Queue, Refusal, Room
from tests.contracts.both_paths import PATH, Protocol, Scope

BODY = b'{"entity":1}'


def asked(path=PATH, method="POST", **headers):
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "CONTENT_LENGTH": str(len(BODY)), **headers}
    return Scope(environ), Protocol(io.BytesIO(BODY), len(BODY))


def answered(reads, scope, protocol):
    """Return the answer's status, headers and body; of a request that is left to a thread, what was read of it."""
    left = asyncio.run(reads(scope, protocol))
    return protocol.answer if left is None else left.body


def arrivals(queue=None, *, reads=True):
    return Arrivals(lambda _: queue, reads=reads)


@pytest.mark.parametrize(
    ("port", "path", "queue"),
    [
        (wsgi.application, "/v2/activation", queues.api),
        (wsgi.application, "/v1/activation", queues.api),
        (wsgi.application, "/account/login/", queues.pages),
        (wsgi.application, "/readyz", None),
        (wsgi.api, "/v2/projects", queues.api),
        (wsgi.api, "/account/login/", queues.api),
        (wsgi.api, "/healthz", None),
    ],
)
def test_each_request_has_its_queue(port, path, queue):
    assert isinstance(port.first, Arrivals)
    assert port.queue_for(path) is queue


def test_what_would_find_no_thread_is_refused_without_one():
    queue = Queue(Room(active=1, waiting=1, seconds=1), {"": Refusal("503 Busy", [("Retry-After", "1")], b"full")})
    arriving = arrivals(queue)
    left = [asyncio.run(arriving(*asked(method="DELETE"))) for _ in range(2)]

    scope, protocol = asked(method="DELETE", HTTP_X_REQUEST_ID="mine")
    assert asyncio.run(arriving(scope, protocol)) is None
    assert protocol.answer == (503, [("Retry-After", "1"), ("X-Request-ID", "mine")], b"full")
    assert protocol._body.tell() == len(BODY)
    assert queue.refused == 1
    scope, protocol = asked()  # a read that the loop does not answer
    assert asyncio.run(arriving(scope, protocol)) is None
    assert protocol.answer[0] == 503

    left[0].ended()
    assert asyncio.run(arriving(*asked(method="DELETE"))) is not None


def test_who_sends_a_body_slowly_takes_nobodys_place():
    queue = Queue(Room(active=1, waiting=0, seconds=1), {"": Refusal("503 Busy", [], b"full")})
    arriving = arrivals(queue)

    class Slow(Protocol):
        async def __call__(self):
            await came.wait()
            return await super().__call__()

    async def both():
        scope, _ = asked(method="DELETE")
        slow = asyncio.create_task(arriving(scope, Slow(io.BytesIO(BODY), len(BODY))))
        await asyncio.sleep(0)
        quick = await arriving(*asked(method="DELETE"))
        assert quick is not None
        quick.ended()
        came.set()
        return (await slow).body

    came = asyncio.Event()
    assert asyncio.run(both()) == BODY


def test_a_long_body_is_left_where_it_is_when_its_request_is_refused():
    queue = Queue(Room(active=0, waiting=0, seconds=1), {"": Refusal("503 Busy", [], b"full")})
    scope, protocol = asked(method="DELETE", CONTENT_LENGTH=str(body_lengths.SHORT + 1))
    assert asyncio.run(arrivals(queue)(scope, protocol)) is None
    assert protocol._body.tell() == 0


def test_reads_go_to_threads_where_the_thin_path_is_off():
    scope, protocol = asked()
    assert answered(arrivals(reads=False), scope, protocol) is None
    assert protocol._body.tell() == 0


@pytest.mark.parametrize(
    "other",
    [
        {"method": "DELETE"},
        {"path": "/v2/activation/batch"},
        {"path": "/account/login/"},
        {"HTTP_X_SERVER_TIMING": "1"},
    ],
    ids=str,
)
def test_what_the_loop_does_not_answer_it_does_not_touch(other):
    scope, protocol = asked(**other)
    assert answered(arrivals(), scope, protocol) is None
    assert protocol.answer is None
    assert protocol._body.tell() == 0


def test_when_very_many_are_under_way_the_newest_is_refused(monkeypatch):
    monkeypatch.setattr(overload, "READS_IN_LOOP", 0)
    before = queues.api.refused
    scope, protocol = asked(HTTP_X_REQUEST_ID="mine")

    status, headers, body = answered(arrivals(), scope, protocol)

    assert (status, body) == (503, queues.api.refusal("POST").body)
    assert {"Retry-After": "1", "X-Request-ID": "mine"}.items() <= dict(headers).items()
    assert protocol._body.tell() == len(BODY)
    assert queues.api.refused == before + 2


def test_whoever_is_answered_makes_room(monkeypatch):
    monkeypatch.setattr(overload, "READS_IN_LOOP", 1)
    reads = arrivals()
    for _ in range(3):
        assert answered(reads, *asked()) is None  # no token: a thread tells


def test_a_client_that_leaves_in_the_middle_of_its_body_is_left_to_nobody(monkeypatch):
    async def take_body(asking):
        with suppress(OSError):
            await asking.body(len(BODY))

    class Broken:
        def read(self, _):
            raise OSError

    monkeypatch.setattr(fast, "soon", take_body)
    scope, _ = asked()
    assert asyncio.run(arrivals()(scope, Protocol(Broken(), len(BODY)))) is None


@pytest.mark.parametrize(("version", "told"), [("1.1", "close"), ("2", None)])
def test_a_process_that_leaves_ends_its_connections_with_a_read(monkeypatch, version, told):
    monkeypatch.setattr(overload, "READS_IN_LOOP", 0)
    monkeypatch.setattr(departure.this, "under_way", True)
    scope, protocol = asked()
    scope.http_version = version
    _, headers, _ = answered(arrivals(), scope, protocol)
    assert dict(headers).get("Connection") == told


@pytest.mark.parametrize("name", ["a b", "", "ü", "x" * 129])
def test_a_name_that_is_none_is_not_repeated(monkeypatch, name):
    monkeypatch.setattr(overload, "READS_IN_LOOP", 0)
    _, headers, _ = answered(arrivals(), *asked(HTTP_X_REQUEST_ID=name))
    assert "X-Request-ID" not in dict(headers)


def test_one_read_is_left_to_who_looks_up_again_what_grows_old(loop_world):
    world = loop_world
    assert not world.left_to_the_framework(world.plain())
    time.sleep(RENEWED_AFTER + 0.05)
    before = world.handler.requests
    assert [world.ask(world.fast, world.plain()).status for _ in range(6)] == [200] * 6
    assert world.handler.requests == before + 1  # token and destination are as old
    time.sleep(RENEWED_AFTER - 0.3)
    assert world.ask(world.fast, world.plain()).status == 200
    assert world.handler.requests == before + 1  # they were looked up
