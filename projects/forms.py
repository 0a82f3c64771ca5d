"""What people type on the pages of projects and warehouses, checked and turned into values."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict

from accounts.names import NameField
from projects.connection_settings import SSL_MODES, SettingRefused
from projects.excerpts import Excerpt, excerpts
from projects.models import Project, Warehouse, WarehouseKind
from projects.placements import ServedView
from projects.problems import SpecificationProblems
from projects.yaml_document import MAX_BYTES, decode

_CODE = {"class": "mono", "spellcheck": "false", "autocapitalize": "off", "autocomplete": "off"}
_PLAIN = {"spellcheck": "false", "autocapitalize": "off", "autocomplete": "off"}
NOTHING = "Paste the text of your pb_project.yaml, or upload the file."
TOO_LARGE = f"The file is larger than {MAX_BYTES // 1024} KiB. A pb_project.yaml is a few KiB; is this the right file?"


class SpecificationFields(forms.Form):
    """The text of a `pb_project.yaml`, pasted or uploaded; an uploaded file goes before the text."""

    file = forms.FileField(
        label="Upload pb_project.yaml", required=False, help_text="Or paste its text below. An uploaded file is taken."
    )
    text = forms.CharField(
        label="Text of pb_project.yaml",
        strip=False,
        error_messages={"required": NOTHING},
        help_text="The whole file, as it stands in your Profiles project.",
        widget=forms.Textarea(attrs={**_CODE, "rows": 20}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["text"].required = not self.files.get("file")

    def clean(self) -> dict[str, Any]:
        """Leave the text in `cleaned_data["text"]` and in the box, so that a person can correct an uploaded file."""
        cleaned = super().clean() or self.cleaned_data
        uploaded = cleaned.get("file")
        if uploaded is not None:
            self._take(uploaded)
        elif "text" in cleaned:
            cleaned["text"] = cleaned["text"].replace("\r\n", "\n")
        return cleaned

    def _take(self, uploaded: "UploadedFile[bytes]") -> None:
        if (uploaded.size or 0) > MAX_BYTES:
            self.add_error("file", TOO_LARGE)
            return
        try:
            text = decode(uploaded.read()).replace("\r\n", "\n")
        except SpecificationProblems as error:
            self.add_error("file", str(error))
            return
        self.cleaned_data["text"] = text
        self.data = MultiValueDict({**{name: [value] for name, value in self.data.items()}, "text": [text]})

    def say(self, error: SpecificationProblems) -> list[Excerpt]:
        """Add the one line that leads to the problems, and return what the page lists: the lines they are about."""
        text = self.cleaned_data["text"]
        count = len(error.problems)
        self.add_error("text", f"{count} {'problem' if count == 1 else 'problems'} in this text, listed above.")
        return excerpts(text, error.problems)


class PlaceFields(forms.Form):
    """Where a project's views are."""

    warehouse = forms.ModelChoiceField(
        label="Warehouse",
        queryset=Warehouse.objects.none(),
        empty_label=None,
        help_text="Where Profiles builds the views of this project.",
    )
    output_schema = forms.CharField(
        label="Output schema",
        max_length=255,
        help_text="The schema that Profiles writes its views to, as your Profiles connection names it.",
        widget=forms.TextInput(attrs=_PLAIN),
    )

    def __init__(self, *args: Any, warehouses: list[Warehouse], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = Warehouse.objects.filter(pk__in=[warehouse.pk for warehouse in warehouses]).order_by("name")
        field = self.fields["warehouse"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = choices


class NewProjectForm(PlaceFields, SpecificationFields):
    """Everything a new project needs."""

    name = NameField(label="Name", required=False, help_text="Left empty, the name in the file is taken.")
    field_order = ("name", "warehouse", "output_schema", "file", "text")


class SpecificationForm(SpecificationFields):
    """A new text for a project. `revision` is the one the person saw."""

    revision = forms.IntegerField(widget=forms.HiddenInput)

    def follow(self, revision: int) -> None:
        """Take another revision as seen, so that what was typed can be sent again on top of it."""
        self.data = MultiValueDict({**{name: [value] for name, value in self.data.items()}, "revision": [revision]})


class GeneralForm(PlaceFields):
    """A project's name and place."""

    name = NameField(
        label="Name", help_text="The address of its pages changes with it; the former one goes on leading here."
    )
    field_order = ("name", "warehouse", "output_schema")


class PlacementForm(forms.Form):
    """Where one view is, out of what the catalogue has; empty leaves it to the look-up."""

    relation = forms.ChoiceField(
        label="View or table in the warehouse",
        required=False,
        help_text="Look it up by name takes the one with the name of the feature view.",
    )
    id_column = forms.ChoiceField(
        label="Column that holds the id",
        required=False,
        help_text="Its values are the ids that applications ask for.",
    )

    def __init__(self, *args: Any, project: Project, view: ServedView, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        columns = project.catalogue.get("columns", {}).get(view.feature_view, [])
        _offer(self.fields["relation"], "Look it up by name", project.catalogue.get("relations", []))
        _offer(self.fields["id_column"], f"The column called {view.id_type}", columns)
        if not columns:
            self.fields["id_column"].help_text = "Choose the view first; its columns are offered after the check."


class DeleteForm(forms.Form):
    """Asks for the name of what is deleted."""

    name = forms.CharField(
        max_length=100, strip=True, help_text="Letter case counts.", widget=forms.TextInput(attrs=_PLAIN)
    )

    def __init__(self, *args: Any, expected: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._expected = expected
        self.fields["name"].label = f"Type {expected} to confirm"

    def clean_name(self) -> str:
        """Accept the exact name only."""
        name: str = self.cleaned_data["name"]
        if name != self._expected:
            raise forms.ValidationError("This is not its name. Nothing was deleted.")
        return name


class ConnectionForm(forms.Form):
    """What the kinds of warehouses have in common."""

    kind: WarehouseKind
    name = NameField(label="Name", help_text="What this warehouse is called on these pages.")

    def connection(self) -> dict[str, Any]:
        """Return the fields of the connection, without name and password."""
        return {name: value for name, value in self.cleaned_data.items() if name not in {"name", "password"}}

    @property
    def typed_password(self) -> str:
        """What was typed as the password; empty keeps a stored one."""
        return str(self.cleaned_data.get("password", ""))

    def refuse(self, error: SettingRefused) -> None:
        """Show a refused setting at its field."""
        self.add_error(error.field if error.field in self.fields else None, str(error))


class DuckDBForm(ConnectionForm):
    """A DuckDB file."""

    kind = WarehouseKind.DUCKDB
    file = forms.CharField(
        label="File",
        max_length=255,
        help_text="Inside the folder that the operator set aside (DUCKDB_DIR), e.g. shop/profiles.duckdb.",
        widget=forms.TextInput(attrs=_PLAIN),
    )


class PostgreSQLForm(ConnectionForm):
    """A PostgreSQL database."""

    kind = WarehouseKind.POSTGRESQL
    host = forms.CharField(
        label="Host", max_length=255, help_text="A DNS name or an IP address.", widget=forms.TextInput(attrs=_PLAIN)
    )
    port = forms.IntegerField(
        label="Port",
        initial=5432,
        min_value=1,
        max_value=65_535,
        localize=False,
        help_text="5432 unless your provider says otherwise.",
    )
    database = forms.CharField(
        label="Database",
        max_length=255,
        help_text="The one that holds the schema Profiles writes to.",
        widget=forms.TextInput(attrs=_PLAIN),
    )
    user = forms.CharField(
        label="User",
        max_length=255,
        help_text="Best one made for this alone. The page of the warehouse shows the grants it needs.",
        widget=forms.TextInput(attrs=_PLAIN),
    )
    password = forms.CharField(
        label="Password",
        required=False,
        strip=False,
        max_length=1000,
        help_text="Kept encrypted and never shown again.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    sslmode = forms.ChoiceField(
        label="TLS",
        choices=[(mode, mode) for mode in SSL_MODES],
        initial="require",
        help_text="As libpq's sslmode: require encrypts, verify-full also checks the server's certificate and name.",
    )


CONNECTION_FORMS: dict[str, type[ConnectionForm]] = {form.kind.value: form for form in (DuckDBForm, PostgreSQLForm)}


def edit_form(warehouse: Warehouse, data: Any = None) -> ConnectionForm:
    """Return the form of a warehouse's kind, filled with what is stored; the password never is."""
    form = CONNECTION_FORMS[warehouse.kind](data, initial={"name": warehouse.name, **warehouse.settings})
    if "password" in form.fields and warehouse.credentials:
        form.fields["password"].stored = True  # type: ignore[attr-defined]  # read by the form_field component
    return form


def _offer(field: forms.Field, nothing: str, names: list[str]) -> None:
    assert isinstance(field, forms.ChoiceField)
    field.choices = [("", nothing), *((name, name) for name in names)]
