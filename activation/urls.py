"""Addresses of the activation pages; all lie below `/o/<organisation>/`."""

from django.urls import path

from activation.views import alerts, connecting, destinations, runs, switch

app_name = "activation"

_SETTINGS = "o/<slug:organisation>/projects/<slug:project>/settings/activation"
_ALERTS = "o/<slug:organisation>/projects/<slug:project>/settings/alerts"

urlpatterns = [
    path(_SETTINGS, switch.show, name="settings"),
    path(f"{_SETTINGS}/check", switch.check, name="check"),
    path(f"{_SETTINGS}/sync", switch.sync, name="sync"),
    path(f"{_SETTINGS}/enable", connecting.enable, name="enable"),
    path(f"{_SETTINGS}/enable/<slug:probe>", connecting.watch, name="probe"),
    path(f"{_SETTINGS}/disable", connecting.disable, name="disable"),
    path(_ALERTS, alerts.show, name="alerts"),
    path(f"{_ALERTS}/webhook", alerts.webhook, name="alert_webhook"),
    path(f"{_ALERTS}/secret", alerts.secret, name="alert_secret"),
    path(f"{_ALERTS}/test", alerts.test, name="alert_test"),
    path("o/<slug:organisation>/destinations/", destinations.show_list, name="destinations"),
    # An adopted id may hold a slash, so something fixed always follows it.
    path(
        "o/<slug:organisation>/destinations/<path:destination>/settings", destinations.show_settings, name="destination"
    ),
    path(
        "o/<slug:organisation>/destinations/<path:destination>/sources",
        destinations.show_sources,
        name="destination_sources",
    ),
    path("o/<slug:organisation>/sources/<slug:source>/", runs.show_source, name="source"),
    path("o/<slug:organisation>/syncs/<slug:run>/", runs.show_run, name="run"),
]
