"""The Alerts page: for Admins, its secret shown once, a test in a press, and nothing of it in the audit log."""

import re

import pytest
from django.core import mail
from django.urls import reverse

from accounts import vault
from accounts.actors import PermissionRefused
from accounts.models import AuditEvent, Membership
from activation import alert_deliveries, alerts, sync_log, tasks
from activation.alerts import Wanted
from activation.models import AlertDelivery, AlertSettings, SyncLogContent
from tests.activation.alerts.receiver import Receiver

EVENTS = ["failed", "needs_confirmation", "stale", "recovered"]


def address(name: str = "alerts") -> str:
    return reverse(f"activation:{name}", args=["acme", "customers"])


def text(response) -> str:
    return " ".join(response.content.decode().split())


def filled(**changes) -> dict[str, object]:
    return {"members": [], "addresses": "oncall@acme.example", "events": EVENTS, "stale_hours": 24, **changes}


@pytest.fixture(autouse=True)
def synced(activation):
    """Every test here is about a project whose sync is on."""


@pytest.fixture
def no_worker(monkeypatch):
    monkeypatch.setattr(tasks.deliver_alert, "apply_async", lambda **_: None)


def test_without_a_sync_there_is_nothing_to_tell(activation, admin):
    activation.delete()
    page = text(admin.client.get(address()))
    assert "The sync is off" in page
    assert admin.client.post(address("alert_test"), follow=True).status_code == 200
    assert not AlertSettings.objects.exists()


def test_only_admins_see_the_tab_and_the_page(admin, editor):
    assert address() in text(admin.client.get(reverse("projects:settings", args=["acme", "customers"])))
    assert address() not in text(editor.client.get(reverse("projects:settings", args=["acme", "customers"])))
    assert editor.client.get(address()).status_code == 403


def test_what_is_filled_in_is_kept_and_audited(admin, editor):
    chosen = Membership.objects.get(user=editor.user)
    answer = admin.client.post(
        address(), filled(members=[chosen.pk], addresses="a@b.example\nc@d.example, a@b.example", events=["failed"])
    )
    assert (answer.status_code, answer.url) == (303, address())
    row = AlertSettings.objects.get()
    assert (row.addresses, row.on_failed, row.on_stale) == (["a@b.example", "c@d.example"], True, False)
    assert alert_deliveries.recipients(row) == ["edith@acme.example", "a@b.example", "c@d.example"]
    event = AuditEvent.objects.get(action="alerts_changed")
    assert event.details["events"] == ["failed"]
    page = text(admin.client.get(address()))
    assert "a@b.example c@d.example" in page
    assert re.search(r'value="failed"[^>]*checked', page)
    assert not re.search(r'value="stale"[^>]*checked', page)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"addresses": "not-an-address"}, "is not an e-mail address"),
        ({"addresses": "\n".join(f"a{n}@b.example" for n in range(21))}, "At most 20 addresses"),
        ({"stale_hours": 0}, "Enter 1 or more"),
        ({"events": ["everything"]}, "is not one of the available choices"),
        ({"members": [99999]}, "is not one of the available choices"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(admin, changes, said):
    page = text(admin.client.post(address(), filled(**changes)))
    assert said in page
    assert "There is a problem" in page
    assert not AlertSettings.objects.exists()


def test_a_members_key_of_another_organisation_is_no_choice(admin, outsider):
    theirs = Membership.objects.get(user=outsider.user)
    assert "is not one of the available choices" in text(admin.client.post(address(), filled(members=[theirs.pk])))


def test_a_webhooks_secret_is_shown_once_and_kept_encrypted(admin):
    answer = admin.client.post(address("alert_webhook"), {"url": "https://hooks.example.com/T0/private-part"})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    [secret] = set(re.findall(r"whsec_[\w-]{43}", text(answer)))

    row = AlertSettings.objects.get()
    assert secret not in row.webhook_secret
    assert vault.decrypt(row.webhook_secret) == secret
    assert secret not in text(admin.client.get(address()))
    assert "private-part" not in str(AuditEvent.objects.values())
    assert secret not in str(AuditEvent.objects.values())
    again = admin.client.post(address("alert_webhook"), {"url": "https://hooks.example.com/elsewhere"})
    assert again.status_code == 303, "another URL keeps the secret"


def test_a_new_secret_replaces_the_one_before(admin):
    admin.client.post(address("alert_webhook"), {"url": "https://hooks.example.com/"})
    before = vault.decrypt(AlertSettings.objects.get().webhook_secret)
    answer = admin.client.post(address("alert_secret"))
    row = AlertSettings.objects.get()
    assert vault.decrypt(row.webhook_secret) in text(answer)
    assert vault.decrypt(row.webhook_former_secret) == before
    assert AuditEvent.objects.filter(action="alert_secret_rotated").exists()


def test_without_a_webhook_there_is_no_secret_to_make_anew(admin):
    assert admin.client.post(address("alert_secret")).status_code == 303
    assert not AlertSettings.objects.exists()


@pytest.mark.parametrize("url", ["http://hooks.example.com/", "https://user:pw@hooks.example.com/", "nonsense"])
def test_an_unusable_webhook_is_refused_at_its_field(admin, url, settings):
    settings.ALLOW_PRIVATE_ADDRESSES = False
    page = text(admin.client.post(address("alert_webhook"), {"url": url}))
    assert "There is a problem" in page
    assert not AlertSettings.objects.exists()


def test_an_empty_url_removes_webhook_and_secret(admin):
    admin.client.post(address("alert_webhook"), {"url": "https://hooks.example.com/"})
    admin.client.post(address("alert_webhook"), {"url": ""})
    row = AlertSettings.objects.get()
    assert (row.webhook_url, row.webhook_secret) == ("", "")


def test_a_test_goes_to_everyone_and_the_page_tells_how_it_went(admin, no_worker, clock):
    mail.outbox.clear()
    admin.client.post(address(), filled())
    with Receiver(status=500) as receiver:
        admin.client.post(address("alert_webhook"), {"url": receiver.url()})
        page = text(admin.client.post(address("alert_test"), follow=True))
        assert "A test is on its way" in page
        assert "Reload to see how it went" in page
        assert 'hx-select="#messages"' in page
        for row in AlertDelivery.objects.all():
            alert_deliveries.deliver(row.pk, now=clock.on(seconds=1))

    assert [message.to for message in mail.outbox] == [["oncall@acme.example"]]
    assert len(receiver.received) == 1
    page = text(admin.client.get(address()))
    assert "127.0.0.1 answered 500." in page
    assert "hx-get" not in page
    assert "Given up" in page
    assert "The webhook fails" in page
    assert AuditEvent.objects.get(action="alert_test_sent").details == {"messages": 2}


def test_tests_are_limited(admin, no_worker):
    admin.client.post(address(), filled(addresses="a@b.example\nc@d.example"))
    for _ in range(alerts.MOST_TESTS):
        admin.client.post(address("alert_test"))
    page = text(admin.client.post(address("alert_test"), follow=True))
    assert "Several tests were sent in the last five minutes" in page
    assert AlertDelivery.objects.count() == 2 * alerts.MOST_TESTS


def test_with_nobody_to_tell_there_is_nothing_to_test(admin, no_worker):
    admin.client.post(address(), filled(addresses=""))
    assert "Choose a recipient or add a webhook first." in text(admin.client.post(address("alert_test"), follow=True))


def test_an_installation_without_a_mail_server_says_so(admin, settings):
    settings.SENDS_EMAIL = False
    assert "No e-mail is sent" in text(admin.client.get(address()))


def test_the_use_cases_themselves_ask_for_the_permission(activation, project, editor, clock):
    wanted = Wanted((), (), frozenset(), 24)
    for refused in (
        lambda: alerts.change(activation, wanted, by=editor.actor, now=clock.now),
        lambda: alerts.set_webhook(activation, "https://h.example/", by=editor.actor, now=clock.now),
        lambda: alerts.rotate(project, by=editor.actor, now=clock.now),
        lambda: alerts.send_test(project, by=editor.actor, now=clock.now),
        lambda: sync_log.configure(activation, content=SyncLogContent.OFF, days=1, by=editor.actor, now=clock.now),
    ):
        with pytest.raises(PermissionRefused):
            refused()
    assert not AlertSettings.objects.exists()
