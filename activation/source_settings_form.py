"""What an Admin chooses about a source: columns left out of the comparison, and how its ids are normalised."""

from collections.abc import Sequence

from django import forms

_NORMALISATIONS = (
    ("trim", "Without blanks at both ends"),
    ("lower", "In lower case: A to Z become a to z, other letters stay"),
)


class SourceSettingsForm(forms.Form):
    """Columns left out of the comparison, and the steps of an id's normalisation."""

    ignored_columns = forms.MultipleChoiceField(
        label="Columns left out of the comparison",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="A row that differs in nothing else is not written again; a row that is written has all its columns.",
    )
    normalisation = forms.MultipleChoiceField(
        label="Ids",
        required=False,
        choices=_NORMALISATIONS,
        widget=forms.CheckboxSelectMultiple,
        help_text="Done to the ids of the view before they are written, and to the ids that the API is asked for.",
    )

    def __init__(self, *args: object, columns: Sequence[str], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed on as they come
        choices = [(name, name) for name in columns]
        field = self.fields["ignored_columns"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = choices
        if not choices:
            del self.fields["ignored_columns"]
