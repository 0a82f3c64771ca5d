"""The demo: an organisation with a DuckDB warehouse of 52,000 people, synced to the embedded Redis.

`seed` is idempotent. The plaintexts that the page and the API show once are kept in `DATA_DIR/demo.json`, mode 0600.
"""

import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts import organisations, tokens
from accounts.actors import Actor
from accounts.models import Organisation, User
from accounts.roles import Role
from activation import destinations, enabling
from activation.models import Activation, RedisDestination, RunState, Source
from config import demo_warehouse, local_state
from projects import connections, projects, runs
from projects.models import Project, Warehouse, WarehouseKind

ORGANISATION = "Northwind Outdoor"
EMAIL = "admin@example.com"
PROJECT = "Customer 360"
WAREHOUSE_FILE = "demo.duckdb"
READY_WITHIN = 60.0


class OtherOrganisation(Exception):
    """The database belongs to somebody; the demo keeps out."""

    def __init__(self) -> None:
        super().__init__("This database has an organisation that is not the demo. The demo is for an empty database.")


class DemoNotReady(Exception):
    """The example did not answer in time; `up` is not running, or the sync failed."""


@dataclass(frozen=True)
class Demo:
    """What a person or a test needs to try the product."""

    password: str
    token: str
    activation: Activation

    @property
    def url(self) -> str:
        """Where `up` serves the product, also if this process began before `up` had said so."""
        return str(local_state.read(local_state.UP_FILE).get("url", settings.PUBLIC_URL))

    def facts(self) -> dict[str, Any]:
        """Return the demo as the JSON of `manage.py demo --json`."""
        destination = self.activation.destination
        entity, id_type, value = demo_warehouse.EXAMPLE
        example = {
            "entity": entity,
            "destinationId": destination.public_id,
            "id": {"type": id_type, "value": value},
        }
        kept = local_state.secrets_of_up()["destination"]
        return {
            "url": self.url,
            "email": EMAIL,
            "password": self.password,
            "token": self.token,
            "destinationId": destination.public_id,
            "workspaceId": destination.workspace_id,
            "project": self.activation.project.slug,
            "redisUrl": f"redis://:{kept['password']}@127.0.0.1:{kept['port']}/0",
            "warehouse": str(settings.DUCKDB_DIR / WAREHOUSE_FILE),
            "example": example,
            "curl": (
                f"curl -s {self.url}/v2/activation -H 'Authorization: Bearer {self.token}' "
                f"-H 'Content-Type: application/json' -d '{json.dumps(example)}'"
            ),
            "sources": [
                {
                    "entity": source.entity,
                    "idType": source.id_type,
                    "view": source.feature_view,
                    "relation": f"{self.activation.project.output_schema}.{source.relation}",
                    "idColumn": source.id_column,
                    "connectionId": source.public_id,
                }
                for source in Source.objects.filter(activation=self.activation).order_by("pk")
            ],
        }


def seed() -> Demo:
    """Make the demo, or what is missing of it; one process at a time, others wait for it.

    Raises `OtherOrganisation`, `DemoNotReady`.
    """
    with local_state.alone("demo"):
        try:
            return _seed()
        except enabling.NotReady as error:
            raise DemoNotReady(f"The demo cannot be made: {error} Press Check on the warehouse's page.") from None


def _seed() -> Demo:
    kept = local_state.read(local_state.DEMO_FILE)
    organisation = Organisation.objects.filter(public_id=kept.get("workspaceId", "")).first()
    if organisation is None and Organisation.objects.exists():
        raise OtherOrganisation
    if organisation is None:
        organisation, kept = _organisation()
    admin = User.objects.get(email=EMAIL)
    by = Actor(organisation=organisation, role=Role.ADMIN, name=admin.email, user_id=admin.pk)
    if "token" not in kept:
        issued = tokens.issue(name="Demo", role=Role.ADMIN, by=by, now=timezone.now())
        kept["token"] = issued.text
        local_state.write(local_state.DEMO_FILE, kept)
    project = Project.objects.filter(organisation=organisation).first() or _project(by)
    activation = Activation.objects.filter(project=project).first() or _activation(project, by)
    _follow_the_port(activation.destination)
    return Demo(password=kept["password"], token=kept["token"], activation=activation)


def wait_until_it_answers(demo: Demo, *, stopped: Callable[[], bool] = lambda: False) -> None:
    """Return once the API answers the example with its traits, or when `stopped` says so. Raises `DemoNotReady`."""
    example = json.dumps(demo.facts()["example"]).encode()
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        # Asked only then, for misses before the first sync would make a bad first day of the usage that pages show.
        if stopped() or (not _syncing(demo.activation) and _answers(demo, example)):
            return
        time.sleep(0.1)
    raise DemoNotReady(f"{demo.url} did not answer the example within {READY_WITHIN:g} s. Is `manage.py up` running?")


def _answers(demo: Demo, example: bytes) -> bool:
    request = urllib.request.Request(  # noqa: S310 - our own http address
        f"{demo.url}/v2/activation",
        data=example,
        headers={"Authorization": f"Bearer {demo.token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310 - our own http address
            return bool(json.load(answer)["data"])
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _syncing(activation: Activation) -> bool:
    """Tell whether a source still has no successful run, while none of its runs failed."""
    sources = Source.objects.filter(activation=activation, status=Source.Status.ACTIVE, base_run=None)
    return sources.exclude(runs__state=RunState.FAILED).exists()


def _organisation() -> tuple[Organisation, dict[str, Any]]:
    now = timezone.now()
    password = secrets.token_urlsafe(12)
    admin = User.objects.create_user(EMAIL, password, name="Demo Admin")
    organisation = organisations.create(name=ORGANISATION, founder=admin, now=now)
    kept = {"workspaceId": organisation.public_id, "password": password}
    local_state.write(local_state.DEMO_FILE, kept)
    return organisation, kept


def _project(by: Actor) -> Project:
    now = timezone.now()
    file = settings.DUCKDB_DIR / WAREHOUSE_FILE
    if not file.exists():
        demo_warehouse.build(file)
    warehouse = Warehouse.objects.filter(organisation=by.organisation).first() or connections.connect(
        organisation=by.organisation,
        name="Demo warehouse",
        kind=WarehouseKind.DUCKDB,
        settings={"file": WAREHOUSE_FILE},
        password="",
        by=by,
        now=now,
    )
    project = projects.create(
        name=PROJECT,
        warehouse=warehouse,
        output_schema=demo_warehouse.OUTPUT_SCHEMA,
        specification_text=demo_warehouse.PB_PROJECT,
        by=by,
        now=now,
    )
    projects.look_up_placements(project)
    runs.detect(project, now=now)
    for checked in (None, project):
        connections.run_check(connections.request_check(warehouse, project=checked, by=by, now=now).pk, now=now)
    return project


def _activation(project: Project, by: Actor) -> Activation:
    kept = local_state.secrets_of_up()["destination"]
    now = timezone.now()
    destination = RedisDestination.objects.filter(organisation=by.organisation).first() or destinations.create(
        name="Demo Redis",
        settings={"address": f"127.0.0.1:{kept['port']}"},
        credentials={"password": kept["password"]},
        by=by,
        now=now,
    )
    return enabling.enable(project, destination, by=by, now=now)


def _follow_the_port(destination: RedisDestination) -> None:
    """Keep the destination's address where `up` runs the embedded server."""
    address = f"127.0.0.1:{local_state.secrets_of_up()['destination']['port']}"
    if destination.settings.get("address") != address:
        destination.settings["address"] = address
        destination.version += 1
        destination.save(update_fields=["settings", "version"])
