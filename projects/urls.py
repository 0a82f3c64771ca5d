"""The addresses of projects and warehouses."""

from django.urls import path

from projects.views import checks, projects, settings, warehouses

app_name = "projects"
_projects = "o/<slug:organisation>/projects/"
_project = f"{_projects}<slug:project>/"
_warehouses = "o/<slug:organisation>/warehouses/"
_warehouse = f"{_warehouses}<slug:warehouse>/"

urlpatterns = [
    path(_projects, projects.project_list, name="list"),
    path(f"{_projects}new/", projects.project_new, name="new"),
    path(_project, projects.project_home, name="home"),
    path(f"{_project}entities/", projects.entities, name="detail"),
    path(f"{_project}entities/placement/", projects.placement, name="placement"),
    path(f"{_project}entities/main-view/", projects.main_view, name="main_view"),
    path(f"{_project}entities/count/", projects.count, name="count"),
    path(f"{_project}check/", checks.check_project, name="check_project"),
    path(f"{_project}settings/", settings.general, name="settings"),
    path(f"{_project}settings/specification/", settings.specification, name="specification"),
    path(f"{_project}settings/delete/", settings.delete, name="delete"),
    path(_warehouses, warehouses.warehouse_list, name="warehouses"),
    path(f"{_warehouses}new/", warehouses.warehouse_kinds, name="warehouse_kinds"),
    path(f"{_warehouses}new/<slug:kind>/", warehouses.warehouse_new, name="warehouse_new"),
    path(_warehouse, warehouses.warehouse_detail, name="warehouse"),
    path(f"{_warehouse}edit/", warehouses.warehouse_edit, name="warehouse_edit"),
    path(f"{_warehouse}check/", checks.check_warehouse, name="check_warehouse"),
    path(f"{_warehouse}delete/", warehouses.warehouse_delete, name="warehouse_delete"),
    path("o/<slug:organisation>/checks/<slug:check>/", checks.state, name="check"),
]
