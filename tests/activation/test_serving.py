"""Reading and deleting through `activation.serving`, against a real Valkey."""

import pytest
from django.utils import timezone
from prometheus_client import REGISTRY

from accounts import tokens
from accounts.models import AuditEvent
from accounts.roles import Role
from activation import handles, serving, suppressions
from activation.models import DeletedProfilesPolicy, Source, Suppression
from activation.serving import ProfileId
from tests.activation.conftest import connected
from tests.activation.test_suppressions import activation_of

EMAIL = ProfileId("email", "person@example.com")


def identity(member, role=None):
    return tokens.identify(member.token(role), now=timezone.now(), address="192.0.2.1")


@pytest.fixture
def token(admin):
    return identity(admin)


def key_of(destination, profile_id=EMAIL, entity="user"):
    return f"{destination.workspace_id}:{destination.public_id}:{entity}:{profile_id.type}:{profile_id.value}"


def read(token, destination, entity="user", profile_id=EMAIL):
    return serving.read(token, destination=destination.public_id, entity=entity, id=profile_id)


def delete(token, destination, *ids, entity="user"):
    return serving.delete(
        token, destination=destination.public_id, entity=entity, ids=ids or (EMAIL,), now=timezone.now()
    )


def test_a_profile_is_read_byte_for_byte_in_the_order_of_redis(token, destination, redis_client):
    texts = {
        "WEB_PERSONALIZATION:FEATURES_BY_ANON": '{"b": 1.10,  "a": 1e5, "big": 123456789012345678901234567890}',
        "features_by_email": '{"PLAN":null,"NAME":"Ä\\u00e4"}',
        "another": '{"x":1E400,"lone":"\\ud800"}',
    }
    redis_client.hset(key_of(destination), mapping=texts)

    profile = read(token, destination)

    assert [(name, value.decode()) for name, value in profile.features.items()] == list(texts.items())
    assert profile.invalid == ()


def test_an_id_is_looked_up_as_the_sources_write_it(token, destination, redis_client):
    """Each source in its own way; before the first sync after a change of it, as the ids came."""
    sent = ProfileId("email", " Person@Example.com")
    redis_client.hset(key_of(destination, sent), "as_it_came", "{}")
    assert list(read(token, destination, profile_id=sent).features) == ["as_it_came"]
    activation = activation_of(destination, DeletedProfilesPolicy.STAY_DELETED)
    for view, steps in (("trimmed", ["trim"]), ("lowered", ["trim", "lower"])):
        Source.objects.create(
            activation=activation,
            destination=destination,
            entity="user",
            id_type="email",
            feature_view=view,
            normalisation=steps,
        )
    handles.close()
    assert list(read(token, destination, profile_id=sent).features) == ["as_it_came"]

    redis_client.hset(key_of(destination, ProfileId("email", "Person@Example.com")), "trimmed", "{}")
    redis_client.hset(key_of(destination, ProfileId("email", "person@example.com")), "lowered", "{}")

    assert set(read(token, destination, profile_id=sent).features) == {"trimmed", "lowered"}


def test_what_is_not_json_is_left_out_named_and_counted(token, destination, redis_client):
    invalid = {"nan": '{"a":NaN}', "cut": '{"a":', "empty": "", "raw": b"\xff\xfe"}
    redis_client.hset(key_of(destination), mapping={"good": "{}", **invalid})
    counted = REGISTRY.get_sample_value("activation_invalid_values_total") or 0

    profile = read(token, destination)

    assert dict(profile.features) == {"good": b"{}"}
    assert set(profile.invalid) == set(invalid)
    assert REGISTRY.get_sample_value("activation_invalid_values_total") == counted + len(invalid)


def test_a_person_redis_does_not_know_has_no_features(token, destination, redis_client):
    assert read(token, destination).features == {}


def test_a_key_of_another_kind_holds_no_profile(token, destination, redis_client):
    redis_client.set(key_of(destination), "a string")
    assert read(token, destination).features == {}


def test_another_organisations_destination_is_unknown(token, outsider, redis_server):
    theirs = connected(outsider, redis_server)
    assert read(identity(outsider), theirs).features == {}
    with pytest.raises(handles.InvalidDestination):
        read(token, theirs)


@pytest.mark.parametrize("role", [Role.EDITOR, Role.VIEWER])
def test_a_weaker_token_may_neither_read_nor_delete(admin, destination, redis_client, role):
    weak = identity(admin, role)
    redis_client.hset(key_of(destination), "view", "{}")
    with pytest.raises(serving.AccessRefused):
        read(weak, destination)
    with pytest.raises(serving.AccessRefused):
        delete(weak, destination)
    assert redis_client.exists(key_of(destination))


def test_a_limited_token_keeps_to_its_limits_and_to_names_that_sources_declare(token, destination, redis_client):
    for limits in (
        {"verbs": ["delete"]},
        {"destinations": ["other"]},
        {"entities": ["account"]},
        {"entities": ["user"]},
        {"new": 1},
    ):
        object.__setattr__(token, "limits", limits)
        with pytest.raises(serving.AccessRefused):
            read(token, destination)


def test_a_delete_suppresses_and_counts_each_key_once(token, destination, redis_client):
    other = ProfileId("email", "nobody@example.com")
    redis_client.hset(key_of(destination), "view", "{}")

    deletion = delete(token, destination, EMAIL, other, EMAIL)

    assert (deletion.deleted, deletion.addressed) == (1, 2)
    assert not redis_client.exists(key_of(destination))
    rows = Suppression.objects.filter(destination=destination)
    assert {(row.pending_key, row.deleted_at is not None) for row in rows} == {("", True)}
    assert len(suppressions.since(destination.pk, 0)[1]) == 2


def test_a_delete_leaves_an_audit_row_with_counts_and_no_id(token, destination, redis_client):
    delete(token, destination)

    row = AuditEvent.objects.get(action="profiles_deleted")
    assert row.details == {"addressed": 1, "deleted": 0, "suppressed": 1}
    assert (row.actor, row.address, row.target_id) == (token.actor.name, "192.0.2.1", destination.public_id)
    assert EMAIL.value not in str(row.__dict__)
