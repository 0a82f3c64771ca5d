"""The bearer token of an API request."""

import pytest
from django.http import HttpRequest
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from accounts import identities
from accounts.authentication import IdentityServiceUnavailable, TokenAuthentication, bearer
from accounts.roles import Role
from tests.cast import Member


def request(header: str | None) -> Request:
    headers = {} if header is None else {"authorization": header}
    plain: HttpRequest = APIRequestFactory().get("/", headers=headers)
    return Request(plain, authenticators=[TokenAuthentication()])


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", " Bearer  "])
def test_the_scheme_is_read_in_any_case(admin: Member, scheme: str) -> None:
    text = admin.token(Role.EDITOR)
    identity = request(f"{scheme} {text}").auth
    assert isinstance(identity, identities.TokenIdentity)
    assert identity.actor.role == Role.EDITOR
    assert identity.actor.address == "127.0.0.1"


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic {text}", "{text}", "Token {text}", "Bearer {text} x", "Bearer x{text}"],
)
def test_anything_else_is_unauthenticated(admin: Member, header: str | None) -> None:
    text = admin.token()
    assert request(f"Bearer {text}").auth
    with pytest.raises(exceptions.AuthenticationFailed):
        request(None if header is None else header.format(text=text)).user  # noqa: B018 - reading it authenticates


def test_a_database_that_cannot_tell_is_503(admin: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    text = admin.token()

    def unavailable(*args: object, **kwargs: object) -> None:
        raise identities.IdentityUnavailable

    monkeypatch.setattr("accounts.tokens.identify", unavailable)
    with pytest.raises(IdentityServiceUnavailable) as caught:
        request(f"Bearer {text}").user  # noqa: B018 - reading it authenticates
    assert (caught.value.status_code, caught.value.get_codes()) == (503, "service_unavailable")
    assert caught.value.__cause__ is None


def test_the_header_is_parsed_without_surprises() -> None:
    assert bearer("bearer\tx") == ""
    assert bearer("Bearer  x ") == "x"
