"""Pages of a destination with hundreds of projects: the worst first, found, sorted, and cut into pages."""

import html
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from activation import enabling
from activation.models import Activation, RedisDestination, RunState, Source, SyncPartition
from projects.models import Project, Warehouse
from tests.activation.pages.test_overview import many_projects, sources, synced
from tests.cast import Member


def page(member: Member, destination: RedisDestination, name: str = "destination_sources", **query: str) -> str:
    answer = member.client.get(reverse(f"activation:{name}", args=["acme", destination.public_id]), query)
    assert answer.status_code == 200
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split()))


def sources_path(destination: RedisDestination) -> str:
    return reverse("activation:destination_sources", args=["acme", destination.public_id])


def entities(text: str) -> list[str]:
    """Name the sources in the order they come: `many_projects` gives each an entity of its own."""
    return re.findall(r"\bv (e\d+)", text)


@pytest.fixture
def many(warehouse: Warehouse, destination: RedisDestination) -> RedisDestination:
    """A destination with sixty projects of a source each; a third failed, a third loads, a third is out of date."""
    many_projects(warehouse, 60, destination=destination)
    return destination


class TestTheSourcesOfADestination:
    def test_come_fifty_a_page_the_worst_first(self, many, viewer):
        first, second = page(viewer, many), page(viewer, many, page="2")

        assert "1–50 of 60" in first  # noqa: RUF001 - as it is written
        assert len(entities(first)) == 50
        assert all(int(entity[1:]) % 3 == 1 for entity in entities(first)[:20])  # those that failed
        assert all(int(entity[1:]) % 3 == 2 for entity in entities(second))  # those that load
        assert not {*entities(first)} & {*entities(second)}

    @pytest.mark.parametrize(("count", "pages"), [(49, [49]), (50, [50]), (51, [50, 1])])
    def test_are_all_on_one_page_or_another_and_none_on_two(self, count, pages, warehouse, destination, viewer):
        many_projects(warehouse, count, destination=destination)

        each = [entities(page(viewer, destination, page=str(number))) for number in range(1, len(pages) + 1)]

        assert [len(names) for names in each] == pages
        assert {name for names in each for name in names} == {f"e{number}" for number in range(count)}
        assert ('aria-label="Pages"' in viewer.client.get(sources_path(destination)).content.decode()) == (
            len(pages) > 1
        )

    def test_are_found_by_project_id_type_and_state(self, many, viewer):
        assert entities(page(viewer, many, q="project 007")) == ["e7"]
        assert entities(page(viewer, many, q="E7 Email v")) == ["e7"]
        assert len(entities(page(viewer, many, q="loading"))) == 20
        assert "No source was found" in page(viewer, many, q="<b>")

    def test_are_sorted_by_a_column_both_ways(self, many, viewer):
        up = entities(page(viewer, many, sort="project"))

        assert up == [f"e{number}" for number in range(50)]
        assert entities(page(viewer, many, sort="-project"))[0] == "e59"
        for column in ("view", "id", "state", "profiles", "synced", "nonsense"):
            assert len(entities(page(viewer, many, sort=column))) == 50

    def test_tell_how_far_one_is_that_loads(self, activation, destination, viewer):
        began = timezone.now() - timedelta(seconds=10)
        run = synced(sources(activation)[0], state=RunState.LOADING, loading_at=began, finished_at=None)
        SyncPartition.objects.create(run=run, number=0, rows_planned=100, written=60)

        assert "60 %" in page(viewer, destination)

    def test_cost_the_same_queries_however_many_there_are(self, destination, warehouse, viewer):
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                page(viewer, destination)
            return len(captured)

        many_projects(warehouse, 3, destination=destination)
        queries()  # a person's first request looks up more
        before = queries()
        Source.objects.all().delete()
        Activation.objects.all().delete()
        Project.objects.all().delete()
        many_projects(warehouse, 30, destination=destination)
        assert queries() == before

    def test_those_of_another_organisation_are_not_among_them(self, many, outsider):
        answer = outsider.client.get(reverse("activation:destination_sources", args=["acme", many.public_id]))
        assert answer.status_code == 404


def test_what_holds_a_destination_comes_by_pages(many, admin):
    first = page(admin, many, "destination_delete")

    assert "1–25 of 60" in first  # noqa: RUF001 - as it is written
    assert "Project 024 Its sync is on." in first
    assert "Project 025" not in first
    assert "Project 059" in page(admin, many, "destination_delete", page="3")


def test_what_hinders_a_move_is_told_of_each_project_and_source(activation, destination, project, admin):
    assert "turn it on, or remove its profiles" not in page(admin, destination, "move")
    enabling.disable(project, by=admin.actor, now=timezone.now())
    assert "The sync of Customer 360 is off: turn it on, or remove its profiles." in page(admin, destination, "move")
    Source.objects.filter(id_type="email").update(status=Source.Status.RETIRED)
    assert "features_by_email by email is not synced any more" in page(admin, destination, "move")
    Source.objects.update(status=Source.Status.REMOVED)
    assert "remove its profiles" not in page(admin, destination, "move")


class TestTheProjects:
    def see(self, member: Member, **query: str) -> str:
        return " ".join(member.client.get(reverse("projects:list", args=["acme"]), query).content.decode().split())

    def names(self, text: str) -> list[str]:
        return re.findall(r'<th scope="row"><a href="[^"]+">([^<]+)<', text)

    def test_come_fifty_a_page(self, warehouse, viewer):
        many_projects(warehouse, 60)

        assert len(self.names(self.see(viewer))) == 50
        assert self.names(self.see(viewer, page="2"))[-1] == "Project 059"

    def test_are_found_and_sorted(self, project, bare_project, viewer):
        Project.objects.filter(pk=project.pk).update(output_schema="elsewhere")

        assert self.names(self.see(viewer)) == ["Bare", "Customer 360"]
        assert self.names(self.see(viewer, sort="-name")) == ["Customer 360", "Bare"]
        assert self.names(self.see(viewer, sort="schema")) == ["Customer 360", "Bare"]
        assert self.names(self.see(viewer, sort="-created")) == ["Bare", "Customer 360"]
        assert self.names(self.see(viewer, q="ELSE")) == ["Customer 360"]
        assert self.names(self.see(viewer, q="analytics")) == ["Bare", "Customer 360"]
        assert "No project was found" in self.see(viewer, q="nothing")

    def test_an_organisation_without_any_is_told_what_comes_first(self, admin):
        assert "No projects yet" in self.see(admin)
