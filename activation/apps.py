"""Tells Django about the app."""

from django.apps import AppConfig


class ActivationConfig(AppConfig):
    name = "activation"
