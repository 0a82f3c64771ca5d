"""A destination's tab *Usage*: the figures are right, chosen by address, and nobody sees what is not for them."""

import csv
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import tokens
from accounts.models import PersonalAccessToken
from accounts.roles import Role
from activation import alert_texts, hit_rates, usage_page, usage_series
from activation.models import RedisDestination, UsageHour
from activation.models.usage import LATENCY_COLUMNS
from activation.usage_series import Asked, Use
from activation.usage_totals import Totals, share_words
from tests.cast import Member

HOUR = timezone.now().replace(minute=0, second=0, microsecond=0)


@pytest.fixture(autouse=True)
def within_the_hour() -> Iterator[None]:
    """Have every test come before the next hour begins."""
    with time_machine.travel(HOUR + timedelta(minutes=20), tick=True):
        yield


def asked(
    destination: RedisDestination,
    *,
    requests: int,
    hits: int = 0,
    errors: int = 0,
    ago: int = 0,
    bucket: int = 1,
    token: int = 0,
    of: str = "user email",
) -> None:
    """Let applications have asked so many hours ago; all look-ups took about as long."""
    entity, id_type = of.split()
    UsageHour.objects.create(
        destination=destination,
        hour=timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=ago),
        token=token,
        entity=entity,
        id_type=id_type,
        requests=requests,
        hits=hits,
        misses=requests - hits - errors,
        errors=errors,
        **{LATENCY_COLUMNS[bucket]: requests},
    )


def token_of(member: Member, name: str) -> PersonalAccessToken:
    member.token(Role.VIEWER, name=name)
    return PersonalAccessToken.objects.get(name=name)


def address(destination: RedisDestination, name: str = "usage") -> str:
    return reverse(f"activation:{name}", kwargs={"organisation": "acme", "destination": destination.public_id})


def page(member: Member, destination: RedisDestination, **query: str) -> str:
    answer = member.client.get(address(destination), query)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def row(text: str, name: str) -> list[str]:
    """The cells of the table row that begins with a name."""
    found = re.search(rf'<th scope="row">\s*{name}\b.*?</th>(.*?)</tr>', text)
    assert found, f"no row {name}"
    return re.findall(r">([^<>]+)</td>", found[1])


@pytest.fixture
def used(activation: Any, destination: RedisDestination) -> RedisDestination:
    """A destination that was asked by a day's look-ups of two id types, and before."""
    asked(destination, requests=1_000, hits=960, errors=0, bucket=1)
    asked(destination, requests=200, hits=90, errors=20, ago=3, bucket=3)
    asked(destination, requests=10, hits=10, of="user salesforce_id")
    asked(destination, requests=5_000, hits=5_000, ago=24)
    asked(destination, requests=70_000, hits=70_000, ago=24 * 7)
    asked(destination, requests=800_000, ago=24 * 30)
    return destination


def test_a_destination_that_nobody_asked_says_what_will_count(viewer, activation, destination):
    text = page(viewer, destination)
    assert "Nothing was asked yet" in text
    assert "<svg viewBox" not in text


def test_totals_are_of_the_range(viewer, used):
    assert row(page(viewer, used), "All together")[:5] == ["1,210", "1,060", "130", "89 %", "20"]
    assert row(page(viewer, used, range="7d"), "All together")[0] == "6,210"
    assert row(page(viewer, used, range="30d"), "All together")[0] == "76,210"


def test_names_are_chosen_by_address(viewer, used):
    text = page(viewer, used, id_type="salesforce_id")
    assert row(text, "All together")[:4] == ["10", "10", "0", "100 %"]
    assert "user by email" not in text
    assert "Nothing was asked" in page(viewer, used, entity="unknown")
    assert '<option value="salesforce_id" selected>' in text


@pytest.mark.parametrize(
    "query", [{"range": "99d"}, {"entity": "nobody"}, {"id_type": "<b>"}, {"token": "zzzzzzzzzzzz"}]
)
def test_what_cannot_be_chosen_is_said_and_everything_is_shown(viewer, used, query):
    text = page(viewer, used, **query)
    assert "There is a problem" in text
    assert row(text, "All together")[0] == "1,210"
    assert viewer.client.get(address(used, "usage_export"), query).status_code == 404


def test_an_admin_sees_the_busiest_tokens_by_name_and_chooses_one(admin, editor, used):
    shop, crm = token_of(admin, "Web shop"), token_of(editor, "CRM")
    asked(used, requests=7_000, hits=7_000, token=shop.pk)
    asked(used, requests=9_000, hits=4_500, token=crm.pk)
    tokens.revoke(crm.public_part, by=editor.actor, now=timezone.now())
    text = page(admin, used)
    assert text.index("CRM") < text.index("Web shop")
    assert "edith@acme.example · deleted" in text
    assert row(text, "CRM")[:2] == ["9,000", "50 %"]
    assert row(text, "All other tokens")[0] == "1,210"
    chosen = page(admin, used, token=shop.public_part)
    assert row(chosen, "All together")[0] == "7,000"
    assert row(chosen, "CRM")[0] == "9,000", "the table of tokens stays, to compare and change"
    assert f'<option value="{shop.public_part}" selected>Web shop' in chosen


def test_others_see_their_own_tokens_only(admin, editor, viewer, used):
    shop, crm = token_of(admin, "Web shop"), token_of(editor, "CRM")
    asked(used, requests=7_000, token=shop.pk)
    asked(used, requests=9_000, token=crm.pk)
    text = page(editor, used)
    assert row(text, "CRM")[0] == "9,000"
    assert row(text, "All other tokens")[0] == "8,210"
    assert "Web shop" not in text
    refused = page(viewer, used, token=shop.public_part)
    assert "There is no such token" in refused
    assert "Web shop" not in refused


def test_every_hour_is_in_the_file(viewer, used):
    answer = viewer.client.get(address(used, "usage_export"), {"range": "7d", "id_type": "email"})
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(answer.content.decode().splitlines()))
    assert len(rows) == 7 * 24
    assert (rows[-1]["requests"], rows[-1]["hits"], rows[-4]["errors"]) == ("1000", "960", "20")
    assert rows[-2] == {**dict.fromkeys(rows[0], ""), **rows[-2], "requests": "0", "p50_ms": "", "p99_ms": ""}


def test_percentiles_come_from_the_counts_of_all_hours_and_are_not_averaged(destination):
    asked(destination, requests=980, ago=1, bucket=0)  # all but these 20 took a quarter of a millisecond at most
    asked(destination, requests=20, ago=2, bucket=11)
    since = HOUR - timedelta(hours=5)
    hours = usage_series.by_hour(Asked(destination.pk, since), now=timezone.now())
    p50, p95, p99 = sum((use for _, use in hours), Use()).percentiles
    assert p50 is not None
    assert p95 is not None
    assert p95 < 0.25
    assert p99 == 256, "what took longer than is told apart is told as that"
    assert hours[0][1].percentiles == (None, None, None)


def test_days_in_tables_are_the_sums_of_their_hours(viewer, used):
    text = page(viewer, used, range="30d")
    days = re.findall(r'<th scope="row">\d+ [A-Z][a-z]{2}</th> <td class="right">([\d,]+)</td><td class="right">', text)
    assert sum(int(day.replace(",", "")) for day in days) == 76_210
    assert len(days) in (30, 31)


def test_an_alert_about_a_hit_rate_and_the_page_tell_the_same_figure(viewer, activation, destination):
    for ago in range(2, 30):
        asked(destination, requests=110, hits=96, errors=10, ago=ago)
    asked(destination, requests=350, hits=9, errors=50, ago=1)
    rate = hit_rates.measure(destination.pk, now=HOUR + timedelta(minutes=5))["user", "email"]
    assert rate.fell
    assert (share_words(rate.before or 0), share_words(rate.now)) == ("96 %", "3 %")
    shown = re.findall(
        r'data-moment="hour">[\d:]+</time></th> <td class="right">(\d+ %|\S)</td> </tr>', page(viewer, destination)
    )
    assert shown[1:3] == ["3 %", "96 %"]
    source = activation.sources.get(id_type="email")
    news = alert_texts.News("hit_rate", source, None, "", HOUR, rate=rate, rate_before=rate.before or 0)
    assert alert_texts.headline(news) == "The hit rate of user by email fell from 96 % to 3 %"


def test_the_number_of_queries_does_not_grow_with_what_was_asked(viewer, admin, used):
    def queries() -> list[int]:
        counted = []
        for member in (viewer, admin):
            for query in ({}, {"range": "30d", "entity": "user"}):
                with CaptureQueriesContext(connection) as captured:
                    page(member, used, **query)
                counted.append(len(captured))
        return counted

    asked(used, requests=1, token=token_of(admin, "A token").pk)
    queries()  # a person's first request looks up more
    before = queries()
    for number in range(30):
        asked(used, requests=number + 1, ago=number, token=token_of(admin, f"Token {number}").pk)
    assert queries() == before
    assert max(before) <= 12


def test_nothing_of_another_destination_is_counted(viewer, used, admin):
    other = RedisDestination.objects.create(
        organisation=admin.organisation, workspace_id="ws", name="Other", settings={"address": "r:1"}
    )
    asked(other, requests=3, hits=3)
    assert row(page(viewer, other), "All together")[0] == "3"
    assert usage_series.by_token(Asked(other.pk, HOUR)) == [(0, Totals(requests=3, hits=3))]
    assert usage_page.range_of({}).hours == 24
