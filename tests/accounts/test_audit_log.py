"""The audit log is searched, taken away and read by API, by Admins of its organisation only."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import audit, audit_search, tokens
from accounts.actors import PermissionRefused
from accounts.audit_search import Search
from accounts.models import AuditEvent
from accounts.roles import Role
from tests.cast import Member

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PAGE = "/o/acme/audit-log/"


@pytest.fixture
def rows(admin: Member, editor: Member, outsider: Member) -> None:
    """Three things that happened, a day apart, and one that happened elsewhere."""
    AuditEvent.objects.all().delete()
    for number, (by, action, kind, name) in enumerate(
        [
            (admin, "member_removed", "member", "bob@acme.example"),
            (editor, "project_created", "project", "=HYPERLINK(1)"),
            (admin, "token_deleted", "token", "CI"),
            (outsider, "token_deleted", "token", "theirs"),
        ]
    ):
        at = NOW - timedelta(days=number)
        audit.record(action, by=by.actor, target_type=kind, target_id=f"id{number}", target=name, now=at)


def found(member: Member, **search: Any) -> list[str]:
    return [event.action for event in audit_search.find(Search(**search), by=member.actor)]


@pytest.mark.parametrize(
    ("search", "actions"),
    [
        ({}, ["member_removed", "project_created", "token_deleted"]),
        ({"person": "EDITH"}, ["project_created"]),
        ({"action": "Token deleted"}, ["token_deleted"]),
        ({"action": "ed"}, ["member_removed", "project_created", "token_deleted"]),
        ({"target": "bob@"}, ["member_removed"]),
        ({"target": "id1"}, ["project_created"]),
        ({"target": "id"}, []),
        ({"target": "token"}, ["token_deleted"]),
        ({"since": NOW - timedelta(days=1)}, ["member_removed", "project_created"]),
        ({"until": NOW - timedelta(days=1)}, ["token_deleted"]),
        ({"person": "ada", "since": NOW}, ["member_removed"]),
        ({"person": "olga"}, []),
    ],
)
@pytest.mark.usefixtures("rows")
def test_rows_are_found_by_person_action_target_and_time(
    admin: Member, search: dict[str, Any], actions: list[str]
) -> None:
    assert found(admin, **search) == actions


@pytest.mark.usefixtures("rows")
def test_only_an_admin_looks_through_the_log(admin: Member, editor: Member) -> None:
    with pytest.raises(PermissionRefused):
        found(editor)
    with pytest.raises(PermissionRefused):
        audit_search.export(Search(), format="csv", by=editor.actor, now=NOW)
    assert found(admin)


@pytest.mark.usefixtures("rows")
def test_the_page_keeps_what_was_typed_and_says_what_is_wrong(admin: Member) -> None:
    page = admin.client.get(f"{PAGE}?person=edith&since=2026-02-01&until=2026-03-01").content.decode()
    assert "Project created" in page
    assert "Member removed" not in page
    assert 'value="edith"' in page
    assert "audit-log.csv?person=edith&amp;since=2026-02-01" in page
    swapped = admin.client.get(f"{PAGE}?since=2026-03-02&until=2026-03-01").content.decode()
    assert "Swap them." in swapped
    assert "Nothing was found" in admin.client.get(f"{PAGE}?person=nobody").content.decode()
    whole_day = admin.client.get(f"{PAGE}?since=2026-03-01&until=2026-03-01").content.decode()
    assert "Member removed" in whole_day
    assert admin.client.get(f"{PAGE}?until=9999-12-31").status_code == 200


@pytest.mark.usefixtures("rows")
def test_the_csv_holds_what_was_found_and_no_formula(admin: Member) -> None:
    answer = admin.client.get("/o/acme/audit-log.csv?since=2026-02-28")
    text = answer.getvalue().decode("utf-8-sig")
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["person"], first["action"], first["at"]) == (
        "ada@acme.example",
        "member_removed",
        "2026-03-01T12:00:00Z",
    )
    assert second["target"] == "'=HYPERLINK(1)"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="audit-log-acme-')


@pytest.mark.usefixtures("rows")
def test_the_json_holds_what_was_found_and_the_export_is_recorded(admin: Member) -> None:
    rows = json.loads(admin.client.get("/o/acme/audit-log.json?action=token").getvalue())
    assert [row["target"] for row in rows] == ["CI"]
    assert json.loads(admin.client.get("/o/acme/audit-log.json?person=nobody").getvalue()) == []
    newest = AuditEvent.objects.latest("pk")
    assert (newest.action, newest.details) == ("audit_log_exported", {"format": "json", "person": "nobody"})
    assert admin.client.get("/o/acme/audit-log.xml").status_code == 404


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_what_a_spreadsheet_takes_for_a_formula_is_made_harmless(admin: Member, text: str) -> None:
    audit.record("x", by=admin.actor, target_type="t", target=text, now=NOW)
    parts = audit_search.export(Search(action="x"), format="csv", by=admin.actor, now=NOW)
    assert f'"\'{text}"' in "".join(parts)


def test_a_long_file_comes_whole_and_many_lines_at_a_time(admin: Member) -> None:
    for number in range(450):
        audit.record("many", by=admin.actor, target_type="t", target=str(number), now=NOW)
    parts = list(audit_search.export(Search(action="many"), format="json", by=admin.actor, now=NOW))
    assert [row["target"] for row in json.loads("".join(parts))] == [str(number) for number in reversed(range(450))]
    assert len(parts) == 3


# The API


def ask(text: str, query: str = "") -> tuple[int, Any]:
    answer = Client().get(f"/v2/audit-log{query}", headers={"Authorization": f"Bearer {text}"})
    return answer.status_code, json.loads(answer.content)


@pytest.mark.usefixtures("rows")
def test_the_api_tells_an_admins_token_what_happened(admin: Member) -> None:
    status, told = ask(admin.token(), "?action=member&per_page=1")
    assert status == 200
    [event] = told["events"]
    assert {**event, "id": ""} == {
        "id": "",
        "at": "2026-03-01T12:00:00.000Z",
        "person": "ada@acme.example",
        "token": None,
        "action": "member_removed",
        "target": "bob@acme.example",
        "targetType": "member",
        "targetId": "id0",
        "details": {},
        "address": None,
    }
    assert told["paging"] == {"total": 1, "next": None}
    everything = ask(admin.token(), "?per_page=2")[1]
    assert everything["paging"]["next"] == "/v2/audit-log?per_page=2&page=2"
    assert "theirs" not in json.dumps(ask(admin.token())[1])


@pytest.mark.usefixtures("rows")
def test_the_api_refuses_weaker_and_limited_tokens(admin: Member, editor: Member) -> None:
    assert ask(editor.token())[0] == 401
    assert ask(admin.token(Role.EDITOR))[0] == 401
    for limits, status in ((("entities", ["user"]), 401), (("verbs", ["read"]), 401), (("rate", 100), 200)):
        issued = tokens.issue(
            name="Limited", role=Role.ADMIN, limits=dict([limits]), by=admin.actor, now=timezone.now()
        )
        assert ask(issued.text)[0] == status, limits


@pytest.mark.parametrize("query", ["?since=yesterday", "?page=0", "?person=%00", f"?target={'x' * 255}"])
def test_the_api_says_what_is_wrong_with_a_question(admin: Member, query: str) -> None:
    status, told = ask(admin.token(), query)
    assert (status, told["code"]) == (400, "invalid_request")
