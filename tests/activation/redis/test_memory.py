"""What servers tell of their memory, and what they do not."""

from collections.abc import Iterator

import pytest

from activation.engine.loader import Bookkeeping, Loader
from activation.engine.memory import Memory
from activation.engine.redis_settings import RedisSettings
from tests.activation.redis.conftest import Place


def loader_of(settings: RedisSettings) -> Loader:
    return Loader(settings, Bookkeeping("ws", "dest", "src"), "view", allow_private=True, command_timeout=2.0)


@pytest.fixture
def small(valkey_place: Place) -> Iterator[Place]:
    """A server that drops what it has no room for."""
    client = valkey_place.clients[0]
    used = int(client.info("memory")["used_memory"])
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", used + 300_000)
    yield valkey_place
    client.config_set("maxmemory", 0)
    client.config_set("maxmemory-policy", "noeviction")


def test_what_was_evicted_is_counted_by_server(small: Place):
    with loader_of(small.settings) as loader:
        before = loader.evictions()
        for number in range(2_000):
            small.hset(f"ws:dest:user:email:{number}", "view", "x" * 500)
        after = loader.evictions()

    run_id = small.clients[0].info("server")["run_id"]
    assert before is not None
    assert after is not None
    assert set(before) == set(after) == {run_id}
    assert after[run_id] > before[run_id]


def test_memory_is_told_by_server(small: Place):
    with loader_of(small.settings) as loader:
        told = loader.memory()

    assert told is not None
    (memory,) = told.values()
    assert set(told) == {small.settings.address}
    assert (memory.policy, memory.drops_profiles) == ("allkeys-lru", True)
    assert 0 < memory.used < memory.maximum


def test_every_primary_of_a_cluster_is_asked(cluster_place: Place):
    with loader_of(cluster_place.settings) as loader:
        evictions, memory = loader.evictions(), loader.memory()

    assert evictions is not None
    assert memory is not None
    assert len(evictions) == len(memory) == 3
    assert {each.drops_profiles for each in memory.values()} == {False}


def test_a_user_who_may_not_ask_is_told_nothing(acl_place: Place):
    with loader_of(acl_place.settings) as loader:
        assert loader.evictions() is None
        assert loader.memory() is None


@pytest.mark.parametrize(
    ("memory", "drops"),
    [
        (Memory(1, 100, "allkeys-lru"), True),
        (Memory(1, 0, "allkeys-lru"), False),
        (Memory(1, 100, "volatile-lru"), False),
        (Memory(1, 100, "noeviction"), False),
    ],
)
def test_profiles_are_dropped_by_the_allkeys_policies_below_a_limit_only(memory: Memory, drops: bool):
    assert memory.drops_profiles is drops
