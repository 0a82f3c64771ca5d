"""Tells Django about the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Connect what django-allauth tells by signals only."""
        from accounts import second_factors

        second_factors.listen()
