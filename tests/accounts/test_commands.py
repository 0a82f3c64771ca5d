"""`manage.py token` and `manage.py setup_code`."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import members, setup, tokens
from accounts.models import PersonalAccessToken
from accounts.roles import Role
from tests.cast import Member


def run(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_token_prints_the_text_alone_and_it_works(editor: Member) -> None:
    out, _ = run("token", "--email", "Edith@acme.example", "--name", "CI", "--role", "viewer")
    identity = tokens.identify(out.strip(), now=timezone.now())
    assert (identity.actor.role, identity.actor.token, identity.actor.name) == (Role.VIEWER, "CI", "edith@acme.example")


def test_token_gives_nobody_more_than_their_own_role(editor: Member) -> None:
    with pytest.raises(CommandError, match="cannot be part of a name"):
        call_command("token", email=editor.user.email, name="C\u202eI", role="viewer")
    with pytest.raises(CommandError, match="at most your own role"):
        run("token", "--email", "edith@acme.example", "--name", "CI", "--role", "admin")
    assert not PersonalAccessToken.objects.exists()


def test_token_needs_a_member_and_one_organisation(admin: Member, outsider: Member) -> None:
    with pytest.raises(CommandError, match="no member with the e-mail address"):
        run("token", "--email", "nobody@acme.example", "--name", "CI", "--role", "viewer")
    members.add(email=outsider.user.email, role=Role.VIEWER, by=admin.actor, now=timezone.now())
    arguments = ["token", "--email", outsider.user.email, "--name", "CI", "--role", "viewer"]
    with pytest.raises(CommandError, match="several organisations"):
        run(*arguments)
    out, _ = run(*arguments, "--organisation", "acme")
    assert tokens.identify(out.strip(), now=timezone.now()).actor.organisation == admin.organisation


def test_setup_code_prints_the_code_alone_and_what_to_do_with_it(db: None) -> None:
    out, err = run("setup_code")
    assert "/setup/" in err
    setup.complete(
        code=out.strip(), organisation="Acme", name="Ada", email="ada@acme.example", password="x", now=timezone.now()
    )
    with pytest.raises(CommandError, match="set up already"):
        run("setup_code")
