"""The shared cast: one organisation with an admin, an editor and a viewer, and an outsider of another one.

Each is a `Member`: the person, the actor they are on pages, a browser that is logged in as them, and (`.token()`) a
personal access token of theirs. `tests/conftest.py` imports the fixtures.
"""

from dataclasses import dataclass

import pytest
from django.test import Client
from django.utils import timezone

from accounts import members, organisations, tokens
from accounts.actors import Actor
from accounts.models import Organisation, User
from accounts.roles import Role


@dataclass(frozen=True)
class Member:
    """Somebody of the cast."""

    user: User
    actor: Actor
    client: Client

    @property
    def organisation(self) -> Organisation:
        return self.actor.organisation

    def token(self, role: Role | None = None, *, name: str = "A token") -> str:
        """Generate a token (with the member's own role unless told) and return its text."""
        issued = tokens.issue(name=name, role=role or self.actor.role, by=self.actor, now=timezone.now())
        return issued.text


def founder(name: str, email: str) -> Member:
    """Make an organisation and its first Admin."""
    user = User.objects.create_user(email, name=email.partition("@")[0].title())
    organisation = organisations.create(name=name, founder=user, now=timezone.now())
    return _signed_in(user, organisation, Role.ADMIN)


def colleague(of: Member, email: str, role: Role) -> Member:
    """Add a person to the organisation of `of`."""
    user = members.add(email=email, role=role, by=of.actor, now=timezone.now()).user
    return _signed_in(user, of.organisation, role)


def _signed_in(user: User, organisation: Organisation, role: Role) -> Member:
    actor = Actor(organisation=organisation, role=role, name=user.email, user_id=user.pk)
    client = Client()
    client.force_login(user)
    return Member(user=user, actor=actor, client=client)


@pytest.fixture
def admin(db: None) -> Member:
    """An Admin of Acme."""
    return founder("Acme", "ada@acme.example")


@pytest.fixture
def organisation(admin: Member) -> Organisation:
    """Acme, the organisation of admin, editor and viewer."""
    return admin.organisation


@pytest.fixture
def editor(admin: Member) -> Member:
    """An Editor of Acme."""
    return colleague(admin, "edith@acme.example", Role.EDITOR)


@pytest.fixture
def viewer(admin: Member) -> Member:
    """A Viewer of Acme."""
    return colleague(admin, "vera@acme.example", Role.VIEWER)


@pytest.fixture
def outsider(db: None) -> Member:
    """An Admin of another organisation."""
    return founder("Other", "olga@other.example")


@pytest.fixture
def stranger(db: None) -> Client:
    """A browser in which nobody is logged in."""
    return Client()
