"""The calls to try: with the reader's own destination and the token just generated, as valid as they look."""

import html
import json
import shlex
import subprocess
import sys

from activation import samples
from activation.models import Source
from tests.cast import Member


def generated(member: Member) -> str:
    form = {"name": "CI", "role": "admin", "expiry": "90", "expires_on": ""}
    return html.unescape(member.client.post("/o/acme/settings/profile/tokens/new/", form).content.decode())


def test_a_new_token_is_shown_in_a_call_of_the_source_that_serves_most(activation, admin):
    Source.objects.filter(id_type="salesforce_id").update(base_rows=10)

    page = generated(admin)

    assert f'"destinationId": "{activation.destination.public_id}", "id": {{"type": "salesforce_id"' in page
    assert "in place of <salesforce_id>" in html.unescape(" ".join(page.replace("<code>", "").split()))


def test_before_anything_is_served_the_destination_is_left_to_fill_in(admin):
    assert '"destinationId": "<destination id>"' in generated(admin)


def test_nothing_of_another_organisation_is_in_the_call(activation, outsider):
    form = {"name": "CI", "role": "admin", "expiry": "90", "expires_on": ""}
    path = f"/o/{outsider.organisation.slug}/settings/profile/tokens/new/"

    assert activation.destination.public_id not in outsider.client.post(path, form).content.decode()


def test_names_with_quotes_stay_whole_in_every_language(activation):
    source = Source.objects.first()
    assert source is not None
    source.entity = 'o\'user "x"'

    curl, python, _ = samples.of_source(source, token="a-token")

    assert json.loads(shlex.split(curl.text)[-1])["entity"] == source.entity
    done = subprocess.run([sys.executable, "-c", f"compile({python.text!r}, 'sample', 'exec')"], check=False)
    assert done.returncode == 0
