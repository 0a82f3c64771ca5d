"""Settings from the environment: what is wrong is said at start-up, all at once, without a secret."""

import base64
import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.environment import Environment
from config.local_state import REQUIRED
from tests.processes import ROOT

KEY = base64.b64encode(b"k" * 32).decode()
OTHER = base64.b64encode(b"o" * 32).decode()


def problems(env: Environment) -> str:
    with pytest.raises(ImproperlyConfigured) as refused:
        env.verify()
    return str(refused.value)


def test_every_problem_is_said_at_once():
    env = Environment({"NUMBER": "many", "FLAG": "perhaps", "DATABASE_URL": "mysql://host/x"})
    env.text("SECRET_KEY", hint="Set it to a long random text.")
    env.number("NUMBER", default=1)
    env.flag("FLAG")
    env.database("DATABASE_URL", default="sqlite:///x")

    said = problems(env)

    assert "SECRET_KEY (or SECRET_KEY_FILE) is not set. Set it to a long random text." in said
    assert "NUMBER must be a whole number" in said
    assert "FLAG must be 1 or 0" in said
    assert "DATABASE_URL must look like postgresql://" in said


@pytest.mark.parametrize("value", ["", "secret-but-no-key", f"x:{KEY}", "1:dG9vLXNob3J0", f"1:{KEY},1:{OTHER}"])
def test_a_bad_key_set_says_its_format_and_never_its_content(value):
    env = Environment({"KEYS": value})

    assert env.keys("KEYS") == {}
    said = problems(env)
    assert "version:base64" in said or "is not set" in said
    assert value == "" or value not in said


def test_a_key_set_is_read_newest_first():
    keys = Environment({"KEYS": f"7:{KEY}, 3:{OTHER}"}).keys("KEYS")

    assert list(keys.items()) == [(7, b"k" * 32), (3, b"o" * 32)]


def test_a_setting_may_come_from_a_file(tmp_path):
    file = tmp_path / "secret"
    file.write_text("from the file\n")

    assert Environment({"NAME_FILE": str(file), "NAME": "from the variable"}).text("NAME") == "from the file"


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    env = Environment({"NAME_FILE": str(tmp_path / "nothing")})
    env.text("NAME")

    assert "NAME_FILE names a file that cannot be read (No such file or directory)" in problems(env)


@pytest.mark.parametrize(
    ("url", "name"),
    [("sqlite:////var/lib/a.sqlite3", "/var/lib/a.sqlite3"), ("sqlite:///a.sqlite3", "a.sqlite3")],
)
def test_sqlite_is_named_by_its_path(url, name):
    assert Environment({"DATABASE_URL": url}).database("DATABASE_URL", default="")["NAME"] == name


def test_postgresql_is_named_by_its_address():
    database = Environment({"D": "postgresql://me:p%40ss@db.example:6432/main?sslmode=require"}).database(
        "D", default=""
    )

    assert [database[part] for part in ("USER", "PASSWORD", "HOST", "PORT", "NAME")] == [
        "me", "p@ss", "db.example", 6432, "main"
    ]  # fmt: skip
    options = database["OPTIONS"]
    assert isinstance(options, dict)
    assert options["sslmode"] == "require"


def test_without_secrets_no_command_starts_and_each_missing_one_is_named(tmp_path):
    inherited = {name: value for name, value in os.environ.items() if name not in REQUIRED}

    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**inherited, "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [name for name in REQUIRED if f"{name} (or {name}_FILE) is not set" not in done.stderr] == []
    assert list(tmp_path.iterdir()) == []
