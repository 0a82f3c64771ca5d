"""A hit rate that falls is told once and its return too; what is noise, or so every day, is not told."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from activation import alert_watch, hit_rates
from activation.models import Alert, AlertDelivery, AlertSettings, Source, UsageHour
from tests.activation.alerts.conftest import new_source

NOW = datetime(2026, 11, 24, 12, 5, tzinfo=UTC)
FELL = "email: [Customers] The hit rate of user by email fell from 96 % to 3 %"
BACK = "email: [Customers] The hit rate of user by email is back at 95 %"


@pytest.fixture(autouse=True)
def at_noon(clock, told, source):
    clock.now = NOW
    AlertSettings.objects.update(on_stale=False)


@pytest.fixture
def used(activation):
    """Let applications have asked in the hour so many hours before the present one (1: the newest full hour)."""

    def used(ago: int, *, look_ups: int, rate: float, errors: int = 0, token: int = 1, **of: object) -> None:
        hits = round(look_ups * rate)
        UsageHour.objects.create(
            **{"destination": activation.destination, "entity": "user", "id_type": "email", **of},
            token=token,
            hour=NOW.replace(minute=0) - timedelta(hours=ago),
            requests=look_ups + errors,
            hits=hits,
            misses=look_ups - hits,
            errors=errors,
        )

    return used


@pytest.fixture
def a_day(used):
    """A day of 100 look-ups an hour of which 96 find a profile, up to the newest full hour, which is the test's."""
    for ago in range(2, 30):
        used(ago, look_ups=100, rate=0.96)


@pytest.mark.usefixtures("a_day")
class TestAFall:
    def test_is_told_once(self, used, look, clock):
        used(1, look_ups=300, rate=0.03, errors=200)
        assert look() == [FELL]
        assert look() == []
        clock.on(minutes=30)
        assert look() == []

    def test_says_in_the_e_mail_what_to_do_and_how_much_was_asked(self, used, look):
        used(1, look_ups=1_200, rate=0.03)
        look()
        text = AlertDelivery.objects.get().content["text"]
        assert "1,200 look-ups of the last hour were answered." in text
        assert "ask the API for a diagnosis" in text

    def test_is_in_the_webhook_as_numbers(self, used, look, told):
        AlertSettings.objects.update(webhook_url="https://hooks.example/", webhook_secret="x")
        used(1, look_ups=1_200, rate=0.03)
        look()
        body = AlertDelivery.objects.get(channel="webhook").content
        assert (body["event"], body["run"], body["reminder"]) == ("hit_rate", None, False)
        assert body["hitRate"] == {"before": 0.96, "now": 0.03, "lookUps": 1200, "hours": 1}
        assert body["source"]["idType"] == "email"

    def test_and_its_return_are_told_once_each(self, used, look, clock):
        used(1, look_ups=100, rate=0.03)
        look()
        used(0, look_ups=100, rate=0.3)
        clock.on(hours=1)
        assert look() == [], "not back yet"
        used(-1, look_ups=100, rate=0.95)
        clock.on(hours=1)
        assert look() == [BACK]
        assert look() == []
        assert not Alert.objects.filter(closed_at=None).exists()

    def test_that_lasts_is_told_again_daily_and_measured_by_what_was_before(self, used, look, clock):
        used(1, look_ups=100, rate=0.03)
        look()
        for ago in range(-24, 1):
            used(ago, look_ups=100, rate=0.04)
        clock.on(hours=24)
        assert look() == [FELL.replace("The hit", "Reminder: the hit").replace("3 %", "4 %")]

    def test_that_lasts_for_a_week_is_usual(self, used, look, clock):
        used(1, look_ups=100, rate=0.03)
        look()
        clock.on(hours=24 * 7 + 1)
        assert look() == []
        assert not Alert.objects.filter(closed_at=None).exists()

    def test_stays_open_while_nobody_asks(self, used, look, clock):
        used(1, look_ups=100, rate=0.03)
        look()
        clock.on(hours=5)
        assert look() == []
        assert Alert.objects.filter(closed_at=None).count() == 1

    def test_is_counted_over_all_tokens_and_told_of_the_first_source(self, activation, source, used, look):
        new_source(activation, "another_view")
        used(1, look_ups=60, rate=0.03)
        used(1, look_ups=60, rate=0.03, token=2)
        assert look() == [FELL]
        assert Alert.objects.get().source == source

    def test_is_not_told_to_who_does_not_want_to_hear_of_it(self, used, look, told):
        used(1, look_ups=300, rate=0.03)
        AlertSettings.objects.update(on_hit_rate=False)
        assert look() == []
        AlertSettings.objects.update(on_hit_rate=True)
        assert look() == [FELL]
        AlertSettings.objects.update(on_hit_rate=False)
        assert look() == []
        assert not Alert.objects.filter(closed_at=None).exists()

    def test_does_not_hide_a_failed_sync_nor_the_other_way_round(self, used, look, ends):
        used(1, look_ups=300, rate=0.03)
        ends("grant_missing")
        assert look() == ["email: [Customers] 2 of its syncs have news"]
        ends()
        assert look() == ["email: [Customers] features_by_email by email is in step again"]
        assert Alert.objects.get(closed_at=None).problem == "hit_rate"

    def test_in_the_hour_under_way_is_not_looked_at_yet(self, used, look):
        used(0, look_ups=300, rate=0.03)
        assert look() == []

    def test_over_few_look_ups_is_looked_at_over_more_hours(self, used, look, clock):
        UsageHour.objects.filter(hour__gte=NOW - timedelta(hours=4)).delete()
        for ago in (1, 2, 3):
            used(ago, look_ups=40, rate=0.0)
        assert look() == [FELL.replace("3 %", "0 %")]


@pytest.mark.parametrize(
    ("look_ups", "rate"),
    [(99, 0.0), (300, 0.6), (100, 0.47)],
    ids=["too few look-ups", "not half of it gone", "half of it gone"],
)
def test_a_small_fall_is_noise(used, a_day, look, look_ups, rate):
    if look_ups < 100:
        UsageHour.objects.filter(hour__gte=NOW - timedelta(hours=7)).delete()
    used(1, look_ups=look_ups, rate=rate)
    assert look() == ([FELL.replace("3 %", "47 %")] if rate == 0.47 else [])


def test_too_little_asked_the_day_before_says_nothing(used, look):
    for ago in (2, 3, 4):
        used(ago, look_ups=150, rate=0.96)
    used(1, look_ups=1_000, rate=0.0)
    assert look() == []


def test_a_nightly_job_that_asks_for_strangers_is_no_news(used, a_day, look):
    UsageHour.objects.filter(hour=NOW.replace(minute=0) - timedelta(hours=25)).delete()
    used(25, look_ups=1_000, rate=0.02)
    used(1, look_ups=1_000, rate=0.02)
    assert look() == []


def test_a_low_rate_that_falls_by_chance_is_noise(used, look):
    for ago in range(2, 30):
        used(ago, look_ups=100, rate=0.14)
    used(1, look_ups=100, rate=0.03)
    assert look() == []


def test_an_hour_is_looked_at_once_every_process_has_written_it(activation, used, a_day):
    used(1, look_ups=100, rate=0.5)
    just_after = NOW.replace(minute=0, second=59)
    rates = [
        hit_rates.measure(activation.destination_id, now=at)["user", "email"].now
        for at in (just_after, just_after + timedelta(seconds=2))
    ]
    assert rates == [0.96, 0.5]


def test_other_destinations_and_id_types_are_not_counted(activation, used, a_day, look):
    Source.objects.update(id_type="phone")
    used(1, look_ups=1_000, rate=0.0)
    assert look() == [], "no source of this project has that id type"
    alert_watch.look(now=timezone.now())
