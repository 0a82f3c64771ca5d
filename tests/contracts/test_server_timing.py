"""Where the time of a call went is told to who asks, alike on both ways of a read, and to nobody else."""

import json
import re

import pytest

from activation import handles
from activation.api import fast
from config import queues, wsgi
from config.overload import Queue, Room
from config.server_timing import from_its_turn_on, timed
from tests.activation.conftest import connected
from tests.contracts.caller import call

SHAPE = re.compile(r"queue;dur=(\d+\.\d{3}), redis;dur=(\d+\.\d{3}), total;dur=(\d+\.\d{3})")


@pytest.fixture
def asked(admin, redis_server):
    destination = connected(admin, redis_server)
    body = {"entity": "user", "destinationId": destination.public_id, "id": {"type": "email", "value": "x"}}
    yield {"body": json.dumps(body).encode(), "HTTP_AUTHORIZATION": f"Bearer {admin.token()}"}
    handles.close()


def times(answer):
    told = SHAPE.fullmatch(answer.headers["server-timing"])
    assert told
    return [float(milliseconds) for milliseconds in told.groups()]


@pytest.mark.parametrize("handler", [wsgi.lean, fast.Reads(wsgi.lean)], ids=["framework", "thin path"])
def test_who_asks_is_told_and_nobody_else(asked, handler):
    application = timed(Queue(Room(1, 0, 1), {}).guard(from_its_turn_on(handler)))
    assert "server-timing" not in call("POST", "/v2/activation", application=application, **asked).headers
    for _ in range(2):  # the times of one call are not added to the next one's
        answer = call("POST", "/v2/activation", application=application, HTTP_X_SERVER_TIMING="1", **asked)
        queue, redis, total = times(answer)
        assert answer.status == 200
        assert 0 < redis < total
        assert queue + redis <= total


@pytest.mark.parametrize("application", [wsgi.application, wsgi.api])
def test_an_answer_without_a_look_up_has_times_too(db, application):
    answer = call("POST", "/v2/activation", b"{}", application=application, HTTP_X_SERVER_TIMING="1")
    assert answer.status == 401
    assert times(answer)[1] == 0


def test_who_is_refused_is_told_how_long_that_took(monkeypatch):
    monkeypatch.setattr(queues.api, "_free", 0)
    monkeypatch.setattr(queues.api, "_most_waiting", 0)
    answer = call("POST", "/v2/activation", b"{}", HTTP_X_SERVER_TIMING="1")
    queue, redis, total = times(answer)
    assert (answer.status, redis, queue) == (503, 0, total)
