"""Calls of the management API as a team's automation makes them."""

from typing import Any

import orjson
from django.utils import timezone

from accounts import tokens
from accounts.roles import Role
from tests.cast import Member
from tests.contracts.caller import Called, call

UNAUTHORIZED = {"error": "Unauthorized request. Please check your access token", "code": "unauthorized"}


def ask(member: Member | str, method: str, path: str, body: object = None, query: str = "", **environ: str) -> Called:
    """Call as a member with a token of theirs, or with a token; `body` is bytes, or becomes JSON."""
    token = member if isinstance(member, str) else member.token()
    raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    return call(method, f"/v2/{path}", raw, QUERY_STRING=query, **bearer, **environ)


def limited(member: Member, **limits: Any) -> str:
    """Return the text of a token that is narrowed."""
    role = Role(member.actor.role)
    return tokens.issue(name="Narrow", role=role, limits=limits, by=member.actor, now=timezone.now()).text
