"""One of everything that an organisation can have, for tests that walk all of its pages."""

from django.utils import timezone

from accounts import invitations
from accounts.models import Membership, PersonalAccessToken
from accounts.roles import Role
from activation.models import Activation, DestinationProbe, Preview, RedisDestination, Source, SyncRun
from config import demo_warehouse
from projects import projects
from projects.models import Project, Warehouse, WarehouseCheck, WarehouseKind
from tests.cast import Member


def one_of_everything(admin: Member, editor: Member, *, mark: str = "") -> dict[str, object]:
    """Make one of everything for the Admin's organisation; returns it by the names of the addresses' parts.

    Every name begins with `mark`, so that several can be made, and told from those of others.
    """
    now = timezone.now()
    organisation = admin.organisation
    project = _project(admin, mark)
    destination = RedisDestination.objects.create(
        organisation=organisation,
        workspace_id=organisation.public_id,
        name=f"{mark}Redis",
        settings={"address": "r:6379"},
    )
    activation = Activation.objects.create(project=project, destination=destination, enabled_by=admin.user.email)
    source = Source.objects.create(
        activation=activation, destination=destination, entity="user", id_type="email", feature_view=f"{mark}v"
    )
    run = SyncRun.objects.create(source=source, trigger=SyncRun.Trigger.PERSON)
    probe = DestinationProbe.objects.create(
        organisation=organisation, project=project, settings={"address": "r:6379"}, requested_by=admin.user.email
    )
    preview = Preview.objects.create(source=source, requested_by=admin.user.email)
    check = WarehouseCheck.objects.create(warehouse=project.warehouse, requested_by=admin.user.email, created_at=now)
    editor.token(name=f"{mark}A token")
    return {
        "organisation": organisation.slug,
        "format": "csv",
        "member": Membership.objects.get(user=editor.user).public_id,
        "invitation": invitations.invite(
            email=f"{mark.lower()}new@acme.example", role=Role.VIEWER, by=admin.actor, now=now
        ).invitation.public_id,
        "public_part": PersonalAccessToken.objects.filter(owner=editor.user).latest("pk").public_part,
        "project": project.slug,
        "entity": "user",
        "warehouse": project.warehouse.public_id,
        "kind": "duckdb",
        "check": check.public_id,
        "probe": probe.public_id,
        **_own_probes(destination),
        "destination": destination.public_id,
        "source": source.public_id,
        "run": run.public_id,
        "preview": preview.public_id,
    }


def _project(admin: Member, mark: str) -> Project:
    warehouse = Warehouse.objects.create(
        organisation=admin.organisation, name=f"{mark}Files", kind=WarehouseKind.DUCKDB, settings={"file": "a.duckdb"}
    )
    return projects.create(
        name=f"{mark}Customers",
        warehouse=warehouse,
        output_schema="profiles",
        specification_text=demo_warehouse.PB_PROJECT,
        by=admin.actor,
        now=timezone.now(),
    )


def _own_probes(destination: RedisDestination) -> dict[str, str]:
    """Make a connection test of each page of the destination that has its own; by the page's name."""
    return {
        f"activation:{purpose}_probe": DestinationProbe.objects.create(
            organisation=destination.organisation,
            destination=destination,
            purpose=purpose,
            settings={"address": "r:6379"},
            requested_by="ada@acme.example",
        ).public_id
        for purpose in ("move", "edit")
    }
