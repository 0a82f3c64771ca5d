"""Reads of an event loop, which share one connection to each server: what each gets, and what happens when it breaks."""

import asyncio
import os
import re
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

import pytest
import redis
import uvloop

from activation.engine.connection import NotAtHand, RedisSettings
from activation.engine.errors import DestinationError, DestinationMisconfigured, DestinationTimeout
from activation.engine.store import Fields, Store
from config.embedded import EmbeddedServer
from tests.activation.redis.conftest import Place, one_server
from tests.links import SILENT, Link
from tests.redis_servers import DebianRedis

KEYS = [f"ws:dest:user:email:person{number}@example.com" for number in range(200)]
OPEN_WITHIN = 5.0
LIMIT = 0.1


def run(store: Store, work: Coroutine[Any, Any, Any]) -> Any:
    """Run in an event loop, and close the store in it."""

    async def whole() -> Any:
        try:
            return await asyncio.wait_for(work, 30)
        finally:
            store.close()
            await asyncio.sleep(0.01)

    return uvloop.run(whole())


async def at_hand(store: Store, key: str = KEYS[0]) -> Fields:
    """Read, as soon as the connection for it is open."""
    until = time.monotonic() + OPEN_WITHIN
    while True:
        try:
            return await store.read_soon(key)
        except NotAtHand:
            assert time.monotonic() < until, "it was never at hand"
            await asyncio.sleep(0.01)


async def all_of(store: Store, keys: list[str]) -> list[Any]:
    return await asyncio.gather(*(store.read_soon(key) for key in keys), return_exceptions=True)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    store = Store(place.settings, allow_private=True, command_timeout=2.0)
    yield store
    store.close()


@pytest.fixture
def own(tmp_path: Any) -> Iterator[tuple[EmbeddedServer, Store]]:
    """A server that a test may break, and a store with the time limits of reads."""
    with EmbeddedServer(tmp_path / "own") as server:
        with redis.Redis.from_url(server.url()) as client:
            for key in KEYS:
                client.hset(key, "view", f'{{"KEY":"{key}"}}')
        settings = RedisSettings.from_plain({"address": server.address}, {"password": server.password})
        store = Store(settings, allow_private=True)
        yield server, store
        store.close()


def test_everybody_gets_the_profile_that_was_asked_for(place, store):
    for key in KEYS[1:]:
        place.hset(key, "zebra", f'{{"KEY":"{key}"}}', "apple", '{"B":1.10}')

    async def read() -> list[Fields]:
        for key in KEYS:  # of a cluster, each node's connection is opened when it is needed
            await at_hand(store, key)
        return await all_of(store, KEYS)

    store.read(KEYS[0])  # a cluster tells who owns what
    assert run(store, read()) == [
        {},
        *({"zebra": f'{{"KEY":"{k}"}}'.encode(), "apple": b'{"B":1.10}'} for k in KEYS[1:]),
    ]


def test_all_reads_share_one_connection(own):
    server, store = own

    async def count() -> int:
        await at_hand(store)
        await all_of(store, KEYS)
        with redis.Redis.from_url(server.url()) as client:
            return len(client.client_list())

    assert run(store, count()) == 2, "ours, and the one that counts"


def test_what_only_a_read_of_its_own_can_judge_is_left_to_it(own):
    server, store = own
    with redis.Redis.from_url(server.url()) as client:
        client.set("text", "x")

    async def read() -> list[Any]:
        with pytest.raises(NotAtHand):  # nothing is open yet
            await store.read_soon(KEYS[0])
        await at_hand(store)
        return await all_of(store, [KEYS[0], "text", KEYS[1]])

    expected = store.read_many(KEYS[:2])
    first, text, last = run(store, read())
    assert isinstance(text, NotAtHand)
    assert [first, last] == expected


def test_a_large_profile_does_not_get_in_the_way_of_others(own):
    server, store = own
    with redis.Redis.from_url(server.url()) as client:
        client.hset("large", "view", '"' + "x" * 5_000_000 + '"')

    async def read() -> list[Any]:
        await at_hand(store)
        return await all_of(store, ["large", *KEYS, "large", KEYS[0] + "x" * 900_000])

    expected = store.read_many(KEYS)
    found = run(store, read())
    assert [len(fields.get("view", b"")) for fields in (found[0], found[-2])] == [5_000_002] * 2
    assert found[1:-2] == expected
    assert found[-1] == {}


def test_everybody_who_waits_is_told_when_the_server_goes_and_answered_when_it_is_back(own):
    server, store = own

    async def read() -> None:
        await at_hand(store)
        os.kill(server.pid, signal.SIGSTOP)
        reads = asyncio.gather(*(store.read_soon(key) for key in KEYS[:3]), return_exceptions=True)
        await asyncio.sleep(0.01)
        os.kill(server.pid, signal.SIGKILL)
        assert {type(error) for error in await reads} == {NotAtHand}
        server.__exit__(None, None, None)
        with pytest.raises(NotAtHand):
            await store.read_soon(KEYS[0])
        server.start()
        assert await at_hand(store) == {}

    run(store, read())


def test_a_connection_that_breaks_is_no_server_that_fails(own):
    server, _ = own

    async def read(store: Store) -> list[Any]:
        await at_hand(store)
        link.delay = SILENT
        reads = asyncio.gather(*(store.read_soon(key) for key in KEYS), return_exceptions=True)
        await asyncio.sleep(LIMIT / 10)
        link.cut()
        link.delay = 0.0
        assert {type(error) for error in await reads} == {NotAtHand}
        return await asyncio.to_thread(store.read_many, KEYS[:3])

    with Link(server.port).passing() as link:
        settings = RedisSettings.from_plain({"address": link.address}, {"password": server.password})
        linked = Store(settings, allow_private=True)
        assert [fields["view"] for fields in run(linked, read(linked))] == [
            f'{{"KEY":"{key}"}}'.encode() for key in KEYS[:3]
        ]


def test_a_server_that_is_silent_costs_a_time_limit_and_nobody_more(own):
    server, store = own

    async def read() -> None:
        await at_hand(store)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            found = await all_of(store, KEYS[:6])
            assert LIMIT <= time.monotonic() - began < 5 * LIMIT
            assert {type(error) for error in found} == {DestinationTimeout}
            began = time.monotonic()
            [error] = await all_of(store, KEYS[:1])
            assert (error.code, time.monotonic() - began < LIMIT / 2) == ("circuit_open", True)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        until = time.monotonic() + OPEN_WITHIN
        while isinstance((await all_of(store, KEYS[:1]))[0], DestinationError):
            assert time.monotonic() < until
            await asyncio.sleep(0.01)
        assert await at_hand(store)

    run(store, read())


def test_a_loop_that_was_busy_takes_the_answer_that_came_in_time(own):
    """The loop looks for what has come and then at the clock; busy with one of those that came, it finds it late."""
    server, _ = own

    def be_busy(near: socket.socket) -> None:
        near.recv(1)
        time.sleep(3 * LIMIT)

    async def read(store: Store) -> list[Any]:
        await at_hand(store)
        near, far = socket.socketpair()
        with near, far:
            loop = asyncio.get_running_loop()
            loop.add_reader(near, be_busy, near)
            reads = asyncio.gather(*(store.read_soon(key) for key in KEYS), return_exceptions=True)
            threading.Timer(LIMIT / 10, far.send, [b"x"]).start()
            try:
                return await reads
            finally:
                loop.remove_reader(near)

    with Link(server.port).passing() as link:
        settings = RedisSettings.from_plain({"address": link.address}, {"password": server.password})
        linked = Store(settings, allow_private=True)
        link.delay = LIMIT / 4
        expected = linked.read_many(KEYS)
        assert run(linked, read(linked)) == expected


def test_closing_lets_reads_under_way_end_and_opens_nothing_more(own):
    server, store = own

    async def read() -> list[Any]:
        await at_hand(store)
        reads = asyncio.gather(*(store.read_soon(key) for key in KEYS), return_exceptions=True)
        await asyncio.sleep(0)
        threading.Thread(target=store.close).start()
        found = await reads
        until = time.monotonic() + OPEN_WITHIN
        with redis.Redis.from_url(server.url()) as client:
            while len(client.client_list()) > 1:
                assert time.monotonic() < until, "it was never closed"
                await asyncio.sleep(0.01)
        for _ in range(2):
            with pytest.raises(NotAtHand):
                await store.read_soon(KEYS[0])
            await asyncio.sleep(0.05)
        return found

    assert [fields["view"] for fields in run(store, read())] == [f'{{"KEY":"{key}"}}'.encode() for key in KEYS]


@asynccontextmanager
async def told_as(answer: Callable[[str, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[Store]:
    """Serve answers as a Redis of the test's own."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while asked := await reader.read(1000):
                for key in re.findall(r"ws:\S+", asked.decode()):
                    await answer(key, writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Store(RedisSettings.from_plain({"address": f"127.0.0.1:{port}"}, {}), allow_private=True)


def profile(text: str) -> bytes:
    return f"*2\r\n$4\r\nview\r\n${len(text)}\r\n{text}\r\n".encode()


def test_a_long_reply_may_take_its_time_while_more_of_it_comes():
    async def slowly(key: str, writer: asyncio.StreamWriter) -> None:
        reply, step = profile(key), 12
        for begin in range(0, len(reply), step):
            writer.write(reply[begin : begin + step])
            await asyncio.sleep(LIMIT / 3)

    async def read() -> None:
        async with told_as(slowly) as store:
            await at_hand(store)
            began = time.monotonic()
            assert await all_of(store, KEYS[:2]) == [{"view": key.encode()} for key in KEYS[:2]]
            assert time.monotonic() - began > 2 * LIMIT
            store.close()
            await asyncio.sleep(0.01)

    uvloop.run(read())


def test_what_nobody_asked_for_is_nobodys_answer():
    async def twice(key: str, writer: asyncio.StreamWriter) -> None:
        writer.write(profile(key))
        await asyncio.sleep(LIMIT / 10)
        writer.write(profile("a stranger"))

    async def read() -> None:
        async with told_as(twice) as store:
            for key in KEYS[:3]:
                assert await at_hand(store, key) == {"view": key.encode()}
                await asyncio.sleep(LIMIT / 2)
            store.close()
            await asyncio.sleep(0.01)

    uvloop.run(read())


@contextmanager
def garbage() -> Iterator[str]:
    """Serve something that is no Redis."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_who_is_no_redis_is_found_out():
    async def read(store: Store) -> None:
        with pytest.raises(NotAtHand):
            await store.read_soon(KEYS[0])
        await asyncio.sleep(0.2)
        with pytest.raises(NotAtHand):
            await store.read_soon(KEYS[0])
        with pytest.raises(DestinationMisconfigured):
            await asyncio.to_thread(store.read, KEYS[0])

    with garbage() as address:
        own = Store(RedisSettings.from_plain({"address": address}, {}), allow_private=True)
        run(own, read(own))


def test_a_server_that_closes_idle_connections_fails_nobody(tmp_path):
    with DebianRedis(tmp_path, options=("timeout 1",)) as server, server.client() as client:
        place = one_server(client, server.address, password=server.password)
        place.hset(KEYS[0], "view", "{}")
        store = Store(place.settings, allow_private=True)

        async def read() -> None:
            await at_hand(store)
            until = time.monotonic() + OPEN_WITHIN
            while store._deployment.primaries()[0]._line.get() is not None:
                assert time.monotonic() < until, "the server never closed it"
                await asyncio.sleep(0.1)
            assert await at_hand(store) == {"view": b"{}"}

        run(store, read())
