"""A value that is too long, too small, too large or no e-mail address is told in the product's words, in every form."""

import pytest
from django import forms


class Numbers(forms.Form):
    short = forms.CharField(min_length=2, max_length=4)
    few = forms.IntegerField(min_value=1, max_value=9)
    whose = forms.EmailField(required=False)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"short": "abcde", "few": 1}, "Write at most 4 characters; there are 5."),
        ({"short": "a", "few": 1}, "Write at least 2 characters; there are 1."),
        ({"short": "abc", "few": 0}, "Enter 1 or more."),
        ({"short": "abc", "few": 10}, "Enter 9 or less."),
        ({"short": "abc", "few": 1, "whose": "jane"}, "Enter an e-mail address, such as jane@example.com."),
    ],
)
def test_a_form_speaks_plainly(typed: dict[str, object], said: str) -> None:
    [[message]] = Numbers(typed).errors.values()
    assert message == said
