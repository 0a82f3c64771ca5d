"""Every address refuses who may not use it: logged out, of another organisation, or with too weak a role.

The table says who may what; an address that is not in it fails the test, so none is added without a decision.
"""

import re
from dataclasses import dataclass

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from accounts.models import Organisation
from accounts.roles import Role
from tests.cast import Member
from tests.rules.holdings import one_of_everything

VIEWER, EDITOR, ADMIN = Role.VIEWER, Role.EDITOR, Role.ADMIN
STRENGTH = {VIEWER: 0, EDITOR: 1, ADMIN: 2}
NOT_ALLOWED = None

# name → the weakest role that may GET, the weakest that may POST; None: the method is not allowed.
TABLE: dict[str, tuple[Role | None, Role | None]] = {
    "accounts:overview": (VIEWER, NOT_ALLOWED),
    "accounts:audit": (ADMIN, NOT_ALLOWED),
    "accounts:audit_export": (ADMIN, NOT_ALLOWED),
    "accounts:settings": (VIEWER, VIEWER),
    "accounts:organisation": (ADMIN, ADMIN),
    "accounts:organisation_new": (ADMIN, ADMIN),
    "accounts:members": (VIEWER, NOT_ALLOWED),
    "accounts:invite": (ADMIN, ADMIN),
    "accounts:invitation_again": (NOT_ALLOWED, ADMIN),
    "accounts:invitation_withdraw": (NOT_ALLOWED, ADMIN),
    "accounts:member": (ADMIN, ADMIN),
    "accounts:member_release": (NOT_ALLOWED, ADMIN),
    "accounts:member_remove": (ADMIN, ADMIN),
    "accounts:everyones_tokens": (ADMIN, NOT_ALLOWED),
    "accounts:profile": (VIEWER, VIEWER),
    "accounts:account": (VIEWER, VIEWER),
    "accounts:leave": (VIEWER, VIEWER),
    "accounts:tokens": (VIEWER, NOT_ALLOWED),
    "accounts:token_new": (VIEWER, VIEWER),
    "accounts:token_rotate": (VIEWER, VIEWER),
    "accounts:token_end_rotation": (VIEWER, VIEWER),
    "accounts:token_delete": (VIEWER, VIEWER),
    "projects:list": (VIEWER, NOT_ALLOWED),
    "projects:new": (EDITOR, EDITOR),
    "projects:home": (VIEWER, NOT_ALLOWED),
    "projects:detail": (VIEWER, NOT_ALLOWED),
    "projects:count": (NOT_ALLOWED, EDITOR),
    "projects:main_view": (NOT_ALLOWED, EDITOR),
    "projects:placement": (EDITOR, EDITOR),
    "projects:check_project": (NOT_ALLOWED, EDITOR),
    "projects:settings": (VIEWER, EDITOR),
    "projects:specification": (VIEWER, EDITOR),
    "projects:delete": (ADMIN, ADMIN),
    "projects:warehouses": (VIEWER, NOT_ALLOWED),
    "projects:warehouse_kinds": (ADMIN, NOT_ALLOWED),
    "projects:warehouse_new": (ADMIN, ADMIN),
    "projects:warehouse": (VIEWER, NOT_ALLOWED),
    "projects:warehouse_edit": (ADMIN, ADMIN),
    "projects:check_warehouse": (NOT_ALLOWED, ADMIN),
    "projects:warehouse_delete": (ADMIN, ADMIN),
    "projects:check": (VIEWER, NOT_ALLOWED),
    "activation:history": (VIEWER, NOT_ALLOWED),
    "activation:report_profiles_run": (NOT_ALLOWED, EDITOR),
    "activation:start_profiles_run": (NOT_ALLOWED, EDITOR),
    "activation:first_steps": (NOT_ALLOWED, VIEWER),
    "activation:settings": (VIEWER, NOT_ALLOWED),
    "activation:check": (NOT_ALLOWED, ADMIN),
    "activation:sync": (NOT_ALLOWED, EDITOR),
    "activation:full_sync": (EDITOR, EDITOR),
    "activation:stop": (EDITOR, EDITOR),
    "activation:schedule": (VIEWER, EDITOR),
    "activation:enable": (ADMIN, ADMIN),
    "activation:probe": (ADMIN, NOT_ALLOWED),
    "activation:disable": (ADMIN, ADMIN),
    "activation:remove_source": (ADMIN, ADMIN),
    "activation:leave_source": (ADMIN, ADMIN),
    "activation:snapshots": (VIEWER, ADMIN),
    "activation:deleted_profiles": (VIEWER, ADMIN),
    "activation:sync_log": (VIEWER, ADMIN),
    "activation:alerts": (ADMIN, ADMIN),
    "activation:alert_webhook": (ADMIN, ADMIN),
    "activation:alert_secret": (NOT_ALLOWED, ADMIN),
    "activation:alert_test": (NOT_ALLOWED, ADMIN),
    "activation:profile_lookup": (ADMIN, ADMIN),
    "activation:profile_delete": (NOT_ALLOWED, ADMIN),
    "activation:destinations": (VIEWER, NOT_ALLOWED),
    "activation:destination": (VIEWER, NOT_ALLOWED),
    "activation:destination_pace": (ADMIN, ADMIN),
    "activation:destination_sources": (VIEWER, NOT_ALLOWED),
    "activation:usage": (VIEWER, NOT_ALLOWED),
    "activation:usage_export": (VIEWER, NOT_ALLOWED),
    "activation:suppressions": (ADMIN, ADMIN),
    "activation:try_it": (ADMIN, ADMIN),
    "activation:reconcile": (VIEWER, NOT_ALLOWED),
    "activation:reconcile_start": (NOT_ALLOWED, ADMIN),
    "activation:reconcile_confirm": (NOT_ALLOWED, ADMIN),
    "activation:reconcile_stop": (NOT_ALLOWED, ADMIN),
    "activation:destination_name": (ADMIN, ADMIN),
    "activation:edit": (ADMIN, ADMIN),
    "activation:edit_probe": (ADMIN, NOT_ALLOWED),
    "activation:destination_delete": (ADMIN, ADMIN),
    "activation:move": (VIEWER, ADMIN),
    "activation:move_probe": (ADMIN, NOT_ALLOWED),
    "activation:move_cancel": (ADMIN, ADMIN),
    "activation:move_try_again": (NOT_ALLOWED, ADMIN),
    "activation:move_leave": (ADMIN, ADMIN),
    "activation:source": (VIEWER, NOT_ALLOWED),
    "activation:source_settings": (VIEWER, ADMIN),
    "activation:sync_source": (NOT_ALLOWED, EDITOR),
    "activation:full_sync_source": (EDITOR, EDITOR),
    "activation:start_preview": (NOT_ALLOWED, EDITOR),
    "activation:preview": (VIEWER, NOT_ALLOWED),
    "activation:preview_documents": (ADMIN, NOT_ALLOWED),
    "activation:run": (VIEWER, NOT_ALLOWED),
    "activation:failed_ids": (ADMIN, NOT_ALLOWED),
    "activation:confirm": (ADMIN, ADMIN),
    "activation:guard": (VIEWER, ADMIN),
    "activation:stop_run": (EDITOR, EDITOR),
}
# Addresses of a person or of the product rather than of an organisation; each has tests of its own.
NOT_OF_AN_ORGANISATION = {
    "account_login",
    "account_logout",
    "account_change_password",
    "account_reauthenticate",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    "accounts:email_change",
    "accounts:email_confirm",
    "accounts:home",
    "accounts:home_account",
    "accounts:invitation",
    "accounts:session_end",
    "accounts:sessions_end_others",
    "accounts:setup",
    "guide",
    "guides",
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_authenticate",
    "mfa_deactivate_totp",
    "mfa_download_recovery_codes",
    "mfa_edit_webauthn",
    "mfa_generate_recovery_codes",
    "mfa_index",
    "mfa_list_webauthn",
    "mfa_login_webauthn",
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "mfa_remove_webauthn",
    "mfa_view_recovery_codes",
    "openid_connect_callback",
    "openid_connect_login",
    "styleguide",
}
# Those that a person opens for themselves, with the method: logged out they lead to the log-in page.
OF_A_PERSON = {
    "account_change_password": "GET",
    "account_reauthenticate": "GET",
    "accounts:email_change": "GET",
    "accounts:home": "GET",
    "accounts:home_account": "GET",
    "accounts:sessions_end_others": "POST",
    "mfa_activate_totp": "GET",
    "mfa_add_webauthn": "GET",
    "mfa_deactivate_totp": "GET",
    "mfa_download_recovery_codes": "GET",
    "mfa_generate_recovery_codes": "POST",
    "mfa_index": "GET",
    "mfa_reauthenticate": "GET",
    "mfa_reauthenticate_webauthn": "GET",
    "mfa_view_recovery_codes": "GET",
}
_CONNECTION = "v2/retl-connections/<str:connection_id>"
API = {
    "v1/activation",
    "v2/activation",
    "v2/activation/batch",
    "v2/deletions/<str:deletion_id>",
    "v2/audit-log",
    f"{_CONNECTION}/start",
    f"{_CONNECTION}/stop",
    f"{_CONNECTION}/syncs",
    f"{_CONNECTION}/syncs/<str:sync_id>",
    "v2/projects/<str:project_id>/runs",
    "v2/projects/<str:project_id>/syncs",
    "v2/projects",
    "v2/projects/<str:project_id>",
    "v2/projects/<str:project_id>/specification",
    "v2/projects/<str:project_id>/entities",
    "v2/projects/<str:project_id>/placements",
    "v2/projects/<str:project_id>/main-views",
    "v2/projects/<str:project_id>/checks",
    "v2/projects/<str:project_id>/checks/<str:check_id>",
    "v2/projects/<str:project_id>/activation",
    "v2/warehouses",
    "v2/warehouses/<str:warehouse_id>",
    "v2/warehouses/<str:warehouse_id>/checks",
    "v2/warehouses/<str:warehouse_id>/checks/<str:check_id>",
    "v2/destinations",
    "v2/destinations/probes",
    "v2/destinations/probes/<str:probe_id>",
    "v2/destinations/<path:destination_id>",
    "v2/destinations/<path:destination_id>/suppressions",
    "v2/destinations/<path:destination_id>/suppressions/check",
    "v2/destinations/<path:destination_id>/suppressions/lift",
    "v2/destinations/<path:destination_id>/probes",
    "v2/sources/<str:profiles_id>/start",
    "v2/sources/<str:profiles_id>/runs/<str:run_id>/status",
}
OPEN = {"healthz", "readyz", "metrics", "openapi", "reference:index", "reference:group"}


@dataclass(frozen=True)
class Address:
    """One address of the product: its full name, its pattern, the names of its parts."""

    name: str
    pattern: str
    parts: tuple[str, ...]


def addresses() -> list[Address]:
    """Walk all addresses of the site."""
    found: list[Address] = []

    def walk(patterns, before: str, namespace: str, parts: tuple[str, ...]) -> None:
        for each in patterns:
            own = (*parts, *each.pattern.converters)
            if isinstance(each, URLPattern):
                found.append(Address(f"{namespace}{each.name or ''}", before + str(each.pattern), own))
            else:
                inner = f"{namespace}{each.namespace}:" if each.namespace else namespace
                walk(each.url_patterns, before + str(each.pattern), inner, own)

    walk(get_resolver("config.urls").url_patterns, "", "", ())
    return found


OF_ORGANISATIONS = [address for address in addresses() if "organisation" in address.parts]


@pytest.fixture
def parts(admin: Member, editor: Member) -> dict[str, object]:
    """One of everything Acme can have, by the names of the addresses' parts."""
    return one_of_everything(admin, editor)


def test_every_address_has_its_decision():
    names = {address.name for address in OF_ORGANISATIONS}
    others = {address for address in addresses() if "organisation" not in address.parts}

    assert names == set(TABLE)
    assert {a.name or a.pattern for a in others} == NOT_OF_AN_ORGANISATION | API | OPEN


@pytest.mark.parametrize("address", OF_ORGANISATIONS, ids=lambda a: a.name)
class TestAnAddressOfAnOrganisation:
    def test_sends_who_is_logged_out_to_the_log_in_page(self, address, parts, stranger):
        for answer in _allowed(stranger, address, parts):
            assert answer.redirect_chain[-1][0].startswith("/account/login/")

    def test_does_not_exist_for_another_organisation(self, address, parts, outsider):
        for answer in _allowed(outsider.client, address, parts):
            assert answer.status_code == 404

    def test_shows_nothing_of_another_organisation_under_ones_own(self, address, parts, outsider):
        own = {**parts, "organisation": outsider.organisation.slug}
        for answer in _allowed(outsider.client, address, own):
            if {"organisation", "kind", "format"}.issuperset(address.parts):
                assert b"Acme" not in answer.getvalue()
            else:
                assert answer.status_code == 404

    def test_is_for_the_roles_of_the_table(self, address, parts, admin, editor, viewer):
        for method, least in zip(("GET", "POST"), TABLE[address.name], strict=True):
            for member in (viewer, editor, admin):
                status = _ask(member.client, method, _url(address, parts)).status_code
                if least is NOT_ALLOWED:
                    assert status in {403, 405}, (method, member.actor.role)
                elif STRENGTH[member.actor.role] < STRENGTH[least]:
                    assert status == 403, (method, member.actor.role)
                else:
                    # A weaker member may find a thing gone that a stronger one of this walk just deleted: never so
                    # here, because the strongest comes last.
                    assert status in _fine(address, member), (method, member.actor.role, status)


@pytest.mark.parametrize(("name", "method"), OF_A_PERSON.items())
def test_an_address_of_a_person_sends_who_is_logged_out_to_the_log_in_page(admin, stranger, name, method):
    answer = _ask(stranger, method, reverse(name))
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/account/login/")


def test_the_api_refuses_who_shows_no_token(db):
    for pattern in API:
        path = "/" + re.sub(r"<(str|path):\w+>", "x", pattern)
        for method in ("GET", "POST", "PATCH", "DELETE"):
            answer = Client().generic(method, path, b"{}", content_type="application/json")
            assert answer.status_code == 401, (method, pattern)


def _fine(address: Address, member: Member) -> set[int]:
    """The statuses of an answer to somebody who may: a page, a way on, or a form that wants more."""
    if address.name == "accounts:token_delete" and member.actor.role != EDITOR:
        return {200, 403, 404}  # the token of the walk is the editor's, who deletes it before the Admin comes
    if address.name == "accounts:token_rotate" and member.actor.role != EDITOR:
        return {404}  # nobody rotates somebody else's token
    if address.name == "accounts:token_end_rotation":
        return {404}  # the editor's token has one secret in this walk, or two if they rotated it
    if address.name == "projects:placement":
        return {404}  # the walk names no view
    return {200, 302, 303, 400, 409, 422}


def _allowed(client: Client, address: Address, parts: dict[str, object]):
    """Ask with each method the address allows to anyone, and follow where it leads."""
    methods = zip(("GET", "POST"), TABLE[address.name], strict=True)
    return [_ask(client, method, _url(address, parts), follow=True) for method, least in methods if least is not None]


def _ask(client: Client, method: str, url: str, *, follow: bool = False):
    return client.get(url, follow=follow) if method == "GET" else client.post(url, follow=follow)


def _url(address: Address, parts: dict[str, object]) -> str:
    kwargs = {name: parts[name] for name in address.parts}
    own_probe = parts.get(address.name)
    return reverse(address.name, kwargs={**kwargs, "probe": own_probe} if own_probe else kwargs)


def test_the_cast_is_of_one_organisation_and_one_other(admin, editor, viewer, outsider):
    assert Organisation.objects.count() == 2
    assert admin.organisation == editor.organisation == viewer.organisation != outsider.organisation
