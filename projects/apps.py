"""Tells Django about the app."""

from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    name = "projects"
