"""Suppressions: what is deleted through the API stays deleted, whatever happens to Redis or at the same time."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from django.db import connection
from django.utils import timezone

from accounts import tokens
from accounts.actors import SYSTEM
from accounts.models import AuditEvent
from activation import erasures, handles, serving, suppressions
from activation.engine import profiles
from activation.engine.kept_out import Mark
from activation.engine.store import Store
from activation.models import Activation, DeletedProfilesPolicy, Source, Suppression
from activation.serving import ProfileId
from config.embedded import EmbeddedServer
from projects.models import Project, Warehouse, WarehouseKind
from tests.activation.conftest import connected

ID = ProfileId("email", "person@example.com")


def in_threads(*works):
    """Run each in a thread of its own, with its own database connection; raise what one of them raised."""
    errors = []

    def guarded(work):
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised again below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]


def activation_of(destination, policy, slug="customers"):
    warehouse = Warehouse.objects.create(
        organisation=destination.organisation, name=slug, kind=WarehouseKind.DUCKDB, settings={}
    )
    project = Project.objects.create(
        organisation=destination.organisation, warehouse=warehouse, output_schema="s", name=slug, slug=slug
    )
    return Activation.objects.create(project=project, destination=destination, enabled_by="x", deleted_profiles=policy)


def key_of(destination, value=ID.value):
    return f"{destination.workspace_id}:{destination.public_id}:user:email:{value}"


def digest_of(settings, key):
    return profiles.suppression_digest(next(iter(settings.SUPPRESSION_KEYS.values())), key)


def mark_of(settings, key):
    return Mark.of(next(iter(settings.SUPPRESSION_KEYS.values())), key)


def suppress(destination, by, *values):
    return suppressions.suppress(
        destination, [key_of(destination, value) for value in values or (ID.value,)], by=by, now=timezone.now()
    )


@pytest.fixture
def identity(admin):
    return tokens.identify(admin.token(), now=timezone.now())


@pytest.fixture
def delete(identity):
    def delete(destination, *ids):
        return serving.delete(
            identity, destination=destination.public_id, entity="user", ids=ids or (ID,), now=timezone.now()
        )

    return delete


@pytest.mark.django_db(transaction=True)
def test_a_reader_who_knows_a_number_never_misses_a_smaller_one(admin, destination, settings):
    expected = {mark_of(settings, key_of(destination, f"{n}-{m}")) for n in range(4) for m in range(15)}
    done = threading.Event()
    seen, numbers = set(), []

    def write(n):
        for m in range(15):
            suppress(destination, admin.actor, f"{n}-{m}")

    def read():
        last = 0
        while True:
            finished = done.is_set()
            last, marks = suppressions.since(destination.pk, last)
            numbers.append(last)
            seen.update(marks)
            if finished:
                return

    reader = threading.Thread(target=in_threads, args=(read,))
    reader.start()
    try:
        in_threads(*(lambda n=n: write(n) for n in range(4)))
    finally:
        done.set()
        reader.join(60)

    assert seen == expected
    assert numbers == sorted(numbers)


@pytest.mark.django_db(transaction=True)
def test_two_requests_for_one_person_leave_one_suppression(admin, destination):
    in_threads(*[lambda: suppress(destination, admin.actor) for _ in range(6)])
    assert Suppression.objects.filter(destination=destination).count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_suppression_is_committed_before_the_key_is_deleted(destination, delete, monkeypatch):
    seen = []

    class Spy(Store):
        def __init__(self):
            pass

        def delete(self, keys):
            in_threads(lambda: seen.append(list(Suppression.objects.values_list("deleted_at", flat=True))))
            return len(keys)

    handle = handles.get(destination.organisation_id, destination.public_id)
    monkeypatch.setattr(handles, "get", lambda *_: replace(handle, store=Spy()))

    assert delete(destination).deleted == 1
    assert seen == [[None]]


def test_a_person_deleted_again_is_deleted_again_and_suppressed_once(destination, delete, redis_client):
    for _ in range(2):
        redis_client.hset(key_of(destination), "view", "{}")
        assert delete(destination).deleted == 1
    assert Suppression.objects.count() == 1


def test_nothing_of_the_person_is_kept_once_redis_has_done_it(destination, delete, settings, redis_client):
    delete(destination)
    row = Suppression.objects.get()
    assert (row.pending_key, row.digest) == ("", digest_of(settings, key_of(destination)))
    assert row.deleted_at is not None


def test_a_delete_waits_for_a_redis_that_is_down(admin, delete, tmp_path):
    server = EmbeddedServer(tmp_path / "redis", durable=True).start()
    try:
        destination = connected(admin, server)
        with redis.Redis.from_url(server.url()) as client:
            client.hset(key_of(destination), "view", "{}")
        server.stop()

        with pytest.raises(erasures.DeletePending):
            delete(destination)

        pending = Suppression.objects.get()
        assert pending.deleted_at is None
        assert pending.pending_key
        assert ID.value not in pending.pending_key
        assert AuditEvent.objects.get(action="profiles_deleted").details["deleted"] is None
        later = timezone.now() + timedelta(minutes=1)
        assert suppressions.retry_pending(later) == 0

        server.start()
        handles.close()

        assert suppressions.retry_pending(timezone.now()) == 0, "a fresh one is left to the request that made it"
        assert suppressions.retry_pending(later) == 1
        settled = Suppression.objects.get()
        assert (settled.pending_key, settled.deleted_at) == ("", later)
        audited = AuditEvent.objects.filter(action="profiles_deleted").latest("at")
        assert (audited.actor, audited.details) == (SYSTEM, {"addressed": 1, "deleted": 1, "suppressed": 1})
        assert suppressions.retry_pending(later) == 0
    finally:
        server.stop()


def test_one_destination_that_stays_away_does_not_hold_up_the_others(
    admin, destination, redis_client, tmp_path, monkeypatch
):
    monkeypatch.setattr(suppressions, "RETRIED_AT_ONCE", 1)
    away = connected(admin, EmbeddedServer(tmp_path, port=1), name="Away")
    suppress(away, admin.actor, "one", "two")
    suppress(destination, admin.actor)

    assert suppressions.retry_pending(timezone.now() + timedelta(minutes=1)) == 1
    assert list(Suppression.objects.filter(deleted_at=None).values_list("destination", flat=True)) == [away.pk] * 2


def test_a_pending_key_that_cannot_be_decrypted_does_not_hold_up_the_others(
    admin, destination, redis_client, monkeypatch
):
    monkeypatch.setattr(suppressions, "RETRIED_AT_ONCE", 1)
    suppress(destination, admin.actor, "one", "two")
    Suppression.objects.filter(pk=Suppression.objects.earliest("sequence").pk).update(pending_key="unreadable")
    assert suppressions.retry_pending(timezone.now() + timedelta(minutes=1)) == 1


def test_no_suppression_stands_only_where_every_project_lets_profiles_return(destination, delete, redis_client):
    assert suppressions.stand(destination.pk)
    activation_of(destination, DeletedProfilesPolicy.MAY_RETURN)
    assert not suppressions.stand(destination.pk)
    redis_client.hset(key_of(destination), "view", "{}")
    assert delete(destination).deleted == 1
    assert not Suppression.objects.exists()
    activation_of(destination, DeletedProfilesPolicy.STAY_DELETED, slug="other")
    delete(destination)
    assert Suppression.objects.exists()


def test_a_lifted_suppression_is_no_longer_told_and_can_be_made_anew(admin, destination, settings):
    suppress(destination, admin.actor)
    Suppression.objects.update(lifted_at=timezone.now())
    last, marks = suppressions.since(destination.pk, 0)
    assert (last, marks) == (1, [])

    suppress(destination, admin.actor)
    assert suppressions.since(destination.pk, last)[1] == [mark_of(settings, key_of(destination))]


def test_a_rotated_key_knows_who_was_suppressed_under_the_old_one(admin, destination, settings):
    suppress(destination, admin.actor)
    settings.SUPPRESSION_KEYS = {2: b"n" * 32, **settings.SUPPRESSION_KEYS}

    suppress(destination, admin.actor)
    suppress(destination, admin.actor, "another")

    assert sorted(Suppression.objects.values_list("key_version", flat=True)) == [1, 2]
    old, new = settings.SUPPRESSION_KEYS[1], settings.SUPPRESSION_KEYS[2]
    assert suppressions.since(destination.pk, 0)[1] == [
        Mark.of(old, key_of(destination)),
        Mark.of(new, key_of(destination, "another")),
    ]


def test_the_checksum_of_a_suppressed_key_cannot_be_read_without_the_secret(admin, destination, settings):
    values = [f"{number}@example.com" for number in range(50)]
    suppress(destination, admin.actor, *values)

    stored = dict(Suppression.objects.values_list("digest", "sealed_checksum"))
    masks = {
        stored[digest_of(settings, key)] ^ profiles.key_checksum(key)
        for key in (key_of(destination, v) for v in values)
    }
    assert len(masks) == len(values), "a mask that two share gives their difference away"
    assert 0 not in masks
    assert all(0 <= sealed < 2**32 for sealed in stored.values())


def test_an_id_is_deleted_as_it_was_sent_and_as_sources_write_it(destination, delete, redis_client, settings):
    Source.objects.create(
        activation=activation_of(destination, DeletedProfilesPolicy.STAY_DELETED),
        destination=destination,
        entity="user",
        id_type="email",
        feature_view="v",
        relation="v",
        id_column="email",
        normalisation=["trim", "lower"],
    )
    redis_client.hset(key_of(destination), "view", "{}")

    deletion = delete(destination, ProfileId("email", " Person@Example.com"))

    assert (deletion.deleted, deletion.addressed) == (1, 2)
    assert mark_of(settings, key_of(destination)) in suppressions.since(destination.pk, 0)[1]
