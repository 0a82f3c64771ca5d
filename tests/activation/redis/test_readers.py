"""A sync leaves applications that read from the same server their share of it, and needs no leave where nobody reads."""

import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from activation.engine import partition_writer
from activation.engine.bookkeeping import FenceMoved
from activation.engine.channel import Channel, Limits
from activation.engine.chunks import CHUNK_AMONG_READERS, CHUNK_ROWS
from activation.engine.connection import Deployment, connect
from activation.engine.errors import DestinationUnreachable
from activation.engine.loader import Loader
from activation.engine.readers import LOOK_EVERY, Readers
from activation.engine.rows import Rows
from tests.activation.redis.conftest import ACL_USER, Place
from tests.activation.redis.test_loader import CLAIM, RUN, open_loader

MANY = [f"ws:dest:user:email:{number}" for number in range(3 * CHUNK_ROWS)]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def deployment(place: Place) -> Iterator[Deployment]:
    deployment = connect(place.settings, allow_private=True, limits=Limits(1.0, 5.0))
    yield deployment
    deployment.close()


def read(deployment: Deployment, times: int) -> None:
    for number in range(times):
        deployment.execute_many([(f"{{{slot}}}{number}", ("HGETALL", f"{{{slot}}}{number}")) for slot in "abcdefgh"])


def test_a_server_that_applications_read_from_has_readers_until_they_stop(place, deployment):
    may_ask = place.settings.username != ACL_USER  # who may not has a sync without pauses
    clock = Clock()
    readers = Readers(clock=clock)
    nodes = deployment.primaries()
    assert not any(readers.are_at(node) for node in nodes)

    read(deployment, 60)
    clock.now += LOOK_EVERY
    assert all(readers.are_at(node) is may_ask for node in nodes)
    clock.now += LOOK_EVERY
    assert not any(readers.are_at(node) for node in nodes)


def test_nobody_waits_for_a_server_that_another_thread_asks(place, deployment, monkeypatch: pytest.MonkeyPatch):
    readers, node = Readers(clock=Clock()), deployment.primaries()[0]
    asked, goes_on, execute = threading.Event(), threading.Event(), node.execute

    def late(*command: str) -> object:
        asked.set()
        assert goes_on.wait(30)
        return execute(*command)

    monkeypatch.setattr(node, "execute", late)
    asking, waiting = (threading.Thread(target=readers.are_at, args=(node,), daemon=True) for _ in range(2))
    asking.start()
    assert asked.wait(30)
    waiting.start()
    waiting.join(5)
    went_on = not waiting.is_alive()
    goes_on.set()
    asking.join(30)
    assert went_on


def test_what_the_sync_itself_does_is_no_reading(place, deployment):
    clock = Clock()
    readers = Readers(clock=clock)
    node = deployment.primaries()[0]
    assert not readers.are_at(node)

    with open_loader(place.settings) as loader:
        loader.begin(RUN, 1, 1)
        with loader.partition(CLAIM) as writer:
            for _ in range(20):
                writer.write(Rows.of(MANY, ['{"A":1}'] * len(MANY), field=writer.field_of_commands))
            writer.witness()
    clock.now += LOOK_EVERY

    assert not readers.are_at(node)


@pytest.mark.parametrize(("read_from", "among", "pauses"), [(False, 1, 0), (True, 1, 1), (True, 3, 5)])
def test_between_chunks_readers_get_at_least_the_time_that_a_sync_takes(
    place, monkeypatch: pytest.MonkeyPatch, read_from: bool, among: int, pauses: int
):
    taken: list[float] = []
    moments = iter(range(10_000))

    class Time:
        @staticmethod
        def monotonic() -> float:
            return next(moments) / 1_000  # so a turn takes one millisecond

        @staticmethod
        def sleep(seconds: float) -> None:
            taken.append(round(1_000 * seconds, 6))

    class Known(Readers):
        def are_at(self, _: object) -> bool:
            return read_from

        def were_at(self, _: object) -> bool:
            return read_from

    monkeypatch.setattr(partition_writer, "time", Time)
    monkeypatch.setattr(partition_writer, "_READERS", Known())
    with open_loader(place.settings) as loader:
        written = _write(loader, among)

    assert written == len(MANY)
    assert set(taken) == ({pauses} if pauses else set())
    if pauses and not place.settings.cluster_mode:
        assert len(taken) == -(-len(MANY) // CHUNK_AMONG_READERS)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, while applications read."""
    made: list[float] = []

    class Time:
        monotonic = staticmethod(time.monotonic)
        sleep = staticmethod(made.append)

    class Read(Readers):
        def are_at(self, _: object) -> bool:
            return True

    monkeypatch.setattr(partition_writer, "time", Time)
    monkeypatch.setattr(partition_writer, "_READERS", Read())
    return made


def test_a_sync_that_was_stopped_makes_no_more_pauses(place, pauses):
    with open_loader(place.settings) as loader:
        loader.begin(RUN, 1, 1)
        loader.close_fences(RUN, 1, 1)
        with loader.partition(CLAIM) as writer, pytest.raises(FenceMoved):
            writer.write(Rows.of(MANY, ['{"A":1}'] * len(MANY), field=writer.field_of_commands))
        with loader.partition(CLAIM) as writer, pytest.raises(FenceMoved):
            writer.witness()
    assert pauses == []


def test_a_server_that_forgot_the_script_is_not_flooded_after_it_learned_it(place, pauses, deployment):
    with open_loader(place.settings) as loader:
        assert _write(loader, 1, by_script=True) == len(MANY)
        known = len(pauses)
        pauses.clear()
        for node in deployment.primaries():
            node.execute("SCRIPT", "FLUSH")
        assert _write(loader, 1, by_script=True) == len(MANY)
    assert len(pauses) == known


def test_a_connection_that_breaks_between_two_chunks_ends_the_partition(place, pauses, monkeypatch):
    sent = 0
    send = Channel.send

    def breaks(channel: Channel, packed: Sequence[bytes | memoryview], *, commands: int = 1) -> None:
        nonlocal sent
        sent += b"EVALSHA" in bytes(packed[0]) or b"HSET" in bytes(packed[0])
        if sent == 2:
            channel.close()
        send(channel, packed, commands=commands)

    with open_loader(place.settings) as loader:
        assert _write(loader, 1) == len(MANY)
        monkeypatch.setattr(Channel, "send", breaks)
        with loader.partition(CLAIM) as writer:
            with pytest.raises(DestinationUnreachable):
                writer.write(Rows.of(MANY, ['{"A":1}'] * len(MANY), field=writer.field_of_commands))
            with pytest.raises(DestinationUnreachable):
                writer.witness()


def _write(loader: Loader, among: int, *, by_script: bool = False) -> int:
    loader.begin(RUN, 1, 1)
    with loader.partition(CLAIM, among=lambda: among) as writer:
        field = None if by_script else writer.field_of_commands
        report = writer.write(Rows.of(MANY, ['{"A":1}'] * len(MANY), field=field))
        writer.witness()
    return report.written
