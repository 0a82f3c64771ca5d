"""Fills a server's own database with what the rows of the contract table need, and prints it as JSON.

`main` runs in a process of its own, with the server's environment: `REDIS_ADDRESS` and `REDIS_PASSWORD` name the
customer's Valkey, `CLOSED_ADDRESS` a port where nobody listens, `SILENT_ADDRESS` one where nobody answers.
"""

import json
import os
import sys
from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.utils import timezone

from accounts import members, organisations, token_limits, tokens
from accounts.actors import Actor
from accounts.models import PersonalAccessToken, User
from accounts.roles import Role
from activation import destinations
from activation.models import (
    Activation,
    DeletedProfilesPolicy,
    Deletion,
    DestinationProbe,
    RedisDestination,
    RunState,
    Source,
    SyncRun,
)
from projects import projects
from projects.models import ProfilesRun, RunOrigin, RunStatus, Warehouse, WarehouseCheck, WarehouseKind

SPECIFICATION = """
name: contract
schema_version: 88
connection: warehouse
model_folders: [models]
entities:
  - name: user
    id_types: [email]
    feature_views:
      using_ids: [{id: email, name: features_by_email}]
"""
# The known test case of the hosted writer.
ADOPTED_ID = "1WhcOCGgj9asZu850HvugU2C3Aq"


def main() -> None:
    call_command("migrate", verbosity=0)
    acme, other = founder("Acme"), founder("Other")
    colleague = members.add(email="leaver@acme.example", role=Role.ADMIN, by=acme, now=timezone.now())
    leaver = Actor(
        organisation=acme.organisation, role=Role.ADMIN, name=colleague.user.email, user_id=colleague.user_id
    )
    texts = {
        **{role.value: token(acme, role=role) for role in Role},
        "expired": token(acme, expires_at=timezone.now() - timedelta(seconds=1)),
        "revoked": token(acme, revoked_at=timezone.now()),
        "left": token(leaver),
        "limited": token(acme, limits={"entities": ["account"]}),
        **{f"only {verb}": token(acme, limits={"verbs": [verb]}) for verb in token_limits.VERBS},
        "slow": token(acme, limits={"rate": 0.001}),
        "outsider": token(other),
    }
    members.remove(colleague.public_id, by=acme, now=timezone.now())
    places = {
        "main": destination(acme, "main", os.environ["REDIS_ADDRESS"]),
        "may_return": destination(acme, "may_return", os.environ["REDIS_ADDRESS"]),
        "closed": destination(acme, "closed", os.environ["CLOSED_ADDRESS"]),
        "closed_may_return": destination(acme, "closed_may_return", os.environ["CLOSED_ADDRESS"]),
        "silent": destination(acme, "silent", os.environ["SILENT_ADDRESS"]),
        "adopted": destination(
            acme, "adopted", os.environ["REDIS_ADDRESS"], workspace_id="some-workspace-id", public_id=ADOPTED_ID
        ),
        "theirs": destination(other, "theirs", os.environ["REDIS_ADDRESS"]),
        # What calls made up by tests may change; no row of the table needs it.
        "managed": destination(acme, "managed", os.environ["REDIS_ADDRESS"]),
    }
    synced, *_ = (let_profiles_return(acme, places[name]) for name in ("managed", "may_return", "closed_may_return"))
    json.dump(
        {
            "tokens": texts,
            "destinations": {name: [place.workspace_id, place.public_id] for name, place in places.items()},
            "things": things_of(synced, acme),
        },
        sys.stdout,
    )


def founder(name: str) -> Actor:
    user = User.objects.create_user(f"founder@{name.lower()}.example")
    organisation = organisations.create(name=name, founder=user, now=timezone.now())
    return Actor(organisation=organisation, role=Role.ADMIN, name=user.email, user_id=user.pk)


def token(by: Actor, *, role: Role = Role.ADMIN, **changes: object) -> str:
    """Issue a token; `changes` are written past the use case, which would refuse some of them."""
    issued = tokens.issue(name="A token", role=role, by=by, now=timezone.now())
    PersonalAccessToken.objects.filter(pk=issued.token.pk).update(**changes, name="A token")
    return issued.text


def destination(by: Actor, name: str, address: str, **adopted: Any) -> RedisDestination:
    return destinations.create(
        name=name,
        settings={"address": address},
        credentials={"password": os.environ["REDIS_PASSWORD"]},
        by=by,
        now=timezone.now(),
        **adopted,
    )


def things_of(synced: Activation, by: Actor) -> dict[str, str]:
    """Make one of everything that has an id in the API; returns the ids by their names in the OpenAPI document."""
    source = Source.objects.create(
        activation=synced,
        destination=synced.destination,
        entity="user",
        id_type="email",
        feature_view="features_by_email",
    )
    run = SyncRun.objects.create(
        source=source, trigger=SyncRun.Trigger.API, state=RunState.SUCCEEDED, finished_at=timezone.now()
    )
    project = synced.project
    profiles_run = ProfilesRun.objects.create(
        project=project,
        status=RunStatus.FINISHED,
        origin=RunOrigin.API,
        reference="nightly",
        finished_at=timezone.now(),
    )
    warehouse = project.warehouse
    check = WarehouseCheck.objects.create(warehouse=warehouse, requested_by=by.name)
    probe = DestinationProbe.objects.create(
        organisation=project.organisation,
        purpose=DestinationProbe.Purpose.TRY,
        settings={"address": os.environ["CLOSED_ADDRESS"]},
        requested_by=by.name,
    )
    deletion = Deletion.objects.create(
        destination=synced.destination,
        entity="user",
        state=Deletion.State.FINISHED,
        missed=[
            {"source": source.public_id, "id_type": "email", "view": "v", "code": "no_main_id", "message": "None."}
        ],
        requested_by="seed",
        finished_at=timezone.now(),
    )
    return {
        "deletionId": deletion.public_id,
        "warehouseId": warehouse.public_id,
        "checkId": check.public_id,
        "probeId": probe.public_id,
        "destinationId": synced.destination.public_id,
        "connectionId": source.public_id,
        "syncId": run.public_id,
        "projectId": project.public_id,
        "profilesId": project.public_id,
        "runId": profiles_run.public_id,
    }


def let_profiles_return(by: Actor, place: RedisDestination) -> Activation:
    warehouse = Warehouse.objects.create(
        organisation=place.organisation, name=place.name, kind=WarehouseKind.DUCKDB, settings={}
    )
    project = projects.create(
        name=place.name.replace("_", " "),
        warehouse=warehouse,
        output_schema="profiles",
        specification_text=SPECIFICATION,
        by=by,
        now=timezone.now(),
    )
    return Activation.objects.create(
        project=project,
        destination=place,
        enabled_by="seed",
        deleted_profiles=DeletedProfilesPolicy.MAY_RETURN,
    )
