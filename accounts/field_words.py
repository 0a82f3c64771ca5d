"""What a form says of a value that is too long, small or large, or no e-mail address, in our words instead of Django's.

Django's are attributes of its validators, which all fields share, so they are set once, when the app is ready.
"""

from django.core import validators


def choose() -> None:
    """Have every form speak so."""
    validators.MaxLengthValidator.message = "Write at most %(limit_value)d characters; there are %(show_value)d."
    validators.MinLengthValidator.message = "Write at least %(limit_value)d characters; there are %(show_value)d."
    validators.MinValueValidator.message = "Enter %(limit_value)s or more."
    validators.MaxValueValidator.message = "Enter %(limit_value)s or less."
    validators.EmailValidator.message = "Enter an e-mail address, such as jane@example.com."
