"""Connecting, changing and deleting Redis destinations, and the handles a process keeps of them."""

import io
import threading
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from accounts import vault
from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from accounts.renewal import RENEWED_AFTER
from activation import destinations, handles
from activation.destinations import DestinationInUse, DestinationInvalid
from activation.engine.errors import DestinationMisconfigured
from activation.handle import DestinationUnavailable
from activation.handles import Handles, InvalidDestination, ServiceUnavailable
from activation.known_destinations import Found
from activation.models import Activation, RedisDestination
from projects.models import Project, Warehouse, WarehouseKind
from tests.activation.conftest import connected
from tests.threads import elsewhere

PASSWORD = "pass" + "word-of-acme"


def create(member, **changes):
    arguments = {
        "name": "Customers",
        "settings": {"address": "redis.example:6379"},
        "credentials": {"password": PASSWORD},
        "by": member.actor,
        "now": timezone.now(),
    }
    return destinations.create(**{**arguments, **changes})


def test_a_destination_gets_ids_of_its_own_and_the_organisations_workspace(admin):
    destination = create(admin)
    assert len(destination.public_id) == 27
    assert destination.workspace_id == admin.organisation.public_id
    assert destinations.settings_of(destination).password == PASSWORD


def test_the_password_is_stored_encrypted_and_audited_nowhere(admin):
    destination = create(admin)
    stored = str(RedisDestination.objects.filter(pk=destination.pk).values().get())
    audited = str(list(AuditEvent.objects.values()))
    assert PASSWORD not in stored + audited + repr(destinations.settings_of(destination))
    assert AuditEvent.objects.get(action="destination_created").target_id == destination.public_id


def test_ids_of_data_already_in_redis_are_adopted(admin):
    destination = create(admin, public_id="1WhcOCGgj9asZu850HvugU2C3Aq", workspace_id="some-workspace-id")
    assert (destination.workspace_id, destination.public_id) == ("some-workspace-id", "1WhcOCGgj9asZu850HvugU2C3Aq")


@pytest.mark.parametrize("text", [" ", "a b", "a:b", "x" * 101, "a\x00", "a\tb"])
@pytest.mark.parametrize("field", ["public_id", "workspace_id"])
def test_adopted_ids_have_no_blanks_or_colons(admin, field, text):
    with pytest.raises(DestinationInvalid) as refused:
        create(admin, **{field: text})
    assert list(refused.value.errors) == [field]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"settings": {}}, "address"),
        ({"settings": {"address": "redis.example:6379", "database": "x"}}, "database"),
        ({"settings": {"address": "redis.example:6379", "password": "x"}}, "password"),
    ],
)
def test_what_cannot_be_used_is_refused_by_field(admin, changes, field):
    with pytest.raises(DestinationInvalid) as refused:
        create(admin, **changes)
    assert list(refused.value.errors) == [field]
    assert not RedisDestination.objects.exists()


def test_names_and_ids_are_given_once_in_an_organisation_and_again_in_another(admin, outsider):
    create(admin, public_id="same")
    with pytest.raises(DestinationInvalid) as refused:
        create(admin, public_id="same")
    assert set(refused.value.errors) == {"name", "public_id"}
    assert create(outsider, public_id="same").public_id == "same"


def test_only_admins_connect_change_and_delete_destinations(admin, editor):
    destination = create(admin)
    now = timezone.now()
    for attempt in (
        lambda by: create(by, name="Another"),
        lambda by: destinations.update_credentials(destination, credentials={}, by=by.actor, now=now),
        lambda by: destinations.delete(destination, by=by.actor, now=now),
    ):
        with pytest.raises(PermissionRefused):
            attempt(editor)
        attempt(admin)


def test_new_credentials_make_a_new_version(admin):
    destination = create(admin)
    destinations.update_credentials(destination, credentials={"password": "new"}, by=admin.actor, now=timezone.now())
    assert (destination.version, destinations.settings_of(destination).password) == (2, "new")


def test_where_the_data_lies_is_not_changed_by_an_edit(admin):
    destination = create(admin)
    settings = {"address": "redis.example:6380"}
    with pytest.raises(DestinationInvalid):
        destinations.update_credentials(
            destination, credentials={}, settings=settings, by=admin.actor, now=timezone.now()
        )
    destinations.update_credentials(
        destination,
        credentials={},
        settings={"address": "redis.example:6379", "secure": True},
        by=admin.actor,
        now=timezone.now(),
    )
    assert destinations.settings_of(destination).secure


def test_a_destination_in_use_is_not_deleted(admin):
    destination = create(admin)
    warehouse = Warehouse.objects.create(
        organisation=admin.organisation, name="W", kind=WarehouseKind.DUCKDB, settings={}
    )
    project = Project.objects.create(
        organisation=admin.organisation, warehouse=warehouse, output_schema="s", name="P", slug="p"
    )
    activation = Activation.objects.create(project=project, destination=destination, enabled_by="x")
    with pytest.raises(DestinationInUse):
        destinations.delete(destination, by=admin.actor, now=timezone.now())
    activation.delete()
    destinations.delete(destination, by=admin.actor, now=timezone.now())
    assert AuditEvent.objects.filter(action="destination_deleted").count() == 1


def test_our_own_broker_cache_and_database_are_forbidden(settings):
    settings.BROKER_URL = "sentinel://:x@127.0.0.1:26379/0;sentinel://127.0.0.2:26380"
    settings.CACHE_URL = "redis://:x@127.0.0.3/1"
    forbidden = destinations.forbidden_addresses()
    assert {("127.0.0.1", 26379), ("127.0.0.2", 26380), ("127.0.0.3", 6379)} <= set(forbidden)


def test_a_destination_that_is_our_own_broker_is_never_dialled(admin, broker, db):
    destination = connected(admin, broker)
    handle = handles.get(admin.organisation.pk, destination.public_id)
    with pytest.raises(DestinationUnavailable) as refused:
        handle.read("x")
    assert refused.value.code == "address_refused"


class Stores:
    """Opens stores that only know whether they were closed."""

    def __init__(self):
        self.opened = []

    def __call__(self, destination):
        store = SimpleNamespace(closed=False)
        store.close = lambda: setattr(store, "closed", True)
        self.opened.append(store)
        return store


class Rows:
    """Our database with knobs: what it holds, and whether it answers."""

    def __init__(self):
        self.row = RedisDestination(pk=1, public_id="d", workspace_id="w", version=1)
        self.asked = 0
        self.down = False

    def __call__(self, organisation_id, public_id):
        self.asked += 1
        if self.down:
            raise OperationalError("down")
        return Found(self.row, {}) if self.row and public_id == "d" else None


@pytest.fixture
def kept(db):
    """A process's handles with a clock that stands still, a database with knobs, and stores that know little."""
    time, rows, stores = [0.0], Rows(), Stores()
    kept = Handles(clock=lambda: time[0], look_up=rows, open_store=stores)
    return SimpleNamespace(get=kept.get, known=kept.known, time=time, rows=rows, stores=stores)


def test_a_destination_is_looked_up_at_most_every_seven_tenths_of_a_second(kept):
    first = kept.get(1, "d")
    kept.time[0] = RENEWED_AFTER
    assert kept.get(1, "d") is first
    assert kept.rows.asked == 1
    kept.time[0] = 0.8
    assert kept.get(1, "d").store is first.store
    assert kept.rows.asked == 2


def test_while_one_caller_looks_a_destination_up_again_the_others_go_on_for_the_rest_of_the_second(kept):
    handle = kept.get(1, "d")
    kept.time[0] = 0.8
    assert elsewhere(lambda: kept.known(1, "d")) is None
    assert kept.known(1, "d") is kept.get(1, "d") is handle
    assert kept.rows.asked == 1
    kept.time[0] = 1.1
    assert kept.known(1, "d") is None
    kept.get(1, "d")
    kept.time[0] = 1.7
    assert kept.rows.asked == 2
    assert kept.known(1, "d") is not None


def test_a_changed_destination_gets_a_new_store_and_the_old_one_is_closed(kept):
    old = kept.get(1, "d")
    kept.rows.row.version = 2
    kept.time[0] = 2
    new = kept.get(1, "d")
    assert new.version == 2
    assert (old.store.closed, new.store.closed) == (True, False)


def test_a_deleted_destination_is_unknown_and_its_store_closed(kept):
    old = kept.get(1, "d")
    kept.rows.row = None
    kept.time[0] = 2
    with pytest.raises(InvalidDestination):
        kept.get(1, "d")
    assert old.store.closed


def test_known_destinations_are_served_without_our_database_for_a_while(kept, settings):
    settings.STALE_READS_FOR = 60
    known = kept.get(1, "d")
    kept.rows.down = True
    kept.time[0] = 60
    assert kept.get(1, "d") is known
    kept.time[0] = 60.5
    with pytest.raises(ServiceUnavailable):
        kept.get(1, "d")
    with pytest.raises(ServiceUnavailable):
        kept.get(1, "other")
    assert kept.rows.asked == 2, "a database that is down is asked once a second"
    kept.rows.down = False
    kept.time[0] = 62
    assert kept.get(1, "d").store is known.store


def test_what_is_known_without_asking_is_as_fresh_as_what_get_tells(kept, settings):
    settings.STALE_READS_FOR = 60
    assert kept.known(1, "d") is None
    handle = kept.get(1, "d")
    kept.time[0] = RENEWED_AFTER
    assert kept.known(1, "d") is handle
    assert kept.known(2, "d") is kept.known(1, "other") is None
    kept.time[0] = 1.1
    assert kept.known(1, "d") is None

    kept.rows.down = True
    kept.get(1, "d")
    assert kept.known(1, "d") is handle, "a database that is down is waited for by one caller a second"
    kept.time[0] = 2.2
    assert kept.known(1, "d") is None, "somebody must try it"
    kept.time[0] = 59.9
    kept.get(1, "d")
    assert kept.known(1, "d") is handle
    kept.time[0] = 60.1
    assert kept.known(1, "d") is None


def test_what_no_destination_can_be_called_is_not_looked_up(kept):
    for text in ("", " ", "a:b", "x" * 101, "\x00"):
        with pytest.raises(InvalidDestination):
            kept.get(1, text)
    assert kept.rows.asked == 0


def test_a_destination_that_cannot_be_opened_is_told_apart_from_an_unknown_one(db):
    def refuse(destination):
        raise DestinationMisconfigured("no", code="json_module")

    handle = Handles(look_up=Rows(), open_store=refuse).get(1, "d")
    with pytest.raises(DestinationUnavailable) as refused:
        handle.read("key")
    assert refused.value.code == "json_module"


def test_credentials_that_cannot_be_decrypted_leave_the_destination_known(admin, settings):
    destination = create(admin)
    RedisDestination.objects.update(credentials="unreadable")
    handle = handles.get(admin.organisation.pk, destination.public_id)
    assert handle.unopened == vault.SecretUnreadable.__name__


def test_many_threads_ask_our_database_once(kept):
    together = threading.Barrier(8)
    found = []

    def get():
        together.wait(10)
        found.append(kept.get(1, "d"))

    threads = [threading.Thread(target=get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert (kept.rows.asked, len(kept.stores.opened)) == (1, 1)


def test_the_command_tells_each_step_and_says_when_a_destination_is_ready(admin, redis_server, capsys):
    destination = connected(admin, redis_server)
    call_command("check_destination", destination.public_id)
    told = capsys.readouterr().out
    assert "passed" in told
    assert "failed" not in told
    assert told.endswith("Customers is ready.\n")
    assert redis_server.password not in told


def test_the_command_fails_with_the_step_that_failed(admin, outsider):
    destination = create(admin, settings={"address": "127.0.0.1:1"}, public_id="same")
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("check_destination", destination.public_id, stdout=out)
    assert "failed" in out.getvalue()
    create(outsider, public_id="same")
    with pytest.raises(CommandError, match="--organisation"):
        call_command("check_destination", "same")
    with pytest.raises(CommandError, match="no destination"):
        call_command("check_destination", "same", organisation="nowhere")


def test_while_our_database_hangs_only_one_caller_waits_for_it(settings):
    settings.STALE_READS_FOR = 60
    time, hanging, release = [0.0], threading.Event(), threading.Event()

    def look_up(organisation_id, public_id):
        if time[0] < 1:
            return Found(RedisDestination(pk=1, public_id="d", workspace_id="w", version=1), {})
        if time[0] > 2:
            hanging.set()
            release.wait(30)
        raise OperationalError("down")

    kept = Handles(clock=lambda: time[0], look_up=look_up, open_store=Stores())
    known = kept.get(1, "d")
    time[0] = 1.5
    assert kept.get(1, "d") is known
    time[0] = 3.0
    waiting = threading.Thread(target=kept.get, args=(1, "d"))
    waiting.start()
    try:
        assert hanging.wait(10)
        assert kept.get(1, "d") is known
    finally:
        release.set()
        waiting.join(10)


def test_of_two_people_who_choose_one_name_at_once_the_later_is_told(destination, admin, monkeypatch):
    other = RedisDestination.objects.create(
        organisation=admin.organisation, workspace_id=admin.organisation.public_id, name="Other"
    )
    monkeypatch.setattr(destinations, "_name_errors", lambda *_: {})  # each looked before the other had written
    with pytest.raises(destinations.DestinationInvalid, match="already has a destination called"):
        destinations.rename(other, name=destination.name, by=admin.actor, now=timezone.now())
    assert RedisDestination.objects.get(pk=other.pk).name == "Other"
