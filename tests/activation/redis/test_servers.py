"""What primaries tell people of themselves, and that a user who may not ask makes nothing fail."""

from dataclasses import replace

import pytest

from activation.engine import servers
from activation.engine.connection import RedisSettings, connect
from activation.engine.errors import DestinationUnreachable
from activation.engine.servers import Server
from tests.activation.redis.conftest import Place


def look(settings: RedisSettings) -> list[Server]:
    deployment = connect(settings, allow_private=True)
    try:
        return servers.look(deployment)
    finally:
        deployment.close()


def test_a_server_tells_memory_keys_version_and_replicas(valkey_place: Place):
    for number in range(7):
        valkey_place.hset(f"ws:dest:user:email:{number}", "view", "{}")
    [server] = look(valkey_place.settings)

    assert server.where == valkey_place.settings.address
    assert server.version is not None
    assert server.version.startswith("Valkey ")
    assert (server.keys, server.maximum, server.replicas, server.lag) == (7, 0, 0, None)
    assert server.evicted is not None  # of all that this server's tests did
    assert server.policy == "noeviction"
    assert (server.used or 0) > 100_000


def test_redis_is_told_from_valkey_and_an_empty_database_has_no_keys(redis_place: Place):
    [server] = look(redis_place.settings)
    assert server.version is not None
    assert server.version.startswith("Redis 7")
    assert server.keys == 0
    other = look(replace(redis_place.settings, database=5))
    assert other[0].keys == 0


def test_keys_are_those_of_the_destinations_database(redis_place: Place):
    redis_place.hset("ws:dest:user:email:1", "view", "{}")
    assert look(redis_place.settings)[0].keys == 1
    assert look(replace(redis_place.settings, database=5))[0].keys == 0


def test_every_primary_of_a_cluster_is_asked(cluster_place: Place):
    for number in range(50):
        cluster_place.hset(f"ws:dest:user:email:{number}", "view", "{}")
    found = look(cluster_place.settings)
    assert len(found) == 3
    assert sum(server.keys or 0 for server in found) == 50


def test_a_primary_tells_how_far_its_replicas_are(sentinel_place: Place):
    [server] = look(sentinel_place.settings)
    assert server.replicas == 1
    assert server.lag is not None
    assert 0 <= server.lag < 60


def test_a_user_who_may_not_ask_for_info_is_told_the_keys_only(acl_place: Place):
    acl_place.hset("ws:dest:user:email:1", "view", "{}")
    assert look(acl_place.settings) == [Server(acl_place.settings.address, keys=1)]


def test_a_user_who_may_ask_nothing_is_told_nothing(acl_place: Place):
    acl_place.clients[0].execute_command("ACL", "SETUSER", acl_place.settings.username, "-dbsize")
    assert look(acl_place.settings) == [Server(acl_place.settings.address)]


def test_a_server_that_is_away_is_an_error(valkey_place: Place):
    with pytest.raises(DestinationUnreachable):
        look(replace(valkey_place.settings, addresses=(("127.0.0.1", 1),)))
