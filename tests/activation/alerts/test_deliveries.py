"""Messages reach their recipients: tried again with pauses, given up after a day, never twice by two workers."""

import json
import smtplib
import threading
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection

from accounts import members
from accounts.models import Membership
from activation import alert_deliveries, alerts, tasks, webhooks
from activation.alerts import EVENTS, Wanted
from activation.models import AlertDelivery, AlertSettings, SyncRun
from tests.activation.alerts.receiver import Receiver

SENT, QUEUED, GIVEN_UP = AlertDelivery.State.SENT, AlertDelivery.State.QUEUED, AlertDelivery.State.GIVEN_UP


@pytest.fixture(autouse=True)
def nothing_sent(told):
    mail.outbox.clear()


@pytest.fixture
def hook(activation, admin, clock):
    """A webhook in place of the address: returns its receiver, with the secret as `secret`."""
    with Receiver() as receiver:
        AlertSettings.objects.update(addresses=[])
        receiver.secret = alerts.set_webhook(activation, receiver.url(), by=admin.actor, now=clock.now) or ""
        yield receiver


def row() -> AlertDelivery:
    return AlertDelivery.objects.get()


def test_an_e_mail_says_what_happened_and_where_to_look(ends, look, send, settings):
    settings.PUBLIC_URL = "https://activation.example.com"
    run = ends("grant_missing")
    look()
    assert send() == 1

    [message] = mail.outbox
    assert message.to == ["oncall@acme.example"]
    assert message.subject == "[Customers] The sync of features_by_email by email failed"
    assert "It failed because of grant_missing." in message.body
    assert "What to do: Run the grants SQL shown for this warehouse. Then press Sync Now." in message.body
    assert f"https://activation.example.com/o/acme/syncs/{run.public_id}/" in message.body
    assert "https://activation.example.com/o/acme/projects/customers/settings/alerts" in message.body
    assert row().public_id in message.extra_headers["Message-ID"]
    assert message.extra_headers["Auto-Submitted"] == "auto-generated", "so that nobody's holiday answers it"
    assert (row().state, row().finished_at is not None) == (SENT, True)
    assert send() == 0


def test_a_name_with_a_line_break_makes_no_header(ends, look, send, project):
    type(project).objects.update(name="Customers\r\nBcc: all@acme.example")
    ends("grant_missing")
    look()
    send()
    [message] = mail.outbox
    assert message.subject.startswith("[Customers Bcc: all@acme.example]")
    assert message.message()["Bcc"] is None


def test_members_are_told_as_long_as_they_are_members(activation, admin, editor, ends, look, send, clock):
    chosen = Membership.objects.get(user=editor.user)
    wanted = Wanted((chosen.pk,), (), frozenset(EVENTS), 24)
    alerts.change(activation, wanted, by=admin.actor, now=clock.now)
    ends("grant_missing")
    look()
    members.remove(chosen.public_id, by=admin.actor, now=clock.now)
    send()
    assert (mail.outbox, row().state) == ([], GIVEN_UP)
    assert row().trouble == "This address gets no alerts any more."
    ends("view_unusable")
    clock.on(hours=2)
    look()
    assert AlertDelivery.objects.count() == 1


def test_members_of_other_organisations_cannot_be_chosen(activation, admin, outsider, clock):
    theirs = Membership.objects.get(user=outsider.user)
    row = alerts.change(activation, Wanted((theirs.pk,), (), frozenset(), 24), by=admin.actor, now=clock.now)
    assert alert_deliveries.recipients(row) == []


def test_a_post_is_signed_and_says_what_happened(hook, ends, look, send, clock):
    run = ends("grant_missing")
    look()
    send()

    [got] = hook.received
    told = json.loads(got.body)
    assert told["event"] == "failed"
    assert told["id"] == got.headers["X-Activation-Id"] == row().public_id
    assert told["source"]["featureView"] == "features_by_email"
    assert (told["run"]["id"], told["run"]["code"]) == (run.public_id, "grant_missing")
    assert told["url"].endswith(f"/o/acme/syncs/{run.public_id}/")
    at = int(clock.now.timestamp())
    assert got.headers["X-Activation-Signature"] == webhooks.signature([hook.secret], got.body, at=at)
    assert row().state == SENT


def test_a_failing_webhook_is_tried_again_after_longer_and_longer_pauses_and_given_up_after_a_day(
    hook, ends, look, send, clock
):
    hook.status = 503
    ends("grant_missing")
    look()
    started = clock.now
    pauses: list[float] = []
    while row().state == QUEUED and len(pauses) < 60:
        assert send() == 1
        pauses.append((row().not_before - clock.now).total_seconds())
        assert send() == 0
        clock.now = row().not_before

    assert pauses[:8] == [30, 60, 120, 240, 480, 960, 1920, 3600]
    assert row().state == GIVEN_UP
    assert timedelta(days=1) <= row().finished_at - started <= timedelta(days=1, hours=1)
    assert len(hook.received) == len(pauses) < 40
    assert len({got.headers["X-Activation-Id"] for got in hook.received}) == 1
    assert row().trouble == "127.0.0.1 answered 503."
    assert AlertSettings.objects.get().webhook_broken_since == started


def test_once_it_works_again_the_message_arrives(hook, ends, look, send, clock):
    hook.status = 500
    ends("grant_missing")
    look()
    send()
    hook.status = 200
    clock.on(seconds=30)
    send()
    assert (row().state, row().trouble) == (SENT, "")
    assert AlertSettings.objects.get().webhook_broken_since is None


def test_other_messages_wait_with_one_that_a_webhook_did_not_take(hook, ends, look, send, clock, told):
    hook.status = 500
    for _ in range(3):
        AlertDelivery.objects.create(
            settings=told, channel="webhook", summary="x", content={}, created_at=clock.now, not_before=clock.now
        )
    first, *others = alert_deliveries.due(now=clock.now)
    alert_deliveries.deliver(first, now=clock.now)
    assert alert_deliveries.due(now=clock.now) == []
    for other in others:  # their wake-ups were on their way already
        alert_deliveries.deliver(other, now=clock.now)
    assert len(hook.received) == 1


def test_for_a_day_after_a_rotation_both_secrets_sign(hook, project, admin, ends, look, send, clock):
    new = alerts.rotate(project, by=admin.actor, now=clock.now)
    assert new != hook.secret
    ends("grant_missing")
    look()
    send()
    clock.on(days=1)
    ends()
    look()
    send()

    first, second = hook.received
    assert first.headers["X-Activation-Signature"].count("v1=") == 2
    expected = webhooks.signature([new], second.body, at=int(clock.now.timestamp()))
    assert second.headers["X-Activation-Signature"] == expected


def test_a_webhook_that_was_removed_gets_nothing(hook, activation, admin, ends, look, send, clock):
    ends("grant_missing")
    look()
    alerts.set_webhook(activation, "", by=admin.actor, now=clock.now)
    send()
    assert (row().state, row().trouble, hook.received) == (GIVEN_UP, "The webhook was removed.", [])
    assert AlertSettings.objects.get().webhook_secret == ""


def test_a_private_webhook_is_refused_where_those_are_not_allowed(hook, ends, look, send, settings):
    settings.ALLOW_PRIVATE_ADDRESSES = False
    ends("grant_missing")
    look()
    send()
    assert hook.received == []
    assert "Only https://" in row().trouble


def test_a_mail_server_that_says_no_is_asked_again(ends, look, send, clock, monkeypatch):
    def broken(*_: object, **__: object) -> int:
        raise smtplib.SMTPServerDisconnected("secret words of the server")

    monkeypatch.setattr("django.core.mail.message.EmailMessage.send", broken)
    ends("grant_missing")
    look()
    send()
    assert row().trouble == "The mail server could not take it (SMTPServerDisconnected)."
    monkeypatch.undo()
    clock.on(seconds=31)
    send()
    assert row().state == SENT


def test_without_a_mail_server_the_page_says_so_at_once(ends, look, send, settings):
    settings.SENDS_EMAIL = False
    ends("grant_missing")
    look()
    send()
    assert row().state == GIVEN_UP
    assert "EMAIL_URL is not set" in row().trouble


def test_a_bug_is_no_reason_to_lose_a_message_or_to_keep_it_for_ever(ends, look, send, clock, monkeypatch):
    monkeypatch.setattr(alert_deliveries, "recipients", lambda _: 1 / 0)
    AlertDelivery.objects.create(
        settings=AlertSettings.objects.get(), channel="email", to="a@b.example", summary="x", content={}
    )
    clock.on(seconds=1)
    send()
    assert (row().state, row().trouble) == (QUEUED, "Something unexpected happened (ZeroDivisionError).")


def test_a_worker_that_died_while_it_sent_costs_a_minute(ends, look, send, clock, monkeypatch):
    ends("grant_missing")
    look()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(alert_deliveries, "_send_email", killed)
    with pytest.raises(KeyboardInterrupt):
        send()
    monkeypatch.undo()
    clock.on(seconds=59)
    assert send() == 0
    clock.on(seconds=1)
    assert send() == 1
    assert row().state == SENT


@pytest.mark.django_db(transaction=True)
def test_a_doubled_wake_up_sends_once(told, hook, ends, look, clock):
    ends("grant_missing")
    look()
    barrier = threading.Barrier(4)

    def one():
        try:
            barrier.wait(10)
            alert_deliveries.deliver(row().pk, now=clock.now)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(hook.received) == 1


def test_a_test_is_tried_once(hook, project, admin, send, clock):
    hook.status = 404
    alerts.send_test(project, by=admin.actor, now=clock.now)
    send()
    assert (row().state, row().trouble) == (GIVEN_UP, "127.0.0.1 answered 404.")
    assert json.loads(hook.received[0].body)["event"] == "test"


def test_settled_messages_are_forgotten_after_a_month(ends, look, send, clock):
    ends("grant_missing")
    look()
    alert_deliveries.tidy(now=clock.on(days=40))
    assert AlertDelivery.objects.exists(), "not one that still waits"
    send()
    alert_deliveries.tidy(now=clock.on(days=29))
    assert AlertDelivery.objects.exists()
    alert_deliveries.tidy(now=clock.on(days=2))
    assert not AlertDelivery.objects.exists()


def test_the_beat_looks_and_wakes_a_worker_for_each_message(ends, monkeypatch):
    ends("grant_missing")
    woken = []
    monkeypatch.setattr(tasks.deliver_alert, "apply_async", lambda **call: woken.append(call["kwargs"]))
    tasks.look_for_alerts()
    assert woken == [{"delivery_id": row().pk}]
    tasks.deliver_alert(**woken[0])
    assert row().state == SENT


def test_no_message_holds_an_id_of_a_person(ends, look, send, source, hook):
    run = ends("too_many_row_faults")
    source.dirty_ids.create(run=run, reason="too_large", encrypted_id="person@acme.example")
    look()
    send()
    assert b"person@acme.example" not in hook.received[0].body
    assert SyncRun.objects.get().error in json.loads(hook.received[0].body)["run"]["error"]
