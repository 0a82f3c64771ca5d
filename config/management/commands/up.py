"""`manage.py up`: run everything on this machine until Ctrl-C."""

import os
import signal
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts import setup
from accounts.models import Organisation
from config import demo, local_state, supervisor
from config.embedded import EmbeddedServerFailed
from config.management.commands.demo import describe

WEB_WITHIN = 60.0  # as long as the web server waits for its own workers, on a machine that does much else


class Command(BaseCommand):
    help = "Run web, API, workers, beat and two embedded Valkeys on this machine (PORT, DATA_DIR, DEMO=0)."

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(local_state.data_dir())
        try:
            with supervisor.only_one(folder), supervisor.embedded_servers(folder):
                self._run(folder)
        except (supervisor.AlreadyRunning, EmbeddedServerFailed) as error:
            raise CommandError(str(error)) from None

    def _run(self, folder: Path) -> None:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        settings.DUCKDB_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
        call_command("collectstatic", verbosity=0, interactive=False)
        call_command("migrate", verbosity=0, interactive=False)
        port = int(os.environ.get("PORT", "8000"))
        local_state.write(local_state.UP_FILE, {"url": settings.PUBLIC_URL})
        with supervisor.Children(folder, supervisor.children_of_up(folder, port=port)):
            # Seeding goes on while the children start.
            made = demo.seed() if _wants_demo() else None
            self._wait_for_web(port, folder, stop)
            if made is not None:
                self._wait_for_demo(made, stop)
            if not stop.is_set():
                self._greet(folder, made)
            stop.wait()
            self.stdout.write("Stopping ...")

    def _wait_for_web(self, port: int, folder: Path, stop: threading.Event) -> None:
        deadline = time.monotonic() + WEB_WITHIN
        while not stop.is_set():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1):
                    return
            except OSError:
                if time.monotonic() > deadline:
                    log = supervisor.tail(folder / "logs" / "web.log")
                    raise CommandError(
                        f"The web server did not come up on port {port}. Its log ends with:\n{log}"
                    ) from None
                time.sleep(0.05)

    def _wait_for_demo(self, made: demo.Demo, stop: threading.Event) -> None:
        try:
            demo.wait_until_it_answers(made, stopped=stop.is_set)
        except demo.DemoNotReady as error:
            self.stderr.write(str(error))

    def _greet(self, folder: Path, made: demo.Demo | None) -> None:
        self.stdout.write("\nActivation API is ready.\n")
        if made is not None:
            self.stdout.write(describe(made.facts()))
        else:
            self.stdout.write(f"  Open            {settings.PUBLIC_URL}")
            if setup.needed():
                self.stdout.write(f"  Set-up code     {setup.new_code()}")
            self.stdout.write(f"  DuckDB files    put them into {settings.DUCKDB_DIR}")
            kept = local_state.secrets_of_up()["destination"]
            self.stdout.write(f"  A Redis to try  127.0.0.1:{kept['port']}  password {kept['password']}")
        self.stdout.write(f"\n  Logs are in {folder / 'logs'}. Ctrl-C stops everything.\n")
        self.stdout.flush()


def _wants_demo() -> bool:
    if os.environ.get("DEMO", "1") in {"0", "false", "no", "off"}:
        return False
    return bool(local_state.read(local_state.DEMO_FILE)) or not Organisation.objects.exists()
