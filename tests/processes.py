"""Starts the product as a person would, `manage.py up`, in a folder and on a port of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from config.embedded import free_port
from config.local_state import REQUIRED

ROOT = Path(__file__).resolve().parent.parent
READY = "Activation API is ready."
READY_WITHIN = 90.0
STOP_WITHIN = 30.0
# The suite's own environment configures the suite's own Django; `up` must not take it for its own.
_NOT_INHERITED = {
    *REQUIRED,
    *("DATA_DIR", "SNAPSHOT_DIR", "DUCKDB_DIR", "DATABASE_URL", "LOG_LEVEL", "ALLOWED_HOSTS", "USAGE_WRITTEN_EVERY"),
    "DJANGO_ALLOW_ASYNC_UNSAFE",
}


@dataclass
class Up:
    """`manage.py up` as a process; a context manager that ends it with Ctrl-C."""

    folder: Path
    demo: bool = True
    port: int = field(default_factory=free_port)
    output: str = ""
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        return {**inherited, "DATA_DIR": str(self.folder), "PORT": str(self.port), "DEMO": "1" if self.demo else "0"}

    def start(self) -> Self:
        """Start and wait until it says it is ready."""
        self.output = ""
        self.folder.mkdir(parents=True, exist_ok=True)
        printed = self.folder / "printed"
        with printed.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "up"], cwd=ROOT, env=self.environment, stdout=out, stderr=out
            )
        deadline = time.monotonic() + READY_WITHIN
        while "Ctrl-C stops everything." not in self.output:
            self.output = printed.read_text()
            if self._process.poll() is not None or time.monotonic() > deadline:
                logs = "\n".join(log.read_text()[-1500:] for log in (self.folder / "logs").glob("*.log"))
                self.stop()
                raise AssertionError(f"`manage.py up` did not become ready:\n{self.output}\n{logs}")
            time.sleep(0.05)
        return self

    def stop(self) -> int:
        """Press Ctrl-C and wait; returns the exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(signal.SIGINT)
        try:
            status = process.wait(STOP_WITHIN)
        finally:
            if process.poll() is None:
                process.kill()
        return status

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run another management command beside it."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def facts(self) -> dict[str, Any]:
        """What `manage.py demo --json` prints."""
        done = self.manage("demo", "--json")
        assert done.returncode == 0, done.stderr
        facts: dict[str, Any] = json.loads(done.stdout)
        return facts

    def children(self) -> list[int]:
        """The process ids of its children, as it keeps them."""
        return [int(line) for line in (self.folder / "up.pids").read_text().split()]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
