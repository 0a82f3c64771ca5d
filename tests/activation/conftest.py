"""What the tests of serving share: a destination of Acme's that is the session's Valkey."""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.utils import timezone

from accounts.roles import Role
from activation import destinations, handles
from activation.models import Activation, RedisDestination, RunState, Source, SyncRun
from config.embedded import EmbeddedServer
from projects.models import Project, Warehouse, WarehouseKind
from tests.activation.people import ADA, FEATURES
from tests.activation.world import World, build
from tests.cast import Member
from tests.contracts.caller import Called, call


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Public ids and primary keys repeat from test to test; handles must not be carried over."""
    yield
    handles.close()


@pytest.fixture
def destination(admin: Member, redis_server: EmbeddedServer) -> RedisDestination:
    return connected(admin, redis_server)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server of the test's own, which it may stop and kill."""
    with EmbeddedServer(tmp_path_factory.mktemp("destination")) as server:
        yield server


@pytest.fixture
def filled(
    admin: Member, server: EmbeddedServer, settings, tmp_path, transactional_db: None
) -> Iterator[Callable[..., World]]:
    """Makes a world whose destination is `server`; its view shows people, who are loaded so many at a time."""
    settings.SNAPSHOT_DIR = tmp_path
    world = build(admin.actor, server)

    def fill(people: Iterable[tuple[str, int]], *, partition_rows: int) -> World:
        settings.PARTITION_ROWS = partition_rows
        world.put(people)
        return world

    yield fill
    world.redis.close()


@pytest.fixture
def redis_client(redis_server: EmbeddedServer) -> Iterator[redis.Redis]:
    """A client of the customer's server, empty at first."""
    with redis.Redis.from_url(redis_server.url(), decode_responses=True) as client:
        client.flushall()
        yield client


def connected(member: Member, server: EmbeddedServer, **wanted: Any) -> RedisDestination:
    """Connect a server as a destination of a member's organisation."""
    arguments: dict[str, Any] = {
        "organisation": member.organisation,
        "name": "Customers",
        "settings": {"address": server.address},
        "credentials": {"password": server.password},
        "by": member.actor,
        "now": timezone.now(),
    }
    return destinations.create(**{**arguments, **wanted})


@pytest.fixture
def ask(admin: Member, destination: RedisDestination) -> Callable[..., Called]:
    """Ask the API for profiles of the destination, as an application does."""
    own = admin.token(Role.ADMIN)

    def ask(path: str = "/v2/activation", *, token: str = own, **changes: Any) -> Called:
        body = {"entity": "user", "destinationId": destination.public_id, **changes}
        return call("POST", path, json.dumps(body).encode(), HTTP_AUTHORIZATION=f"Bearer {token}")

    return ask


@pytest.fixture
def synced(destination: RedisDestination) -> Source:
    """A source that was synced a minute ago."""
    warehouse = Warehouse.objects.create(organisation=destination.organisation, name="W", kind=WarehouseKind.DUCKDB)
    project = Project.objects.create(
        organisation=destination.organisation, warehouse=warehouse, output_schema="s", name="P", slug="p"
    )
    activation = Activation.objects.create(project=project, destination=destination, enabled_by="ada@acme.example")
    source = Source.objects.create(
        activation=activation,
        destination=destination,
        entity="user",
        id_type="email",
        feature_view="features_by_email",
    )
    source.base_run = SyncRun.objects.create(
        source=source,
        trigger=SyncRun.Trigger.PERSON,
        state=RunState.SUCCEEDED,
        finished_at=timezone.now() - timedelta(minutes=1),
    )
    source.save()
    handles.close()
    return source


@pytest.fixture
def ada(destination: RedisDestination, redis_client: redis.Redis) -> None:
    """Ada's profile in Redis: two feature views."""
    key = f"{destination.workspace_id}:{destination.public_id}:user:email:{ADA['value']}"
    redis_client.hset(key, mapping={"features_by_email": FEATURES, "another": '{"X":1}'})
