"""The list of destinations: where each stands, who uses it, what it was asked; found and sorted by address."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from activation import destination_list, enabling
from activation.models import Activation, RedisDestination, RunState, ServerLook, Source, SyncRun, UsageHour
from tests.activation.pages.conftest import SPECIFICATION, new_project
from tests.cast import Member

LIST = reverse("activation:destinations", kwargs={"organisation": "acme"})


def page(member: Member, **query: str) -> str:
    answer = member.client.get(LIST, query)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def names(text: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="[^"]+">([^<]+)<', text)


def new(member: Member, name: str, **settings: object) -> RedisDestination:
    return RedisDestination.objects.create(
        organisation=member.organisation,
        workspace_id=member.organisation.public_id,
        name=name,
        settings={"address": f"{name.lower()}.example:6379", **settings},
    )


def asked(destination: RedisDestination, *, hits: int, misses: int = 0, ago: int = 0) -> None:
    UsageHour.objects.create(
        destination=destination,
        hour=timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=ago),
        token=1,
        entity="user",
        id_type="email",
        requests=hits + misses,
        hits=hits,
        misses=misses,
    )


def ended(source: Source, state: str) -> None:
    """Let a source's newest run have ended like this."""
    run = SyncRun.objects.create(
        source=source, trigger=SyncRun.Trigger.PERSON, state=state, finished_at=timezone.now(), error="It broke."
    )
    if state == RunState.SUCCEEDED:
        Source.objects.filter(pk=source.pk).update(
            base_run=run, base_rows=100, seen_profiles_run=source.activation.project.runs.latest("pk")
        )


def line(member: Member, name: str) -> destination_list.Line:
    [found] = [row for row in destination_list.of(member.actor, now=timezone.now()) if row.destination.name == name]
    return found


def test_a_destination_shows_its_state_projects_profiles_and_what_it_was_asked(viewer, activation, destination):
    for source in activation.sources.all():
        ended(source, RunState.SUCCEEDED)
    asked(destination, hits=96, misses=4)
    asked(destination, hits=1_000, ago=24)
    text = page(viewer)
    for words in (
        "In step",
        destination.settings["address"],
        "One server",
        "Customer 360",
        "2 sources",
        ">200<",
        ">100<",
    ):
        assert words in text
    assert ">96 %<" in text
    assert f"destinations/{destination.public_id}/usage" in text


def test_a_destination_of_many_projects_names_three_and_counts_the_others(viewer, admin, activation, warehouse):
    for number in range(4):
        project = new_project(admin, warehouse, f"Project {number}", SPECIFICATION)
        Activation.objects.create(project=project, destination=activation.destination, enabled_by="ada@acme.example")
    text = page(viewer)
    assert "and 2 more" in text
    assert ("Project 1<" in text, "Project 2<" in text, "Project 3<" in text) == (True, False, False)


def test_the_worst_of_its_sources_is_its_state(admin, activation, destination):
    first, second = activation.sources.all()
    ended(first, RunState.SUCCEEDED)
    ended(second, RunState.FAILED)
    assert (line(admin, destination.name).state, line(admin, destination.name).word) == ("failed", "A sync failed")


def test_one_that_could_not_be_reached_says_so_before_all_else(admin, activation, destination):
    for source in activation.sources.all():
        ended(source, RunState.SUCCEEDED)
    ServerLook.objects.create(destination=destination, problem="unreachable")
    assert line(admin, destination.name).word == "Not reached"
    for source in activation.sources.all():
        ended(source, RunState.FAILED)
    assert line(admin, destination.name).word == "Not reached"


def test_one_that_nobody_uses_or_whose_syncs_are_off_is_no_alarm(admin, activation, destination):
    new(admin, "Spare")
    assert (line(admin, "Spare").state, line(admin, "Spare").word) == ("neutral", "Not used")
    enabling.disable(activation.project, by=admin.actor, now=timezone.now())
    assert (line(admin, destination.name).state, line(admin, destination.name).word) == ("neutral", "Off")


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        ({}, "One server"),
        ({"clusterMode": True, "secure": True}, "Cluster, TLS"),
        ({"sentinelService": "profiles", "useJSONModule": True}, "Sentinel, JSON"),
    ],
)
def test_its_mode_is_told(viewer, admin, settings, mode):
    new(admin, "Some", **settings)
    assert mode in page(viewer)


def test_the_list_is_searched_and_sorted_by_address(viewer, admin, activation, destination):
    berlin, athens = new(admin, "Berlin"), new(admin, "Athens")
    asked(berlin, hits=5)
    asked(athens, hits=10, misses=10)
    assert names(page(viewer)) == ["Athens", "Berlin", "Customers"]
    assert names(page(viewer, sort="-name")) == ["Customers", "Berlin", "Athens"]
    assert names(page(viewer, sort="-requests")) == ["Athens", "Berlin", "Customers"]
    assert names(page(viewer, sort="-hits")) == ["Berlin", "Athens", "Customers"]
    assert names(page(viewer, sort="<b>")) == ["Athens", "Berlin", "Customers"]
    assert names(page(viewer, q="berlin.EXAMPLE")) == ["Berlin"]
    assert names(page(viewer, q="customer 360")) == ["Customers"]
    assert names(page(viewer, q=athens.public_id)) == ["Athens"]
    assert "No destination was found" in page(viewer, q="<script>")


def test_a_long_list_goes_by_pages(viewer, admin):
    for number in range(60):
        new(admin, f"Number {number:02}")
    assert len(names(page(viewer))) == 50
    text = page(viewer, page="2", sort="name")
    assert names(text)[-1] == "Number 59"
    assert "page=1&amp;sort=name" in text
    assert "Previous" in text


def test_another_organisations_destinations_are_not_on_it(viewer, outsider, admin):
    new(outsider, "Theirs")
    assert "Theirs" not in page(viewer)
    assert "No destinations yet" in page(viewer)


def test_the_number_of_queries_does_not_grow_with_the_list(viewer, admin, activation, warehouse, destination):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page(viewer)
        return len(captured)

    queries()  # a person's first request looks up more
    before = queries()
    for number in range(5):
        other = new(admin, f"Number {number}")
        project = new_project(admin, warehouse, f"Project {number}", SPECIFICATION)
        own = Activation.objects.create(project=project, destination=other, enabled_by="ada@acme.example")
        for view in ("one", "two"):
            source = Source.objects.create(
                activation=own, destination=other, entity="user", id_type="email", feature_view=view
            )
            SyncRun.objects.create(source=source, trigger=SyncRun.Trigger.PERSON)
        asked(other, hits=1)
    assert queries() == before
