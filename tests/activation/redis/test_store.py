"""Reading and deleting profiles in every kind of destination, and what is said when one is down."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from activation.engine.connection import (
    CertificateRefused,
    DestinationAddressRefused,
    DestinationBusy,
    DestinationError,
    DestinationMisconfigured,
    DestinationRefused,
    DestinationTimeout,
    DestinationUnreachable,
    RedisSettings,
)
from activation.engine.errors import UnexpectedType
from activation.engine.slots import SLOTS, slot_of, spaced_tags, tag_of
from activation.engine.store import Store
from config.embedded import EmbeddedServer, free_port
from tests.activation.redis.conftest import Place, one_server
from tests.certificates import Certificates
from tests.redis_servers import DebianRedis, ValkeyCluster

KEY = "ws:dest:user:email:{braces}jane@example.com"
KEYS = [f"ws:dest:user:email:person{number}@example.com" for number in range(40)]


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    store = Store(place.settings, allow_private=True, command_timeout=2.0)
    yield store
    store.close()


def open_store(settings: RedisSettings, **options: object) -> Store:
    return Store(settings, **{"allow_private": True, "command_timeout": 2.0, **options})  # type: ignore[arg-type]  # by name


def test_a_profile_is_read_in_the_order_of_its_fields(place, store):
    place.hset(KEY, "zebra", '{"A":1}', "apple", '{"B":1.10}')

    assert list(store.read(KEY).items()) == [("zebra", b'{"A":1}'), ("apple", b'{"B":1.10}')]


def test_a_profile_that_is_not_there_is_empty(store):
    assert store.read("ws:dest:user:email:nobody") == {}
    assert store.read("ws:dest:user:email:nobody", ["zebra"]) == {}


def test_some_key_is_found_by_how_it_begins(place, store):
    for key in KEYS:
        place.hset(key, "view", "{}")

    assert store.any_key("ws:dest:user:email:") in KEYS
    assert store.any_key("ws:dest:user:phone:") is None


def test_named_views_only_are_read_when_they_are_asked_for(place, store):
    place.hset(KEY, "zebra", "{}", "apple", '{"B":1}')

    assert store.read(KEY, ["apple", "missing"]) == {"apple": b'{"B":1}'}
    assert store.read(KEY, []) == {}


def test_each_of_many_keys_is_asked_of_its_owner(store):
    topology = store._deployment._topology
    owner_of = {position: node for node, positions in topology.spread(KEYS).items() for position in positions}

    assert [owner_of[position] for position in range(len(KEYS))] == [topology.node_for(key) for key in KEYS]


def test_many_profiles_come_in_the_order_asked_for(place, store):
    for key in KEYS[::2]:
        place.hset(key, "view", f'"{key}"')

    assert store.read_many(KEYS) == [
        {"view": f'"{key}"'.encode()} if place_ % 2 == 0 else {} for place_, key in enumerate(KEYS)
    ]


def test_among_many_profiles_keys_of_another_kind_hold_none(place, store):
    large = f'"{"x" * 100_000}"'  # more than comes in one piece
    for number, key in enumerate(KEYS):
        if number % 4 == 1:
            place.client_for(key).set(key, "text of somebody")
        else:
            place.hset(key, "view", large if number % 4 == 2 else "{}", "other", "[]")

    found = store.read_many(KEYS)

    assert [fields.get("view", b"") for fields in found] == [b"{}", b"", large.encode(), b"{}"] * (len(KEYS) // 4)
    assert [sorted(fields) for fields in found[:3]] == [["other", "view"], [], ["other", "view"]]


@contextlib.contextmanager
def a_server_that_says(text: bytes) -> Iterator[Store]:
    """A store before a server that answers to the first that it is sent, and to no more."""

    def answer() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listening.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(text)
                connection.recv(1 << 16)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer)
        thread.start()
        store = open_store(RedisSettings.from_plain({"address": f"127.0.0.1:{listening.getsockname()[1]}"}, {}))
        yield store
        store.close()
        thread.join()


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (b"*0\r\n-OOM x\r\n-ERR x\r\n*0\r\n", [dict, DestinationBusy, DestinationError, dict]),
        # redis-py closes a connection over these two: what came before them in one pipeline counts no more.
        (b"*0\r\n*0\r\n-LOADING x\r\n*0\r\n", [DestinationUnreachable] * 4),
        (b"*0\r\n*0\r\n-NOAUTH x\r\n*0\r\n", [DestinationUnreachable] * 4),
        (b"*0\r\n*0\r\n*0\r\n-NOAUTH x\r\n", [dict, dict, dict, DestinationRefused]),
    ],
)
def test_an_error_among_many_replies_stands_in_its_place(text, kinds):
    with a_server_that_says(text) as store:
        assert [type(each) for each in store.read_each(KEYS[:4])] == kinds


def test_a_delete_counts_the_keys_that_existed_once_each(place, store):
    for key in KEYS[:30]:
        place.hset(key, "view", "{}")

    assert store.delete([*KEYS, *KEYS]) == 30
    assert store.delete(KEYS) == 0
    assert place.names() == set()


def test_a_key_that_holds_something_else_is_told_apart(place, store):
    place.client_for(KEY).set(KEY, "text of somebody")

    with pytest.raises(UnexpectedType) as caught:
        store.read(KEY)
    assert caught.value.__context__ is None


def test_threads_share_a_store(place, store):
    for key in KEYS:
        place.hset(key, "view", f'"{key}"')
    wrong: list[str] = []

    def read() -> None:
        wrong.extend(key for key in KEYS * 3 if store.read(key) != {"view": f'"{key}"'.encode()})

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_ping_answers(store):
    store.ping()


def test_a_server_that_is_down_is_answered_for_at_once_and_found_again_within_a_second(tmp_path):
    with EmbeddedServer(tmp_path) as server:
        store = open_store(one_server(redis.Redis(), server.address, password=server.password).settings)
        store.ping()
        server.kill()
        for _ in range(6):
            with pytest.raises(DestinationUnreachable):
                store.read(KEY)
        started = time.monotonic()
        with pytest.raises(DestinationUnreachable) as caught:
            store.read(KEY)
        assert (caught.value.code, caught.value.transient) == ("circuit_open", True)
        assert time.monotonic() - started < 0.05

        server.start()
        started = time.monotonic()
        while time.monotonic() - started < 1.0:
            try:
                assert store.read(KEY) == {}
                break
            except DestinationUnreachable:
                time.sleep(0.02)
        else:
            pytest.fail("the store did not find its way back")
        store.close()


def test_a_server_that_restarted_between_two_calls_is_not_noticed(tmp_path):
    with EmbeddedServer(tmp_path) as server:
        store = open_store(one_server(redis.Redis(), server.address, password=server.password).settings)
        store.ping()
        server.kill()
        server.start()

        assert store.read(KEY) == {}
        store.close()


def test_a_server_that_hangs_is_given_up_after_the_time_limit():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = RedisSettings.from_plain({"address": f"127.0.0.1:{silent.getsockname()[1]}"}, {})
        store = open_store(settings, command_timeout=0.1)
        started = time.monotonic()
        for _ in range(5):
            with pytest.raises(DestinationTimeout):
                store.read(KEY)
        with pytest.raises(DestinationUnreachable, match="a moment ago"):
            store.read(KEY)
        assert time.monotonic() - started < 1.5
        store.close()


def test_a_late_reply_is_never_taken_for_the_reply_to_the_next_read(valkey_place):
    valkey_place.hset(KEY, "view", '"jane"')
    store = open_store(valkey_place.settings, command_timeout=0.1)
    assert store.read(KEY)
    valkey_place.clients[0].execute_command("CLIENT", "PAUSE", 300)
    with pytest.raises(DestinationTimeout):
        store.read(KEY)
    time.sleep(0.3)

    assert store.read(KEYS[0]) == {}
    store.close()


def test_a_connection_left_with_an_unread_reply_is_not_lent_again(valkey_place):
    store = open_store(valkey_place.settings)
    node = store._deployment.primaries()[0]
    valkey_place.hset(KEY, "view", '"jane"')
    valkey_place.clients[0].execute_command("CLIENT", "PAUSE", 200)
    with node.connection() as channel:
        channel.send(channel.pack(("HGETALL", KEY)))

    assert store.read(KEYS[0]) == {}
    store.close()


def test_a_pool_that_is_in_use_makes_callers_wait_no_longer_than_the_connect_limit(valkey_place):
    store = open_store(valkey_place.settings, max_connections=1, connect_timeout=0.1)
    store.ping()
    node = store._deployment.primaries()[0]

    with node.connection(), pytest.raises(DestinationTimeout) as caught:
        store.read(KEY)
    assert caught.value.code == "pool_exhausted"
    assert store.read(KEY) == {}
    store.close()


@pytest.mark.parametrize(
    ("settings", "credentials", "code"),
    [
        ({}, {"password": "wrong"}, "wrongpass"),
        ({}, {}, "noauth"),
        ({"username": "nobody"}, {"password": "wrong"}, "wrongpass"),
    ],
)
def test_a_refused_user_or_password_is_terminal_and_named(valkey, settings, credentials, code):
    store = open_store(RedisSettings.from_plain({"address": valkey.address, **settings}, credentials))

    with pytest.raises(DestinationRefused) as caught:
        store.read(KEY)
    assert (caught.value.code, caught.value.transient) == (code, False)
    store.close()


def test_a_key_outside_the_users_rights_is_refused_and_not_repeated_in_the_message(acl_place):
    store = open_store(acl_place.settings)

    with pytest.raises(DestinationRefused) as caught:
        store.read("other:jane@example.com")
    assert caught.value.code == "noperm"
    assert "jane" not in str(caught.value)
    assert caught.value.__context__ is None
    store.close()


def test_one_node_of_a_cluster_without_cluster_mode_is_told(cluster):
    server = cluster.servers[0]
    store = open_store(RedisSettings.from_plain({"address": server.address}, {"password": cluster.password}))

    with pytest.raises(DestinationMisconfigured) as caught:
        store.read_many(KEYS)
    assert caught.value.code == "is_cluster"
    store.close()


def test_cluster_mode_on_a_single_server_is_told(valkey):
    settings = {"address": valkey.address, "clusterMode": True}
    store = open_store(RedisSettings.from_plain(settings, {"password": valkey.password}))

    with pytest.raises(DestinationMisconfigured) as caught:
        store.read(KEY)
    assert caught.value.code == "no_cluster"
    store.close()


def test_a_slot_that_moves_is_followed(cluster: ValkeyCluster, cluster_place: Place):
    store = open_store(cluster_place.settings)
    for key in KEYS:
        cluster_place.hset(key, "view", "{}")
    assert all(store.read_many(KEYS))
    slot = slot_of(KEYS[0])
    owner = cluster.owner_of(slot)

    cluster.move_slot(slot, to=(owner + 1) % 3)

    assert store.read(KEYS[0]) == {"view": b"{}"}
    assert all(store.read_many(KEYS))
    assert store.delete(KEYS) == len(KEYS)
    store.close()


def test_a_slot_on_the_move_is_asked_for_at_both_ends(cluster: ValkeyCluster, cluster_place: Place):
    store = open_store(cluster_place.settings)
    slot = slot_of(KEYS[1])
    owner = cluster.owner_of(slot)
    to = (owner + 1) % 3
    ids = [cluster.client(index).execute_command("CLUSTER", "MYID") for index in range(3)]
    cluster.client(to).execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[owner])
    cluster.client(owner).execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
    try:
        assert store.read(KEYS[1]) == {}
        assert store.delete([KEYS[1]]) == 0
    finally:
        for index in (to, owner):
            cluster.client(index).execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
    store.close()


def test_a_failover_is_followed_within_a_second(tmp_path):
    with ValkeyCluster(tmp_path) as cluster:
        store = open_store(cluster.settings, command_timeout=0.3)
        assert store.read_many(KEYS) == [{}] * len(KEYS)
        cluster.fail_over(0)
        keys = [key for key in KEYS if cluster.owner_of(slot_of(key)) == 0]
        assert keys

        started = time.monotonic()
        while time.monotonic() - started < 1.0:
            try:
                store.read(keys[0])
                break
            except DestinationUnreachable:
                time.sleep(0.02)
        else:
            pytest.fail("the store did not find the new primary")
        assert store.read_many(KEYS) == [{}] * len(KEYS)
        store.close()


def test_a_cluster_node_may_show_the_certificate_of_the_name_that_was_typed(certificates, tmp_path):
    announced = ("tls-cluster yes", "cluster-announce-ip 127.0.0.1")
    options = ("cluster-enabled yes", f"cluster-port {free_port()}", *announced)
    certificate = certificates.issue("localhost")
    with DebianRedis(tmp_path, certificate, options=options) as server, server.client() as client:
        client.response_callbacks.clear()
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
        settings = one_server(
            client, server.address, secure=True, clusterMode=True, password=server.password, ca=certificates.pem
        ).settings
        store = open_store(settings)
        deadline = time.monotonic() + 10
        while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
            assert time.monotonic() < deadline
            time.sleep(0.02)

        assert store.read(KEY) == {}
        assert store._deployment.primaries()[0].endpoint.host == "127.0.0.1"
        store.close()


def test_nodes_that_a_cluster_announces_pass_the_guard_too(cluster):
    hidden = cluster.servers[2]
    store = open_store(cluster.settings, forbidden=[("127.0.0.1", hidden.port)])
    keys = [key for key in KEYS if cluster.owner_of(slot_of(key)) == 2]

    with pytest.raises(DestinationAddressRefused):
        store.read(keys[0])
    store.close()


def test_our_own_servers_and_private_addresses_are_refused(valkey_place, valkey):
    for options in ({"forbidden": [("127.0.0.1", valkey.port)]}, {"allow_private": False}):
        store = open_store(valkey_place.settings, **options)
        with pytest.raises(DestinationAddressRefused) as caught:
            store.read(KEY)
        assert not caught.value.transient
        store.close()


def test_tls_needs_a_certificate_that_is_trusted(tls_place, tls_server, tmp_path):
    others = Certificates(tmp_path)
    for ca in ("", others.pem):
        settings = one_server(
            tls_place.clients[0], tls_server.address, secure=True, password=tls_server.password, ca=ca
        ).settings
        with pytest.raises(CertificateRefused):
            open_store(settings).read(KEY)


def test_tls_checks_the_name_that_was_typed_against_the_certificate(certificates, tmp_path):
    with DebianRedis(tmp_path, certificates.issue("redis.example.com")) as server, server.client() as client:
        options = {"secure": True, "password": server.password, "ca": certificates.pem}
        with pytest.raises(CertificateRefused, match="ostname mismatch"):
            open_store(one_server(client, server.address, **options).settings).read(KEY)

        store = open_store(one_server(client, server.address, skipVerify=True, **options).settings)
        assert store.read(KEY) == {}
        store.close()


def test_an_expired_certificate_is_refused(certificates, tmp_path):
    with DebianRedis(tmp_path, certificates.issue("localhost", expired=True)) as server, server.client() as client:
        settings = one_server(client, server.address, secure=True, password=server.password, ca=certificates.pem)
        with pytest.raises(CertificateRefused, match="expired"):
            open_store(settings.settings).read(KEY)


def test_a_name_that_does_not_resolve_and_a_port_nobody_listens_on_are_told_apart():
    for address, code in (("no-such-host.invalid:6379", "name_unknown"), (f"127.0.0.1:{free_port()}", "unreachable")):
        with pytest.raises(DestinationUnreachable) as caught:
            open_store(RedisSettings.from_plain({"address": address}, {})).read(KEY)
        assert caught.value.code == code


def test_slots_are_those_that_the_cluster_computes(cluster):
    client = cluster.client(0)
    keys = [*KEYS, KEY, "", "{}", "{}a", "a{b}c", "a{}{b}", "a{b", "{{a}}", "ü{é}", *spaced_tags()[:5]]

    assert [slot_of(key) for key in keys] == [client.execute_command("CLUSTER", "KEYSLOT", key) for key in keys]


def test_tags_fall_evenly_over_all_slots():
    assert spaced_tags() == tuple(tag_of(slot) for slot in range(0, SLOTS, 64))
    assert [slot_of(f"ws:dest:_activation:{{{tag}}}:src:run") for tag in spaced_tags()] == list(range(0, SLOTS, 64))
