"""Members and organisations: roles change, people leave, and one Admin always stays."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import connection

from accounts import members, organisations
from accounts.actors import Actor, PermissionRefused
from accounts.models import AuditEvent, Membership, Organisation, User
from accounts.roles import Role
from tests.cast import Member, colleague, founder

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def membership(of: Member) -> str:
    return Membership.objects.get(user=of.user, organisation=of.organisation).public_id


def role(of: Member) -> str:
    return Membership.objects.get(user=of.user, organisation=of.organisation).role


def test_an_admin_adds_a_person_who_is_new_and_one_who_is_known(admin: Member, outsider: Member) -> None:
    new = members.add(email=" New@Acme.example", role=Role.EDITOR, password="a long secret", by=admin.actor, now=NOW)
    known = members.add(email=outsider.user.email, role=Role.VIEWER, password="not theirs", by=admin.actor, now=NOW)
    assert (new.user.email, new.role) == ("new@acme.example", "editor")
    assert new.user.check_password("a long secret")
    assert known.user == outsider.user
    assert not User.objects.get(pk=outsider.user.pk).check_password("not theirs")


def test_nobody_is_added_twice(admin: Member, editor: Member) -> None:
    with pytest.raises(members.AlreadyMember):
        members.add(email=editor.user.email, role=Role.ADMIN, by=admin.actor, now=NOW)
    assert role(editor) == "editor"


@pytest.mark.parametrize("kind", [Role.EDITOR, Role.VIEWER])
def test_only_an_admin_manages_members(admin: Member, editor: Member, viewer: Member, kind: Role) -> None:
    member = editor if kind == Role.EDITOR else viewer
    changes: list[Callable[[Actor], object]] = [
        lambda by: members.add(email="new@acme.example", role=Role.VIEWER, by=by, now=NOW),
        lambda by: members.change_role(membership(viewer), role=Role.EDITOR, by=by, now=NOW),
        lambda by: members.remove(membership(viewer), by=by, now=NOW),
    ]
    for change in changes:
        with pytest.raises(PermissionRefused):
            change(member.actor)
    assert Membership.objects.count() == 3
    for change in changes:
        change(admin.actor)


def test_an_admin_cannot_touch_another_organisations_member(admin: Member, outsider: Member) -> None:
    with pytest.raises(Membership.DoesNotExist):
        members.remove(membership(outsider), by=admin.actor, now=NOW)
    with pytest.raises(Membership.DoesNotExist):
        members.change_role(membership(outsider), role=Role.VIEWER, by=admin.actor, now=NOW)
    assert role(outsider) == "admin"


def test_the_last_admin_stays_and_stays_admin(admin: Member, editor: Member) -> None:
    with pytest.raises(members.LastAdmin):
        members.change_role(membership(admin), role=Role.EDITOR, by=admin.actor, now=NOW)
    with pytest.raises(members.LastAdmin):
        members.remove(membership(admin), by=admin.actor, now=NOW)
    members.change_role(membership(editor), role=Role.ADMIN, by=admin.actor, now=NOW)
    members.remove(membership(admin), by=admin.actor, now=NOW)
    assert role(editor) == "admin"


def test_an_admin_who_was_demoted_meanwhile_changes_nothing_any_more(admin: Member, editor: Member) -> None:
    second = colleague(admin, "abel@acme.example", Role.ADMIN)
    members.change_role(membership(second), role=Role.EDITOR, by=admin.actor, now=NOW)
    with pytest.raises(PermissionRefused):
        members.change_role(membership(editor), role=Role.VIEWER, by=second.actor, now=NOW)
    assert role(editor) == "editor"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("_round", range(8))
def test_two_admins_who_demote_each_other_at_once_leave_one_admin(transactional_db: None, _round: int) -> None:
    one = founder("Acme", "one@acme.example")
    two = colleague(one, "two@acme.example", Role.ADMIN)
    ready = threading.Barrier(2)
    refusals: list[Exception] = []

    def demote(by: Member, whom: str) -> None:
        connection.ensure_connection()
        ready.wait(timeout=10)
        try:
            members.change_role(whom, role=Role.VIEWER, by=by.actor, now=NOW)
        except (members.LastAdmin, PermissionRefused) as error:
            refusals.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=demote, args=(by, membership(whom))) for by, whom in ((one, two), (two, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(refusals) == 1
    assert sorted([role(one), role(two)]) == ["admin", "viewer"]


def test_every_change_of_members_is_audited(admin: Member) -> None:
    actor = Actor(
        organisation=admin.organisation, role=Role.ADMIN, name="ada@acme.example", user_id=admin.user.pk, address="::1"
    )
    added = members.add(email="new@acme.example", role=Role.VIEWER, by=actor, now=NOW)
    members.change_role(added.public_id, role=Role.EDITOR, by=actor, now=NOW)
    members.change_role(added.public_id, role=Role.EDITOR, by=actor, now=NOW)
    members.remove(added.public_id, by=actor, now=NOW)
    rows = AuditEvent.objects.filter(target_type="member").order_by("pk")
    assert [row.action for row in rows] == ["member_added", "member_changed", "member_removed"]
    assert {(row.actor, row.target, row.address) for row in rows} == {("ada@acme.example", "new@acme.example", "::1")}
    assert rows[1].details == {"role": "editor", "former_role": "viewer"}


def test_an_organisation_starts_with_its_founder_as_admin_and_an_audit_row(db: None) -> None:
    one = founder("Acme & Söhne", "ada@acme.example")
    assert one.organisation.slug == "acme-sohne"
    assert len(one.organisation.public_id) == 27
    assert role(one) == "admin"
    assert AuditEvent.objects.get().action == "organisation_created"


def test_slugs_are_unique_and_never_empty(db: None) -> None:
    user = User.objects.create_user("ada@acme.example")
    for name in ("Acme", "ACME", "acme", "活动", "!!"):
        organisations.create(name=name, founder=user, now=NOW)
    slugs = Organisation.objects.order_by("pk").values_list("slug", flat=True)
    assert [*slugs] == ["acme", "acme-2", "acme-3", "organisation", "organisation-2"]
