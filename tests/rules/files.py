"""The committed files, for the tests about the codebase itself."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = ("config", "accounts", "projects", "activation", "tests", "benchmarks", "docs", "templates", "static", ".ci")


def committed(*suffixes: str) -> list[Path]:
    """List the tracked (or new, not ignored) files whose names end with one of `suffixes`; all without any."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    files = [ROOT / name for name in names if name and (not suffixes or name.endswith(suffixes))]
    return [file for file in files if file.is_file()]


def python_files() -> list[Path]:
    """List our Python files without migrations."""
    return [file for file in committed(".py") if "migrations" not in file.parts]
