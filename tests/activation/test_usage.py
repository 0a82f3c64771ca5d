"""How the use of the API is counted, written down and told."""

from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest
from django.db import OperationalError
from pytest_django import Settings

from activation import handles, usage
from activation.models import UsageHour
from activation.models.usage import LATENCIES_MS
from activation.usage import Collector
from tests.activation.people import ADA, BOB, NOBODY
from tests.contracts.caller import call

pytestmark = pytest.mark.database
NOON = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def collector(monkeypatch: pytest.MonkeyPatch) -> Collector:
    """What this test alone has counted."""
    collector = Collector()
    for name in ("look_up", "delete", "write", "totals"):
        monkeypatch.setattr(usage, name, getattr(collector, name))
    return collector


def counted() -> dict[str, int]:
    row = UsageHour.objects.get()
    return {name: getattr(row, name) for name in ("requests", "hits", "misses", "errors", "deletes")}


def test_hits_misses_and_deletes_are_counted_by_the_hour(admin, synced, ada, ask, destination):
    token = ask(id=ADA)
    assert token.status == 200
    ask(id=NOBODY)
    ask(id=[NOBODY, ADA])
    ask("/v2/activation/batch", ids=[ADA, BOB])
    usage.write(now=NOON)
    assert counted() == {"requests": 6, "hits": 3, "misses": 3, "errors": 0, "deletes": 0}
    assert sum(UsageHour.objects.get().latencies) == 6

    ask(id=ADA)
    usage.write(now=NOON + timedelta(minutes=29))
    assert counted()["requests"] == 7
    ask(id=ADA)
    usage.write(now=NOON + timedelta(minutes=30))
    assert UsageHour.objects.count() == 2
    row = UsageHour.objects.latest("hour")
    assert (row.entity, row.id_type, row.hour, row.requests) == ("user", "email", NOON.replace(hour=13, minute=0), 1)


def test_names_that_no_source_declares_are_counted_as_unknown(ask, synced, ada):
    for number in range(5):
        ask(id={"type": f"type{number}", "value": "x"})
        ask(entity=f"entity{number}", id=ADA)
    usage.write(now=NOON)

    row = UsageHour.objects.get()
    assert (row.entity, row.id_type, row.requests) == ("unknown", "unknown", 10)


def test_a_redis_that_is_away_is_counted_as_an_error(ask, destination):
    destination.settings = {"address": "127.0.0.1:1"}
    destination.version += 1
    destination.save()
    handles.close()
    ask(id=ADA)
    ask(id=[ADA, BOB])
    usage.write(now=NOON)

    assert counted() == {"requests": 3, "hits": 0, "misses": 0, "errors": 3, "deletes": 0}


def test_what_could_not_be_written_is_written_with_the_next(
    ask,
    ada,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
):
    ask(id=ADA)
    with monkeypatch.context() as down:
        down.setattr(usage, "_add", Mock(side_effect=OperationalError))
        assert usage.write(now=NOON) == 0
    [told] = collector.totals().values()
    assert told["hits"] == 1, "metrics tell it though our database is away, and never less than before"
    ask(id=ADA)
    assert usage.write(now=NOON) == 1
    assert usage.write(now=NOON) == 0

    assert counted()["requests"] == 2
    [total] = collector.totals().values()
    assert total["hits"] == 2


def test_two_processes_add_to_the_same_hour(ask, ada, destination, admin):
    one, other = Collector(), Collector()
    handle = handles.get(destination.organisation_id, destination.public_id)
    for each in (one, other):
        each.look_up(handle, 7, "user", "email", "hit", 0.001)
        each.delete(handle, 7, "user", "email")
    one.write(now=NOON)
    other.write(now=NOON)

    assert counted() == {"requests": 2, "hits": 2, "misses": 0, "errors": 0, "deletes": 2}


def test_the_number_of_kinds_is_bounded(ask, ada, destination, monkeypatch):
    monkeypatch.setattr(usage, "MOST_KINDS", 3)
    collector = Collector()
    handle = handles.get(destination.organisation_id, destination.public_id)
    for token in range(1, 100):
        collector.look_up(handle, token, "user", "email", "hit", 0.001)
    assert collector.write(now=NOON) == 4
    assert UsageHour.objects.get(token=0).requests == 96


@pytest.mark.parametrize(
    ("milliseconds", "share", "expected"),
    [([], 0.5, None), ([1.0] * 100, 0.5, 0.75), ([0.1] * 99 + [100.0], 0.99, 0.25), ([1_000.0], 0.99, 509.44)],
)
def test_a_percentile_lies_between_the_ends_that_were_counted(milliseconds, share, expected):
    latencies = [0] * (len(LATENCIES_MS) + 1)
    for each in milliseconds:
        latencies[next((n for n, end in enumerate(LATENCIES_MS) if each <= end), len(LATENCIES_MS))] += 1
    assert usage.percentile(latencies, share) == (None if expected is None else pytest.approx(expected))


def test_old_hours_are_forgotten(ask, ada):
    ask(id=ADA)
    usage.write(now=NOON)
    usage.forget(now=NOON + timedelta(days=395))
    assert UsageHour.objects.exists()
    usage.forget(now=NOON + timedelta(days=398))
    assert not UsageHour.objects.exists()


def test_metrics_tell_programs_on_this_machine_what_was_counted(ask, ada, synced, destination):
    ask(id=ADA)
    usage.write(now=NOON)
    told = call("GET", "/metrics", REMOTE_ADDR="127.0.0.1")

    assert told.status == 200
    labels = f'destination="{destination.public_id}",entity="user",id_type="email"'
    assert f'activation_look_ups_total{{{labels},outcome="hit"}} 1.0' in told.body.decode()
    assert f'activation_look_up_seconds_bucket{{{labels},le="+Inf"}} 1.0' in told.body.decode()
    assert ADA["value"] not in told.body.decode()
    assert call("GET", "/metrics", REMOTE_ADDR="192.0.2.7").status == 404
    assert call("GET", "/metrics", REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="192.0.2.7").status == 404


def test_metrics_are_told_to_whoever_has_the_token(db: None, settings: Settings):
    settings.METRICS_TOKEN = "a-" + "token"
    assert call("GET", "/metrics", REMOTE_ADDR="192.0.2.7", HTTP_AUTHORIZATION="Bearer a-token").status == 200
    for given in ("", "Bearer ", "Bearer other", "Basic a-token", "Bearer \udcff"):
        assert call("GET", "/metrics", REMOTE_ADDR="127.0.0.1", HTTP_AUTHORIZATION=given).status == 404
