"""The History tab: Profiles runs and syncs on one time line, filters in the address, pages of a constant cost."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from activation import guard, history
from activation.history import Cursor
from activation.models import RunState, Source, SyncRun
from projects.models import ProfilesRun, RunOrigin, RunStatus
from tests.cast import Member

PAGE = "/o/acme/projects/customer-360/history/"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def text(response) -> str:
    return " ".join(unescape(strip_tags(response.content.decode())).split())


def shown(member: Member, query: str = "") -> str:
    """What the time line says, without the form beside it."""
    page = text(member.client.get(f"{PAGE}?{query}"))
    return page[page.rindex("Settings ") :].rpartition(" The registry was ")[0].rpartition("Show everything ")[2]


@pytest.fixture
def quiet(activation):
    """A project that is on, and of which nothing is known to have run."""
    SyncRun.objects.all().delete()
    ProfilesRun.objects.all().delete()
    return activation


def profiles_run(activation, minutes: int, **fields) -> ProfilesRun:
    at = NOON + timedelta(minutes=minutes)
    known = {"status": RunStatus.FINISHED, "origin": RunOrigin.REGISTRY, "seq_no": minutes, "created_at": at}
    return ProfilesRun.objects.create(project=activation.project, **{**known, "finished_at": at, **fields})


def sync(minutes: int, view: str = "features_by_email", **fields) -> SyncRun:
    at = NOON + timedelta(minutes=minutes)
    known = {"trigger": "person", "requested_by": "ada@acme.example", "state": RunState.SUCCEEDED, "queued_at": at}
    source = Source.objects.get(feature_view=view)
    ended = {"finished_at": at + timedelta(seconds=70)} if fields.get("state") != RunState.LOADING else {}
    return SyncRun.objects.create(source=source, **{**known, **ended, **fields})


def test_runs_are_told_newest_first_with_what_each_did_and_who_began_it(quiet, viewer):
    profiles_run(quiet, 1, reported_by="airflow", origin=RunOrigin.API, started_at=NOON - timedelta(minutes=2))
    sync(3, written=1_200, deleted=3, unchanged=51_000, failed=2)
    page = shown(viewer)

    assert page.index("Sync of features_by_email") < page.index("Profiles run seq 1")
    assert "Sync Now by ada@acme.example" in page
    assert "Incremental, took 1 min 10 s: 1,200 written · 3 deleted · 51,000 unchanged · 2 failed" in page
    assert "Reported by API by airflow · took 3 min 0 s" in page


def test_a_profiles_run_is_shown_with_the_syncs_it_caused(quiet, viewer):
    first, second = profiles_run(quiet, 1), profiles_run(quiet, 10)
    caused: dict[str, Any] = {"trigger": "profiles_run", "profiles_run": first}
    sync(11, **caused)
    sync(12, "features_by_salesforce_id", **caused)
    sync(5, profiles_run=second)

    entries = history.page(quiet.project, history.Search(), now=NOON).entries

    told = [(entry.run and entry.run.seq_no, [str(line.run.source) for line in entry.lines]) for entry in entries]
    assert told == [
        (10, []),
        (None, ["features_by_email by email"]),
        (1, ["features_by_salesforce_id by salesforce_id", "features_by_email by email"]),
    ]
    assert "Syncs it caused" in viewer.client.get(PAGE).content.decode()


def test_of_many_syncs_of_a_run_some_are_shown_and_the_rest_are_a_link_away(quiet, viewer):
    run = profiles_run(quiet, 1)
    for minute in range(history.SYNCS_SHOWN + 2):
        sync(2 + minute, trigger="profiles_run", profiles_run=run, written=minute)
    sync(90)

    page = viewer.client.get(PAGE).content.decode()

    assert "2 more syncs of this run" in page
    alone = shown(viewer, f"run={run.public_id}")
    assert alone.count("Sync of features_by_email") == history.SYNCS_SHOWN + 2
    assert "Profiles run seq 1" in alone
    assert "0 written" in alone


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kind=profiles", {"seq 1", "seq 2"}),
        ("kind=syncs", {"written 11", "written 12", "written 13", "written 14"}),
        ("state=failed", {"seq 2", "written 12", "written 13"}),
        ("state=confirm", {"written 13"}),
        ("state=stopped", {"written 14"}),
        ("state=succeeded", {"seq 1", "written 11"}),
        ("state=active", set()),
        ("view={email}", {"written 11", "written 13", "written 14"}),
        ("view={salesforce}", {"written 12"}),
        ("trigger=sync:schedule", {"written 12"}),
        ("trigger=profiles:api", {"seq 2"}),
        ("since=2026-11-24", {"written 14"}),
        ("until=2026-11-23&kind=syncs", {"written 11", "written 12", "written 13"}),
        ("state=failed&view={email}", {"written 13"}),
        ("kind=profiles&trigger=sync:schedule", set()),
    ],
)
def test_the_address_says_what_is_looked_for(quiet, viewer, query, expected):
    profiles_run(quiet, 1)
    profiles_run(quiet, 2, status=RunStatus.FAILED, origin=RunOrigin.API)
    sync(3, written=11)
    sync(4, "features_by_salesforce_id", written=12, state=RunState.FAILED, trigger="schedule")
    sync(5, written=13, state=RunState.FAILED, error_code=guard.CODE)
    sync(24 * 60, written=14, state=RunState.CANCELLED)
    ids = {source.id_type.partition("_")[0]: source.public_id for source in Source.objects.all()}

    page = shown(viewer, query.format(**ids))

    found = {f"written {number}" for number in re.findall(r"(\d+) written", page)}
    assert found | set(re.findall(r"Profiles run (seq \d+)", page)) == expected
    assert ("Nothing was found" in page) == (not expected)


def test_what_cannot_be_looked_for_is_said_and_everything_shown(quiet, viewer):
    sync(3)
    for query, said in (
        ("state=x", "State: Select a valid choice"),
        ("view=x", "Feature view: Select a valid choice"),
        ("since=2026-11-25&until=2026-11-24", "Swap them"),
        ("run=x", "not known any more"),
        ("run=x%00", "Null characters"),
        ("before=9&after=1-1-1", "Sync of features_by_email"),
    ):
        answer = viewer.client.get(f"{PAGE}?{query}")
        assert answer.status_code == 200
        assert said in text(answer), query
        assert "Sync of features_by_email" in text(answer)


def test_another_projects_and_organisations_runs_are_not_on_it(quiet, bare_project, viewer, outsider):
    sync(3)
    run = profiles_run(quiet, 1)
    empty = viewer.client.get(PAGE.replace("customer-360", "bare"))
    assert "Nothing has run yet" in text(empty)
    assert "not known any more" in text(
        viewer.client.get(PAGE.replace("customer-360", "bare") + f"?run={run.public_id}")
    )
    assert outsider.client.get(PAGE).status_code == 404


# Pages


def links(response) -> dict[str, str]:
    found = re.findall(r'rel="(prev|next)"\s+href="([^"]+)"', response.content.decode())
    return {rel: unescape(href) for rel, href in found}


def test_pages_hold_every_run_once_both_ways_also_those_of_the_same_moment(quiet, viewer):
    for number in range(history.ENTRIES_A_PAGE + 8):
        profiles_run(quiet, number // 5, seq_no=number)
        sync(number // 5, written=number + 1)
    everything = 2 * (history.ENTRIES_A_PAGE + 8)

    forwards, address = [], PAGE
    while True:
        page = viewer.client.get(address)
        forwards.append(shown(viewer, address.partition("?")[2]))
        if "next" not in links(page):
            break
        address = links(page)["next"]
    backwards = [forwards[-1]]
    while "prev" in links(page):
        page = viewer.client.get(links(page)["prev"])
        backwards.append(text(page))

    def entries(pages: list[str]) -> list[str]:
        return [name for each in pages for name in re.findall(r"run seq \d+|\d+ written", each)]

    assert len(entries(forwards)) == everything == len(set(entries(forwards)))
    assert set(entries(backwards)) == set(entries(forwards))
    assert entries(forwards)[0] in entries(backwards[-1:])


def test_paging_keeps_what_is_looked_for(quiet, viewer):
    for number in range(history.ENTRIES_A_PAGE + 1):
        sync(number)
    page = viewer.client.get(f"{PAGE}?kind=syncs&state=succeeded")
    address = links(page)["next"]
    assert "kind=syncs&state=succeeded&before=" in address
    assert links(viewer.client.get(address))["prev"].startswith(f"{PAGE}?kind=syncs&state=succeeded&after=")


@pytest.mark.parametrize("query", ["", "state=succeeded", "kind=syncs", "since=2026-01-01"])
def test_a_page_asks_the_database_as_often_with_many_runs_as_with_few(quiet, viewer, query):
    def fill(count: int, start: int) -> None:
        runs = [profiles_run(quiet, start + number) for number in range(count)]
        source = Source.objects.first()
        SyncRun.objects.bulk_create(
            SyncRun(source=source, trigger=trigger, profiles_run=run, state=state, queued_at=run.created_at)
            for run in runs
            for trigger, state in (("profiles_run", RunState.SUCCEEDED), ("person", RunState.FAILED))
        )

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert viewer.client.get(f"{PAGE}?{query}").status_code == 200
        return len(queries)

    fill(3, 1)
    asked()
    few = asked()
    fill(400, 10)
    assert asked() == few <= 12


def test_only_a_page_with_something_under_way_asks_for_itself_again(quiet, viewer):
    done = sync(1)
    assert "hx-get" not in viewer.client.get(PAGE).content.decode()
    SyncRun.objects.filter(pk=done.pk).update(state=RunState.LOADING, finished_at=None)

    page = viewer.client.get(f"{PAGE}?kind=syncs")
    fragment = viewer.client.get(f"{PAGE}?kind=syncs", headers={"HX-Request": "true"})

    assert f'hx-get="{PAGE}?kind=syncs"' in page.content.decode()
    assert "Reload to see how far it is" in text(page)
    assert fragment.content.decode().lstrip().startswith('<div id="history"')
    assert "<form" not in fragment.content.decode()
    assert "HX-Request" in fragment["Vary"]


@pytest.mark.parametrize("text", ["", "x", "1-1-1", "0000000000000001-2-1", "0000000000000001-1-" + "9" * 40])
def test_what_is_no_place_on_the_time_line_is_none(text):
    assert Cursor.read(text) is None


def test_a_place_is_read_as_it_was_written():
    place = Cursor(NOON + timedelta(microseconds=123_457), 1, 77)
    assert Cursor.read(str(place)) == place
