"""Tells Django about the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Connect what django-allauth tells by signals only, and choose the words of forms."""
        from accounts import field_words, second_factors

        second_factors.listen()
        field_words.choose()
