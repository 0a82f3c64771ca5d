"""The codebase keeps to its own rules: sizes, no left-overs, no registry addresses, no secrets."""

import ast
import re

import pytest

from tests.rules.files import ROOT, committed, python_files

LONGEST_FILE = 320
LONGEST_TEST_FILE = 600
LONGEST_FUNCTION = 50
# Built from pieces, so that these files do not name what they forbid.
REGISTRIES = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "deb.debian" + ".org"]
LEFT_OVERS = re.compile(
    "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error", "for " + "now\\b"])
)


def relative(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_a_python_file_is_about_one_noun_and_its_functions_do_one_thing(path):
    text = path.read_text()
    longest = LONGEST_TEST_FILE if path.is_relative_to(ROOT / "tests") else LONGEST_FILE
    assert text.count("\n") <= longest
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {f.name: (f.end_lineno or f.lineno) - f.lineno + 1 for f in functions}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


def test_no_committed_file_names_a_registry():
    naming = [
        relative(path)
        for path in committed()
        if "vendor" not in path.parts
        and path.suffix not in {".png", ".ico"}
        and any(host in path.read_text(errors="replace") for host in REGISTRIES)
    ]
    assert naming == []


def test_the_locks_pin_every_package_with_hashes_and_name_no_address():
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        pins = re.findall(r"^[a-z0-9][^\s#]*==\S+(?: ; [^\\]+)? \\\n    --hash=sha256:", text, re.MULTILINE)
        names = re.findall(r"^[a-z0-9]\S*", text, re.MULTILINE)
        assert len(pins) == len(names) > 40
        assert "://" not in text


def test_no_left_overs_stand_in_the_code():
    found = [
        f"{relative(path)}: {match.group()}"
        for path in committed(".py", ".html", ".js", ".css", ".md", ".toml")
        if "vendor" not in path.parts
        for match in LEFT_OVERS.finditer(path.read_text())
    ]
    assert found == []


def test_every_lint_ignore_in_the_code_gives_a_reason():
    bare = [
        f"{relative(path)}: {line.strip()}"
        for path in python_files()
        for line in path.read_text().splitlines()
        if re.search(r"# (noqa(?!: [A-Z0-9, ]+ - \S)|type: ignore(?!\[[a-z, -]+\]  # \S))", line)
        and "re.search" not in line
    ]
    assert bare == []


def test_no_committed_text_looks_like_a_live_token():
    token = re.compile("actv" + r"_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
    assert [relative(p) for p in committed(".py", ".md", ".html", ".json") if token.search(p.read_text())] == []
