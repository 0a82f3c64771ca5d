"""The pages of accounts, walked as a browser does."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import TYPE_CHECKING

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import identities, people, setup, tokens
from accounts.models import AuditEvent, Membership, Organisation, PersonalAccessToken, SetupCode, User
from accounts.roles import Role
from tests.cast import Member, colleague

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer

PASSWORD = "correct horse battery"
PAGES = {
    Role.VIEWER: [
        "",
        "settings/members/",
        "settings/profile/account/",
        "settings/profile/tokens/",
        "settings/profile/tokens/new/",
    ],
    Role.ADMIN: ["audit-log/", "settings/tokens/"],
}


@pytest.fixture(autouse=True)
def _no_rate_limit_left_over() -> None:
    cache.clear()


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def text_of(response: "Answer") -> str:
    html = response.content.decode()
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def log_in(client: Client, email: str, password: str, address: str = "127.0.0.1") -> int:
    answer = client.post("/account/login/", {"login": email, "password": password}, REMOTE_ADDR=address)
    return answer.status_code


def give_password(member: Member) -> None:
    member.user.set_password(PASSWORD)
    member.user.save()


def actions() -> list[str]:
    return [*AuditEvent.objects.order_by("pk").values_list("action", flat=True)]


# Who gets in


@pytest.mark.parametrize("path", PAGES[Role.VIEWER] + PAGES[Role.ADMIN])
def test_a_page_opens_for_members_and_is_404_for_strangers(admin: Member, outsider: Member, path: str) -> None:
    assert admin.client.get(f"/o/acme/{path}").status_code == 200
    refused = outsider.client.get(f"/o/acme/{path}")
    unknown = outsider.client.get(f"/o/nobody/{path}")
    assert (refused.status_code, unknown.status_code) == (404, 404)
    assert b"Acme" not in refused.content


@pytest.mark.parametrize("path", PAGES[Role.VIEWER])
def test_a_viewer_opens_what_everybody_may_see(viewer: Member, path: str) -> None:
    assert viewer.client.get(f"/o/acme/{path}").status_code == 200


@pytest.mark.parametrize("path", PAGES[Role.ADMIN])
def test_a_weak_role_gets_a_page_that_says_so(admin: Member, editor: Member, path: str) -> None:
    assert admin.client.get(f"/o/acme/{path}").status_code == 200
    refused = editor.client.get(f"/o/acme/{path}")
    assert refused.status_code == 403
    assert "Ask an Admin of your organisation" in text_of(refused)


@pytest.mark.parametrize("path", PAGES[Role.VIEWER] + PAGES[Role.ADMIN])
def test_logged_out_leads_to_log_in_and_back(admin: Member, stranger: Client, path: str) -> None:
    give_password(admin)
    sent = stranger.get(f"/o/acme/{path}?page=1")
    assert sent.status_code == 302
    form = stranger.get(sent.headers["Location"])
    hidden = re.search(r'name="next" value="([^"]+)"', form.content.decode())
    assert hidden is not None
    back = stranger.post(
        "/account/login/", {"login": admin.user.email, "password": PASSWORD, "next": unescape(hidden[1])}
    )
    assert back.headers["Location"] == f"/o/acme/{path}?page=1"


def test_a_fragment_of_a_logged_out_page_sends_the_whole_page_to_log_in(admin: Member, stranger: Client) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/o/acme/audit-log/"}
    answer = stranger.get("/o/acme/audit-log/?rows", headers=headers)
    assert answer.headers["HX-Redirect"] == "/account/login/?next=%2Fo%2Facme%2Faudit-log%2F"


def test_pages_of_members_are_not_kept_by_proxies(admin: Member) -> None:
    assert set(admin.client.get("/o/acme/").headers["Cache-Control"].split(", ")) == {"private", "no-cache"}


def test_the_first_address_leads_to_the_organisation_or_to_log_in(admin: Member, stranger: Client) -> None:
    assert admin.client.get("/").headers["Location"] == "/o/acme/"
    assert stranger.get("/").headers["Location"] == "/account/login/?next=%2F"


def test_somebody_without_an_organisation_is_told_so(admin: Member, editor: Member) -> None:
    Membership.objects.filter(user=editor.user).delete()
    assert "You belong to no organisation" in text_of(editor.client.get("/"))


# Log-in


def test_log_in_and_log_out_by_e_mail_in_any_case_are_audited(admin: Member, stranger: Client) -> None:
    give_password(admin)
    assert log_in(stranger, "ADA@acme.example", PASSWORD) == 302
    assert stranger.get("/o/acme/").status_code == 200
    assert stranger.post("/account/logout/").status_code == 302
    assert stranger.get("/o/acme/").status_code == 302
    assert actions() == ["organisation_created", "logged_in", "logged_out"]


def test_a_failed_log_in_says_the_same_for_known_and_unknown_people(admin: Member, stranger: Client) -> None:
    give_password(admin)
    answers = []
    for email in ("ada@acme.example", "nobody@acme.example"):
        answer = stranger.post("/account/login/", {"login": email, "password": "wrong password"})
        html = re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", answer.content.decode())
        answers.append((answer.status_code, html.replace(email, "")))
    assert answers[0] == answers[1]
    failed = AuditEvent.objects.get(action="log_in_failed")
    assert (failed.actor, failed.actor_id, failed.target) == (people.UNKNOWN, None, "ada@acme.example")


def test_guessing_passwords_is_stopped_for_the_right_one_too(admin: Member, stranger: Client) -> None:
    give_password(admin)
    assert [log_in(stranger, admin.user.email, "wrong", f"192.0.2.{n}") for n in range(5)] == [200] * 5
    assert log_in(stranger, admin.user.email, PASSWORD, "192.0.2.77") == 200
    cache.clear()
    assert log_in(stranger, admin.user.email, PASSWORD, "192.0.2.77") == 302


def test_a_forged_forwarded_address_does_not_escape_the_rate_limit(
    admin: Member, stranger: Client, settings: Settings
) -> None:
    codes = [
        stranger.post(
            "/account/login/",
            {"login": f"x{n}@acme.example", "password": "wrong"},
            headers={"X-Forwarded-For": f"192.0.2.{n}"},
        ).content
        for n in range(12)
    ]
    assert b"Too many failed log-ins" in codes[-1]
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    cache.clear()
    codes = [
        stranger.post(
            "/account/login/",
            {"login": f"x{n}@acme.example", "password": "wrong"},
            headers={"X-Forwarded-For": f"192.0.2.{n}"},
        ).content
        for n in range(12)
    ]
    assert b"Too many failed log-ins" not in codes[-1]


def test_too_many_requests_get_a_page_of_ours(admin: Member, stranger: Client) -> None:
    answers = [stranger.post("/account/login/", {}) for _ in range(31)]
    assert answers[-1].status_code == 429
    assert "Too many tries" in text_of(answers[-1])


def test_a_switched_off_account_does_not_log_in(admin: Member, stranger: Client) -> None:
    give_password(admin)
    User.objects.update(is_active=False)
    assert log_in(stranger, admin.user.email, PASSWORD) == 302
    assert "switched off" in text_of(stranger.get("/account/login/"))
    assert stranger.get("/o/acme/").status_code == 302


@pytest.mark.parametrize(
    "path", ["signup/", "confirm-email/", "password/set/", "reauthenticate/", "inactive/", "social/", "2fa/"]
)
def test_what_we_do_not_offer_of_allauth_has_no_address(admin: Member, path: str) -> None:
    assert admin.client.get("/account/login/").status_code == 302
    assert admin.client.get(f"/account/{path}").status_code == 404


def test_a_password_is_changed_with_the_old_one_and_other_devices_are_logged_out(
    admin: Member, stranger: Client
) -> None:
    give_password(admin)
    log_in(stranger, admin.user.email, PASSWORD)
    other = Client()
    log_in(other, admin.user.email, PASSWORD)
    new = {"password1": "another long secret", "password2": "another long secret"}
    refused = stranger.post("/account/password/change/", {"oldpassword": "wrong", **new})
    assert refused.status_code == 200
    weak = stranger.post(
        "/account/password/change/", {"oldpassword": PASSWORD, "password1": "short", "password2": "short"}
    )
    assert weak.status_code == 200
    changed = stranger.post(
        "/account/password/change/", {"oldpassword": PASSWORD, "next": "/o/acme/settings/profile/account/", **new}
    )
    assert changed.headers["Location"] == "/o/acme/settings/profile/account/"
    assert "Your password is changed." in text_of(stranger.get(changed.headers["Location"]))
    assert other.get("/o/acme/").status_code == 302
    assert actions().count("password_changed") == 1


def test_somebody_without_a_password_has_none_to_change(admin: Member) -> None:
    admin.user.set_unusable_password()
    admin.user.save()
    admin.client.force_login(admin.user)
    assert admin.client.get("/account/password/change/").status_code == 404
    give_password(admin)
    admin.client.force_login(admin.user)
    assert admin.client.get("/account/password/change/").status_code == 200


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_log_in_leads_to_no_other_site(admin: Member, stranger: Client, elsewhere: str) -> None:
    give_password(admin)
    form = {"login": admin.user.email, "password": PASSWORD, "next": elsewhere}
    assert stranger.post("/account/login/", form).headers["Location"] == "/"


def test_a_fault_of_ours_shows_no_trace(admin: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("the innermost secret")

    monkeypatch.setattr("accounts.audit.of", fail)
    admin.client.raise_request_exception = False
    broken = admin.client.get("/o/acme/audit-log/")
    assert broken.status_code == 500
    assert "innermost" not in text_of(broken)
    assert "Traceback" not in text_of(broken)


def test_more_than_a_form_may_hold_gets_a_page_of_ours(admin: Member) -> None:
    answer = admin.client.post("/o/acme/settings/profile/account/", {"name": "n" * 4_000_000})

    assert answer.status_code == 400
    assert "Nothing was saved." in text_of(answer)
    assert "Content-Security-Policy" in answer


def test_a_form_without_its_csrf_token_is_refused(admin: Member) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin.user)
    page = "/o/acme/settings/profile/account/"
    assert strict.post(page, {"name": "Mallory"}).status_code == 403
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', strict.get(page).content.decode())
    assert token is not None
    assert strict.post(page, {"name": "Ada L.", "csrfmiddlewaretoken": token[1]}).status_code == 303


# Set-up


def filled_in(code: str, **changes: str) -> dict[str, str]:
    form = {"code": code, "organisation": "Acme GmbH", "name": "Ada", "email": "Ada@Acme.example", "password": PASSWORD}
    return {**form, **changes}


@pytest.mark.parametrize("path", ["/", "/account/login/", "/o/acme/", "/no/such/page"])
def test_an_empty_installation_leads_every_page_to_set_up(stranger: Client, path: str) -> None:
    assert stranger.get(path).headers["Location"] == "/setup/"
    assert stranger.get("/setup/").status_code == 200


def test_set_up_makes_the_organisation_and_logs_its_admin_in(stranger: Client) -> None:
    code = setup.new_code()
    done = stranger.post("/setup/", filled_in(code.lower().replace("-", " ")))
    assert (done.status_code, done.headers["Location"]) == (303, "/o/acme-gmbh/")
    assert "Acme GmbH" in text_of(stranger.get("/o/acme-gmbh/"))
    assert Membership.objects.get().role == "admin"
    assert User.objects.get().email == "ada@acme.example"
    assert actions() == ["organisation_created", "logged_in"]


def test_set_up_is_over_once_there_is_an_organisation(admin: Member, stranger: Client) -> None:
    assert stranger.get("/setup/").headers["Location"] == "/"
    assert stranger.post("/setup/", filled_in("AAAA-BBBB-CCCC")).headers["Location"] == "/"
    assert Organisation.objects.count() == 1
    with pytest.raises(setup.AlreadySetUp):
        setup.new_code()


def test_a_wrong_code_costs_a_try_and_the_fifth_was_the_last(stranger: Client) -> None:
    code = setup.new_code()
    said = [text_of(stranger.post("/setup/", filled_in("AAAA-AAAA-AAAA"))) for _ in range(5)]
    assert "4 tries are left" in said[0]
    assert "One try is left" in said[3]
    assert "no code left to try" in said[4]
    assert "no code left to try" in text_of(stranger.post("/setup/", filled_in(code)))
    assert not User.objects.exists()
    assert stranger.post("/setup/", filled_in(setup.new_code())).status_code == 303


def test_a_wrong_form_costs_no_try(stranger: Client) -> None:
    code = setup.new_code()
    for changes in (
        {"password": "short"},
        {"email": "not one"},
        {"organisation": ""},
        {"password": "ada@acme.example"},
    ):
        assert stranger.post("/setup/", filled_in(code, **changes)).status_code == 200
    assert SetupCode.objects.get().tries_left == 5
    assert stranger.post("/setup/", filled_in(code)).status_code == 303


def test_a_code_is_good_for_an_hour_and_until_the_next_one(db: None) -> None:
    now = timezone.now()
    entries = {"organisation": "Acme", "name": "Ada", "email": "ada@acme.example", "password": PASSWORD}
    code = setup.new_code(now=now)
    with pytest.raises(setup.CodeRefused):
        setup.complete(code=code, now=now + timedelta(hours=1), **entries)
    newer = setup.new_code(now=now)
    with pytest.raises(setup.CodeRefused):
        setup.complete(code=code, now=now, **entries)
    setup.complete(code=newer, now=now + timedelta(minutes=59), **entries)


def test_a_code_is_stored_as_a_digest_only(db: None) -> None:
    code = setup.new_code()
    stored = " ".join(
        str(bytes(v) if isinstance(v, bytes | memoryview) else v) for v in SetupCode.objects.values_list().get()
    )
    assert code not in stored
    assert code.replace("-", "") not in stored


# Tokens


def new_token(member: Member, **changes: str) -> "Answer":
    form = {"name": "CI", "role": "viewer", "expiry": "90", "expires_on": "", **changes}
    return member.client.post("/o/acme/settings/profile/tokens/new/", form)


def test_a_token_is_shown_once_and_works(admin: Member, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://activation.acme.example"
    shown = new_token(admin, role="admin")
    assert shown.status_code == 200
    assert "no-store" in shown.headers["Cache-Control"]
    page = text_of(shown)
    token = re.search(r"actv_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}", page)
    assert token is not None
    assert tokens.identify(token[0], now=timezone.now()).actor.role == Role.ADMIN
    assert "curl -X POST https://activation.acme.example/v2/activation" in page
    assert f"Authorization: Bearer {token[0]}" in page
    listed = admin.client.get("/o/acme/settings/profile/tokens/").content.decode()
    assert token[0][:17] in listed
    assert token[0][17:] not in listed


@pytest.mark.parametrize(
    ("expiry", "day", "expected"),
    [
        ("30", "", timedelta(days=30)),
        ("365", "", timedelta(days=365)),
        ("never", "", None),
        ("custom", "2099-12-31", datetime(2100, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_token_expires_as_chosen(admin: Member, expiry: str, day: str, expected: timedelta | datetime | None) -> None:
    new_token(admin, expiry=expiry, expires_on=day)
    token = PersonalAccessToken.objects.get()
    assert token.expires_at == (token.created_at + expected if isinstance(expected, timedelta) else expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"role": "owner"},
        {"expiry": "custom"},
        {"expiry": "custom", "expires_on": "2020-01-01"},
        {"expiry": "0"},
    ],
)
def test_a_wrong_form_generates_nothing(admin: Member, changes: dict[str, str]) -> None:
    refused = new_token(admin, **changes)
    assert "There is a problem" in text_of(refused)
    assert not PersonalAccessToken.objects.exists()
    new_token(admin)
    assert PersonalAccessToken.objects.count() == 1


def test_the_admin_role_is_offered_to_admins_only(admin: Member, editor: Member) -> None:
    assert 'value="admin"' in admin.client.get("/o/acme/settings/profile/tokens/new/").content.decode()
    assert 'value="admin"' not in editor.client.get("/o/acme/settings/profile/tokens/new/").content.decode()
    assert "There is a problem" in text_of(new_token(editor, role="admin"))
    assert not PersonalAccessToken.objects.exists()


def test_a_token_is_deleted_after_yes_delete(admin: Member) -> None:
    text = admin.token()
    page = f"/o/acme/settings/profile/tokens/{text[5:17]}/delete/"
    asked = admin.client.get(page)
    assert "Yes, delete" in text_of(asked)
    assert identities.Identities().identify(text, now=timezone.now())
    assert admin.client.post(page).status_code == 303
    with pytest.raises(tokens.TokenRejected):
        identities.Identities().identify(text, now=timezone.now())
    assert admin.client.post(page).status_code == 404


def test_nobody_but_an_admin_deletes_somebody_elses_token(
    admin: Member, editor: Member, viewer: Member, outsider: Member
) -> None:
    text = editor.token()
    page = f"/o/acme/settings/profile/tokens/{text[5:17]}/delete/"
    assert (viewer.client.get(page).status_code, viewer.client.post(page).status_code) == (403, 403)
    assert outsider.client.post(page).status_code == 404
    assert outsider.client.post(page.replace("acme", "other")).status_code == 404
    assert admin.client.post(page).headers["Location"] == "/o/acme/settings/tokens/"
    assert not tokens.own(editor.actor).exists()


def test_everyones_tokens_come_fifty_a_page(admin: Member) -> None:
    for number in range(51):
        admin.token(name=f"Job {number}")

    first = text_of(admin.client.get("/o/acme/settings/tokens/"))
    second = text_of(admin.client.get("/o/acme/settings/tokens/?page=2"))

    assert "Job 50" in first
    assert "Job 0 " not in first
    assert "Job 0 " in second


# Members, profile, audit log


def test_an_admin_changes_a_role_and_removes_a_member(admin: Member, editor: Member) -> None:
    page = f"/o/acme/settings/members/{editor.user.memberships.get().public_id}/"
    assert admin.client.post(page, {"role": "viewer"}).status_code == 303
    assert editor.user.memberships.get().role == "viewer"
    assert admin.client.get(f"{page}remove/").status_code == 200
    assert admin.client.post(f"{page}remove/").status_code == 303
    assert editor.client.get("/o/acme/").status_code == 404


def test_only_an_admin_changes_members(admin: Member, editor: Member, outsider: Member) -> None:
    page = f"/o/acme/settings/members/{editor.user.memberships.get().public_id}/"
    assert editor.client.post(page, {"role": "admin"}).status_code == 403
    assert editor.client.post(f"{page}remove/").status_code == 403
    assert outsider.client.post(page.replace("acme", "other"), {"role": "admin"}).status_code == 404
    assert editor.user.memberships.get().role == "editor"
    assert "Change edith@acme.example" not in text_of(editor.client.get("/o/acme/settings/members/"))
    assert "Change edith@acme.example" in text_of(admin.client.get("/o/acme/settings/members/"))


def test_the_page_says_that_the_last_admin_stays(admin: Member) -> None:
    page = f"/o/acme/settings/members/{admin.user.memberships.get().public_id}/"
    assert "is the only Admin" in text_of(admin.client.post(page, {"role": "viewer"}))
    assert "is the only Admin" in text_of(admin.client.post(f"{page}remove/"))
    colleague(admin, "abel@acme.example", Role.ADMIN)
    assert admin.client.post(page, {"role": "viewer"}).status_code == 303


def test_a_person_changes_their_name(viewer: Member) -> None:
    page = "/o/acme/settings/profile/account/"
    assert viewer.client.post(page, {"name": ""}).status_code == 200
    assert viewer.client.post(page, {"name": "Vera V."}).status_code == 303
    assert User.objects.get(pk=viewer.user.pk).name == "Vera V."
    assert actions()[-1] == "name_changed"


def test_the_audit_log_shows_one_organisation_newest_first_by_pages(admin: Member, outsider: Member) -> None:
    for number in range(60):
        tokens.issue(name=f"token {number:02}", role=Role.VIEWER, by=admin.actor, now=timezone.now())
    first, second = (text_of(admin.client.get(f"/o/acme/audit-log/?page={n}")) for n in (1, 2))
    assert first.index("token 59") < first.index("token 58")
    assert "token 09" not in first
    assert "token 09" in second
    assert "olga@other.example" not in first + second
    for heading in ("User", "Action", "Target", "Type", "When"):
        assert heading in first
    assert "Token generated" in first


def test_names_people_choose_are_escaped(admin: Member) -> None:
    tokens.issue(name="<script>alert(1)</script>", role=Role.VIEWER, by=admin.actor, now=timezone.now())
    for path in ("settings/profile/tokens/", "settings/tokens/", "audit-log/"):
        html = admin.client.get(f"/o/acme/{path}").content.decode()
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert" in html


def test_a_token_is_limited_rotated_and_its_old_secret_ended(admin: Member) -> None:
    own = "/o/acme/settings/profile/tokens/"
    form = {"role": "admin", "verbs": "read", "rate": "5"}
    wrong = new_token(admin, **form, networks="nowhere").content.decode()
    assert "Enter one network a line" in wrong
    assert '<details class="more" open>' in wrong
    new_token(admin, **form, networks="192.0.2.0/24")
    token = PersonalAccessToken.objects.get()
    assert token.limits == {"verbs": ["read"], "networks": ["192.0.2.0/24"], "rate": 5}
    assert "network 192.0.2.0/24" in admin.client.get(own).content.decode()

    page = f"{own}{token.public_part}/"
    assert "Yes, rotate" in admin.client.get(f"{page}rotate/").content.decode()
    shown = admin.client.post(f"{page}rotate/")
    assert "no-store" in shown.headers["Cache-Control"]
    assert f"actv_{token.public_part}_" in shown.content.decode()
    again = admin.client.post(f"{page}rotate/", follow=True).content.decode()
    assert "two secrets already" in again
    assert "End old secret" in again
    assert "Yes, end it" in admin.client.get(f"{page}end-rotation/").content.decode()
    ended = admin.client.post(f"{page}end-rotation/", follow=True).content.decode()
    assert "stops working within a second" in ended
    assert admin.client.get(f"{page}end-rotation/").status_code == 404
