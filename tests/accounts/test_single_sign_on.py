"""Single sign-on lets in whom we know or wait for, by a verified address, and nobody else."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from accounts.models import AuditEvent, Membership, User
from accounts.roles import Role
from tests.accounts.identity_provider import IdentityProvider
from tests.accounts.test_invitations import invite
from tests.cast import Member

EMAIL = "ada@acme.example"


@pytest.fixture
def provider(settings: Settings) -> Iterator[IdentityProvider]:
    cache.clear()
    with IdentityProvider(email=EMAIL, name="Ada") as provider:
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [provider.app()]}}
        settings.OIDC_NAME = "Acme ID"
        yield provider


def come(provider: IdentityProvider, client: Client | None = None, next_page: str = "") -> tuple[Client, str]:
    """Log in by the provider; returns the browser and where it ends, with the page's alerts."""
    client = client or Client()
    sent = client.post("/account/sso/", {"next": next_page} if next_page else {})
    assert sent.status_code == 200
    assert sent.headers["Refresh"].startswith(f"0; url={provider.issuer}/authorize?")
    back = provider.authorise(sent.headers["Refresh"].removeprefix("0; url="))
    answer = client.get(back.replace("http://testserver", ""), follow=True)
    where = answer.redirect_chain[-1][0] if answer.redirect_chain else ""
    alerts = re.findall(r'class="alert.*?<p>(.*?)</p>', answer.content.decode(), re.DOTALL)
    return client, " ".join([where, *map(unescape, alerts)])


def test_it_is_off_unless_the_operator_names_a_provider(admin: Member, stranger: Client) -> None:
    assert "Continue with" not in stranger.get("/account/login/").content.decode()
    assert stranger.post("/account/sso/").status_code == 404
    assert stranger.get("/account/sso/callback/?code=x&state=y").status_code == 404


def test_somebody_known_logs_in_and_is_known_by_the_providers_id_from_then_on(
    admin: Member, provider: IdentityProvider
) -> None:
    admin.user.set_password("correct horse battery")
    admin.user.save()
    assert "Continue with Acme ID" in Client().get("/account/login/").content.decode()
    client, where = come(provider, next_page="/o/acme/audit-log/")
    assert where == "/o/acme/audit-log/"
    assert "You have none: you log in" not in client.get("/account/security/").content.decode()
    User.objects.filter(pk=admin.user.pk).update(email="ada@new.example")
    provider.claims["email"] = "somebody.else@acme.example"
    assert come(provider)[0].get("/o/acme/").status_code == 200
    assert User.objects.get(pk=admin.user.pk).has_usable_password(), "the password stays"
    assert not EmailAddress.objects.exists()
    assert [*AuditEvent.objects.order_by("pk").values_list("action", flat=True)][1:] == [
        "single_sign_on_linked",
        "logged_in",
        "logged_in",
    ]


@pytest.mark.parametrize("verified", [False, None, "true", "false", 1])
def test_an_address_that_is_not_verified_opens_nothing(
    admin: Member, provider: IdentityProvider, verified: object
) -> None:
    provider.claims["email_verified"] = verified
    client, where = come(provider)
    assert "does not say that your e-mail address is verified" in where
    assert client.get("/o/acme/").status_code == 302
    assert not SocialAccount.objects.exists()


def test_the_operator_may_vouch_for_the_addresses(
    admin: Member, provider: IdentityProvider, settings: Settings
) -> None:
    settings.OIDC_EMAIL_VERIFIED = True
    del provider.claims["email_verified"]
    assert come(provider)[0].get("/o/acme/").status_code == 200


def test_nobody_signs_up(admin: Member, provider: IdentityProvider) -> None:
    provider.claims["email"] = "stranger@acme.example"
    _, where = come(provider)
    assert "Nobody with your e-mail address is known here" in where
    assert User.objects.count() == 1


def test_somebody_invited_gets_an_account_and_becomes_a_member_by_accepting(
    admin: Member, provider: IdentityProvider
) -> None:
    path = invite(admin, "nina@acme.example", Role.EDITOR)
    provider.claims.update(email="Nina@acme.example", name="Nina\u202e N.", sub="2")
    assert "Continue with Acme ID" in Client().get(path).content.decode()
    client, where = come(provider, next_page=path)
    assert where == path
    user = User.objects.get(email="nina@acme.example")
    assert (user.name, user.has_usable_password()) == ("Nina N.", False)
    assert not EmailAddress.objects.exists()
    assert not Membership.objects.filter(user=user).exists()
    assert client.post(path).headers["Location"] == "/o/acme/"
    assert Membership.objects.get(user=user).role == "editor"
    assert "You have none: you log in with Acme ID" in client.get("/account/security/").content.decode()


def test_a_second_factor_is_asked_for_all_the_same(admin: Member, provider: IdentityProvider) -> None:
    Authenticator.objects.create(user=admin.user, type="totp", data={"secret": "x"})
    client, where = come(provider)
    assert where == "/account/login/code/"
    assert client.get("/o/acme/").status_code == 302


def test_an_account_that_is_switched_off_stays_so(admin: Member, provider: IdentityProvider) -> None:
    User.objects.update(is_active=False)
    client, where = come(provider)
    assert "switched off" in where
    assert client.get("/o/acme/").status_code == 302


def test_who_is_refused_there_or_comes_with_a_forged_answer_is_told(admin: Member, provider: IdentityProvider) -> None:
    provider.refuses = True
    assert "did not work" in come(provider)[1]
    forged = Client().get("/account/sso/callback/?code=x&state=y", follow=True)
    assert "did not work" in forged.content.decode()


def test_a_provider_that_is_broken_or_away_is_told(admin: Member, provider: IdentityProvider) -> None:
    provider.broken = True
    answer = Client().post("/account/sso/", follow=True)
    assert "did not work" in answer.content.decode()


def test_another_site_cannot_start_it(admin: Member, provider: IdentityProvider) -> None:
    assert Client().get("/account/sso/").status_code == 405
    assert Client(enforce_csrf_checks=True).post("/account/sso/").status_code == 403


def test_it_leads_to_no_other_site_afterwards(admin: Member, provider: IdentityProvider) -> None:
    assert come(provider, next_page="https://evil.example/")[1] == "/o/acme/"
