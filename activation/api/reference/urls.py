"""The addresses of the API's reference."""

from django.urls import path

from activation.api.reference import pages

app_name = "reference"

urlpatterns = [
    path("", pages.index, name="index"),
    path("<slug:group>/", pages.group, name="group"),
]
