"""What applications asked, summed: by destination, entity and id type, from an hour on, and of one's own only."""

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from activation import usage_totals
from activation.models import RedisDestination, UsageHour
from activation.usage_totals import Totals
from tests.activation.conftest import connected

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
SINCE = usage_totals.last_day(now=NOW)


def asked(
    destination: RedisDestination, *, ago: int = 0, token: int = 1, of: str = "user email", **counts: int
) -> None:
    """Let applications have asked so many hours ago."""
    entity, id_type = of.split()
    hour = NOW.replace(minute=0) - timedelta(hours=ago)
    UsageHour.objects.create(destination=destination, token=token, entity=entity, id_type=id_type, hour=hour, **counts)


@pytest.fixture
def used(destination: RedisDestination) -> None:
    asked(destination, requests=10, hits=7, misses=2, errors=1, deletes=4)
    asked(destination, token=2, requests=5, hits=5)
    asked(destination, of="user phone", requests=1, misses=1)
    asked(destination, ago=23, of="account domain", requests=2, hits=2)
    asked(destination, ago=24, requests=100, hits=100)


def test_the_last_day_is_24_hours_of_which_the_present_one_is_the_last(used, destination):
    assert SINCE.isoformat() == "2026-11-23T13:00:00+00:00"
    found = usage_totals.by_destination([destination.pk], since=SINCE)
    assert found == {destination.pk: Totals(requests=18, hits=14, misses=3, errors=1, deletes=4)}


def test_are_kept_apart_by_entity_and_by_id_type_whoever_asked(used, destination):
    entities = usage_totals.by_entity([destination.pk], since=SINCE)
    assert entities[destination.pk, "account"] == Totals(requests=2, hits=2)
    assert entities[destination.pk, "user"].requests == 16
    id_types = usage_totals.by_id_type([destination.pk], since=SINCE)
    assert {of[1:]: totals.requests for of, totals in id_types.items()} == {
        ("user", "email"): 15,
        ("user", "phone"): 1,
        ("account", "domain"): 2,
    }


def test_the_hit_rate_is_of_what_was_answered():
    assert Totals(requests=10, hits=6, misses=2, errors=2).hit_rate == pytest.approx(0.75)
    assert Totals(requests=3, errors=3).hit_rate is None
    assert (Totals(1, 1) + Totals(2, 0, 2)).hit_rate == pytest.approx(1 / 3)


def test_of_many_destinations_are_one_query_and_others_are_left_out(
    used, admin, outsider, destination, redis_server, django_assert_num_queries: DjangoAssertNumQueries
):
    second = connected(admin, redis_server, name="Second")
    theirs = connected(outsider, redis_server)
    asked(second, requests=3, hits=3)
    asked(theirs, requests=1_000, hits=1_000)
    with django_assert_num_queries(1):
        found = usage_totals.by_destination([destination.pk, second.pk], since=SINCE)
    assert {pk: totals.requests for pk, totals in found.items()} == {destination.pk: 18, second.pk: 3}
