"""What there is: warehouses, Profiles projects with their specification, and Profiles runs.

Credentials are stored encrypted (`accounts.vault`) and never shown again. A project's specification is kept as the
text that was given and as parsed values (`projects.specification`); the parsed values serve pages and syncs.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.identifiers import KSUID_LENGTH, new_public_id
from accounts.models import Organisation


class WarehouseKind(models.TextChoices):
    """The warehouses there is an adapter for."""

    DUCKDB = "duckdb", "DuckDB"
    POSTGRESQL = "postgresql", "PostgreSQL"


class Warehouse(models.Model):
    """A connection to where Profiles has built the feature views."""

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="warehouses")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=20, choices=WarehouseKind)
    settings = models.JSONField(default=dict)
    credentials = models.TextField(blank=True)
    checked_at = models.DateTimeField(null=True)
    check_passed = models.BooleanField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("organisation", "name"), name="warehouse_name_once"),)

    def __str__(self) -> str:
        return self.name


class CheckState(models.TextChoices):
    """Where a check stands: a page inserts it QUEUED, a control task does the work."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    PASSED = "passed", "Passed"
    FAILED = "failed", "Failed"


class WarehouseCheck(models.Model):
    """One check of a warehouse, or of a project's views in it, in named steps.

    `steps` is a list of `{"name", "state": passed|failed|not_reached, "message", "cure"}` in the order of the check.
    `attempt` names the present claim: a worker whose attempt is no longer this one writes nothing.
    """

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    warehouse = models.ForeignKey(Warehouse, on_delete=models.CASCADE, related_name="checks")
    project = models.ForeignKey("Project", on_delete=models.CASCADE, null=True, related_name="checks")
    state = models.CharField(max_length=10, choices=CheckState, default=CheckState.QUEUED)
    steps = models.JSONField(default=list)
    requested_by = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)
    attempt = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = (models.Index(fields=("warehouse", "-created_at"), name="check_newest_first"),)

    def __str__(self) -> str:
        return f"{self.warehouse_id}: {self.state}"


class Project(models.Model):
    """A Profiles project: its `pb_project.yaml`, and where in the warehouse its views are.

    `specification` holds `projects.specification.ProjectSpecification` as plain values; its revision grows when the
    text, the main views, the warehouse or the output schema change. `placements` maps a feature view's name to
    `{"schema", "relation", "id_column", "chosen": [...]}`, names as the catalogue tells them (`projects.placements`);
    `catalogue` keeps what a person can choose from: `{"relations": [...], "columns": {view: [...]}}`, and `"types"`.
    `main_views` names the entities whose main feature view is served too (`projects.main_views`).
    """

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="projects")
    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="projects")
    output_schema = models.CharField(max_length=255)
    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60)
    specification_text = models.TextField()
    specification = models.JSONField(default=dict)
    specification_revision = models.PositiveIntegerField(default=1)
    main_views = models.JSONField(default=list)
    placements = models.JSONField(default=dict)
    placements_changed_at = models.DateTimeField(null=True)
    catalogue = models.JSONField(default=dict)
    runs_looked_for_at = models.DateTimeField(null=True)
    runs_problem = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("organisation", "slug"), name="project_slug_once"),
            models.UniqueConstraint(fields=("organisation", "name"), name="project_name_once"),
        )

    def __str__(self) -> str:
        return self.name


class ViewCount(models.Model):
    """How many rows a feature view has, and how many NULLs each of its columns, as last counted.

    A page puts it to QUEUED, a worker counts; the figures of the last count stay until the next one ends. `relation`
    is what was counted, `columns` a list of `{"name", "type", "nulls"}` in the view's order.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="view_counts")
    feature_view = models.CharField(max_length=255)
    state = models.CharField(max_length=10, choices=CheckState, default=CheckState.QUEUED)
    requested_by = models.CharField(max_length=254)
    requested_at = models.DateTimeField()
    attempt = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True)
    relation = models.JSONField(default=list)
    rows = models.BigIntegerField(null=True)
    columns = models.JSONField(default=list)
    counted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("project", "feature_view"), name="view_counted_once"),)

    def __str__(self) -> str:
        return f"{self.project_id}: {self.feature_view}"

    @property
    def is_active(self) -> bool:
        """Whether it waits for a worker or is being counted."""
        return self.state in {CheckState.QUEUED, CheckState.RUNNING}


class FormerSlug(models.Model):
    """A slug a project had before it was renamed; its pages redirect."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="former_slugs")
    slug = models.SlugField(max_length=60)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("organisation", "slug"), name="former_slug_once"),)

    def __str__(self) -> str:
        return self.slug


class RunStatus(models.TextChoices):
    """How a Profiles run ended, in the hosted product's words."""

    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    FAILED = "failed", "Failed"


class RunOrigin(models.TextChoices):
    """How a Profiles run became known."""

    REGISTRY = "registry", "Found in the registry"
    API = "api", "Reported by API"
    PAGE = "page", "Reported on the page"
    RUNNER = "runner", "Started here"


class ProfilesRun(models.Model):
    """One run of the Profiles project, as far as we know of it.

    Found in the registry it has a `seq_no`, the `models_seen` complete so far and the time their number last grew;
    reported, it has a `reference` that makes reporting idempotent. Started here (`projects.runner`), it has been taken
    by a worker once it has a `started_at`, and `error` says why it failed.
    """

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="runs")
    status = models.CharField(max_length=10, choices=RunStatus)
    origin = models.CharField(max_length=10, choices=RunOrigin)
    seq_no = models.BigIntegerField(null=True)
    reference = models.CharField(max_length=200, null=True)  # noqa: DJ001 - NULL keeps the unique pair open
    models_seen = models.JSONField(default=list)
    models_grew_at = models.DateTimeField(null=True)
    reported_by = models.CharField(max_length=254, blank=True)
    parameters = models.JSONField(default=list)
    error = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("project",), condition=Q(origin="runner", status="running"), name="one_run_started_at_a_time"
            ),
            models.UniqueConstraint(fields=("project", "seq_no"), name="run_seq_no_once"),
            models.UniqueConstraint(fields=("project", "reference"), name="run_reference_once"),
            models.CheckConstraint(
                condition=Q(seq_no__isnull=False) | Q(reference__isnull=False), name="run_can_be_told_apart"
            ),
        )
        indexes = (
            models.Index(fields=("project", "-finished_at"), name="run_newest_first"),
            models.Index("project", Coalesce("finished_at", "created_at").desc(), name="run_on_the_time_line"),
        )

    def __str__(self) -> str:
        return f"{self.project_id}: {self.seq_no if self.seq_no is not None else self.reference}"

    @property
    def words(self) -> str:
        """What people call it: its number, the name that its reporter gave, or the beginning of ours."""
        if self.seq_no is not None:
            return f"seq {self.seq_no}"
        ours = self.origin in {RunOrigin.PAGE, RunOrigin.RUNNER}
        return f"{self.reference}"[: 8 if ours else None]
