"""Template tags for the shared pieces: each fills one template of `templates/components/` (docs/architecture.md).

A tag prepares values and words; how it looks is the template's business. They are built in: no page loads them.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict as values_of
from dataclasses import dataclass, is_dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from django import forms, template
from django.contrib.messages import constants as levels
from django.contrib.messages.storage.base import Message
from django.core.exceptions import NON_FIELD_ERRORS
from django.core.paginator import Page
from django.template.context import Context, RequestContext
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

STATES = ("ok", "working", "attention", "failed", "neutral")
NOTHING = "–"  # noqa: RUF001 - the typographic sign for "nothing here"
_STEP_LOOKS = {
    "passed": ("ok", "passed"),
    "failed": ("failed", "failed"),
    "running": ("working", "checking"),
    "not_reached": ("neutral", "not reached"),
    "skipped": ("neutral", "not needed"),
}
_MESSAGE_STATES = {
    levels.SUCCESS: "ok",
    levels.INFO: "working",
    levels.WARNING: "attention",
    levels.ERROR: "failed",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_SECONDS_SHOWN_AS_NOW = 5


@register.simple_tag
def icon(name: str) -> SafeString:
    """Draw an icon of `static/icons.svg`; it says nothing to a screen reader, so a word stands beside it."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', static("icons.svg"), name)


@register.filter
def message_state(message: Message) -> str:
    """Return the state whose colour and icon a flash message takes."""
    return _MESSAGE_STATES.get(message.level, "neutral")


@register.simple_tag
def badge(state: str, word: str) -> SafeString:
    """Show a state as colour, icon and word. `state` is one of `STATES`."""
    if state not in STATES:
        message = f"{state!r} is no state; use one of {', '.join(STATES)}"
        raise template.TemplateSyntaxError(message)
    return _badge(state, word)


# By type, too: a word that is marked as safe is another than the same letters that are not.
@lru_cache(maxsize=500, typed=True)
def _badge(state: str, word: str) -> SafeString:
    """Draw a badge: a table has the same few in all its rows."""
    return render_to_string("components/badge.html", {"state": state, "word": word})


@register.inclusion_tag("components/alert.html")
def alert(state: str, text: str, title: str = "") -> dict[str, str]:
    """Say something that stays on the page, in the colour of a state."""
    return {"state": state, "text": text, "title": title}


@register.inclusion_tag("components/empty.html")
def empty(title: str, text: str, url: str = "", action: str = "") -> dict[str, str]:
    """Say that there is nothing yet, why, and what to do first."""
    return {"title": title, "text": text, "url": url, "action": action}


@register.inclusion_tag("components/copy.html")
def copy(value: object, label: str = "") -> dict[str, str]:
    """Show a value with a button that copies it; `label` names it to a screen reader."""
    return {"value": str(value), "shown": str(value), "label": label}


@register.inclusion_tag("components/copy.html")
def short_id(value: object, label: str = "ID") -> dict[str, str]:
    """Show an id by its ends, with a button that copies the whole."""
    text = str(value)
    shown = text if len(text) <= 12 else f"{text[:5]}…{text[-4:]}"  # noqa: PLR2004 - shorter would not save room
    return {"value": text, "shown": shown, "label": label}


@register.inclusion_tag("components/secret.html")
def secret(value: str, label: str, text: str = "Copy it now. It is not shown again.") -> dict[str, str]:
    """Show a secret this once. The view answers with `Cache-Control: no-store`."""
    return {"value": value, "label": label, "help": text}


@register.inclusion_tag("components/code.html")
def code(text: str, language: str = "text", label: str = "") -> dict[str, str]:
    """Show code with a button that copies it. `label` is its caption; the language's name without one."""
    return {"text": text, "language": language, "label": label or language, "id": element_id("code", label, text)}


@dataclass(frozen=True)
class Sample:
    """The same thing said in one language."""

    label: str
    language: str
    text: str


@register.inclusion_tag("components/samples.html")
def samples(choices: Sequence[Sample]) -> dict[str, object]:
    """Show code in several languages, one open at a time."""
    return {"samples": choices, "group": element_id("samples", *(choice.text for choice in choices))}


@register.inclusion_tag("components/steps.html")
def steps(rows: Iterable[Mapping[str, str] | object]) -> dict[str, object]:
    """List a check's steps: mappings or dataclasses with name, state, message, cure."""
    return {"steps": [_step(row) for row in rows]}


@register.inclusion_tag("components/facts.html")
def facts(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Show names and values as a definition list."""
    return {"facts": [(name, _fact(value)) for name, value in pairs]}


@register.inclusion_tag("components/progress.html")
def progress(done: int, total: int, label: str = "Progress", note: str = "") -> dict[str, object]:
    """Show how far something is, as a bar and in words; `note` follows the percentage ("4 s left")."""
    percent = min(100, 100 * done // total) if total else 0
    words = f"{percent} %" + (f" · {note}" if note else "")
    return {"done": min(done, total), "total": total or 1, "label": label, "words": words}


@register.inclusion_tag("components/switch.html")
def switch(label: str, text: str, url: str, *, on: bool, allowed: bool = True) -> dict[str, object]:
    """Show a toggle with its explanation; pressing it leads to `url`, which asks what there is to ask."""
    return {"label": label, "text": text, "url": url, "on": on, "allowed": allowed, "id": element_id("switch", label)}


@register.simple_tag
def number(value: float | None) -> SafeString:
    """Write a number with its thousands grouped."""
    return format_html('<span class="number">{}</span>', NOTHING if value is None else f"{value:,}")


@register.simple_tag
def time(value: datetime | None, never: str = "never") -> SafeString:
    """Write a time in words, the exact UTC time on hover; the page's script adds the reader's zone."""
    if not value:  # a template says '' for what is not there
        return format_html("{}", never)
    exact = value.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC" data-relative>{}</time>',
        f"{exact:%Y-%m-%dT%H:%M:%SZ}",
        f"{exact:%Y-%m-%d %H:%M:%S}",
        relative_words(exact, now=timezone.now()),
    )


def relative_words(value: datetime, *, now: datetime) -> str:
    """Say how long ago (or ahead) a time is; beyond a day, its date."""
    seconds = int((now - value).total_seconds())
    distance = abs(seconds)
    if distance >= _DAY:
        return f"{value.day} {value:%b %Y, %H:%M} UTC"
    if distance < _SECONDS_SHOWN_AS_NOW:
        return "just now"
    amount = next(_plural(distance // size, unit) for size, unit in _UNITS if distance >= size)
    return f"{amount} ago" if seconds > 0 else f"in {amount}"


_UNITS = ((_HOUR, "hour"), (_MINUTE, "minute"), (1, "second"))


def duration_words(seconds: float) -> str:
    """Say a length of time: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 1:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


@register.simple_tag(takes_context=True)
def tab(context: RequestContext, url: str, label: str) -> SafeString:
    """One tab, marked on its own page and on those whose address lies below it."""
    path = context["request"].path
    current = "page" if path == url else "true" if path.startswith(url.rstrip("/") + "/") else ""
    mark = format_html(' aria-current="{}"', current) if current else ""
    return format_html('<li><a href="{}"{}>{}</a></li>', url, mark, label)


@register.simple_tag
def crumb(url: str, label: str) -> SafeString:
    """One step of the breadcrumb."""
    return format_html('<li><a href="{}">{}</a></li>', url, label)


@register.inclusion_tag("components/pagination.html", takes_context=True)
def pagination(
    context: RequestContext, page: "Page[Any]", before_label: str = "Newer", after_label: str = "Older"
) -> dict[str, object]:
    """Link to the pages before and after, the rest of the address kept."""
    address = context["request"].GET
    before = page.previous_page_number() if page.has_previous() else 1
    after = page.next_page_number() if page.has_next() else 1
    return {
        "page": page,
        "previous": "?" + urlencode({**address.dict(), "page": before}),
        "next": "?" + urlencode({**address.dict(), "page": after}),
        "before_label": before_label,
        "after_label": after_label,
    }


@register.inclusion_tag("components/column.html", takes_context=True)
def column(context: RequestContext, name: str, label: str, *, right: bool = False) -> dict[str, object]:
    """Head a column that sorts the table by `?sort=name`, and back by `?sort=-name`; one of numbers is set right."""
    address = context["request"].GET.dict()
    present = address.get("sort", "")
    direction = {name: "ascending", f"-{name}": "descending"}.get(present, "")
    address["sort"] = f"-{name}" if present == name else name
    address.pop("page", None)
    return {"label": label, "direction": direction, "url": "?" + urlencode(address), "right": right}


@register.inclusion_tag("components/form_fields.html", takes_context=True)
def form_fields(context: Context, form: forms.BaseForm) -> dict[str, object]:
    """Show a form's fields with label, help and error, after a summary of what is wrong that links to them."""
    return {"form": form, "request": context.get("request")}


@register.inclusion_tag("components/form_field.html")
def form_field(field: forms.BoundField) -> dict[str, object]:
    """Show one field.

    A form field with `stored = True` says that a value is set and may be left empty; one with `shown_with =
    "name=value"` is hidden by the page's script unless that choice is made (`on` and `off` for a checkbox).
    """
    widget = field.field.widget
    kind = "text"
    if isinstance(widget, forms.CheckboxInput):
        kind = "choice"
    elif isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
        kind = "choices"
    return {
        "field": field,
        "kind": kind,
        "stored": getattr(field.field, "stored", False),
        "shown_with": getattr(field.field, "shown_with", ""),
    }


@register.inclusion_tag("components/error_summary.html", takes_context=True)
def error_summary(context: Context, form: forms.BaseForm) -> dict[str, object]:
    """List a form's problems, each linked to its field, and lead to the guide of the page."""
    problems = [problem for name, errors in _errors(form) for problem in _problems(form, name, errors)]
    title = "There is a problem" if len(problems) == 1 else f"There are {len(problems)} problems"
    return {"title": title, "problems": problems, "request": context.get("request")}


def _fact(value: object) -> object:
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return time(value) if isinstance(value, datetime) else value


def _errors(form: forms.BaseForm) -> list[tuple[str, Iterable[object]]]:
    """List what is wrong with all fields together, then with each, in their order."""
    return [(name, form.errors[name]) for name in (NON_FIELD_ERRORS, *form.fields) if name in form.errors]


def _problems(form: forms.BaseForm, name: str, errors: Iterable[object]) -> Iterable[dict[str, str]]:
    for message in errors:
        if name in form.fields:
            field = form[name]
            yield {"anchor": field.id_for_label or field.auto_id, "label": str(field.label), "message": str(message)}
        else:
            yield {"anchor": "", "label": "", "message": str(message)}


def _step(row: Mapping[str, str] | object) -> dict[str, str]:
    values: Mapping[str, str] = values_of(row) if is_dataclass(row) and not isinstance(row, type) else row  # type: ignore[assignment]  # a mapping is what is left
    look, word = _STEP_LOOKS.get(values["state"], ("neutral", values["state"]))
    return {
        "name": values["name"],
        "look": look,
        "word": word,
        "message": values.get("message", ""),
        "cure": values.get("cure", ""),
    }


def _plural(amount: int, unit: str) -> str:
    return f"{amount} {unit}" if amount == 1 else f"{amount} {unit}s"


def element_id(kind: str, *texts: str) -> str:
    """Name a piece by what it says, so that labels and buttons can point at it."""
    return f"{kind}-{zlib.crc32(chr(0).join(texts).encode()):08x}"
