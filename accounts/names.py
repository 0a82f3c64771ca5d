"""The names people give to things: one line of text that reads as it is written.

A line break or a mark that turns the direction of writing is harmless as HTML, but makes one row of the audit log look
like two, or a name look like another. Letters of every script, emoji and their joiners are welcome.
"""

import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

REFUSED = "Line breaks, control characters and invisible marks cannot be part of a name. Type it by hand."
_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Marks of direction (UAX #9), and what takes no room at all; not U+200C and U+200D, which scripts and emoji need.
_MARKS = frozenset(
    map(chr, (0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF))
)


class NameRefused(ValueError):
    """The text holds characters that no name may hold."""

    def __init__(self) -> None:
        super().__init__(REFUSED)


def checked(text: str) -> str:
    """Return `text` without blanks around it. Raises `NameRefused`."""
    name = text.strip()
    if any(character in _MARKS or unicodedata.category(character) in _CATEGORIES for character in name):
        raise NameRefused
    return name


def cleaned(text: str) -> str:
    """Return `text` as a name whatever it holds: what no name may hold becomes a blank. For names others give us."""
    kept = (
        " " if character in _MARKS or unicodedata.category(character) in _CATEGORIES else character
        for character in text
    )
    return " ".join("".join(kept).split())


def validate(text: str) -> None:
    """Refuse what is no name, as Django's validators do."""
    try:
        checked(text)
    except NameRefused as refusal:
        raise ValidationError(str(refusal)) from None


class NameField(forms.CharField):
    """A name, at most 100 characters unless told otherwise."""

    def __init__(self, *, max_length: int = 100, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)
        self.validators.append(validate)
