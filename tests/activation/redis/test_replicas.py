"""Reading from replicas: only where somebody asked for it, only profiles, and from the primary as soon as one fails."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from activation.engine.connection import NotAtHand, RedisSettings
from activation.engine.errors import DestinationError
from activation.engine.loader import Bookkeeping, Claim, Loader
from activation.engine.slots import slot_of
from activation.engine.store import Store
from config.embedded import EmbeddedServer
from tests.activation.redis.conftest import Place
from tests.redis_servers import ValkeyCluster
from tests.sentinels import SentinelService

KEY = "ws:dest:user:email:jane@example.com"
FIELDS = {"view": b"{}"}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ValkeyCluster, EmbeddedServer]]:
    """A cluster, and a replica of the primary that owns the key."""
    with ValkeyCluster(tmp_path_factory.mktemp("copied")) as cluster:
        yield cluster, cluster.add_replica(cluster.owner_of(slot_of(KEY)))


def calls(port: int, password: str, command: str) -> int:
    """Tell how often a server was asked something."""
    with redis.Redis(port=port, password=password) as client:
        told = client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})
        return int(told["calls"])


def open_store(settings: RedisSettings, **options: object) -> Store:
    return Store(settings, **{"allow_private": True, "command_timeout": 2.0, **options})  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize("wanted", [True, False])
def test_a_clusters_replica_is_read_only_when_that_was_asked_for(copied, wanted: bool):
    cluster, replica = copied
    store = open_store(replace(cluster.settings, read_from_replicas=wanted))
    with cluster.client(cluster.owner_of(slot_of(KEY))) as client:
        client.execute_command("HSET", KEY, "view", "{}")
        client.execute_command("WAIT", 1, 2_000)
    before = calls(replica.port, cluster.password, "hgetall")

    assert [store.read(KEY) for _ in range(5)] == [FIELDS] * 5
    assert calls(replica.port, cluster.password, "hgetall") - before == (5 if wanted else 0)
    assert store.read(KEY, ["view"]) == FIELDS
    store.close()


def test_where_replicas_may_be_read_an_event_loop_leaves_reads_to_threads(copied):
    cluster, _ = copied
    store = open_store(replace(cluster.settings, read_from_replicas=True))
    store.read(KEY)  # it knows who owns what

    async def read() -> None:
        with pytest.raises(NotAtHand):
            await store.read_soon(KEY)

    for _ in range(2):
        asyncio.run(read())
    store.close()


def test_deletes_and_syncs_never_go_to_a_replica(copied):
    cluster, replica = copied
    settings = replace(cluster.settings, read_from_replicas=True)
    before = calls(replica.port, cluster.password, "readonly")
    with Loader(settings, Bookkeeping("ws", "dest", "src"), "view", allow_private=True) as loader:
        loader.begin("run", 1, 1)
        loader.write(Claim("run", 1, 0, 1), [KEY], ["{}"])
        loader.close_fences("run", 1, 1)
        assert loader.run_key_present("run")
        assert loader.marker() is None
    store = open_store(settings)

    assert store.delete([KEY]) == 1
    assert calls(replica.port, cluster.password, "readonly") == before
    store.close()


def test_a_sentinels_replica_is_read_and_the_primary_while_it_is_down(tmp_path):
    with SentinelService(tmp_path) as service:
        primary = service.primary()
        replica, password = service.servers[1 - primary], service.servers[0].password
        with service.servers[primary].client() as client:
            client.execute_command("HSET", KEY, "view", "{}")
            client.execute_command("WAIT", 1, 2_000)
        store = open_store(service.settings(readFromReplicas=True), command_timeout=0.2)
        service.wait(lambda: reads(store, replica.port, password) > 0)
        before = calls(service.servers[primary].port, password, "hgetall")

        replica.__exit__()
        started = time.monotonic()
        assert [store.read(KEY) for _ in range(20)] == [FIELDS] * 20
        assert time.monotonic() - started < 1.0
        assert calls(service.servers[primary].port, password, "hgetall") - before == 20
        store.close()


def reads(store: Store, port: int, password: str) -> int:
    """Read once, having the sentinels asked anew; tell how often the replica was asked."""
    store._deployment.refresh()
    assert store.read(KEY) == FIELDS
    return calls(port, password, "hgetall")


def test_one_server_has_no_replicas_to_read_from(valkey_place: Place):
    plain = {"address": valkey_place.settings.address, "readFromReplicas": True}

    assert not RedisSettings.from_plain(plain, {}).read_from_replicas


def test_readers_go_on_while_a_clusters_primary_is_dead_and_deletes_find_the_promoted_replica(tmp_path):
    with ValkeyCluster(tmp_path) as cluster:
        owner = cluster.owner_of(slot_of(KEY))
        replica = cluster.add_replica(owner)
        with cluster.client(owner) as client:
            client.execute_command("HSET", KEY, "view", "{}")
            client.execute_command("WAIT", 1, 2_000)
        store = open_store(replace(cluster.settings, read_from_replicas=True), command_timeout=0.2)
        assert store.read(KEY) == FIELDS

        cluster.servers[owner].kill()
        cluster.servers[owner] = replica
        assert [store.read(KEY) for _ in range(20)] == [FIELDS] * 20
        assert deleted_within(10.0, store) == 1
        assert calls(replica.port, cluster.password, "unlink") == 1
        store.close()


def deleted_within(seconds: float, store: Store) -> int:
    """Delete the profile, repeating what cannot be done for the moment; returns how many were deleted."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return store.delete([KEY])
        except DestinationError as error:
            if not error.transient or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
