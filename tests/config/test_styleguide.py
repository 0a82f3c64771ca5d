"""The style guide shows every piece there is, and is there only for who asks for it."""

import os
import subprocess
import sys

from tests.rules.files import ROOT


def test_every_piece_is_on_the_page(admin):
    page = admin.client.get("/styleguide/")
    assert page.status_code == 200
    shown = {template.name for template in page.templates}
    pieces = {f"components/{path.name}" for path in (ROOT / "templates" / "components").glob("*.html")}
    assert sorted(pieces - shown) == []


def test_it_is_not_there_unless_asked_for():
    source = (
        "import django; django.setup(); from django.urls import resolve, Resolver404\n"
        "try: resolve('/styleguide/')\nexcept Resolver404: print('none')"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    environment.pop("STYLEGUIDE")
    told = subprocess.run(
        [sys.executable, "-c", source], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "none"
