"""Every page's address. The API has its own table (`config.api_urls`), served by the same process or another."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("account/", include("accounts.login_urls")),
    path("", include("accounts.urls")),
    path("", include("projects.urls")),
    path("", include("activation.urls")),
    path("", include("config.api_urls")),
]
