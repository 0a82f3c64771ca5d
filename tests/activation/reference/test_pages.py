"""The reference's pages: for anybody, kept by caches, light, whole, and true to the document."""

import gzip
import re

import pytest
from django.test import Client

from activation.api.openapi import problems
from activation.api.reference import pages, rows
from tests.cast import Member

ADDRESSES = ["/docs/api/", *(f"/docs/api/{group.slug}/" for group in pages.groups())]
MOST_BYTES = 100_000


@pytest.mark.parametrize("address", ADDRESSES)
def test_anybody_may_read_it_and_every_cache_keep_it(address: str, db: None):
    answer = Client().get(address)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert {"Cookie", "Accept-Encoding"} == set(answer.headers["Vary"].split(", "))
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not answer.cookies
    again = Client().get(address, HTTP_IF_NONE_MATCH=answer.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("address", ADDRESSES)
def test_it_is_light(address: str, db: None):
    answer = Client().get(address, HTTP_ACCEPT_ENCODING="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.content) < MOST_BYTES
    assert b"<h1>" in gzip.decompress(answer.content)


def test_it_is_the_same_for_who_is_logged_in_but_for_the_theme(admin: Member):
    stranger, theirs = Client().get("/docs/api/"), admin.client.get("/docs/api/")
    assert stranger.content == theirs.content
    admin.client.cookies["theme"] = "dark"
    assert b'data-theme="dark"' in admin.client.get("/docs/api/").content
    admin.client.cookies["theme"] = '"><script>'
    assert admin.client.get("/docs/api/").content == stranger.content


def test_there_is_no_other_group_and_no_other_method(db: None):
    assert Client().get("/docs/api/secrets/").status_code == 404
    assert Client().post("/docs/api/").status_code == 405


@pytest.mark.parametrize("group", pages.groups(), ids=lambda group: group.slug)
def test_a_page_tells_all_about_each_call(group: pages.Group, db: None):
    page = Client().get(f"/docs/api/{group.slug}/").content.decode()
    listed = Client().get("/docs/api/").content.decode()
    sections = {each.partition('"')[0]: each for each in page.split('<section class="card" id="')[1:]}
    assert list(sections) == [operation.name for operation in group.operations]
    for operation in group.operations:
        section = sections[operation.name]
        assert f"/docs/api/{group.slug}/#{operation.name}" in listed
        assert f'<span class="verb">{operation.method}</span> <code>{operation.path}</code>' in section
        assert "Token: " in section or group.name == "Operation"
        for row in (*operation.parameters, *operation.body):
            assert f"<code>{row.name}</code>" in section
        for answer in (*operation.answers, *operation.refusals):
            assert f">{answer.status}</span>" in section
        assert len(re.findall('<details class="sample"', section)) == 3
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_every_code_of_an_error_is_listed(db: None):
    page = Client().get("/docs/api/").content.decode()
    assert [each.code for each in problems.ALL if f"<code>{each.code}</code>" not in page] == []


def test_pages_lead_to_it(admin: Member):
    for address in ("/o/acme/", "/o/acme/settings/profile/tokens/"):
        assert 'href="/docs/api/"' in admin.client.get(address).content.decode()


@pytest.mark.parametrize(
    ("schema", "words", "limits"),
    [
        ({"type": ["string", "null"], "maxLength": 10}, "text or null", "at most 10 characters"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Id"}, "minItems": 1, "maxItems": 1000}, None, None),
        ({"enum": ["a", None]}, "one of `a`, null", ""),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 7}, "whole number, or null", "`7` by default"),
        ({"type": "boolean", "default": False}, "true or false", "`false` by default"),
        ({"type": "string", "minLength": 1, "format": "date-time"}, "text", "not empty, ISO 8601"),
    ],
)
def test_a_schema_is_told_in_words(schema: dict[str, object], words: str | None, limits: str | None):
    named = {"Id": {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]}}
    if words is None:
        assert rows.kind(schema, named) == "list of: object"
        assert rows.limits(schema) == "1–1,000 items"  # noqa: RUF001 - a range
        [outer, inner] = rows.of_body({"properties": {"ids": schema}}, named)
        assert (outer.name, inner.name, inner.required) == ("ids", "ids[].type", True)
    else:
        assert (rows.kind(schema, named), rows.limits(schema)) == (words, limits)
