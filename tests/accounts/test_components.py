"""The template tags of the shared pieces: what they say, and that nothing a person typed becomes markup."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django import forms
from django.core.paginator import Paginator
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory
from django.utils import timezone
from django.utils.safestring import mark_safe

from accounts.templatetags.components import duration_words, relative_words

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"


def shown(source: str, path: str = "/here", **values: object) -> str:
    return " ".join(Template(source).render(Context({"request": RequestFactory().get(path), **values})).split())


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (0, "just now"),
        (1, "just now"),
        (40, "40 seconds ago"),
        (60, "1 minute ago"),
        (119, "1 minute ago"),
        (7200, "2 hours ago"),
        (-90, "in 1 minute"),
        (86_400, "22 Nov 2026, 12:00 UTC"),
        (-86_400, "24 Nov 2026, 12:00 UTC"),
    ],
)
def test_a_time_is_said_in_words_and_beyond_a_day_with_its_date(before, words):
    assert relative_words(NOW - timedelta(seconds=before), now=NOW) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (0.42, "0.4 s"), (12.4, "12 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (-1, "0.0 s")],
)
def test_a_length_of_time_has_its_unit(seconds, words):
    assert duration_words(seconds) == words


def test_a_time_carries_its_exact_utc_and_nothing_stands_for_none():
    page = shown("{% time at %}", at=timezone.now())
    assert 'datetime="' in page
    assert "UTC" in page
    assert shown("{% time at %}", at=None) == "never"
    assert shown('{% time missing.at "not yet" %}') == "not yet"


def test_a_number_is_grouped_and_nothing_is_a_dash():
    assert ">52,318<" in shown("{% number n %}", n=52_318)
    assert ">\N{EN DASH}<" in shown("{% number n %}", n=None)


def test_a_badge_says_its_state_in_a_word_beside_the_icon():
    page = shown('{% badge "failed" word %}', word=HOSTILE)
    assert 'class="badge failed"' in page
    assert "#failed" in page
    assert HOSTILE not in page


def test_a_badge_that_was_drawn_before_is_drawn_as_it_must_be_now():
    marked = "{% badge state word %}"
    assert HOSTILE in shown(marked, state="ok", word=mark_safe(HOSTILE))
    assert HOSTILE not in shown(marked, state="ok", word=HOSTILE)
    assert HOSTILE in shown(marked, state="ok", word=mark_safe(HOSTILE))
    assert "badge failed" in shown(marked, state="failed", word=HOSTILE)
    assert ">Other<" in shown(marked, state="failed", word="Other")


def test_a_badge_of_no_known_state_is_a_mistake():
    with pytest.raises(TemplateSyntaxError, match="use one of ok, working"):
        shown('{% badge "green" "Fine" %}')


def test_an_id_is_shown_by_its_ends_and_copied_whole():
    page = shown("{% short_id id %}", id="2abcDEFghiJKLmnoPQRstuVWXyz")
    assert "<code>2abcD…WXyz</code>" in page
    assert 'data-copy="2abcDEFghiJKLmnoPQRstuVWXyz"' in page
    assert "<code>short</code>" in shown("{% short_id id %}", id="short")


def test_pieces_escape_what_people_typed():
    for source in (
        "{% copy v v %}",
        "{% code v 'sql' v %}",
        "{% alert 'ok' v v %}",
        "{% empty v v %}",
        "{% secret v v %}",
        "{% crumb v v %}",
        "{% tab v v %}",
        "{% facts pairs %}",
        "{% steps rows %}",
        "{% column v v %}",
    ):
        rows = [{"name": HOSTILE, "state": "failed", "message": HOSTILE, "cure": HOSTILE}]
        page = shown(source, v=HOSTILE, pairs=[(HOSTILE, HOSTILE)], rows=rows)
        assert "alert(1)" in page
        assert HOSTILE not in page


@dataclass(frozen=True)
class AStep:
    name: str
    state: str
    message: str = ""
    cure: str = ""


def test_steps_say_what_passed_what_failed_with_its_cure_and_what_was_not_reached():
    rows = [
        AStep("TCP", "passed"),
        AStep("AUTH", "failed", "Refused.", "Check the password."),
        AStep("Write", "not_reached"),
    ]
    page = shown("{% steps rows %}", rows=rows)
    for words in ("passed", "failed", "not reached", "Refused.", "Check the password."):
        assert words in page


def test_facts_are_said_in_words():
    page = shown("{% facts pairs %}", pairs=[("Secure", True), ("Skip verify", False), ("User", ""), ("At", NOW)])
    for name, said in (("Secure", "Yes"), ("Skip verify", "No"), ("User", "\N{EN DASH}")):
        assert f"<dt>{name}</dt> <dd> {said} </dd>" in page
    assert "<time" in page


def test_progress_is_a_bar_and_words():
    page = shown('{% progress 61 100 "Loading" "4 s left" %}')
    assert 'value="61" max="100"' in page
    assert "61 % · 4 s left" in page
    assert "0 %" in shown("{% progress 0 0 %}")


def test_a_tab_is_marked_on_its_page_and_on_those_below():
    tab = "{% tab '/o/acme/settings/' 'Settings' %}"
    assert 'aria-current="page"' in shown(tab, path="/o/acme/settings/")
    assert 'aria-current="true"' in shown(tab, path="/o/acme/settings/members/")
    assert "aria-current" not in shown(tab, path="/o/acme/")
    assert "aria-current" not in shown(tab, path="/o/acme/settings-of-another/")


def test_pages_link_to_their_neighbours_and_keep_the_rest_of_the_address():
    page = Paginator(range(30), 10).page(2)
    links = shown("{% pagination page %}", path="/log?who=ada%26co&page=2", page=page)
    assert "?who=ada%26co&amp;page=1" in links
    assert "?who=ada%26co&amp;page=3" in links
    assert "11\N{EN DASH}20 of" in links
    assert shown("{% pagination page %}", page=Paginator(range(3), 10).page(1)) == ""


def test_a_column_sorts_one_way_then_the_other():
    assert 'href="?q=x&amp;sort=name"' in shown("{% column 'name' 'Name' %}", path="/?q=x&page=4")
    descending = shown("{% column 'name' 'Name' %}", path="/?sort=name")
    assert 'aria-sort="ascending"' in descending
    assert 'href="?sort=-name"' in descending


def test_a_column_of_numbers_is_headed_above_them():
    assert '<th scope="col" class="right">' in shown("{% column 'rows' 'Rows' right=True %}")
    assert '<th scope="col">' in shown("{% column 'name' 'Name' %}")


class AForm(forms.Form):
    address = forms.CharField(help_text="e.g. localhost:6379")
    password = forms.CharField(widget=forms.PasswordInput, required=False)
    secure = forms.BooleanField(required=False)
    kind = forms.ChoiceField(choices=[("a", "A"), ("b", "B")], widget=forms.RadioSelect)
    hidden = forms.CharField(widget=forms.HiddenInput, required=False)

    def clean(self):
        raise forms.ValidationError("These do not go together.")


def test_a_form_shows_label_help_and_error_and_a_summary_that_links_to_the_fields():
    form = AForm({"address": "", "kind": "c"})
    page = shown("{% form_fields form %}", form=form)
    assert "There are 3 problems" in page
    assert '<a href="#id_address">Address</a>' in page
    assert '<a href="#id_kind">Kind</a>' in page
    assert 'id="id_kind"' in page
    assert "<li>These do not go together.</li>" in page
    assert 'id="id_address_error"' in page
    assert 'id="id_address_helptext"' in page
    assert 'aria-describedby="id_address_helptext id_address_error"' in page
    assert page.count("<label") == 5
    assert '<span class="optional">optional</span>' in page
    assert 'name="hidden"' in page


def test_a_summary_of_problems_is_in_the_order_of_the_fields():
    form = AForm({"address": "", "password": "typed", "kind": "c"})
    form.add_error("password", "Too short.")  # as what is checked last, which fields above it were not
    page = shown("{% error_summary form %}", form=form)
    said = ("do not go together", "#id_address", "#id_password", "#id_kind")
    assert [page.index(words) for words in said] == sorted(page.index(words) for words in said)


def test_a_secret_that_is_set_says_so_and_is_never_written_into_the_page():
    form = AForm({"address": "x", "kind": "a", "password": "typed"})
    form.fields["password"].stored = True  # type: ignore[attr-defined]  # as a form of a stored password does  # how a form says that a secret is set
    page = shown("{% form_field field %}", field=form["password"])
    assert "A value is set. Leave this empty to keep it." in page
    assert "typed" not in page


def test_a_secret_that_is_asked_for_again_is_not_said_to_be_kept():
    form = AForm({"address": "x", "kind": "a", "password": ""})
    form.fields["password"].stored = True  # type: ignore[attr-defined]  # as a form of a stored password does
    form.add_error("password", "Enter the password again, because you changed the address.")
    page = shown("{% form_field field %}", field=form["password"])
    assert "Enter the password again" in page
    assert "Leave this empty" not in page


def test_an_icon_is_silent_to_a_screen_reader():
    assert 'aria-hidden="true"' in shown('{% icon "ok" %}')


@pytest.mark.parametrize(("cookie", "attribute"), [("dark", ' data-theme="dark"'), ("light", ' data-theme="light"')])
def test_the_chosen_theme_is_there_from_the_first_paint(cookie, attribute):
    assert _themed(cookie) == f"<html{attribute}>"


@pytest.mark.parametrize("cookie", ["", "system", '" onload="alert(1)'])
def test_nothing_else_a_cookie_says_reaches_the_page(cookie):
    assert _themed(cookie) == "<html>"


def _themed(cookie: str) -> str:
    request = RequestFactory().get("/")
    request.COOKIES["theme"] = cookie
    return Template("{% load frame %}<html{% theme %}>").render(Context({"request": request}))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("features_by_email", "features_<wbr>by_<wbr>email"),
        ("__dunder__name__", "__dunder__<wbr>name__"),
        ("email", "email"),
        ("jane@example.com", "jane@<wbr>example.com"),
        ("<b>_x", "&lt;b&gt;_<wbr>x"),
    ],
)
def test_a_name_may_go_on_after_an_underscore_or_an_at_sign(name, shown):
    assert Template("{{ name|breakable }}").render(Context({"name": name})) == shown
