"""The overview: where each project's sync stands, and the first step of an empty organisation."""

from typing import Any

from django.urls import reverse

from tests.cast import Member

OVERVIEW = reverse("accounts:overview", kwargs={"organisation": "acme"})


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_an_empty_organisation_is_led_to_its_first_warehouse(admin: Member):
    page = text(admin.client.get(OVERVIEW))
    assert "First: a warehouse" in page
    assert reverse("projects:warehouses", kwargs={"organisation": "acme"}) in page


def test_a_connected_warehouse_is_followed_by_a_project(warehouse, admin):
    assert "Next: a project" in text(admin.client.get(OVERVIEW))


def test_a_project_that_was_never_turned_on_leads_to_the_switch(bare_project, admin):
    page = text(admin.client.get(OVERVIEW))
    assert "Enable sync to Redis" in page
    assert f"/o/acme/projects/{bare_project.slug}/settings/activation" in page


def test_a_project_in_sync_shows_its_state_and_its_destination(activation, bare_project, viewer):
    page = text(viewer.client.get(OVERVIEW))
    assert "Syncing" in page
    assert activation.destination.name in page
    assert page.count("Enable sync to Redis") == 1, "only the other project is off"


def test_the_projects_of_another_organisation_are_not_on_it(activation, outsider):
    page = text(outsider.client.get(reverse("accounts:overview", kwargs={"organisation": outsider.organisation.slug})))
    assert activation.project.name not in page
    assert "First: a warehouse" in page
