"""Sessions, lock-outs, forgotten passwords and new addresses: what keeps an account its owner's."""

import re
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import lock_outs, sessions, tasks, vault
from accounts.models import AuditEvent, BrowserSession, User
from tests.cast import Member

PASSWORD = "correct horse battery"
NEW = "another long secret"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(autouse=True)
def _quick(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()


@pytest.fixture(autouse=True)
def _the_worker_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do at once what is left to the worker."""
    monkeypatch.setattr(
        tasks.send_password_reset, "apply_async", lambda kwargs, **_: tasks.send_password_reset(**kwargs)
    )
    monkeypatch.setattr(tasks.send_notice, "apply_async", lambda kwargs, **_: tasks.send_notice(**kwargs))


def log_in(member: Member, password: str = PASSWORD, agent: str = FIREFOX) -> Client:
    client = Client(headers={"User-Agent": agent})
    client.post("/account/login/", {"login": member.user.email, "password": password})
    return client


def with_password(member: Member) -> Client:
    member.user.set_password(PASSWORD)
    member.user.save()
    return log_in(member)


def letters(subject: str) -> list[str]:
    return [str(letter.body) for letter in mail.outbox if letter.subject == subject]


def path_in(letter: str) -> str:
    [path] = re.findall(r"https?://[^/]+(/\S+)", letter)
    return str(path)


def actions() -> list[str]:
    return [*AuditEvent.objects.order_by("pk").values_list("action", flat=True)]


# Sessions


def test_the_page_lists_where_one_is_logged_in_and_logs_out_others(admin: Member) -> None:
    client = with_password(admin)
    others = [log_in(admin, agent="Mozilla/5.0 (iPhone) Version/18.0 Safari/604.1") for _ in range(2)]
    page = client.get("/account/security/").content.decode()
    assert "Firefox on Linux" in page
    assert page.count("Safari on iPhone</th>") == 2
    assert "(this one)" in page
    assert str(client.session.session_key) not in page
    [first, second] = BrowserSession.objects.filter(browser="Safari on iPhone").order_by("pk")
    client.post(f"/account/security/sessions/{first.public_id}/end/")
    assert [other.get("/o/acme/").status_code for other in others] == [302, 200]
    client.post("/account/security/sessions/end/")
    assert [other.get("/o/acme/").status_code for other in others] == [302, 302]
    assert client.get("/o/acme/").status_code == 200
    assert actions().count("sessions_ended") == 2
    assert not BrowserSession.objects.filter(pk=second.pk).exists()


def test_nobody_ends_somebody_elses_session(admin: Member, outsider: Member) -> None:
    with_password(outsider)
    session = BrowserSession.objects.get(user=outsider.user)
    assert with_password(admin).post(f"/account/security/sessions/{session.public_id}/end/").status_code == 404
    assert BrowserSession.objects.filter(pk=session.pk).exists()


def test_a_session_that_is_logged_out_or_expired_is_not_listed(admin: Member) -> None:
    client = with_password(admin)
    log_in(admin).post("/account/logout/")
    assert BrowserSession.objects.count() == 1
    assert sessions.of(admin.user, now=timezone.now()).count() == 1
    assert sessions.of(admin.user, now=timezone.now() + timedelta(days=30)).count() == 0
    assert client.get("/account/security/").content.decode().count("Firefox on Linux") == 1


def test_what_has_expired_is_forgotten_with_its_address(admin: Member) -> None:
    client = with_password(admin)
    now = timezone.now()
    tasks.forget()
    assert client.get("/o/acme/").status_code == 200
    assert BrowserSession.objects.count() == 1
    assert sessions.forget_expired(now=now + timedelta(days=30)) == 1
    assert client.get("/o/acme/").status_code == 302


def test_a_session_is_noted_once_in_ten_minutes(admin: Member) -> None:
    client = with_password(admin)
    BrowserSession.objects.update(browser="unchanged")
    client.get("/o/acme/")
    assert BrowserSession.objects.get().browser == "unchanged"
    session = client.session
    session["browser_session"] = {**session["browser_session"], "seen": 0}
    session.save()
    client.get("/o/acme/")
    assert BrowserSession.objects.get().browser == "Firefox on Linux"


def test_a_changed_password_ends_other_sessions_and_is_told(admin: Member) -> None:
    client, other = with_password(admin), log_in(admin)
    form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    client.post("/account/password/change/", form)
    assert (client.get("/o/acme/").status_code, other.get("/o/acme/").status_code) == (200, 302)
    assert "(this one)" in client.get("/account/security/").content.decode()
    assert BrowserSession.objects.count() == 1
    assert len(letters("Your password was changed")) == 1


# Forgotten passwords


def test_a_forgotten_password_is_set_anew_with_the_link_in_a_letter(admin: Member) -> None:
    client, stranger = with_password(admin), Client()
    assert stranger.post("/account/password/reset/", {"email": "ADA@acme.example"}).status_code == 302
    [letter] = letters("Choose a new password")
    form = stranger.get(path_in(letter), follow=True)
    page = form.redirect_chain[-1][0]
    assert path_in(letter).rsplit("-", 2)[-1] not in page
    assert stranger.post(page, {"password1": "short", "password2": "short"}).status_code == 200
    assert stranger.post(page, {"password1": NEW, "password2": NEW}).status_code == 302
    assert client.get("/o/acme/").status_code == 302, "other sessions end"
    assert log_in(admin, NEW).get("/o/acme/").status_code == 200
    assert "This link is closed" in Client().get(path_in(letter), follow=True).content.decode()
    assert [a for a in actions() if a.startswith("password")] == ["password_reset_asked", "password_changed"]


def test_a_password_set_anew_does_not_pass_the_second_factor_by(admin: Member) -> None:
    with_password(admin)
    Authenticator.objects.create(user=admin.user, type="totp", data={"secret": vault.encrypt("A" * 32)})
    stranger = Client()
    stranger.post("/account/password/reset/", {"email": admin.user.email})
    page = stranger.get(path_in(letters("Choose a new password")[0]), follow=True).redirect_chain[-1][0]
    stranger.post(page, {"password1": NEW, "password2": NEW})
    assert stranger.get("/o/acme/").status_code == 302
    assert log_in(admin, NEW).get("/account/login/code/").status_code == 200
    assert log_in(admin, NEW).get("/o/acme/").status_code == 302


def test_asking_for_a_new_password_says_the_same_for_everybody_and_writes_to_nobody_unknown(admin: Member) -> None:
    answers = [
        Client().post("/account/password/reset/", {"email": email}, follow=True).content
        for email in ("ada@acme.example", "nobody@acme.example")
    ]
    assert answers[0] == answers[1]
    assert [letter.to for letter in mail.outbox] == [["ada@acme.example"]]


def test_the_link_of_a_reset_names_our_public_address_whatever_the_request_says(
    admin: Member, settings: Settings
) -> None:
    settings.PUBLIC_URL = "https://activation.acme.example"
    settings.ALLOWED_HOSTS = ["*"]
    Client().post("/account/password/reset/", {"email": admin.user.email}, headers={"Host": "evil.example"})
    assert "https://activation.acme.example/account/password/reset/key/" in mail.outbox[0].body
    assert "evil.example" not in mail.outbox[0].body


def test_without_an_e_mail_service_the_page_says_whom_to_ask(admin: Member, settings: Settings) -> None:
    settings.SENDS_EMAIL = False
    assert "sends no e-mail" in Client().get("/account/password/reset/").content.decode()


# Lock-outs


def lock_out(member: Member) -> None:
    for number in range(5):
        form = {"login": member.user.email, "password": "wrong"}
        Client().post("/account/login/", form, REMOTE_ADDR=f"192.0.2.{number}")


def test_a_lock_out_says_how_long_it_lasts_and_an_admin_releases_it(admin: Member, editor: Member) -> None:
    with_password(editor)
    lock_out(editor)
    page = Client().post("/account/login/", {"login": editor.user.email, "password": PASSWORD}).content.decode()
    assert "this address is locked out for 5 more minutes" in page
    assert actions().count("locked_out") == 1
    member = f"/o/acme/settings/members/{editor.user.memberships.get().public_id}/"
    assert "cannot log in for 5 more minutes" in admin.client.get(member).content.decode()
    assert "can log in again" in admin.client.post(f"{member}release/", follow=True).content.decode()
    assert log_in(editor).get("/o/acme/").status_code == 200
    assert AuditEvent.objects.get(action="lock_out_released").target == editor.user.email


def test_an_address_that_nobody_has_is_locked_out_alike(admin: Member) -> None:
    for _ in range(5):
        Client().post("/account/login/", {"login": "nobody@x.example", "password": "wrong"})
    page = Client().post("/account/login/", {"login": "nobody@x.example", "password": "wrong"}).content.decode()
    assert "locked out for 5 more minutes" in page


def test_a_lock_out_holds_under_every_host_name(admin: Member) -> None:
    with_password(admin)
    lock_out(admin)
    form = {"login": admin.user.email, "password": PASSWORD}
    page = Client().post("/account/login/", form, headers={"Host": "127.0.0.1"}).content.decode()
    assert "locked out" in page


def test_a_new_password_by_letter_ends_a_lock_out(admin: Member) -> None:
    with_password(admin)
    lock_out(admin)
    stranger = Client()
    stranger.post("/account/password/reset/", {"email": admin.user.email})
    page = stranger.get(path_in(letters("Choose a new password")[0]), follow=True).redirect_chain[-1][0]
    stranger.post(page, {"password1": NEW, "password2": NEW})
    assert lock_outs.until(admin.user.email) is None


def test_an_admin_releases_nobody_of_another_organisation(admin: Member, outsider: Member) -> None:
    lock_out(outsider)
    public_id = outsider.user.memberships.get().public_id
    assert admin.client.post(f"/o/acme/settings/members/{public_id}/release/").status_code == 404
    assert lock_outs.until(outsider.user.email) is not None


def test_commands_release_a_lock_out_and_reset_a_second_factor(
    admin: Member, capsys: pytest.CaptureFixture[str]
) -> None:
    lock_out(admin)
    call_command("release_lock_out", email="ADA@acme.example")
    assert lock_outs.until(admin.user.email) is None
    call_command("reset_two_factor", email=admin.user.email)
    assert "had no second factor" in capsys.readouterr().out
    assert actions()[-1] == "lock_out_released"
    with pytest.raises(CommandError, match="nobody"):
        call_command("release_lock_out", email="nobody@acme.example")


# A new address


def change_address(client: Client, email: str) -> None:
    client.post("/account/confirm/?next=/account/email/", {"password": PASSWORD})
    client.post("/account/email/", {"email": email})


def test_a_new_address_counts_once_its_link_is_opened(admin: Member) -> None:
    client = with_password(admin)
    change_address(client, "Ada@new.example")
    assert User.objects.get(pk=admin.user.pk).email == "ada@acme.example"
    [letter] = letters("Confirm your new e-mail address")
    path = path_in(letter)
    assert "Log in as ada@<wbr>new.example?" in client.get(path).content.decode()
    assert User.objects.get(pk=admin.user.pk).email == "ada@acme.example", "a GET changes nothing"
    assert client.post(path).status_code == 303
    assert User.objects.get(pk=admin.user.pk).email == "ada@new.example"
    assert client.get(path).status_code == 410
    assert mail.outbox[-1].to == ["ada@acme.example"]
    row = AuditEvent.objects.get(action="email_changed")
    assert (row.target, row.details) == ("ada@new.example", {"former": "ada@acme.example"})


def test_the_link_of_a_new_address_is_no_use_to_anybody_else(admin: Member, outsider: Member) -> None:
    change_address(with_password(admin), "ada@new.example")
    path = path_in(letters("Confirm your new e-mail address")[0])
    assert Client().get(path).headers["Location"].startswith("/account/login/")
    assert outsider.client.post(path).status_code == 410
    assert outsider.client.post(path[:-8] + "x/").status_code == 410
    assert User.objects.get(pk=admin.user.pk).email == "ada@acme.example"


def test_an_address_that_has_an_account_gets_a_letter_and_the_page_learns_nothing(
    admin: Member, outsider: Member
) -> None:
    client = with_password(admin)
    change_address(client, outsider.user.email)
    assert "We sent a link to olga@other.example" in client.get("/o/acme/").content.decode()
    [letter] = letters("Confirm your new e-mail address")
    assert "http" not in letter


def test_of_two_who_confirm_one_address_the_later_is_told(admin: Member, outsider: Member) -> None:
    mine, theirs = with_password(admin), with_password(outsider)
    change_address(mine, "both@new.example")
    change_address(theirs, "both@new.example")
    first, second = letters("Confirm your new e-mail address")
    assert mine.post(path_in(first)).status_code == 303
    assert theirs.post(path_in(second)).status_code == 410
