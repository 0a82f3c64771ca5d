"""The addresses that were typed for a cluster: a process that starts while the first of them is dead finds the others."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from activation.engine.connection import NotAtHand
from activation.engine.errors import DestinationUnreachable
from activation.engine.redis_settings import RedisSettings
from activation.engine.rows import Rows
from activation.engine.slots import slot_of
from activation.engine.store import Fields, Store
from config.embedded import free_port
from tests.activation.redis.conftest import Place
from tests.activation.redis.test_loader import CLAIM, KEYS, RUN, VALUES, VIEW, kinds, open_loader
from tests.activation.redis.test_shared_reads import OPEN_WITHIN, run
from tests.activation.redis.test_store import open_store
from tests.links import SILENT, Link
from tests.redis_servers import ValkeyCluster


@pytest.fixture(params=["a_closed_port", "an_unknown_name", "a_silent_host"])
def dead(request: pytest.FixtureRequest, cluster: ValkeyCluster) -> Iterator[tuple[str, int]]:
    """An address of nobody who could tell where the cluster is."""
    if request.param == "a_silent_host":
        link = Link(cluster.servers[0].port)
        link.delay = SILENT
        with link.passing():
            host, _, port = link.address.partition(":")
            yield host, int(port)
    else:
        yield ("gone.invalid", 6379) if request.param == "an_unknown_name" else ("127.0.0.1", free_port())


@pytest.fixture
def settings(cluster_place: Place, dead: tuple[str, int]) -> RedisSettings:
    """The cluster, as it was typed when the first of its nodes still was where it was."""
    return replace(cluster_place.settings, addresses=(dead, *cluster_place.settings.addresses))


def test_profiles_of_every_primary_are_read_and_deleted(cluster: ValkeyCluster, cluster_place: Place, settings):
    for key, value in zip(KEYS, VALUES, strict=True):
        cluster_place.hset(key, VIEW, value)
    by_owner = {cluster.owner_of(slot_of(key)): key for key in KEYS}
    assert len(by_owner) == 3

    with closing(open_store(settings, connect_timeout=0.3, command_timeout=0.3)) as store:
        for key in by_owner.values():
            assert store.read(key) == {VIEW: VALUES[KEYS.index(key)].encode()}
        assert store.read_many(KEYS) == [{VIEW: value.encode()} for value in VALUES]
        store.ping()
        assert store.delete(KEYS) == len(KEYS)
    assert cluster_place.profiles() == {}


def test_reads_of_an_event_loop_are_answered_once_a_thread_has_found_the_others(cluster_place: Place, settings):
    cluster_place.hset(KEYS[0], VIEW, "{}")
    store = open_store(settings, connect_timeout=0.3, command_timeout=0.3)

    assert run(store, at_hand_in_the_end(store, KEYS[0])) == {VIEW: b"{}"}


async def at_hand_in_the_end(store: Store, key: str) -> Fields:
    """Read as a process does: where nothing is at hand, a thread answers and looks for the servers meanwhile."""
    until = time.monotonic() + OPEN_WITHIN
    while True:
        try:
            return await store.read_soon(key)
        except NotAtHand:
            assert await asyncio.to_thread(store.read, key) == {VIEW: b"{}"}
            assert time.monotonic() < until, "it was never at hand"


def test_a_whole_run_is_written_and_proved(cluster_place: Place, settings):
    with open_loader(settings, connect_timeout=0.3, command_timeout=0.3) as loader:
        loader.begin(RUN, 1, 1)
        with loader.partition(CLAIM) as writer:
            rows = Rows.of(KEYS, VALUES, field=writer.field_of_commands)
            assert writer.write(rows).written == len(KEYS)
            writer.witness()
        loader.set_marker(RUN, base=None, witnesses={CLAIM.partition: CLAIM.text})
        assert loader.marker() == RUN
        loader.finish(RUN)

    pairs = zip(KEYS, VALUES, strict=True)
    assert cluster_place.profiles() == {key: {VIEW.encode(): value.encode()} for key, value in pairs}
    assert kinds(cluster_place) == {"marker"}


def test_without_a_living_address_it_is_said_that_nobody_answers(settings, dead):
    nobody = replace(settings, addresses=(dead, ("127.0.0.1", free_port())))

    store = open_store(nobody, connect_timeout=0.3, command_timeout=0.3)
    with closing(store), pytest.raises(DestinationUnreachable) as failed:
        store.read(KEYS[0])
    assert failed.value.transient
