"""The files of the pages: compressed and kept for good once collected, served as they are before that."""

import gzip

import pytest
from django.core.management import call_command
from django.templatetags.static import static
from django.test import override_settings


def test_collected_files_carry_a_digest_and_lie_there_compressed(tmp_path, settings):
    settings.STATIC_ROOT = tmp_path
    call_command("collectstatic", verbosity=0, interactive=False)
    with override_settings(STORAGES=settings.STORAGES):
        address, others, again = static("css/base.css"), static("css/tokens.css"), static("css/base.css")
        for _ in range(2):
            with pytest.raises(ValueError, match=r"no\.css"):
                static("css/no.css")
    assert address == again != others
    name = address.removeprefix("/static/")
    assert name.startswith("css/base.")
    assert name != "css/base.css"
    assert gzip.decompress((tmp_path / f"{name}.gz").read_bytes()) == (tmp_path / name).read_bytes()
    assert not (tmp_path / "rest_framework").exists()


def test_what_was_not_collected_is_served_by_its_own_name(client, admin):
    assert static("css/base.css") == "/static/css/base.css"
    answer = client.get("/static/css/base.css")
    assert b"body" in answer.getvalue()
    answer.close()


def test_pages_are_compressed_for_who_takes_it(admin):
    page = admin.client.get("/help/syncing/", headers={"accept-encoding": "gzip"})
    assert page.headers["Content-Encoding"] == "gzip"
    assert "Reconcile" in gzip.decompress(page.content).decode()
