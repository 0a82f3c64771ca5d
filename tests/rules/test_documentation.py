"""The documentation is true: every setting, permission, state and recipe is there, every link leads somewhere."""

import re

import pytest

from accounts.roles import DESCRIPTIONS, Permission
from activation.models import RunState
from tests.rules.files import ROOT, committed

OPERATING = ROOT / "docs" / "operating.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def test_every_setting_of_the_environment_is_in_the_operating_guide():
    source = "".join((ROOT / "config" / name).read_text() for name in ("settings.py", "supervisor.py"))
    source += (ROOT / "config" / "management" / "commands" / "up.py").read_text()
    names = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source)) | set(
        re.findall(r'environ(?:\.get|\.setdefault)?[\[(]"([A-Z_]+)"', source)
    )
    guide = OPERATING.read_text()
    assert len(names) > 15
    assert sorted(name for name in names if f"`{name}`" not in guide) == []


def test_every_permission_is_described_in_words_and_in_the_documentation():
    guide = (ROOT / "docs" / "roles.md").read_text()
    assert set(DESCRIPTIONS) == set(Permission)
    assert [text for text in DESCRIPTIONS.values() if text not in guide] == []


def test_every_state_of_a_sync_run_is_explained():
    text = ARCHITECTURE.read_text()
    assert [state.name for state in RunState if f"`{state.name}`" not in text] == []


def test_every_recipe_of_the_makefile_is_in_its_help_and_the_readme_names_the_two_that_matter():
    makefile = (ROOT / "Makefile").read_text()
    [recipes] = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    described = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert set(recipes.split()) == described
    readme = (ROOT / "README.md").read_text()
    assert "make run" in readme
    assert "make test" in readme


@pytest.mark.parametrize("page", committed(".md"), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    relative = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in relative if not (page.parent / link).exists()] == []
