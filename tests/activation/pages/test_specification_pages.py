"""The page of a new specification tells which sources it adds and retires before it is stored."""

from html import unescape

import pytest
from django.utils.html import strip_tags

from activation.models import Activation, Source
from tests.activation.pages.conftest import SPECIFICATION, VIEWS

PAGE = "/o/acme/projects/customer-360/settings/specification/"


def text(response) -> str:
    return " ".join(unescape(strip_tags(response.content.decode())).split())


def shown(member, views: str) -> str:
    return text(member.client.post(PAGE, {"text": SPECIFICATION + views, "revision": "1"}))


@pytest.fixture
def other_view() -> str:
    return VIEWS.replace("{id: salesforce_id, name: features_by_salesforce_id}", "{id: salesforce_id, name: by_crm}")


def test_sources_that_come_and_that_end_are_named_and_keep_serving(activation, editor, other_view):
    Source.objects.filter(feature_view="features_by_salesforce_id").update(base_rows=18_004)

    page = shown(editor, other_view)

    assert "Added by_crm user by salesforce_id, synced as soon as the view is found" in page
    assert "Retired features_by_salesforce_id user by salesforce_id, 18,004 profiles in Redis" in page
    assert "A retired source keeps serving" in page
    assert "goes when an Admin removes it" in page
    assert set(Source.objects.values_list("status", flat=True)) == {Source.Status.ACTIVE}


def test_a_source_that_was_retired_returns(activation, editor, other_view):
    Source.objects.filter(feature_view="features_by_salesforce_id").update(
        feature_view="by_crm", status=Source.Status.RETIRED
    )
    assert "Returns by_crm user by salesforce_id, synced again in full" in shown(editor, other_view)


def test_a_view_that_another_project_writes_gets_no_source(activation, bare_project, editor):
    Activation.objects.create(project=bare_project, destination=activation.destination, enabled_by="ada@acme.example")
    answer = editor.client.post(PAGE.replace("customer-360", "bare"), {"text": SPECIFICATION + VIEWS, "revision": "1"})
    page = text(answer)
    assert "Not added features_by_email user by email: another project writes it" in page
    assert "Added features_by_email" not in page


def test_sources_stay_where_only_comments_change(activation, editor):
    page = text(editor.client.post(PAGE, {"text": "# Ours\n" + SPECIFICATION + VIEWS, "revision": "1"}))
    assert "They stay as they are" in page
    assert "no entity, id type or feature view is added" in page


def test_a_project_that_is_off_has_no_source_to_change(project, editor, other_view):
    assert "The sync to Redis is off" in shown(editor, other_view)
