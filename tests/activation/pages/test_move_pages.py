"""A destination's page *Move*: the place is typed and tested, the move watched, cancelled, helped on or left."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from activation import move_pages, move_steps, moves, probes
from activation.models import (
    Activation,
    DestinationMove,
    DestinationProbe,
    RedisDestination,
    RunState,
    Source,
    SyncRun,
)
from activation.place_forms import MoveForm
from config.embedded import EmbeddedServer

WRONG = "not-the-" + "password"


def text(response) -> str:
    return " ".join(response.content.decode().split())


@pytest.fixture
def destination(activation: Activation) -> RedisDestination:
    return activation.destination


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("elsewhere")) as server:
        yield server


def address(destination: RedisDestination, name: str = "move", *args: str) -> str:
    return reverse(f"activation:{name}", args=["acme", destination.public_id, *args])


def place(server: EmbeddedServer, **wanted: str) -> dict[str, str]:
    return {"address": server.address, "password": server.password, **wanted}


@pytest.fixture
def move(destination, elsewhere, admin) -> DestinationMove:
    """A move whose first step was taken: a full sync of each source is queued at the new place."""
    begun = moves.start(
        destination,
        settings={"address": elsewhere.address},
        credentials={"password": elsewhere.password},
        by=admin.actor,
        now=timezone.now(),
    )
    move_steps.carry_on(now=timezone.now())
    return begun


def fail(source_at: Source, **wanted: object) -> SyncRun:
    """Let the newest run of a source fail."""
    run = SyncRun.objects.filter(source=source_at).latest("pk")
    details = {"state": RunState.FAILED, "error": "Redis refused the password.", "finished_at": timezone.now()}
    SyncRun.objects.filter(pk=run.pk).update(**{**details, **wanted})
    return run


def test_a_place_that_passes_its_test_is_what_the_destination_moves_to(destination, elsewhere, admin):
    page = text(admin.client.get(address(destination)))
    assert "What happens" in page
    assert "Last move" not in page

    answer = admin.client.post(address(destination), place(elsewhere))
    probe = DestinationProbe.objects.get()
    assert (answer.status_code, answer.url) == (303, address(destination, "move_probe", probe.public_id))
    assert (probe.purpose, probe.destination) == ("move", destination)
    assert "Waiting for a worker" in text(admin.client.get(answer.url))

    probes.run(probe.pk, now=timezone.now())
    page = text(admin.client.get(answer.url, follow=True))

    begun = DestinationMove.objects.get()
    assert (begun.state, begun.target) == ("loading", elsewhere.address)
    assert "the move has begun" in page
    assert f"Full syncs fill {elsewhere.address}." in page
    assert 'hx-trigger="every 2s"' in page
    assert elsewhere.password not in page
    assert elsewhere.password not in str(list(AuditEvent.objects.values_list("details", flat=True)))


def test_a_place_that_fails_its_test_can_be_corrected_without_typing_the_secrets_again(destination, elsewhere, admin):
    wrong = place(elsewhere, password=WRONG, username="nobody", secure="")
    watched = admin.client.post(address(destination), wrong).url
    probe = DestinationProbe.objects.get()
    probes.run(probe.pk, now=timezone.now())

    fragment = admin.client.get(watched, headers={"HX-Request": "true"})
    assert fragment.headers["HX-Redirect"] == watched
    page = text(admin.client.get(watched))
    assert "The connection test failed" in page
    assert "press Test and move again" in page
    assert WRONG not in page
    assert f'value="{elsewhere.address}"' in page
    assert 'value="nobody"' in page
    assert not DestinationMove.objects.exists()

    again = {"address": elsewhere.address, "password": "", "username": "nobody", "earlier": probe.public_id}
    assert admin.client.post(address(destination), again).status_code == 303
    assert probes.typed_secrets(DestinationProbe.objects.latest("pk")) == {"password": WRONG}

    other = {**again, "address": "other.example.com:6379"}
    assert "because you changed the address" in text(admin.client.post(address(destination), other))


def test_what_was_kept_for_one_server_is_used_for_no_other(destination):
    kept = {"caCertificate": "PEM", "clientCertificate": "PEM"}
    for server, used in (("one.example.com:6379", kept), ("two.example.com:6379", {})):
        form = MoveForm({"address": server}, destination=destination, kept=kept, kept_for="one.example.com:6379")
        assert form.is_valid()
        assert form.plain()[1] == used


def test_what_needs_no_connection_to_be_seen_as_wrong_is_said_at_once(destination, redis_server, admin):
    for typed, words in (
        ({}, "This field is required."),
        ({"address": "nowhere"}, "port"),
        (place(redis_server), "The profiles are in this place already."),
    ):
        answer = admin.client.post(address(destination), typed)
        assert answer.status_code == 422
        assert words in text(answer)
        assert 'id="id_address_error"' in text(answer)
    assert not DestinationProbe.objects.exists()


def test_sources_that_stand_in_the_way_are_named_before_anything_is_typed(destination, elsewhere, admin):
    Activation.objects.update(enabled=False)
    assert "The sync of Customer 360 is off" in text(admin.client.get(address(destination)))
    answer = admin.client.post(address(destination), place(elsewhere))
    assert (answer.status_code, DestinationProbe.objects.count()) == (422, 0)


def test_a_viewer_sees_where_a_move_is_and_nothing_to_press(destination, move, viewer):
    page = text(viewer.client.get(address(destination)))
    for words in (move.origin, move.target, "Loading into the new place", "features_by_email", "Loading"):
        assert words in page
    for words in ("Cancel the move", "Try again", "Leave what is there"):
        assert words not in page
    assert viewer.client.post(address(destination), {}).status_code == 403


def test_before_a_move_a_viewer_reads_what_it_is_and_gets_no_form(destination, viewer):
    page = text(viewer.client.get(address(destination)))
    assert "Only Admins of your organisation can move it." in page
    assert "<form" not in page.split("<main")[1]


def test_each_source_is_shown_with_its_sync(destination, move, admin):
    [first, second] = moves.others_of(move)
    run = SyncRun.objects.get(source=first)
    SyncRun.objects.filter(pk=run.pk).update(state=RunState.LOADING, rows_planned=2_000_000)
    run.partitions.create(number=0, rows_planned=2_000_000, written=500_000)
    fail(second)

    page = text(admin.client.get(address(destination), headers={"HX-Request": "true"}))

    assert "<h1" not in page
    assert reverse("activation:run", args=["acme", run.public_id]) in page
    assert reverse("activation:source", args=["acme", first.served.public_id]) in page
    assert first.public_id not in page
    assert "25 %" in page
    assert '<progress value="500000" max="2000000"' in page
    assert "A sync failed" in page
    assert "Redis refused the password." in page


def test_what_failed_is_tried_again_from_the_page(destination, move, admin, editor):
    fail(moves.others_of(move)[0])
    assert 'id="try-again"' in text(admin.client.get(address(destination)))
    assert editor.client.post(address(destination, "move_try_again")).status_code == 403

    assert admin.client.post(address(destination, "move_try_again")).status_code == 303

    assert SyncRun.objects.filter(trigger="move").count() == 3
    assert 'id="try-again"' not in text(admin.client.get(address(destination)))
    again = admin.client.post(address(destination, "move_try_again"), follow=True)
    assert "The move has gone on meanwhile." in text(again)


def test_a_sync_that_the_guard_stopped_is_shown_as_one_to_decide_about(destination, move, admin):
    run = fail(moves.others_of(move)[0], error_code="needs_confirmation")
    page = text(admin.client.get(address(destination)))
    assert "Needs confirmation" in page
    decide = text(admin.client.get(reverse("activation:run", args=["acme", run.public_id])))
    confirm = reverse("activation:confirm", args=["acme", run.public_id])
    assert confirm in decide
    assert "press Try again on the page of the move" in text(admin.client.get(confirm))


def test_a_move_is_cancelled_after_being_asked(destination, move, admin):
    assert "Cancel the move?" in text(admin.client.get(address(destination, "move_cancel")))
    move.refresh_from_db()
    assert move.state == "loading"

    answer = admin.client.post(address(destination, "move_cancel"))

    assert (answer.status_code, answer.url) == (303, address(destination))
    move.refresh_from_db()
    assert move.state == "cancelling"
    page = text(admin.client.get(address(destination)))
    assert f"Applications go on reading from {move.origin}." in page
    assert 'id="cancel-move"' not in page
    again = admin.client.post(address(destination, "move_cancel"), follow=True)
    assert "The move has gone on meanwhile." in text(again)
    assert AuditEvent.objects.filter(action="destination_move_cancelled").count() == 1


def test_what_cannot_be_removed_is_left_after_being_told_what_that_means(destination, move, admin):
    too_early = admin.client.get(address(destination, "move_leave"), follow=True)
    assert "The move has gone on meanwhile." in text(too_early)
    DestinationMove.objects.update(state="removing", switched_at=timezone.now())
    page = text(admin.client.get(address(destination)))
    assert 'id="leave"' in page
    assert "is removed once no process can read it any more, 1 min 5 s after the switch." in page
    DestinationMove.objects.update(switched_at=timezone.now() - timedelta(minutes=2))
    assert f"What our syncs wrote to {move.origin} is being removed." in text(admin.client.get(address(destination)))
    page = text(admin.client.get(address(destination, "move_leave")))
    assert f"Leave what is at {move.origin}?" in page
    assert "personal data that nobody looks after" in page

    page = text(admin.client.post(address(destination, "move_leave"), follow=True))

    assert "What was left there is not looked after any more." in page
    assert f"What our syncs wrote to {move.origin} is left there." in page
    assert "Ending" in page
    for button in ("leave", "try-again", "cancel-move"):
        assert f'id="{button}"' not in page
    too_late = admin.client.post(address(destination, "move_try_again"), follow=True)
    assert "The move has gone on meanwhile." in text(too_late)
    move_steps.carry_on(now=timezone.now() + timedelta(hours=1))
    move.refresh_from_db()
    assert (move.state, move.left_behind) == ("done", True)
    page = text(admin.client.get(address(destination)))
    assert "Last move" in page
    assert f"What our syncs wrote was left in {move.origin}." in page
    assert "Move again" in page


def test_an_open_page_shows_the_outcome_by_itself(destination, move, admin):
    DestinationMove.objects.update(state="done", switched_at=timezone.now(), finished_at=timezone.now())
    fragment = admin.client.get(address(destination), headers={"HX-Request": "true"})
    assert fragment.headers["HX-Refresh"] == "true"
    page = text(admin.client.get(address(destination)))
    assert f"Applications read from {move.target}." in page
    assert "every 2s" not in page


def test_the_page_names_what_a_move_waits_for(destination, move, admin):
    SyncRun.objects.filter(trigger="move").delete()
    DestinationMove.objects.update(not_before=timezone.now() + timedelta(seconds=20))
    Activation.objects.update(enabled=False)
    page = text(admin.client.get(address(destination)))
    assert page.count("The move waits") == 2
    assert f"{move.target} does not say whether it still holds what was loaded." in page

    DestinationMove.objects.update(state="removing")
    page = text(admin.client.get(address(destination)))
    assert "The warehouse cannot be reached to drop the tables" in page


def test_a_sync_of_the_other_place_says_so_and_leads_to_the_source_that_is_served(destination, move, admin):
    other = moves.others_of(move)[0]
    run = fail(other)
    page = text(admin.client.get(reverse("activation:run", args=["acme", run.public_id])))
    assert f"Sync of {other.feature_view} into the new place" in page
    assert reverse("activation:source", args=["acme", other.served.public_id]) in page
    assert other.public_id not in page
    assert address(destination) in page
    assert "Sync Now" not in page

    DestinationMove.objects.update(state="removing")
    SyncRun.objects.filter(pk=run.pk).update(kind=SyncRun.Kind.REMOVAL)
    page = text(admin.client.get(reverse("activation:run", args=["acme", run.public_id])))
    assert f"Sync of {other.feature_view} at the old place" in page
    DestinationMove.objects.update(state="cancelling")
    other = Source.every_place.get(pk=other.pk)
    assert move_pages.place_words(other, removal=True) == "at the new place"
    assert move_pages.place_words(other.served, removal=False) == ""


def test_stopping_a_sync_of_the_other_place_says_what_becomes_of_the_move(destination, move, admin):
    run = SyncRun.objects.filter(source__in=moves.others_of(move)).latest("pk")
    stop = reverse("activation:stop_run", args=["acme", run.public_id])
    assert "It is part of a move" in text(admin.client.get(stop))
    assert admin.client.post(stop).status_code == 303
    assert "Stopped" in text(admin.client.get(address(destination)))
    assert 'id="try-again"' in text(admin.client.get(address(destination)))


def test_the_destinations_pages_tell_that_it_is_being_moved(destination, move, viewer):
    for name in ("destination", "destination_sources"):
        page = text(viewer.client.get(address(destination, name)))
        assert "Being moved" in page
        assert address(destination) in page
    settings = reverse("activation:settings", args=["acme", destination.activations.get().project.slug])
    assert address(destination) in text(viewer.client.get(settings))


def test_a_test_of_another_purpose_is_not_shown_as_one_of_a_move(destination, admin):
    probe = DestinationProbe.objects.create(
        organisation=admin.organisation, destination=destination, settings={"address": "r:1"}, requested_by="Ada"
    )
    assert admin.client.get(address(destination, "move_probe", probe.public_id)).status_code == 404


def test_stop_now_of_a_project_leaves_the_syncs_of_a_move_alone(destination, move, admin):
    project = destination.activations.get().project
    admin.client.post(reverse("activation:stop", args=["acme", project.slug]))
    assert not SyncRun.objects.filter(trigger="move").exclude(state="queued").exists()
