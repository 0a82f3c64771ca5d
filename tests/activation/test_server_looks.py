"""Looks at a destination's Redis: one a minute whoever is woken, and what became of them."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from unittest.mock import Mock

import pytest

from activation import server_looks, tasks
from activation.engine import servers
from activation.models import RedisDestination, ServerLook
from tests.activation.conftest import connected

pytestmark = pytest.mark.database
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def away(destination: RedisDestination) -> RedisDestination:
    """A destination that nobody reaches."""
    destination.settings = {"address": "127.0.0.1:1"}
    destination.save()
    return destination


def test_a_new_destination_is_looked_at_at_once_and_then_every_minute(destination, redis_client):
    redis_client.hset("a", "b", "c")
    assert server_looks.due(now=NOON) == [destination.pk]
    server_looks.look(destination.pk, now=NOON)
    row = ServerLook.objects.get()
    assert (row.told_at, row.tried_at, row.problem) == (NOON, NOON, "")
    assert row.servers[0]["keys"] == 1
    assert server_looks.due(now=NOON + MINUTE * 0.9) == []
    assert server_looks.due(now=NOON + MINUTE) == [destination.pk]


def test_two_workers_that_are_woken_for_it_look_once(destination, monkeypatch):
    looked = Mock(return_value=[])
    monkeypatch.setattr(servers, "look", looked)
    server_looks.due(now=NOON)
    server_looks.look(destination.pk, now=NOON)
    server_looks.look(destination.pk, now=NOON)
    assert looked.call_count == 1


def test_one_that_is_away_is_tried_again_after_minutes_and_what_it_told_stays(away, destination, redis_server):
    server_looks.due(now=NOON)
    ServerLook.objects.update(servers=[{"where": "r:1", "keys": 3}], told_at=NOON - MINUTE)
    server_looks.look(away.pk, now=NOON)
    row = ServerLook.objects.get()
    assert (row.problem, row.tried_at, row.told_at) == ("unreachable", NOON, NOON - MINUTE)
    assert row.servers == [{"where": "r:1", "keys": 3}]
    assert server_looks.due(now=NOON + 4 * MINUTE) == []
    away.settings = {"address": redis_server.address}
    away.save()
    [again] = server_looks.due(now=NOON + 5 * MINUTE)
    server_looks.look(again, now=NOON + 5 * MINUTE)
    assert ServerLook.objects.get().problem == ""


def test_secrets_that_cannot_be_read_are_a_problem_too(destination):
    RedisDestination.objects.update(credentials="not encrypted")
    server_looks.due(now=NOON)
    server_looks.look(destination.pk, now=NOON)
    assert ServerLook.objects.get().problem == "SecretUnreadable"


def test_the_history_has_an_entry_each_quarter_of_an_hour_of_the_last_day(destination, redis_client):
    server_looks.due(now=NOON)
    for minutes in range(0, 27 * 60, 5):
        at = NOON + minutes * MINUTE
        ServerLook.objects.update(next_at=at)
        server_looks.look(destination.pk, now=at)
    history = ServerLook.objects.get().history
    assert len(history) == 24 * 4
    times = [entry[0] for entry in history]
    assert {later - earlier for earlier, later in pairwise(times)} == {15 * 60}
    assert all(entry[1] > 100_000 and entry[2] == 0 for entry in history)


def test_what_one_server_does_not_tell_is_unknown_of_all():
    assert server_looks.total([1, None]) is None
    assert server_looks.total([]) is None
    assert server_looks.total([1, 0]) == 1


def test_the_beat_looks_at_every_served_place_once(admin, destination, redis_server, monkeypatch):
    connected(admin, redis_server, name="Second")
    RedisDestination.every_place.create(
        organisation=admin.organisation, workspace_id="ws", name="Old place", other_place_of=destination
    )
    woken = Mock()
    monkeypatch.setattr(tasks.look_at_server, "apply_async", woken)
    tasks.look_at_servers()
    assert woken.call_count == 2
    for call in woken.call_args_list:
        tasks.look_at_server(**call.kwargs["kwargs"])
    assert ServerLook.objects.exclude(told_at=None).count() == 2
    tasks.look_at_servers()
    assert woken.call_count == 2
