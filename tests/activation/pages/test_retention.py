"""How many snapshots are kept, and who decides it."""

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from activation import retention
from activation.models import Activation


@pytest.fixture
def address(activation: Activation) -> str:
    return reverse("activation:snapshots", args=["acme", activation.project.slug])


def test_an_admin_says_how_many_are_kept(address, activation, admin):
    assert admin.client.post(address, {"keep": 20}).status_code == 303

    activation.refresh_from_db()
    assert activation.keep_snapshots == 20
    assert AuditEvent.objects.get(action="snapshots_kept_changed").details == {"keep": 20}
    assert 'value="20"' in admin.client.get(address).content.decode()


@pytest.mark.parametrize("keep", ["0", "21", "", "many"])
def test_what_cannot_be_is_said_in_words(address, activation, admin, keep):
    answer = admin.client.post(address, {"keep": keep})

    assert answer.status_code == 422
    assert "There is a problem" in answer.content.decode()
    activation.refresh_from_db()
    assert activation.keep_snapshots == 1


def test_the_use_case_refuses_too(activation, admin, editor):
    with pytest.raises(retention.NotSoMany, match="Between 1 and 20"):
        retention.configure(activation, keep=0, by=admin.actor, now=timezone.now())
    with pytest.raises(PermissionRefused):
        retention.configure(activation, keep=2, by=editor.actor, now=timezone.now())


def test_others_see_the_number(address, editor):
    page = editor.client.get(address).content.decode()
    assert "Kept for each source: 1." in page
    assert "Save" not in page
    assert editor.client.post(address, {"keep": 3}).status_code == 403
