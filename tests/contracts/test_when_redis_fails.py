"""While a destination is away, callers are told at once, on both ways of a read; when it is back, so are answers."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

from config.embedded import EmbeddedServer
from tests.contracts.server import ApiServer, running_server
from tests.links import SILENT, Link

CALLERS = 4
TOLD_WITHIN = 0.15
BACK_WITHIN = 1.0
# Most are refused at once, and a few find out whether it is back. The tests share the cores with each other, so any call
# may wait for its turn: nearly all must be told in time, and of the few the one that waited least.
AT_ONCE = 0.05
NEARLY_ALL = 0.95


@dataclass(frozen=True)
class Call:
    """One read: its status, and when it was asked and answered."""

    status: int
    asked_at: float
    answered_at: float


class Place:
    """A destination behind a link, and an API that reads from it."""

    def __init__(self, api: ApiServer, redis: EmbeddedServer, link: Link) -> None:
        self.api, self.redis, self.link = api, redis, link
        self.body = {
            "entity": "user",
            "destinationId": api.destinations["main"][1],
            "id": {"type": "email", "value": "nobody"},
        }

    def read(self) -> Call:
        asked_at = time.monotonic()
        status = self.api.call("POST", "/v2/activation", self.body).status
        return Call(status, asked_at, time.monotonic())

    def read_until(self, status: int, *, within: float) -> None:
        deadline = time.monotonic() + within
        while self.read().status != status:
            assert time.monotonic() < deadline, f"no read was answered with {status} within {within} s"
            time.sleep(0.01)

    def read_for(self, seconds: float) -> list[Call]:
        """Read from several callers at once."""
        calls: list[Call] = []
        until = time.monotonic() + seconds

        def read() -> None:
            while time.monotonic() < until:
                calls.append(self.read())
                time.sleep(0.01)

        threads = [threading.Thread(target=read) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return calls


@pytest.fixture(scope="module", params=["1", "0"], ids=["fast", "framework"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("failing")
    with (
        EmbeddedServer(folder / "redis") as redis,
        Link(redis.port).passing() as link,
        running_server(folder, redis, FAST_READS=request.param, REDIS_ADDRESS=link.address) as api,
    ):
        yield Place(api, redis, link)


Fault = Callable[[Place], AbstractContextManager[None]]


@contextmanager
def killed(place: Place) -> Iterator[None]:
    place.redis.kill()
    try:
        yield
    finally:
        place.redis.start()


@contextmanager
def frozen(place: Place) -> Iterator[None]:
    assert place.redis.pid
    os.kill(place.redis.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(place.redis.pid, signal.SIGCONT)


@contextmanager
def half_open(place: Place) -> Iterator[None]:
    place.link.delay = SILENT
    try:
        yield
    finally:
        place.link.delay = 0.0


@contextmanager
def slow(place: Place) -> Iterator[None]:
    place.link.delay = 2.0
    try:
        yield
    finally:
        place.link.delay = 0.0


@pytest.mark.parametrize("fault", [killed, frozen, half_open, slow])
def test_reads_are_refused_at_once_and_answered_again_within_a_second(place: Place, fault: Fault):
    place.read_until(200, within=BACK_WITHIN)
    with fault(place):
        place.read_until(503, within=1.0)
        calls = place.read_for(1.5)

    place.read_until(200, within=BACK_WITHIN)

    assert len(calls) > CALLERS
    assert {call.status for call in calls} == {503}
    waited = sorted(call.answered_at - call.asked_at for call in calls)
    assert waited[int(len(waited) * NEARLY_ALL)] < TOLD_WITHIN
    tried = [seconds for seconds in waited if seconds > AT_ONCE]
    assert not tried or min(tried) < TOLD_WITHIN
    assert {place.read().status for _ in range(10)} == {200}
