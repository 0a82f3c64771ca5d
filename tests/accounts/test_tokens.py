"""Personal access tokens: what they open, for how long, and that their text stays nowhere."""

import hashlib
import io
import itertools
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest
from django.core import serializers
from django.core.mail import EmailMessage
from django.db import OperationalError
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries, Settings

from accounts import identities, members, token_expiries, token_limits, token_texts, tokens, vault
from accounts.actors import Actor, PermissionRefused
from accounts.identities import Identities
from accounts.models import AuditEvent, PersonalAccessToken
from accounts.renewal import FRESH_FOR, RENEWED_AFTER
from accounts.roles import Role
from tests.cast import Member
from tests.threads import elsewhere

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=30)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Database:
    """The real look-up behind a switch: `down` makes it fail as an unreachable database does."""

    def __init__(self) -> None:
        self.down = False
        self.asked = 0

    def __call__(self, public_part: str, text: str, now: datetime) -> identities.Verified:
        self.asked += 1
        if self.down:
            raise OperationalError("could not connect to server")
        return identities._look_up(public_part, text, now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def known(clock: Clock, database: Database) -> Identities:
    return Identities(clock=clock, look_up=database)


def issue(member: Member, role: Role, expires_at: datetime | None = None, **limits: object) -> tokens.IssuedToken:
    return tokens.issue(name="CI", role=role, expires_at=expires_at, limits=limits, by=member.actor, now=NOW)


def rejected(text: str, now: datetime = NOW, by: Callable[..., object] | None = None) -> str:
    with pytest.raises(tokens.TokenRejected) as caught:
        (by or Identities().identify)(text, now=now)
    return caught.value.reason


def test_a_token_text_has_the_published_shape(admin: Member) -> None:
    text = issue(admin, Role.ADMIN).text
    prefix, public_part, rest = text.split("_")
    assert (prefix, len(public_part), len(rest)) == ("actv", 12, 43 + 6)
    assert text.isascii()
    assert text.replace("_", "").isalnum()


def test_token_texts_differ_in_every_part(admin: Member) -> None:
    texts = [token_texts.make().text.split("_") for _ in range(50)]
    assert len({t[1] for t in texts}) == len({t[2] for t in texts}) == 50


def test_a_token_acts_for_its_owner_in_its_organisation(editor: Member) -> None:
    issued = issue(editor, Role.EDITOR)
    identity = Identities().identify(issued.text, now=NOW, address="192.0.2.7")
    assert identity.token_id == issued.token.pk
    assert identity.actor == Actor(
        organisation=editor.organisation,
        role=Role.EDITOR,
        name="edith@acme.example",
        user_id=editor.user.pk,
        token="CI",
        address="192.0.2.7",
    )


@pytest.mark.parametrize("position", [0, 4, 5, 16, 17, 18, 59, 60, 65])
def test_one_changed_character_is_rejected_without_the_database(
    admin: Member, known: Identities, database: Database, position: int
) -> None:
    text = issue(admin, Role.ADMIN).text
    changed = text[:position] + ("X" if text[position] != "X" else "Y") + text[position + 1 :]
    known.identify(text, now=NOW)
    assert rejected(changed, by=known.identify) == "malformed"
    assert database.asked == 1


def test_a_wrong_secret_with_a_right_checksum_is_rejected(admin: Member) -> None:
    issued = issue(admin, Role.ADMIN)
    covered = f"actv_{issued.token.public_part}_" + "A" * 43
    assert rejected(covered + token_texts._checksum(covered)) == "unknown"
    assert Identities().identify(issued.text, now=NOW)


def test_a_token_that_was_never_issued_is_rejected(db: None) -> None:
    assert rejected(token_texts.make().text) == "unknown"


def test_a_token_expires_at_its_moment_even_from_memory(admin: Member, known: Identities) -> None:
    text = issue(admin, Role.ADMIN, expires_at=LATER).text
    assert known.identify(text, now=LATER - timedelta(milliseconds=1))
    assert rejected(text, LATER, by=known.identify) == "expired"


def test_a_deleted_token_is_rejected(admin: Member) -> None:
    issued = issue(admin, Role.ADMIN)
    assert Identities().identify(issued.text, now=NOW)
    tokens.revoke(issued.token.public_part, by=admin.actor, now=NOW)
    assert rejected(issued.text) == "revoked"


def test_a_token_acts_with_the_weaker_of_its_role_and_its_owners_present_role(admin: Member, editor: Member) -> None:
    text = issue(editor, Role.EDITOR).text
    membership = editor.user.memberships.get()
    members.change_role(membership.public_id, role=Role.VIEWER, by=admin.actor, now=NOW)
    assert Identities().identify(text, now=NOW).actor.role == Role.VIEWER
    members.change_role(membership.public_id, role=Role.ADMIN, by=admin.actor, now=NOW)
    assert Identities().identify(text, now=NOW).actor.role == Role.EDITOR


def test_a_token_dies_with_its_owners_membership_and_does_not_come_back(admin: Member, editor: Member) -> None:
    text = issue(editor, Role.EDITOR).text
    assert Identities().identify(text, now=NOW)
    members.remove(editor.user.memberships.get().public_id, by=admin.actor, now=NOW)
    assert rejected(text) == "revoked"
    members.add(email=editor.user.email, role=Role.EDITOR, by=admin.actor, now=NOW)
    assert rejected(text) == "revoked"


def test_a_token_whose_owner_has_no_membership_is_rejected(editor: Member) -> None:
    text = issue(editor, Role.EDITOR).text
    assert Identities().identify(text, now=NOW)
    editor.user.memberships.all().delete()
    assert rejected(text) == "owner_left"


def test_a_token_of_a_deactivated_person_is_rejected(editor: Member) -> None:
    text = issue(editor, Role.EDITOR).text
    assert Identities().identify(text, now=NOW)
    editor.user.is_active = False
    editor.user.save(update_fields=["is_active"])
    assert rejected(text) == "owner_left"


@pytest.mark.parametrize(("own", "wanted"), [*itertools.product(Role, Role)])
def test_nobody_gets_a_token_stronger_than_themselves(
    admin: Member, editor: Member, viewer: Member, own: Role, wanted: Role
) -> None:
    member = {Role.ADMIN: admin, Role.EDITOR: editor, Role.VIEWER: viewer}[own]
    order = [Role.VIEWER, Role.EDITOR, Role.ADMIN]
    if order.index(wanted) <= order.index(own):
        assert issue(member, wanted).token.role == wanted
    else:
        with pytest.raises(tokens.RoleTooStrong):
            issue(member, wanted)


def test_an_expiry_must_lie_ahead(admin: Member) -> None:
    with pytest.raises(tokens.ExpiryPassed):
        issue(admin, Role.ADMIN, expires_at=NOW)


def test_only_a_member_can_own_a_token(admin: Member) -> None:
    with pytest.raises(tokens.NotAMember):
        tokens.issue(name="x", role=Role.VIEWER, by=Actor.system(admin.organisation), now=NOW)


def test_both_secrets_of_a_token_work_while_it_is_rotated(admin: Member, settings: Settings) -> None:
    issued = issue(admin, Role.ADMIN)
    second = f"actv_{issued.token.public_part}_" + "B" * 43
    second += token_texts._checksum(second)
    settings.TOKEN_PEPPERS = {2: b"p" * 32, **settings.TOKEN_PEPPERS}
    assert rejected(second) == "unknown"
    PersonalAccessToken.objects.update(second_digest=vault.digest(b"p" * 32, second), second_pepper_version=2)
    assert Identities().identify(second, now=NOW).token_id == Identities().identify(issued.text, now=NOW).token_id


def test_a_token_whose_pepper_is_gone_is_rejected(admin: Member, settings: Settings) -> None:
    text = issue(admin, Role.ADMIN).text
    assert Identities().identify(text, now=NOW)
    settings.TOKEN_PEPPERS = {9: b"p" * 32}
    assert rejected(text) == "unknown"


def test_a_revoked_token_is_honoured_within_a_second_and_not_asked_about_sooner(
    admin: Member, known: Identities, clock: Clock, database: Database
) -> None:
    issued = issue(admin, Role.ADMIN)
    known.identify(issued.text, now=NOW)
    tokens.revoke(issued.token.public_part, by=admin.actor, now=NOW)
    clock.seconds += RENEWED_AFTER - 0.01
    known.identify(issued.text, now=NOW)
    assert database.asked == 1
    clock.seconds += 0.02
    assert rejected(issued.text, by=known.identify) == "revoked"
    assert len(known) == 0


def test_while_one_caller_looks_a_token_up_again_the_others_go_on_for_the_rest_of_the_second(
    admin: Member, known: Identities, clock: Clock, database: Database
) -> None:
    text = issue(admin, Role.ADMIN).text
    known.identify(text, now=NOW)
    clock.seconds += RENEWED_AFTER + 0.1
    assert elsewhere(lambda: known.known(text, now=NOW)) is None
    assert known.known(text, now=NOW)
    assert known.identify(text, now=NOW)
    assert database.asked == 1
    clock.seconds += FRESH_FOR - RENEWED_AFTER
    assert known.known(text, now=NOW) is None
    known.identify(text, now=NOW)
    assert database.asked == 2


def test_a_known_token_is_served_while_the_database_is_down_but_not_for_ever(
    admin: Member, known: Identities, clock: Clock, database: Database, settings: Settings
) -> None:
    settings.STALE_READS_FOR = 60
    text = issue(admin, Role.ADMIN, expires_at=LATER).text
    known.identify(text, now=NOW)
    database.down = True
    clock.seconds += 60
    assert known.identify(text, now=NOW)
    assert rejected(text, LATER, by=known.identify) == "expired"
    clock.seconds += 0.1
    with pytest.raises(tokens.IdentityUnavailable):
        known.identify(text, now=NOW)
    database.down = False
    clock.seconds += 1
    assert known.identify(text, now=NOW)


def test_what_is_known_without_asking_is_as_fresh_as_what_identify_tells(
    admin: Member, known: Identities, clock: Clock, database: Database, settings: Settings
) -> None:
    settings.STALE_READS_FOR = 60
    text = issue(admin, Role.ADMIN, expires_at=LATER).text
    assert known.known(text, now=NOW) is None
    known.identify(text, now=NOW)
    clock.seconds += RENEWED_AFTER - 0.01
    assert known.known(text, now=NOW)
    assert known.known(text, now=LATER) is None
    assert known.known(text + "x", now=NOW) is None
    clock.seconds += 0.1
    assert known.known(text, now=NOW) is None

    database.down = True
    known.identify(text, now=NOW)
    assert known.known(text, now=NOW), "a database that is down is waited for by one caller a second"
    clock.seconds += 1
    assert known.known(text, now=NOW) is None, "somebody must try it"
    clock.seconds += 60 - 1 - RENEWED_AFTER - 0.2
    known.identify(text, now=NOW)
    assert known.known(text, now=NOW)
    clock.seconds += 0.2
    assert known.known(text, now=NOW) is None


def test_an_unknown_token_is_unavailable_and_not_rejected_while_the_database_is_down(
    known: Identities, database: Database
) -> None:
    database.down = True
    with pytest.raises(tokens.IdentityUnavailable):
        known.identify(token_texts.make().text, now=NOW)


def test_a_database_that_is_down_is_tried_once_a_second(
    admin: Member, known: Identities, clock: Clock, database: Database
) -> None:
    text = issue(admin, Role.ADMIN).text
    known.identify(text, now=NOW)
    database.down = True
    clock.seconds += 2
    for _ in range(20):
        known.identify(text, now=NOW)
    assert database.asked == 2
    clock.seconds += 1
    database.down = False
    for _ in range(20):
        known.identify(text, now=NOW)
    assert database.asked == 3


def test_the_memory_is_bounded(admin: Member, database: Database) -> None:
    known = Identities(look_up=database, remembered_at_most=3)
    texts = [issue(admin, Role.ADMIN).text for _ in range(5)]
    for text in texts:
        known.identify(text, now=NOW)
    assert len(known) == 3
    known.identify(texts[-1], now=NOW)
    assert database.asked == 5


def test_last_use_is_written_at_most_once_a_minute(admin: Member) -> None:
    issued = issue(admin, Role.ADMIN)
    moments = []
    for seconds in (0, 30, 59, 60, 90, 121):
        Identities().identify(issued.text, now=NOW + timedelta(seconds=seconds))
        issued.token.refresh_from_db()
        assert issued.token.last_used_at is not None
        moments.append((issued.token.last_used_at - NOW).seconds)
    assert moments == [0, 0, 0, 60, 60, 121]


def test_a_look_up_within_the_minute_is_one_query(
    admin: Member, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    text = issue(admin, Role.ADMIN).text
    with django_assert_num_queries(2):
        Identities().identify(text, now=NOW)
    with django_assert_num_queries(1):
        Identities().identify(text, now=NOW + timedelta(seconds=59))


def test_a_failure_to_write_the_last_use_refuses_nobody(admin: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    issued = issue(admin, Role.ADMIN)

    def fail(*args: object, **kwargs: object) -> int:
        raise OperationalError("attempt to write a readonly database")

    monkeypatch.setattr("django.db.models.query.QuerySet.update", fail)
    assert Identities().identify(issued.text, now=NOW)
    monkeypatch.undo()
    issued.token.refresh_from_db()
    assert issued.token.last_used_at is None


def test_the_text_is_neither_stored_nor_logged_nor_shown(admin: Member, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    issued = issue(admin, Role.ADMIN)
    known = Identities(look_up=Database())
    known.identify(issued.text, now=NOW)
    rejected(issued.text[:-1] + "!", by=known.identify)
    tokens.revoke(issued.token.public_part, by=admin.actor, now=NOW)
    rejected(issued.text)
    secret = issued.text.split("_")[2][:43]
    stored = serializers.serialize("json", [*PersonalAccessToken.objects.all(), *AuditEvent.objects.all()])
    seen = io.StringIO()
    print(stored, repr(issued), repr(issued.token), str(issued.token), repr(vars(known)), caplog.text, file=seen)
    assert issued.token.public_part in seen.getvalue()
    assert secret not in seen.getvalue()
    token = PersonalAccessToken.objects.get()
    assert bytes(token.digest) != hashlib.sha256(issued.text.encode()).digest()


def test_everyone_lists_and_deletes_their_own_tokens_and_only_an_admin_others(
    admin: Member, editor: Member, outsider: Member
) -> None:
    admins, editors, outsiders = (issue(who, Role.VIEWER).token for who in (admin, editor, outsider))
    assert [*tokens.own(editor.actor)] == [editors]
    assert {*tokens.everyones(admin.actor)} == {admins, editors}
    with pytest.raises(PermissionRefused):
        tokens.everyones(editor.actor)
    with pytest.raises(PermissionRefused):
        tokens.revoke(admins.public_part, by=editor.actor, now=NOW)
    with pytest.raises(PersonalAccessToken.DoesNotExist):
        tokens.revoke(outsiders.public_part, by=admin.actor, now=NOW)
    tokens.revoke(editors.public_part, by=admin.actor, now=NOW)
    assert [*tokens.own(editor.actor)] == []
    with pytest.raises(PersonalAccessToken.DoesNotExist):
        tokens.revoke(editors.public_part, by=admin.actor, now=NOW)


def test_generating_and_deleting_are_audited(admin: Member) -> None:
    issued = issue(admin, Role.EDITOR, expires_at=LATER)
    tokens.revoke(issued.token.public_part, by=admin.actor, now=LATER)
    rows = AuditEvent.objects.filter(target_type="token").order_by("at").values_list("action", "actor", "target", "at")
    assert [*rows] == [
        ("token_generated", "ada@acme.example", "CI", NOW),
        ("token_deleted", "ada@acme.example", "CI", LATER),
    ]


@examples(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text() | st.from_regex(r"\Aactv_[0-9A-Za-z]{10,14}_[0-9A-Za-z]{47,51}\Z"))
def test_no_text_at_all_makes_identify_crash(text: str) -> None:
    assert rejected(text) == "malformed"


def test_threads_share_one_memory(admin: Member, database: Database) -> None:
    text = issue(admin, Role.ADMIN).text
    known = Identities(look_up=database)
    known.identify(text, now=NOW)
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(known.identify(text, now=NOW).token_id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert database.asked == 1


def test_a_token_is_used_from_its_networks_only(admin: Member) -> None:
    text = issue(admin, Role.ADMIN, networks=["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"]).text
    known = Identities()
    for address in ("192.0.2.9", "2001:db8::1", "198.51.100.7"):
        assert known.identify(text, now=NOW, address=address).limits
    elsewhere: tuple[str | None, ...] = ("192.0.3.9", "2001:db9::1", "198.51.100.8", None)
    for other in elsewhere:
        with pytest.raises(tokens.TokenRejected) as caught:
            known.identify(text, now=NOW, address=other)
        assert caught.value.reason == "network"


def test_limits_are_kept_as_they_are_meant(admin: Member) -> None:
    issued = issue(
        admin,
        Role.ADMIN,
        verbs=["delete", "read"],
        destinations=" one \n\ntwo\none\n",
        entities=[],
        networks="192.0.2.77/24",
        rate=5,
    )
    assert issued.token.limits == {
        "destinations": ["one", "two"],
        "verbs": ["read", "delete"],
        "networks": ["192.0.2.0/24"],
        "rate": 5,
    }
    assert token_limits.words(issued.token.limits) == [
        "Only: read profiles, delete profiles",
        "destinations one, two",
        "network 192.0.2.0/24",
        "at most 5 requests per second",
    ]
    assert issue(admin, Role.ADMIN, verbs=list(token_limits.VERBS)).token.limits == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("verbs", ["everything"]),
        ("networks", "192.0.2.0/33"),
        ("networks", "office"),
        ("rate", 0),
        ("rate", -1),
        ("entities", ["x" * 256]),
        ("destinations", [str(n) for n in range(101)]),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(admin: Member, name: str, value: object) -> None:
    with pytest.raises(token_limits.LimitsInvalid) as caught:
        issue(admin, Role.ADMIN, None, **{name: value})
    assert list(caught.value.errors) == [name]
    assert not PersonalAccessToken.objects.exists()


def test_both_secrets_work_while_a_token_is_rotated(admin: Member) -> None:
    old = issue(admin, Role.ADMIN)
    part = old.token.public_part
    Identities().identify(old.text, now=NOW)
    new = tokens.rotate(part, by=admin.actor, now=NOW)

    assert token_texts.public_part(new.text) == part
    assert new.text != old.text
    later = NOW + timedelta(minutes=5)
    assert Identities().identify(old.text, now=later).token_id == Identities().identify(new.text, now=NOW).token_id
    token = PersonalAccessToken.objects.get()
    assert (token.last_used_at, token.second_used_at) == (NOW, later)
    with pytest.raises(tokens.RotationOpen):
        tokens.rotate(part, by=admin.actor, now=NOW)

    tokens.end_rotation(part, by=admin.actor, now=NOW)
    assert rejected(old.text) == "unknown"
    assert Identities().identify(new.text, now=NOW)
    with pytest.raises(PersonalAccessToken.DoesNotExist):
        tokens.end_rotation(part, by=admin.actor, now=NOW)
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"token_rotated", "token_old_secret_ended"} <= actions


def test_nobody_rotates_the_token_of_somebody_else(admin: Member, editor: Member) -> None:
    part = issue(editor, Role.EDITOR).token.public_part
    with pytest.raises(PersonalAccessToken.DoesNotExist):
        tokens.rotate(part, by=admin.actor, now=NOW)


def test_a_deleted_token_opens_nothing_with_either_secret(admin: Member) -> None:
    old = issue(admin, Role.ADMIN)
    new = tokens.rotate(old.token.public_part, by=admin.actor, now=NOW)
    tokens.revoke(old.token.public_part, by=admin.actor, now=NOW)
    assert rejected(old.text) == rejected(new.text) == "revoked"


def test_an_owner_is_told_once_a_week_before_a_token_expires(
    admin: Member, settings: Settings, mailoutbox: list[EmailMessage]
) -> None:
    settings.SENDS_EMAIL = True
    issued = issue(admin, Role.ADMIN, expires_at=LATER)
    issue(admin, Role.ADMIN, expires_at=NOW + timedelta(days=6))  # made for less than a week
    issue(admin, Role.ADMIN)
    assert token_expiries.warn(now=LATER - timedelta(days=8)) == 0

    assert token_expiries.warn(now=LATER - timedelta(days=7)) == 1
    assert token_expiries.warn(now=LATER - timedelta(days=1)) == 0
    [message] = mailoutbox
    assert message.to == [admin.user.email]
    assert issued.token.public_part in message.body
    assert issued.text not in message.body
    assert f"/o/{admin.organisation.slug}/settings/profile/tokens/" in message.body


def test_a_warning_that_the_mail_server_refused_is_sent_later(
    admin: Member, settings: Settings, mailoutbox: list[EmailMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SENDS_EMAIL = True
    issue(admin, Role.ADMIN, expires_at=LATER)
    with monkeypatch.context() as broken:
        broken.setattr(EmailMessage, "send", Mock(side_effect=OSError))
        assert token_expiries.warn(now=LATER - timedelta(days=2)) == 0
    assert token_expiries.warn(now=LATER - timedelta(days=1)) == 1
    assert len(mailoutbox) == 1
