"""Profiles that Redis dropped to make room are written again by the next sync, also when it forgot that it did."""

from collections.abc import Callable, Iterator

import pytest

from activation import run_plans
from activation.engine.snapshots import SnapshotPlan
from activation.models import RunState, Source, SyncRun
from activation.run_plans import Found
from config.embedded import EmbeddedServer
from projects.warehouses.port import Column, Relation
from tests.activation.world import World, expected
from tests.cast import Member

PEOPLE = [(f"person{n}@example.com", n) for n in range(120)]
PLAN = SnapshotPlan(Relation("profiles", "people"), (Column("email", "VARCHAR"),), "email")


@pytest.fixture
def source(admin: Member, destination, synced: Source) -> Source:
    """A source whose last good sync was into two servers, which had evicted keys before it."""
    synced.columns = [{"name": "email", "type": "VARCHAR"}]
    synced.shape = run_plans.shape_of(synced, PLAN)
    synced.base_evictions = {"one": 7, "two": 0}
    return synced


@pytest.mark.parametrize(
    ("told", "where_profiles_stay", "where_they_may_go"),
    [
        ({"one": 7, "two": 0}, "", ""),
        ({"one": 7, "two": 0, "new": 0}, "", ""),
        ({"one": 8, "two": 0}, "evicted", "evicted"),
        ({"one": 7, "new": 1}, "evicted", "evicted"),
        ({"one": 7, "new": 0}, "", "evictions_forgotten"),  # it was restarted, or another took over
        ({"one": 3, "two": 0}, "", "evictions_forgotten"),  # CONFIG RESETSTAT
        ({}, "", "evictions_forgotten"),
        (None, "", ""),
    ],
)
def test_a_server_that_counts_anew_has_dropped_profiles_if_it_may(source, told, where_profiles_stay, where_they_may_go):
    for may_evict, reason in ((False, where_profiles_stay), (True, where_they_may_go)):
        found = Found(True, True, source.base_run.public_id, told, may_evict)
        assert run_plans.decide(SyncRun(source=source), source, PLAN, found).reason == reason


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server that may drop profiles, and keeps what it has over a restart."""
    options = ("maxmemory 100mb", "maxmemory-policy allkeys-lru", "maxmemory-samples 10")
    with EmbeddedServer(tmp_path_factory.mktemp("destination"), durable=True, options=options) as server:
        yield server


@pytest.fixture
def world(filled: Callable[..., World]) -> World:
    return filled(PEOPLE, partition_rows=50)


def test_profiles_that_were_dropped_before_a_restart_are_written_again(world, server):
    world.sync()
    drop_some(world)
    server.stop()
    server.start()
    assert world.redis.info("stats")["evicted_keys"] == 0
    assert 0 < len(world.served()) < len(PEOPLE)

    run = world.sync()

    assert (run.state, run.kind, run.full_reason) == (RunState.SUCCEEDED, "full", "evictions_forgotten")
    assert world.served() == expected(PEOPLE)
    assert world.sync().kind == "incremental"


def test_profiles_that_were_dropped_are_written_again(world):
    world.sync()
    drop_some(world)

    assert world.sync().full_reason == "evicted"
    assert world.served() == expected(PEOPLE)


def drop_some(world: World) -> None:
    """Fill the server until it dropped some profiles; our bookkeeping, which it may drop as well, is put back.

    They are counted by their names: whatever is read is what the server keeps longest.
    """
    client = world.redis
    ours = {key: client.dump(key) or b"" for key in client.scan_iter("*:_activation:*")}
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 100_000)
    number = 0
    while sum(1 for _ in client.scan_iter(world.key("*"), count=1_000)) == len(PEOPLE):
        client.set(f"filler{number}", "x" * 1_000)
        number += 1
    client.config_set("maxmemory", 100_000_000)
    for key, value in ours.items():
        client.restore(key, 0, value, replace=True)
    assert client.info("stats")["evicted_keys"]
