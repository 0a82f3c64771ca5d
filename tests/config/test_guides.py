"""The guides as pages: complete, linked in both directions, and reached from every page and every error."""

import re

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import get_resolver, resolve, reverse

from activation import run_words
from activation.engine.redis_settings import RedisSettings
from activation.engine.trial import Trial
from config import guides, page_guides
from projects.warehouses import checks, port
from tests.rules.test_access import NOT_OF_AN_ORGANISATION, TABLE

TROUBLE = guides.guide("troubleshooting")


@pytest.mark.parametrize("slug", guides.SLUGS)
def test_a_guide_has_one_title_and_its_links_lead_to_what_is_there(slug):
    guide = guides.guide(slug)
    assert guide.title
    assert "<h1" not in guide.body
    targets = re.findall(r'<a href="([^"]+)"', guide.body)
    for target in targets:
        path, _, anchor = target.partition("#")
        if path.startswith("http"):
            continue
        slug_there = resolve(path).kwargs.get("slug") if path else slug
        assert not anchor or anchor in guides.guide(slug_there).anchors, target


def test_every_file_of_the_documentation_is_a_guide_but_those_for_who_works_on_it():
    assert {path.stem for path in guides.FOLDER.glob("*.md")} - {"chaos"} == set(guides.SLUGS)


def test_a_guide_can_be_read_without_an_account(client, admin):
    for slug in guides.SLUGS:
        page = client.get(reverse("guide", args=[slug]))
        assert page.status_code == 200
        assert f"<h1>\n              {guides.guide(slug).title}" in page.content.decode()
    assert client.get("/help/").status_code == 200
    assert client.get("/help/settings/").status_code == 404


def test_a_guide_can_be_read_before_anything_is_set_up(client, db):
    assert client.get("/help/enabling/").status_code == 200


def test_who_is_logged_in_reads_a_guide_within_the_organisation(admin):
    assert 'aria-label="Main"' in admin.client.get("/help/enabling/").content.decode()


def test_links_of_a_guide_stay_in_the_product():
    assert guides.address("adr/0001-snapshots-run-on-the-load-queue.md") == "/help/"
    assert guides.address("syncing.md#schedule") == "/help/syncing/#schedule"
    assert guides.address("#tls") == "#tls"


def test_every_page_leads_to_a_guide_and_to_a_section_that_is_there():
    names = {name for name in get_resolver().reverse_dict if isinstance(name, str)} | set(TABLE)
    names |= NOT_OF_AN_ORGANISATION
    for name in names - {"guides", "guide", "styleguide"}:
        where = page_guides.of(name)
        if not where and (":" not in name and not name.startswith(("account_", "mfa_"))):
            continue
        slug, _, anchor = where.partition("#")
        assert not anchor or anchor in guides.guide(slug).anchors, name
    assert set(page_guides.PAGES) <= names


def test_every_step_of_a_test_is_explained():
    trial = Trial(RedisSettings(addresses=(("localhost", 6379),)), "", allow_private=True, forbidden=())
    names = [name for name, _ in trial.steps()] + [checks.CONNECTION, checks.SCHEMAS, checks.OWN_SCHEMA]
    names.append(checks.reads(port.Relation("analytics", "features")))
    for name in names:
        rows = [{"name": name, "state": "failed", "message": "", "cure": ""}]
        assert 'href="/help/troubleshooting/#' in Template("{% steps rows %}").render(Context({"rows": rows})), name


def test_a_step_that_passed_needs_no_explanation():
    rows = [{"name": "TLS", "state": "passed", "message": "", "cure": ""}]
    assert "<a " not in Template("{% steps rows %}").render(Context({"rows": rows}))


def test_an_error_leads_to_its_section():
    assert set(run_words.FAILURES) <= set(TROUBLE.codes)
    page = Template("{% load guides %}{% error_guide code %}")
    assert page.render(Context({"code": "oom"})) == "/help/troubleshooting/#busy"
    assert page.render(Context({"code": "redis_misc"})) == "/help/troubleshooting/#redis_…"
    assert page.render(Context({"code": "nobody_knows"})) == "/help/troubleshooting/#a-sync-that-failed"


def test_problems_of_a_form_lead_to_the_guide_of_its_page():
    from accounts.forms import EmailForm

    request = RequestFactory().get("/account/email/")
    request.resolver_match = resolve("/account/email/")
    form = EmailForm({"email": ""})
    page = Template("{% form_fields form %}").render(Context({"form": form, "request": request}))
    assert 'href="/help/people/#your-account"' in page
