"""A source's settings: what is left out of the comparison, how ids are normalised, and who may change it."""

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from activation import source_settings
from activation.models import Activation, Source
from activation.source_settings import SettingsRefused

COLUMNS = [{"name": name, "type": "VARCHAR"} for name in ("user_main_id", "email", "score", "<b>run at</b>")]


def text(response) -> str:
    return " ".join(response.content.decode().split())


@pytest.fixture
def source(activation: Activation) -> Source:
    Source.objects.filter(id_type="email").update(columns=COLUMNS)
    return Source.objects.select_related("activation").get(id_type="email")


def address(source: Source, name: str = "source_settings") -> str:
    return reverse(f"activation:{name}", args=["acme", source.public_id])


def test_an_admin_leaves_columns_out_and_has_ids_normalised(source, admin):
    answer = admin.client.post(
        address(source), {"ignored_columns": ["<b>run at</b>", "score"], "normalisation": ["lower", "trim"]}
    )

    assert (answer.status_code, answer.url) == (303, address(source, "source"))
    source.refresh_from_db()
    assert (source.ignored_columns, source.normalisation) == (["score", "<b>run at</b>"], ["trim", "lower"])
    row = AuditEvent.objects.get(action="source_settings_changed")
    assert row.details == {"ignored_columns": ["score", "<b>run at</b>"], "normalisation": ["trim", "lower"]}
    assert "The next sync is a full one." in text(admin.client.get(answer.url))


def test_saving_without_a_change_leaves_no_trace(source, admin):
    admin.client.post(address(source), {})

    assert not AuditEvent.objects.filter(action="source_settings_changed").exists()


def test_the_id_column_cannot_be_left_out(source, admin):
    assert 'value="email"' not in text(admin.client.get(address(source)))
    assert admin.client.post(address(source), {"ignored_columns": ["email"]}).status_code == 422
    with pytest.raises(SettingsRefused, match="email"):
        source_settings.configure(
            source, ignored_columns=["email"], normalisation=[], by=admin.actor, now=timezone.now()
        )
    with pytest.raises(SettingsRefused, match="lower case"):
        source_settings.configure(
            source, ignored_columns=[], normalisation=["upper"], by=admin.actor, now=timezone.now()
        )


def test_a_link_ticks_the_column_it_offers_and_names_are_escaped(source, admin):
    page = text(admin.client.get(address(source), {"leave_out": "<b>run at</b>"}))

    assert "<b>run at</b>" not in page
    assert page.count("checked") == 1


def test_a_column_that_left_the_view_can_still_be_put_back(source, admin):
    Source.objects.update(ignored_columns=["gone"])

    assert 'value="gone"' in text(admin.client.get(address(source)))
    admin.client.post(address(source), {})

    assert Source.objects.get(pk=source.pk).ignored_columns == []


def test_before_the_first_sync_only_ids_can_be_set(activation, admin):
    source = Source.objects.get(id_type="email")

    assert "known once the source was synced" in text(admin.client.get(address(source)))
    admin.client.post(address(source), {"normalisation": ["trim"]})

    assert Source.objects.get(pk=source.pk).normalisation == ["trim"]


def test_others_read_and_do_not_change(source, editor, viewer):
    Source.objects.update(ignored_columns=["score"], normalisation=["lower"])
    for member in (editor, viewer):
        page = text(member.client.get(address(source)))
        assert "score" in page
        assert "in lower case" in page
        assert "Save" not in page
        assert member.client.post(address(source), {}).status_code == 403
        with pytest.raises(PermissionRefused):
            source_settings.configure(source, ignored_columns=[], normalisation=[], by=member.actor, now=timezone.now())
