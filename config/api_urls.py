"""The addresses applications call: no pages, no sessions."""

from django.urls import URLPattern, URLResolver, path

from activation.api.activation import ActivationView, FetchView
from activation.api.audit_log import AuditLogView
from activation.api.checks import ProjectChecksView, ProjectCheckView, WarehouseChecksView, WarehouseCheckView
from activation.api.deletions import DeletionView
from activation.api.destinations import DestinationsView, DestinationView
from activation.api.openapi.document import DocumentView
from activation.api.probes import DestinationProbesView, ProbesView, ProbeView
from activation.api.profiles import BatchView
from activation.api.profiles_runs import ProfilesStart, ProfilesStatus, RunReports
from activation.api.project_syncs import ProjectSyncsView
from activation.api.projects import ProjectsView, ProjectView
from activation.api.specifications import EntitiesView, MainViewsView, PlacementsView, SpecificationView
from activation.api.suppressions import SuppressionCheckView, SuppressionLiftView, SuppressionsView
from activation.api.switch import SwitchView
from activation.api.syncs import StartView, StopView, SyncsView, SyncView
from activation.api.warehouses import WarehousesView, WarehouseView
from config import health, metrics

urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/activation", FetchView.as_view()),
    path("v2/activation", ActivationView.as_view()),
    path("v2/openapi.json", DocumentView.as_view(), name="openapi"),
    path("v2/activation/batch", BatchView.as_view()),
    path("v2/deletions/<str:deletion_id>", DeletionView.as_view()),
    path("v2/retl-connections/<str:connection_id>/start", StartView.as_view()),
    path("v2/retl-connections/<str:connection_id>/stop", StopView.as_view()),
    path("v2/retl-connections/<str:connection_id>/syncs", SyncsView.as_view()),
    path("v2/retl-connections/<str:connection_id>/syncs/<str:sync_id>", SyncView.as_view()),
    path("v2/sources/<str:profiles_id>/start", ProfilesStart.as_view()),
    path("v2/sources/<str:profiles_id>/runs/<str:run_id>/status", ProfilesStatus.as_view()),
    path("v2/projects/<str:project_id>/syncs", ProjectSyncsView.as_view()),
    path("v2/projects/<str:project_id>/runs", RunReports.as_view()),
    path("v2/projects", ProjectsView.as_view()),
    path("v2/projects/<str:project_id>", ProjectView.as_view()),
    path("v2/projects/<str:project_id>/specification", SpecificationView.as_view()),
    path("v2/projects/<str:project_id>/entities", EntitiesView.as_view()),
    path("v2/projects/<str:project_id>/placements", PlacementsView.as_view()),
    path("v2/projects/<str:project_id>/main-views", MainViewsView.as_view()),
    path("v2/projects/<str:project_id>/checks", ProjectChecksView.as_view()),
    path("v2/projects/<str:project_id>/checks/<str:check_id>", ProjectCheckView.as_view()),
    path("v2/projects/<str:project_id>/activation", SwitchView.as_view()),
    path("v2/warehouses", WarehousesView.as_view()),
    path("v2/warehouses/<str:warehouse_id>", WarehouseView.as_view()),
    path("v2/warehouses/<str:warehouse_id>/checks", WarehouseChecksView.as_view()),
    path("v2/warehouses/<str:warehouse_id>/checks/<str:check_id>", WarehouseCheckView.as_view()),
    path("v2/destinations", DestinationsView.as_view()),
    path("v2/destinations/probes", ProbesView.as_view()),
    path("v2/destinations/probes/<str:probe_id>", ProbeView.as_view()),
    # An adopted id may hold a slash.
    path("v2/destinations/<path:destination_id>/suppressions", SuppressionsView.as_view()),
    path("v2/destinations/<path:destination_id>/suppressions/check", SuppressionCheckView.as_view()),
    path("v2/destinations/<path:destination_id>/suppressions/lift", SuppressionLiftView.as_view()),
    path("v2/destinations/<path:destination_id>/probes", DestinationProbesView.as_view()),
    path("v2/destinations/<path:destination_id>", DestinationView.as_view()),
    path("v2/audit-log", AuditLogView.as_view()),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("metrics", metrics.show),
]

handler400 = "activation.api.errors.bad_request"
handler404 = "activation.api.errors.not_found"
handler500 = "activation.api.errors.server_error"
