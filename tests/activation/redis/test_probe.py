"""The connection test: which step fails against a real server, and what the person is told to do."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from activation.engine.connection import RedisSettings
from activation.engine.probe import Step, probe
from config.embedded import EmbeddedServer, free_port
from tests.activation.redis.conftest import ACL_PASSWORD, Place, one_server
from tests.certificates import Certificates
from tests.redis_servers import DebianRedis, ValkeyCluster

PREFIX = "ws:dest:"
STEPS = [
    "Name resolution",
    "TCP",
    "TLS",
    "AUTH",
    "Cluster and role",
    "Write, read and delete",
    "Scripts",
    "Memory policy",
]


def steps_of(settings: RedisSettings, **options: object) -> list[Step]:
    return list(probe(settings, key_prefix=PREFIX, **{"allow_private": True, **options}))  # type: ignore[arg-type]  # by name


def failure_of(settings: RedisSettings, **options: object) -> Step:
    """Return the failed step; those before it passed or do not apply, those after it were not reached."""
    steps = steps_of(settings, **options)
    assert [step.name for step in steps] == STEPS
    at = next(index for index, step in enumerate(steps) if step.state == "failed")
    assert {step.state for step in steps[:at]} <= {"passed", "skipped"}
    assert {step.state for step in steps[at + 1 :]} <= {"not_reached"}
    assert steps[at].message
    assert steps[at].cure
    return steps[at]


def plain(address: str, password: str = "", **settings: object) -> RedisSettings:
    return RedisSettings.from_plain({"address": address, **settings}, {"password": password})


def test_every_step_passes_and_nothing_is_left_behind(place):
    steps = steps_of(place.settings)

    assert [step.name for step in steps] == STEPS
    assert {step.name for step in steps if step.state == "skipped"} <= {"TLS", "Memory policy"}
    assert [step for step in steps if step.state not in {"passed", "skipped"}] == []
    assert (steps[2].state == "passed") is place.settings.secure
    assert place.names() == set()


def test_a_name_that_does_not_resolve_is_said(valkey):
    step = failure_of(plain("no-such-host.invalid:6379"))

    assert (step.name, "no-such-host.invalid" in step.message) == ("Name resolution", True)


def test_addresses_that_must_not_be_dialled_are_said(valkey):
    assert failure_of(plain(valkey.address), allow_private=False).name == "Name resolution"
    step = failure_of(plain(valkey.address), forbidden=[("127.0.0.1", valkey.port)])
    assert "this installation's own" in step.message
    assert failure_of(plain("169.254.169.254:80")).name == "Name resolution"


def test_a_port_nobody_listens_on_is_said():
    step = failure_of(plain(f"127.0.0.1:{free_port()}"))

    assert (step.name, "refuses connections" in step.message) == ("TCP", True)


def test_a_server_that_never_answers_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        step = failure_of(plain(f"127.0.0.1:{silent.getsockname()[1]}"))

    assert (step.name, "in time" in step.message) == ("AUTH", True)
    assert time.monotonic() - started < 12


@pytest.fixture
def web_server() -> Iterator[int]:
    """A server that answers whatever comes as a web server would."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1_000)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_something_that_is_no_redis_is_said(web_server):
    step = failure_of(plain(f"127.0.0.1:{web_server}"))

    assert (step.name, "as a Redis does" in step.message) == ("AUTH", True)


def test_tls_without_secure_and_secure_without_tls_are_told_apart(tls_server, valkey):
    step = failure_of(plain(tls_server.address, tls_server.password))
    assert (step.name, step.cure) == ("TLS", "Turn Secure on.")

    step = failure_of(plain(valkey.address, valkey.password, secure=True))
    assert (step.name, step.cure.startswith("Turn Secure off")) == ("TLS", True)


def test_a_certificate_of_an_unknown_ca_is_said(tls_server, tls_place):
    step = failure_of(plain(tls_server.address, tls_server.password, secure=True))

    assert (step.name, "CA certificate" in step.cure) == ("TLS", True)


@pytest.mark.parametrize(
    ("names", "expired", "message", "cure"),
    [
        (("redis.example.com",), False, "mismatch", "Enter the name"),
        (("localhost",), True, "expired", "renewed"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said(certificates: Certificates, tmp_path, names, expired, message, cure):
    with DebianRedis(tmp_path, certificates.issue(*names, expired=expired)) as server, server.client() as client:
        place = one_server(client, server.address, secure=True, password=server.password, ca=certificates.pem)
        step = failure_of(place.settings)
        trusting = one_server(client, server.address, secure=True, skipVerify=True, password=server.password)
        assert {step.state for step in steps_of(trusting.settings)} == {"passed"}

    assert step.name == "TLS"
    assert message in step.message
    assert step.message.endswith(".")
    assert not step.message.endswith("..")
    assert cure in step.cure


def test_wrong_missing_and_needless_passwords_are_told_apart(valkey, tmp_path):
    wrong = failure_of(plain(valkey.address, "wrong"))
    missing = failure_of(plain(valkey.address))
    with EmbeddedServer(tmp_path, password="") as open_server:
        needless = failure_of(plain(open_server.address, "needless"))

    assert {step.name for step in (wrong, missing, needless)} == {"AUTH"}
    assert "refused the user or the password" in wrong.message
    assert "wants a password" in missing.message
    assert needless.cure.startswith("Leave Password empty")


def test_a_cluster_flag_that_is_wrong_is_said_either_way(valkey, cluster: ValkeyCluster):
    step = failure_of(plain(valkey.address, valkey.password, clusterMode=True))
    assert (step.name, step.cure) == ("Cluster and role", "Turn Cluster Mode off.")

    step = failure_of(plain(cluster.servers[0].address, cluster.password))
    assert (step.name, step.cure) == ("Cluster and role", "Turn Cluster Mode on.")


def test_a_cluster_node_that_must_not_be_dialled_is_found(cluster: ValkeyCluster):
    step = failure_of(cluster.settings, forbidden=[("127.0.0.1", cluster.servers[2].port)])

    assert step.name == "Cluster and role"


def test_a_cluster_node_that_cannot_be_reached_is_named(tmp_path):
    with ValkeyCluster(tmp_path) as cluster:
        cluster.servers[2].kill()
        step = failure_of(cluster.settings)

    assert step.name == "Cluster and role"
    assert str(cluster.servers[2].port) in step.message


def test_a_replica_is_refused(redis_place: Place):
    redis_place.clients[0].execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        step = failure_of(redis_place.settings)
    finally:
        redis_place.clients[0].execute_command("REPLICAOF", "NO", "ONE")

    assert (step.name, step.cure) == ("Cluster and role", "Enter the address of the primary.")


def test_a_database_that_does_not_exist_is_said(valkey):
    step = failure_of(plain(valkey.address, valkey.password, database=99))

    assert (step.name, "no database of that number" in step.message) == ("Cluster and role", True)
    assert {step.state for step in steps_of(plain(valkey.address, valkey.password, database=3))} == {
        "passed",
        "skipped",
    }


@pytest.mark.parametrize("kind", ["valkey_place", "redis_place"])
@pytest.mark.parametrize(
    ("rights", "name"),
    [
        (["~ws:dest:*", "+@read", "+@connection"], "Write, read and delete"),
        (["~other:*", "+@read", "+@write", "+@connection", "+@scripting"], "Write, read and delete"),
        (["~ws:dest:*", "+@read", "+@write", "+@connection"], "Scripts"),
    ],
)
def test_missing_rights_are_said_with_the_command_that_grants_them(request, kind, rights, name):
    place: Place = request.getfixturevalue(kind)
    place.clients[0].execute_command(
        "ACL",
        "SETUSER",
        "limited",
        "reset",
        "on",
        ">" + ACL_PASSWORD,
        *rights,
        "-@scripting" if name == "Scripts" else "+ping",
    )
    step = failure_of(
        one_server(place.clients[0], place.settings.address, username="limited", password=ACL_PASSWORD).settings
    )

    assert step.name == name
    assert f"~{PREFIX}* +@read +@write +@scripting" in step.cure
    assert place.names() == set()


def test_a_server_that_drops_profiles_when_it_is_full_is_refused_unless_accepted(valkey_place: Place):
    client = valkey_place.clients[0]
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert steps_of(valkey_place.settings)[-1].state == "passed"
        client.config_set("maxmemory", 200_000_000)
        step = failure_of(valkey_place.settings)
        assert (step.name, "noeviction" in step.cure) == ("Memory policy", True)
        accepting = replace(valkey_place.settings, accept_eviction=True)
        assert steps_of(accepting)[-1].message.endswith("(allkeys-lru); this was accepted.")
    finally:
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")


def test_a_server_that_is_full_is_said(valkey_place: Place):
    client = valkey_place.clients[0]
    client.config_set("maxmemory", 1)
    try:
        step = failure_of(valkey_place.settings)
    finally:
        client.config_set("maxmemory", 0)

    assert (step.name, "out of memory" in step.message) == ("Write, read and delete", True)


def test_no_step_repeats_a_secret(valkey):
    secret = "typed-" + "secret"

    assert secret not in repr(steps_of(plain(valkey.address, secret)))
