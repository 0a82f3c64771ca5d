"""Two-factor log-in with an authenticator app and recovery codes; passkeys are shown in a browser (tests/browser)."""

import re
import time
from collections.abc import Iterator

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts.models import AuditEvent, Organisation
from tests.cast import Member

PASSWORD = "correct horse battery"
APP = "/account/security/app/"


@pytest.fixture(autouse=True)
def _quick(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(time.time(), tick=False) as traveller:
        yield traveller


def code(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def with_password(member: Member) -> Client:
    member.user.set_password(PASSWORD)
    member.user.save()
    return log_in(member)


def log_in(member: Member) -> Client:
    client = Client()
    client.post("/account/login/", {"login": member.user.email, "password": PASSWORD})
    return client


def set_up_app(client: Client) -> tuple[str, list[str]]:
    """Set up an authenticator app; returns its key and the recovery codes that come with it."""
    assert client.get(APP).headers["Location"] == f"/account/confirm/?next={APP.replace('/', '%2F')}"
    assert client.post(f"/account/confirm/?next={APP}", {"password": PASSWORD}).headers["Location"] == APP
    page = client.get(APP).content.decode()
    [secret] = re.findall(r'data-copy="([A-Z2-7]{32})"', page)
    assert client.post(APP, {"code": "000000" if code(secret) != "000000" else "000001"}).status_code == 200
    set_up = client.post(APP, {"code": code(secret)})
    assert set_up.headers["Location"] == "/account/security/recovery-codes/"
    codes = re.findall(r"<code>(\d{8})</code>", client.get(set_up.headers["Location"]).content.decode())
    assert len(codes) == 10
    return str(secret), codes


def actions() -> list[str]:
    return [*AuditEvent.objects.order_by("pk").values_list("action", flat=True)]


def test_an_app_is_set_up_logged_in_with_and_removed(
    admin: Member, clock: time_machine.Traveller, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    client = with_password(admin)
    with django_capture_on_commit_callbacks(execute=True):
        secret, _ = set_up_app(client)
    other = log_in(admin)
    assert other.get("/o/acme/").status_code == 302
    assert "Code" in other.get("/account/login/code/").content.decode()
    used = code(secret)
    assert other.post("/account/login/code/", {"code": used}).status_code == 302
    assert other.get("/o/acme/").status_code == 200
    again = log_in(admin)
    assert again.post("/account/login/code/", {"code": used}).status_code == 200, "a code works once"
    clock.shift(30)
    assert again.post("/account/login/code/", {"code": code(secret)}).status_code == 302

    assert client.post(f"{APP}remove/").headers["Location"] == "/account/security/"
    assert not Authenticator.objects.exists()
    assert log_in(admin).get("/o/acme/").status_code == 200
    assert [a for a in actions() if "two_factor" in a] == ["two_factor_added", "two_factor_removed"]


def test_a_recovery_code_opens_the_account_once(admin: Member) -> None:
    _, codes = set_up_app(with_password(admin))
    assert log_in(admin).post("/account/login/code/", {"code": codes[3]}).status_code == 302
    assert log_in(admin).post("/account/login/code/", {"code": codes[3]}).status_code == 200
    assert actions().count("recovery_code_used") == 1
    assert actions().count("log_in_failed") == 1


def test_new_recovery_codes_end_the_old_ones(admin: Member) -> None:
    client = with_password(admin)
    _, codes = set_up_app(client)
    done = client.post("/account/security/recovery-codes/renew/", follow=True).content.decode()
    assert not set(codes) & set(re.findall(r"\d{8}", done))
    assert log_in(admin).post("/account/login/code/", {"code": codes[0]}).status_code == 200
    download = client.get("/account/security/recovery-codes/download/")
    assert (download.headers["Content-Type"], len(download.content.split())) == ("text/plain", 10)
    assert "no-store" in download.headers["Cache-Control"]


def test_guessing_codes_is_stopped(admin: Member) -> None:
    secret, _ = set_up_app(with_password(admin))
    guess = "123456" if code(secret) != "123456" else "654321"
    client = log_in(admin)
    for _ in range(5):
        client.post("/account/login/code/", {"code": guess})
    stopped = client.post("/account/login/code/", {"code": code(secret)})
    assert stopped.status_code == 200
    assert "Too many failed log-ins" in stopped.content.decode()


def test_the_key_and_the_codes_are_encrypted_and_stand_in_no_audit_row(admin: Member) -> None:
    secret, codes = set_up_app(with_password(admin))
    stored = repr([*Authenticator.objects.values_list("data", flat=True)])
    rows = repr([*AuditEvent.objects.values_list()])
    assert secret not in stored
    assert "gAAAA" in stored
    assert secret not in rows
    assert codes[0] not in rows


def test_what_matters_asks_for_the_password_again(admin: Member, clock: time_machine.Traveller) -> None:
    client = with_password(admin)
    set_up_app(client)
    clock.shift(301)
    for page in (
        f"{APP}remove/",
        "/account/security/recovery-codes/",
        "/account/security/passkeys/add/",
        "/account/email/",
    ):
        assert client.get(page).headers["Location"].startswith("/account/confirm/"), page
    wrong = client.post(f"/account/confirm/?next={APP}remove/", {"password": "wrong"})
    assert "This is not your password." in wrong.content.decode()


def test_the_app_of_somebody_whose_organisation_requires_it_stays(admin: Member) -> None:
    client = with_password(admin)
    set_up_app(client)
    Organisation.objects.update(requires_two_factor=True)
    refused = client.post(f"{APP}remove/")
    assert "requires two-factor log-in" in refused.content.decode()
    assert Authenticator.objects.filter(type="totp").exists()


def test_a_passkey_of_somebody_whose_organisation_requires_it_stays(admin: Member) -> None:
    client = with_password(admin)
    set_up_app(client)
    Organisation.objects.update(requires_two_factor=True)
    Authenticator.objects.filter(type="totp").update(type="webauthn", data={"name": "Key", "credential": {}})
    key = Authenticator.objects.get(type="webauthn")
    page = f"/account/security/passkeys/{key.pk}/remove/"
    answer = client.post(page, follow=True)
    assert "requires two-factor log-in" in answer.content.decode()
    assert Authenticator.objects.filter(pk=key.pk).exists()


def test_a_passkey_of_somebody_else_is_out_of_reach(admin: Member, outsider: Member) -> None:
    key = Authenticator.objects.create(user=outsider.user, type="webauthn", data={"name": "Key", "credential": {}})
    client = with_password(admin)
    client.post(f"/account/confirm/?next={APP}", {"password": PASSWORD})
    for verb in ("rename", "remove"):
        page = f"/account/security/passkeys/{key.pk}/{verb}/"
        assert (client.get(page).status_code, client.post(page, {"name": "x"}).status_code) == (404, 404)
