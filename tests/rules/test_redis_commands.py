"""SCAN is Reconcile's, and KEYS nobody's: either reads through all that a customer keeps in Redis."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.rules.files import ROOT, python_files

PRODUCT = ("accounts", "activation", "config", "projects")
THE_ONE_PLACE = "activation/engine/keyspace.py"
WORDS = {"SCAN", "KEYS"}
# A command as text: all of it or its first word, quoted in a script, or as Redis reads it. `KEYS[1]` of a script is none.
TOLD = re.compile(r"(?:^|['\"]|\r\n)(SCAN|KEYS)(?=$|[ '\"]|\r\n)")
CALLED = re.compile(r"call\(\s*['\"](scan|keys)['\"]", re.IGNORECASE)
SENDS = re.compile(r"execute|send|call|command|pack", re.IGNORECASE)


def commands(source: str) -> Iterator[str]:
    """Yield the forbidden words that a Python file sends or may send, in capitals."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode(errors="replace")
            yield from (word.upper() for word in [*TOLD.findall(text), *CALLED.findall(text)])
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in {"scan", "scan_iter"}:
                yield "SCAN"
            asked = node.args or node.keywords  # a dictionary's takes nothing; `env.keys` reads a setting
            if node.func.attr == "keys" and asked and ast.unparse(node.func.value) != "env":
                yield "KEYS"
            if SENDS.search(node.func.attr):
                first = [a.value for a in ast.walk(ast.Tuple(node.args)) if isinstance(a, ast.Constant)]
                yield from (str(word).upper() for word in first if word in {"scan", "keys", b"scan", b"keys"})


def test_scan_is_used_in_one_place_and_keys_nowhere():
    files = [file for file in python_files() if file.relative_to(ROOT).parts[0] in PRODUCT]
    found = {(str(file.relative_to(ROOT)), word) for file in files for word in commands(file.read_text())}
    assert len(files) > 100
    assert found == {(THE_ONE_PLACE, "SCAN")}


@pytest.mark.parametrize(
    "source",
    [
        "node.execute('KEYS', pattern)",
        "node.execute('SCAN', cursor)",
        "node.execute_many([(key, ('keys', key))])",
        "client.keys('w:*')",
        "client.scan_iter('w:*')",
        "client.scan(0)",
        "packed = b'*2\\r\\n$4\\r\\nKEYS\\r\\n'",
        "script = \"redis.call('KEYS', ARGV[1])\"",
        "script = \"redis.pcall('scan', 0)\"",
        "line = 'SCAN 0 MATCH w:*'",
    ],
)
def test_however_a_command_is_written_it_is_seen(source):
    assert set(commands(source)) <= WORDS
    assert list(commands(source))


@pytest.mark.parametrize("source", ["script = \"redis.call('GET', KEYS[1])\"", "list(row.keys())", "{'keys': count}"])
def test_keys_of_scripts_and_dictionaries_are_no_commands(source):
    assert not list(commands(source))
