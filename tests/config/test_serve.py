"""The web server's workers."""

import http.client
import subprocess
import sys
import time
from contextlib import closing, suppress

from django.template import Engine
from django.template.loaders import cached

from config.embedded import free_port
from config.wsgi import application
from tests.config import collector_app
from tests.processes import ROOT

BEGINS_WITHIN = 60.0


def answer(port: int) -> str:
    """Ask until it answers."""
    until = time.monotonic() + BEGINS_WITHIN
    while time.monotonic() < until:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection, suppress(OSError):
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        time.sleep(0.05)
    raise AssertionError("it did not answer")


def test_the_collector_leaves_alone_what_a_worker_loaded_before_it_began():
    port = free_port()
    command = [sys.executable, "-m", "config.serve", "--application", "tests.config.collector_app:application"]
    process = subprocess.Popen([*command, "--port", str(port), "--unready-for", "0", "--drain-for", "1"], cwd=ROOT)
    try:
        assert int(answer(port)) > collector_app.MANY
    finally:
        process.terminate()
        process.wait(30)


def test_a_worker_that_left_in_time_is_not_called_late():
    port = free_port()
    command = [sys.executable, "-m", "config.serve", "--application", "tests.config.collector_app:application"]
    command += ["--port", str(port), "--unready-for", "0", "--drain-for", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        answer(port)
    finally:
        process.terminate()
        told, _ = process.communicate(timeout=30)
    assert "Stopping worker-1" in told
    assert "killed" not in told


def test_pages_have_their_templates_before_the_first_visitor():
    [loader] = Engine.get_default().template_loaders
    assert isinstance(loader, cached.Loader)
    loader.reset()
    application.prepare()
    assert {"base.html", "accounts/overview.html", "activation/run.html"} <= loader.get_template_cache.keys()
