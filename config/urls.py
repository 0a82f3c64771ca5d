"""Every page's address. The API has its own table (`config.api_urls`), served by the same process or another."""

from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path

from config import guide_pages, styleguide

urlpatterns: list[URLPattern | URLResolver] = [
    path("account/", include("accounts.login_urls")),
    path("", include("accounts.urls")),
    path("", include("projects.urls")),
    path("", include("activation.urls")),
    path("help/", guide_pages.show_all, name="guides"),
    path("help/<slug:slug>/", guide_pages.show, name="guide"),
    path("docs/api/", include("activation.api.reference.urls")),
    path("", include("config.api_urls")),
]

if settings.STYLEGUIDE:
    urlpatterns.append(path("styleguide/", styleguide.show, name="styleguide"))
