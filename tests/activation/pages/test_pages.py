"""The activation pages as a browser without JavaScript uses them: what each role sees, does, and is refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from activation import probes
from activation.models import Activation, DestinationProbe, RedisDestination, RunState, Source, SyncPartition, SyncRun
from activation.server_form import ServerForm
from config.embedded import EmbeddedServer
from projects.models import CheckState, Project, WarehouseCheck
from tests.cast import Member

WRONG = "not-the-" + "password"
SECRET_FREE = "Kept encrypted, never shown"


def address(name: str, project: Project, **more: str) -> str:
    return reverse(f"activation:{name}", kwargs={"organisation": "acme", "project": project.slug, **more})


def text(response: Any) -> str:
    """Return a page's markup in one line, without the places where a name may go on in the next one."""
    return " ".join(response.content.decode().replace("<wbr>", "").split())


@pytest.fixture
def typed(redis_server: EmbeddedServer) -> dict[str, str]:
    """What a person types to connect the server."""
    return {"use": "new", "address": redis_server.address, "password": redis_server.password}


@pytest.fixture
def connect(admin: Member, project: Project) -> Callable[[dict[str, str]], str]:
    """Send the form, let a worker run the test, and return the address of the page that shows it."""

    def send(form: dict[str, str]) -> str:
        response = admin.client.post(address("enable", project), form)
        assert response.status_code == 303, text(response)
        probes.run(DestinationProbe.objects.latest("pk").pk, now=timezone.now())
        return str(response["Location"])

    return send


# The switch


def test_a_bare_project_shows_what_is_missing_with_the_yaml_to_add_and_no_way_to_turn_it_on(bare_project, admin):
    page = text(admin.client.get(address("settings", bare_project)))
    assert 'role="switch" aria-checked="false"' in page
    assert 'id="switch-' in page
    assert " disabled></button>" in page
    assert "using_ids" in page
    assert "- id: salesforce_id" in page
    assert "A successful Profiles run" in page
    assert "Check now" in page


def test_whoever_is_not_ready_is_led_back_from_the_form(bare_project, admin):
    response = admin.client.get(address("enable", bare_project))
    assert (response.status_code, response.url) == (303, address("settings", bare_project))


def test_a_ready_project_offers_the_switch_to_admins_only(project, admin, editor):
    assert " disabled></button>" not in text(admin.client.get(address("settings", project)))
    page = text(editor.client.get(address("settings", project)))
    assert " disabled></button>" in page
    assert "Only Admins of your organisation can turn it on." in page


def test_check_now_queues_a_check_and_the_page_goes_on_by_itself(bare_project, admin):
    response = admin.client.post(address("check", bare_project))
    assert response.status_code == 303
    check = WarehouseCheck.objects.get()
    assert (check.state, check.project) == (CheckState.QUEUED, bare_project)
    page = text(admin.client.get(response.url))
    assert "Being checked now." in page
    assert 'hx-trigger="every 2s"' in page
    assert "Reload to see how far it is" in page


def test_htmx_gets_the_state_alone(activation, project, admin):
    response = admin.client.get(address("settings", project), headers={"HX-Request": "true"})
    assert "<html" not in text(response)
    assert 'id="switch-state"' in text(response)
    assert "HX-Request" in response["Vary"]


# Connecting a Redis


def test_the_form_leads_through_the_test_to_a_running_sync(project, admin, typed, connect):
    assert admin.client.get(address("enable", project)).status_code == 200
    watched = admin.client.get(connect(typed), follow=True)

    assert watched.redirect_chain == [(address("settings", project), 303)]
    destination = RedisDestination.objects.get()
    assert destination.name == "Customer 360 Redis"
    page = text(watched)
    assert 'aria-checked="true"' in page
    assert destination.public_id in page
    assert "Redis is connected and the sync is on." in page
    assert "features_by_email" in page
    assert "Waiting for a worker" in page
    assert "Generate a token" in page
    assert SyncRun.objects.count() == 2


def test_while_the_test_runs_its_page_shows_the_steps_so_far_and_asks_again(project, admin, typed):
    response = admin.client.post(address("enable", project), typed)
    DestinationProbe.objects.update(
        state=DestinationProbe.State.RUNNING,
        steps=[{"name": "Name resolution", "state": "passed", "message": "", "cure": ""}],
    )
    page = text(admin.client.get(response.url))
    assert "Name resolution" in page
    assert 'hx-trigger="every 1s"' in page
    fragment = admin.client.get(response.url, headers={"HX-Request": "true"})
    assert "<html" not in text(fragment)


def test_htmx_is_sent_on_once_the_test_has_ended(project, admin, typed, connect):
    failed = connect({**typed, "password": WRONG})
    assert admin.client.get(failed, headers={"HX-Request": "true"})["HX-Redirect"] == failed
    passed = connect(typed)
    answer = admin.client.get(passed, headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == address("settings", project)


def test_a_failed_test_names_the_step_and_keeps_what_was_typed_but_the_secret(project, admin, typed, connect):
    failed = connect({**typed, "password": WRONG, "username": "app", "name": "Mine"})
    page = text(admin.client.get(failed))
    assert "The connection test failed" in page
    assert "Nothing was saved." in page
    assert f'<form method="post" action="{address("enable", project)}"' in page
    assert f'value="{typed["address"]}"' in page
    assert 'value="app"' in page
    assert 'value="Mine"' in page
    assert "A value is set. Leave this empty to keep it." in page
    assert WRONG not in page
    assert not RedisDestination.objects.exists()


def test_a_failed_test_is_corrected_without_typing_the_password_again(project, admin, typed, connect):
    connect({**typed, "username": "nobody"})
    earlier = DestinationProbe.objects.get()
    assert earlier.state == DestinationProbe.State.FAILED
    connect({"use": "new", "address": typed["address"], "password": "", "earlier": earlier.public_id})
    assert Activation.objects.get().enabled


def test_a_kept_password_goes_to_no_other_server(project, admin, typed, connect):
    connect({**typed, "username": "nobody"})
    earlier = DestinationProbe.objects.get()
    elsewhere = {"use": "new", "address": "elsewhere.example:6379", "password": "", "earlier": earlier.public_id}
    response = admin.client.post(address("enable", project), elsewhere)
    assert response.status_code == 422
    assert "Enter the password again, because you changed the address." in text(response)
    assert DestinationProbe.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"address": ""}, "Address</a>: This field is required."),
        (
            {"address": "redis.example.com:6379, b.example.com:6379"},
            "Several addresses are for Cluster Mode or a Sentinel service.",
        ),
        ({"database": "x"}, "Database</a>: Enter a whole number."),
        ({"username": "app", "password": ""}, "An ACL user needs a password."),
        ({"secure": "on", "caCertificate": "nonsense"}, "The CA certificate is not readable."),
        ({"public_id": "a:b"}, "An id has 1 to 100 characters and no blanks or colons."),
        ({"workspace_id": "a b"}, "An id has 1 to 100 characters and no blanks or colons."),
    ],
)
def test_what_needs_no_connection_to_be_wrong_is_said_at_its_field(project, admin, typed, wrong, message):
    response = admin.client.post(address("enable", project), {**typed, **wrong})
    assert response.status_code == 422
    assert message in text(response)
    assert "There is a problem" in text(response)
    assert typed["password"] not in text(response)
    assert not DestinationProbe.objects.exists()


def test_a_client_key_is_not_put_back_into_the_page_and_goes_to_no_other_server(project, admin, typed, connect):
    key = "-----BEGIN " + "PRIVATE KEY-----typed"
    wrong = {**typed, "secure": "on", "clientCertificate": "nonsense", "clientKey": key}
    response = admin.client.post(address("enable", project), wrong)
    assert "The client certificate is not readable." in text(response)
    assert key not in text(response)

    form = ServerForm({"address": "elsewhere.example:6379"}, kept={"clientKey": key}, kept_for=typed["address"])
    assert form.errors == {"clientKey": ["Enter the client key again, because you changed the address."]}
    assert key not in form.as_p()


def test_too_many_tests_are_refused_in_words(project, admin, typed):
    for _ in range(probes.MOST_IN_FIVE_MINUTES):
        admin.client.post(address("enable", project), typed)
    response = admin.client.post(address("enable", project), typed)
    assert response.status_code == 422
    assert "Wait a little, then try again." in text(response)


def test_a_destination_of_ours_is_used_at_once(project, admin, destination):
    page = text(admin.client.get(address("enable", project)))
    assert "Use a destination of ours" in page
    response = admin.client.post(
        address("enable", project), {"use": "existing", "destination": destination.public_id}, follow=True
    )
    assert response.redirect_chain == [(address("settings", project), 303)]
    assert Activation.objects.get().destination == destination
    assert "In step" not in text(response)


def test_a_destination_of_others_is_no_choice(project, admin, outsider, redis_server):
    from tests.activation.conftest import connected

    theirs = connected(outsider, redis_server, name="Theirs")
    response = admin.client.post(address("enable", project), {"use": "existing", "destination": theirs.public_id})
    assert response.status_code == 422
    assert not Activation.objects.exists()


# On


def test_turning_off_asks_first_and_keeps_what_is_served(activation, project, admin):
    page = text(admin.client.get(address("disable", project)))
    assert "Yes, turn off" in page
    assert Activation.objects.get().enabled
    page = text(admin.client.post(address("disable", project), follow=True))
    assert "The profiles in Redis are still served." in page
    assert 'aria-checked="false"' in page
    assert not Activation.objects.get().enabled

    page = text(admin.client.get(address("enable", project)))
    assert "This project's profiles are in" in page
    admin.client.post(address("enable", project), {"use": "existing", "destination": activation.destination.public_id})
    assert Activation.objects.get().enabled


def test_the_worst_source_decides_the_state_of_the_whole(activation, project, viewer):
    SyncRun.objects.update(state=RunState.SUCCEEDED)
    assert "In step" in text(viewer.client.get(address("settings", project)))
    run = SyncRun.objects.latest("pk")
    SyncRun.objects.filter(pk=run.pk).update(state=RunState.FAILED, error="The user may not read it.")
    page = text(viewer.client.get(address("settings", project)))
    assert "A sync failed" in page
    assert "The user may not read it." in page


# Destinations


def test_without_destinations_the_list_says_how_to_get_one(viewer):
    page = text(viewer.client.get(reverse("activation:destinations", args=["acme"])))
    assert "No destinations yet" in page


def test_a_destination_shows_its_ids_and_no_secret(activation, destination, viewer, redis_server):
    page = text(viewer.client.get(reverse("activation:destination", args=["acme", destination.public_id])))
    assert f'data-copy="{destination.public_id}"' in page
    assert destination.workspace_id in page
    assert SECRET_FREE in page
    assert redis_server.password not in page
    listed = text(viewer.client.get(reverse("activation:destinations", args=["acme"])))
    assert "Customer 360" in listed
    sources = reverse("activation:destination_sources", args=["acme", destination.public_id])
    assert "features_by_salesforce_id" in text(viewer.client.get(sources))


def test_an_adopted_id_may_look_like_anything(admin, redis_server):
    from tests.activation.conftest import connected

    odd = connected(admin, redis_server, public_id="a/b?c#d%é", name="Odd")
    response = admin.client.get(reverse("activation:destination", args=["acme", odd.public_id]))
    assert response.status_code == 200
    assert "a/b?c#d%é" in text(response)


# Runs


@pytest.fixture
def run(activation: Activation) -> SyncRun:
    """A run that loads, with a partition of which some rows failed."""
    found = SyncRun.objects.get(source__id_type="email")
    now = timezone.now()
    SyncRun.objects.filter(pk=found.pk).update(
        state=RunState.LOADING, snapshot_at=now, loading_at=now, rows_in_view=120, rows_planned=100
    )
    SyncPartition.objects.create(
        run=found, number=0, rows_planned=100, written=60, failed=2, failures={"wrong_type": 2}, attempt=3
    )
    return SyncRun.objects.get(pk=found.pk)


def run_address(run: SyncRun) -> str:
    return reverse("activation:run", args=["acme", run.public_id])


def test_a_run_under_way_shows_how_far_it_is_and_asks_again(run, viewer):
    page = text(viewer.client.get(run_address(run)))
    assert "Loading" in page
    assert "62 %" in page
    assert 'hx-trigger="every 1s"' in page
    assert "The key holds something other than a hash" in page
    assert "Partitions (1)" in page
    fragment = viewer.client.get(run_address(run), headers={"HX-Request": "true"})
    assert "<html" not in text(fragment)


def test_a_failed_run_says_what_happened_and_what_to_do(run, viewer):
    SyncRun.objects.filter(pk=run.pk).update(
        state=RunState.FAILED, error="The user may not read profiles.people.", error_code="grant_missing"
    )
    page = text(viewer.client.get(run_address(run)))
    assert "The user may not read profiles.people." in page
    assert "Run the grants SQL shown for this warehouse. Then press Sync Now." in page
    assert "hx-get" not in page


def test_a_source_lists_its_runs(run, viewer):
    page = text(viewer.client.get(reverse("activation:source", args=["acme", run.source.public_id])))
    assert run_address(run) in page
    assert "Sync was turned on" in page
    assert run.source.public_id in page


# Who may


def _pages(project: Project, run: SyncRun, destination: RedisDestination) -> dict[str, tuple[str, str]]:
    """Every address with the weakest role it is for."""
    probe = DestinationProbe.objects.create(organisation=project.organisation, project=project, name="x")
    return {
        address("settings", project): ("get", "viewer"),
        reverse("activation:destinations", args=["acme"]): ("get", "viewer"),
        reverse("activation:destination", args=["acme", destination.public_id]): ("get", "viewer"),
        reverse("activation:destination_sources", args=["acme", destination.public_id]): ("get", "viewer"),
        reverse("activation:source", args=["acme", run.source.public_id]): ("get", "viewer"),
        run_address(run): ("get", "viewer"),
        address("sync", project): ("post", "editor"),
        address("check", project): ("post", "admin"),
        address("enable", project): ("get", "admin"),
        address("disable", project): ("get", "admin"),
        address("probe", project, probe=probe.public_id): ("get", "admin"),
    }


def test_each_page_is_for_its_role_and_no_weaker_one(project, run, destination, admin, editor, viewer):
    members = {"viewer": viewer, "editor": editor, "admin": admin}
    strength = list(members)
    for url, (method, weakest) in _pages(project, run, destination).items():
        for role, member in members.items():
            answer = getattr(member.client, method)(url)
            allowed = strength.index(role) >= strength.index(weakest)
            assert (answer.status_code == 403) is not allowed, (url, role)
            assert answer.status_code in ({200, 303} if allowed else {403}), (url, role)


def test_no_page_is_there_for_strangers_and_members_of_other_organisations(
    project, run, destination, outsider: Member, stranger: Client
):
    for url, (method, _) in _pages(project, run, destination).items():
        assert getattr(outsider.client, method)(url).status_code == 404, url
        assert getattr(stranger, method)(url)["Location"].startswith("/account/login/"), url


def test_ids_of_other_organisations_are_not_found_under_ones_own(run, destination, outsider: Member):
    for name, public_id in (
        ("run", run.public_id),
        ("source", run.source.public_id),
        ("destination", destination.public_id),
    ):
        url = reverse(f"activation:{name}", args=[outsider.organisation.slug, public_id])
        assert outsider.client.get(url).status_code == 404, name


def test_a_test_of_another_project_is_not_shown_under_this_one(project, bare_project, admin, typed: dict[str, Any]):
    admin.client.post(address("enable", project), typed)
    probe = DestinationProbe.objects.get()
    assert admin.client.get(address("probe", bare_project, probe=probe.public_id)).status_code == 404
    assert json.dumps(probe.settings).find(typed["password"]) == -1
    assert Source.objects.count() == 0
