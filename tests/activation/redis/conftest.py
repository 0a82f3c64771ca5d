"""The destinations that the engine must work with: both servers, password and ACL user, TLS, and a cluster."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from activation.engine.connection import RedisSettings
from activation.engine.slots import slot_of
from config.embedded import EmbeddedServer
from tests.certificates import Certificates
from tests.redis_servers import DebianRedis, ValkeyCluster
from tests.sentinels import SentinelService

ACL_USER, ACL_PASSWORD = "profiles", "a-" + "password"


@dataclass
class Place:
    """A destination to test against: how it is reached, and a plain client that owns each key."""

    settings: RedisSettings
    client_for: Callable[[str], redis.Redis] = field(repr=False)
    clients: list[redis.Redis] = field(repr=False)

    def hset(self, key: str, *pairs: str) -> None:
        self.client_for(key).execute_command("HSET", key, *pairs)

    def profiles(self) -> dict[str, dict[Any, Any]]:
        """Every hash that is not the loader's own."""
        return {
            str(key, "utf-8"): client.hgetall(key)
            for client in self.clients
            for key in client.scan_iter(count=1_000, _type="hash")
            if b":_activation:" not in key
        }

    def names(self) -> set[str]:
        return {str(key, "utf-8") for client in self.clients for key in client.scan_iter(count=1_000)}

    def flush(self) -> None:
        for client in self.clients:
            client.flushall()
            client.config_set("maxmemory", 0)


def one_server(client: redis.Redis, address: str, **settings: object) -> Place:
    credentials = {"password": settings.pop("password", ""), "caCertificate": settings.pop("ca", "")}
    credentials |= {key: settings.pop(key) for key in ("clientCertificate", "clientKey") if key in settings}
    plain = RedisSettings.from_plain({"address": address, **settings}, credentials)
    return Place(plain, lambda _: client, [client])


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def tls_server(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRedis]:
    with DebianRedis(tmp_path_factory.mktemp("tls"), certificates.issue("localhost", "127.0.0.1")) as server:
        yield server


@pytest.fixture(scope="session")
def debian_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRedis]:
    with DebianRedis(tmp_path_factory.mktemp("debian")) as server:
        yield server


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    with ValkeyCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def valkey_place(valkey: EmbeddedServer) -> Iterator[Place]:
    with redis.Redis(port=valkey.port, password=valkey.password) as client:
        place = one_server(client, valkey.address, password=valkey.password)
        place.flush()
        yield place


@pytest.fixture
def redis_place(debian_redis: DebianRedis) -> Iterator[Place]:
    with debian_redis.client() as client:
        place = one_server(client, debian_redis.address, password=debian_redis.password, database=0)
        place.flush()
        yield place


@pytest.fixture
def acl_place(valkey_place: Place) -> Place:
    """Only what README asks for: reading, writing and scripting on the destination's own keys."""
    return as_acl_user(valkey_place)


@pytest.fixture
def redis_acl_place(redis_place: Place) -> Place:
    return as_acl_user(redis_place)


def as_acl_user(place: Place) -> Place:
    rights = ("on", ">" + ACL_PASSWORD, "~ws:dest:*", "+@read", "+@write", "+@connection", "+@scripting")
    place.clients[0].execute_command("ACL", "SETUSER", ACL_USER, "reset", *rights)
    return one_server(place.clients[0], place.settings.address, username=ACL_USER, password=ACL_PASSWORD)


@pytest.fixture
def tls_place(tls_server: DebianRedis, certificates: Certificates) -> Iterator[Place]:
    with tls_server.client() as client:
        password, ca = tls_server.password, certificates.pem
        place = one_server(client, tls_server.address, secure=True, password=password, ca=ca)
        place.flush()
        yield place


@pytest.fixture(scope="session")
def mutual_tls_server(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRedis]:
    certificate = certificates.issue("localhost", "127.0.0.1")
    with DebianRedis(tmp_path_factory.mktemp("mutual"), certificate, certificates) as server:
        yield server


@pytest.fixture
def mutual_tls_place(mutual_tls_server: DebianRedis, certificates: Certificates) -> Iterator[Place]:
    with mutual_tls_server.client() as client:
        place = with_client_certificate(client, mutual_tls_server, certificates, *certificates.issue("profiles"))
        place.flush()
        yield place


def with_client_certificate(
    client: redis.Redis, server: DebianRedis, certificates: Certificates, *files: Path, **settings: object
) -> Place:
    shown = dict(zip(("clientCertificate", "clientKey"), (file.read_text() for file in files), strict=False))
    trust = {"password": server.password, "ca": certificates.pem}
    return one_server(client, server.address, secure=True, **trust, **shown, **settings)


@pytest.fixture(scope="session")
def sentinel_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelService]:
    with SentinelService(tmp_path_factory.mktemp("sentinels")) as service:
        yield service


@pytest.fixture
def sentinel_place(sentinel_service: SentinelService) -> Iterator[Place]:
    with sentinel_service.servers[sentinel_service.primary()].client() as client:
        place = Place(sentinel_service.settings(), lambda _: client, [client])
        place.flush()
        yield place


@pytest.fixture
def cluster_place(cluster: ValkeyCluster) -> Iterator[Place]:
    clients = [cluster.client(index) for index in range(3)]
    place = Place(cluster.settings, lambda key: clients[cluster.owner_of(slot_of(key))], clients)
    place.flush()
    yield place
    for client in clients:
        client.close()


@pytest.fixture(
    params=[
        "valkey_place",
        "redis_place",
        "acl_place",
        "tls_place",
        "mutual_tls_place",
        "sentinel_place",
        "cluster_place",
    ]
)
def place(request: pytest.FixtureRequest) -> Place:
    """Every kind of destination in turn."""
    found: Place = request.getfixturevalue(request.param)
    return found
