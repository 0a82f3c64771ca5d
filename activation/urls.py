"""Addresses of the activation pages; all lie below `/o/<organisation>/`."""

from django.urls import path

from activation.views import (
    alerts,
    connecting,
    control,
    deleting,
    destinations,
    editing,
    first_steps,
    guarding,
    history,
    moving,
    previews,
    profiles,
    reconciling,
    removals,
    retention,
    runs,
    schedule,
    source_settings,
    suppressing,
    switch,
    sync_log,
    trying,
    usage,
)

app_name = "activation"

_PROJECT = "o/<slug:organisation>/projects/<slug:project>"
_PROJECT_SETTINGS = f"{_PROJECT}/settings"
_SETTINGS = f"{_PROJECT_SETTINGS}/activation"
_DESTINATION = "o/<slug:organisation>/destinations/<path:destination>"
_PROFILES = "o/<slug:organisation>/projects/<slug:project>/entities/<path:entity>/profile-lookup"
_ALERTS = f"{_PROJECT_SETTINGS}/alerts"

urlpatterns = [
    path(f"{_PROJECT}/history/", history.show, name="history"),
    path(f"{_PROJECT}/history/run/", history.start, name="start_profiles_run"),
    path(f"{_PROJECT}/history/report/", history.report, name="report_profiles_run"),
    path("o/<slug:organisation>/first-steps", first_steps.show_or_hide, name="first_steps"),
    path(_SETTINGS, switch.show, name="settings"),
    path(f"{_SETTINGS}/check", switch.check, name="check"),
    path(f"{_SETTINGS}/sync", control.sync_project, name="sync"),
    path(f"{_SETTINGS}/full-sync", control.full_sync_of_project, name="full_sync"),
    path(f"{_SETTINGS}/stop", control.stop_project, name="stop"),
    path(f"{_PROJECT_SETTINGS}/schedule", schedule.schedule, name="schedule"),
    path(f"{_SETTINGS}/guard", guarding.limits, name="guard"),
    path(f"{_SETTINGS}/snapshots", retention.show, name="snapshots"),
    path(f"{_SETTINGS}/deleted-profiles", suppressing.policy, name="deleted_profiles"),
    path(f"{_SETTINGS}/log", sync_log.show, name="sync_log"),
    path(f"{_SETTINGS}/enable", connecting.enable, name="enable"),
    path(f"{_SETTINGS}/enable/<slug:probe>", connecting.watch, name="probe"),
    path(f"{_SETTINGS}/disable", removals.disable, name="disable"),
    path(_ALERTS, alerts.show, name="alerts"),
    path(f"{_ALERTS}/webhook", alerts.webhook, name="alert_webhook"),
    path(f"{_ALERTS}/secret", alerts.secret, name="alert_secret"),
    path(f"{_ALERTS}/test", alerts.test, name="alert_test"),
    # An entity may have a slash in its name, so something fixed always follows it.
    path(_PROFILES, profiles.look_up, name="profile_lookup"),
    path(f"{_PROFILES}/delete", profiles.delete, name="profile_delete"),
    path("o/<slug:organisation>/destinations/", destinations.show_list, name="destinations"),
    # An adopted id may hold a slash, so something fixed always follows it.
    path(f"{_DESTINATION}/settings", destinations.show_settings, name="destination"),
    path(
        f"{_DESTINATION}/sources",
        destinations.show_sources,
        name="destination_sources",
    ),
    path(f"{_DESTINATION}/usage", usage.show, name="usage"),
    path(f"{_DESTINATION}/usage.csv", usage.export, name="usage_export"),
    path(f"{_DESTINATION}/pace", destinations.pace, name="destination_pace"),
    path(f"{_DESTINATION}/name", editing.rename, name="destination_name"),
    path(f"{_DESTINATION}/edit", editing.show, name="edit"),
    path(f"{_DESTINATION}/edit/test/<slug:probe>", editing.watch, name="edit_probe"),
    path(f"{_DESTINATION}/delete", deleting.delete, name="destination_delete"),
    path(f"{_DESTINATION}/suppressions", suppressing.show, name="suppressions"),
    path(f"{_DESTINATION}/try", trying.show, name="try_it"),
    path(f"{_DESTINATION}/reconcile", reconciling.show, name="reconcile"),
    path(f"{_DESTINATION}/reconcile/start", reconciling.start, name="reconcile_start"),
    path(f"{_DESTINATION}/reconcile/confirm", reconciling.confirm, name="reconcile_confirm"),
    path(f"{_DESTINATION}/reconcile/stop", reconciling.stop, name="reconcile_stop"),
    path(f"{_DESTINATION}/move", moving.show, name="move"),
    path(f"{_DESTINATION}/move/cancel", moving.cancel, name="move_cancel"),
    path(f"{_DESTINATION}/move/try-again", moving.try_again, name="move_try_again"),
    path(f"{_DESTINATION}/move/leave", moving.leave, name="move_leave"),
    path(f"{_DESTINATION}/move/test/<slug:probe>", moving.watch, name="move_probe"),
    path("o/<slug:organisation>/sources/<slug:source>/", runs.show_source, name="source"),
    path("o/<slug:organisation>/sources/<slug:source>/settings", source_settings.show, name="source_settings"),
    path("o/<slug:organisation>/sources/<slug:source>/sync", control.sync_source, name="sync_source"),
    path("o/<slug:organisation>/sources/<slug:source>/full-sync", control.full_sync_of_source, name="full_sync_source"),
    path("o/<slug:organisation>/sources/<slug:source>/remove", removals.remove_source, name="remove_source"),
    path("o/<slug:organisation>/sources/<slug:source>/leave", removals.leave_source, name="leave_source"),
    path("o/<slug:organisation>/sources/<slug:source>/preview", previews.start, name="start_preview"),
    path("o/<slug:organisation>/previews/<slug:preview>/", previews.show, name="preview"),
    path("o/<slug:organisation>/previews/<slug:preview>/documents", previews.show_documents, name="preview_documents"),
    path("o/<slug:organisation>/syncs/<slug:run>/", runs.show_run, name="run"),
    path("o/<slug:organisation>/syncs/<slug:run>/confirm", guarding.confirm, name="confirm"),
    path("o/<slug:organisation>/syncs/<slug:run>/failed-ids", runs.show_failed_ids, name="failed_ids"),
    path("o/<slug:organisation>/syncs/<slug:run>/stop", control.stop_run, name="stop_run"),
]
