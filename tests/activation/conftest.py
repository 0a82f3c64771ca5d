"""What the tests of serving share: a destination of Acme's that is the session's Valkey."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.utils import timezone

from activation import destinations, handles
from activation.models import RedisDestination
from config.embedded import EmbeddedServer
from tests.cast import Member


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Public ids and primary keys repeat from test to test; handles must not be carried over."""
    yield
    handles.close()


@pytest.fixture
def destination(admin: Member, redis_server: EmbeddedServer) -> RedisDestination:
    return connected(admin, redis_server)


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
