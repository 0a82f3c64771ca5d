"""Every sample of the reference, run as the page shows it: by curl, Python and Node against the running product."""

import html
import json
import re
import shutil
import subprocess
import sys
from typing import Any
from urllib.request import urlopen

import jsonschema_rs
import pytest

from activation.api.openapi.document import document
from activation.api.reference import pages
from tests.activation.reference.conftest import PROFILE, Product

RUN_BY = {
    "bash": ("bash", "-c"),
    "python": (sys.executable, "-c"),
    "javascript": ("node", "--input-type=module", "--eval"),
}
# Where calls need one another: what makes a thing comes first, what deletes it last.
EARLY = (
    "fetchProfileV1",
    "fetchProfile",
    "fetchProfiles",
    "deleteProfiles",
    "checkSuppression",
    "startSync",
    "reportRun",
)
LATE = ("liftSuppression", "stopSync", "deleteProject", "deleteWarehouse", "deleteDestination")
# What an answer gives to the environment of the calls in the second place: variable → where it is.
GIVES: dict[str, tuple[str, dict[str, str]]] = {
    "deleteProfiles": ("readDeletion", {"DELETION_ID": "receiptId"}),
    "reportRun": ("readRun", {"RUN_ID": "runId"}),
    "checkProject": ("readProjectCheck", {"CHECK_ID": "id"}),
    "createProject": ("deleteProject", {"PROJECT_ID": "id"}),
    "connectWarehouse": ("Warehouse", {"WAREHOUSE_ID": "id", "CHECK_ID": "checkId"}),
    "connectDestination": ("(change|probe|delete)Destination", {"DESTINATION_ID": "id"}),
    "probe": ("readProbe", {"PROBE_ID": "id"}),
}
OPERATIONS = [operation for group in pages.groups() for operation in group.operations]


def shown(url: str, language: str) -> dict[str, str]:
    """Read the samples off the pages, by the name of the call."""
    found = {}
    for group in pages.groups():
        with urlopen(f"{url}/docs/api/{group.slug}/", timeout=10) as answer:
            page = answer.read().decode()
        for section in page.split('<section class="card" id="')[1:]:
            [text] = re.findall(rf'<code id="[^"]+" class="language-{language}">(.*?)</code>', section, re.DOTALL)
            found[section.partition('"')[0]] = html.unescape(text)
    return found


def in_order() -> list[str]:
    names = [operation.name for operation in OPERATIONS]
    rest = [name for name in names if name not in {*EARLY, *LATE}]
    made = [name for name in rest if name in GIVES]
    return [*EARLY, *made, *(name for name in rest if name not in made), *LATE]


def as_described(name: str, printed: str) -> Any:
    """See that what a call printed is one of its good answers, and return it."""
    described = next(
        each for path in document()["paths"].values() for each in path.values() if each["operationId"] == name
    )
    good = {status: answer for status, answer in described["responses"].items() if status.startswith("2")}
    if good.keys() == {"204"}:
        assert printed.strip() in {"", "204"}, name
        return None
    if name == "readMetrics":
        assert "activation_look_ups_total" in printed
        return None
    told = json.loads(printed)
    schemas = [answer["content"]["application/json"]["schema"] for answer in good.values()]
    whole = {"anyOf": schemas, "components": document()["components"]}
    jsonschema_rs.validator_for(whole).validate(told)
    return told


@pytest.mark.parametrize("language", RUN_BY)
def test_every_sample_of_the_reference_does_what_it_says(product: Product, language: str):
    assert shutil.which(RUN_BY[language][0]), f"this test needs {RUN_BY[language][0]}"
    samples, answers = shown(product.url, language), {}
    given: list[tuple[str, dict[str, str]]] = []
    assert sorted(in_order()) == sorted(samples)
    for name in in_order():
        environment = dict(product.environment)
        for pattern, values in given:
            if re.search(pattern, name):
                environment |= values
        done = subprocess.run(
            [*RUN_BY[language], samples[name]], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (name, done.stdout + done.stderr)
        answers[name] = as_described(name, done.stdout)
        if name in GIVES:
            pattern, values = GIVES[name]
            given.append((pattern, {variable: answers[name][at] for variable, at in values.items()}))

    assert answers["fetchProfile"]["data"] == {"features_by_email": PROFILE}
    assert [result["status"] for result in answers["fetchProfiles"]["results"]] == ["found", "not_found"]
    assert answers["deleteProfiles"]["deletedKeys"] == 1
    assert answers["checkSuppression"]["suppressed"]
    assert answers["liftSuppression"] == {"lifted": 1}
    assert answers["connectDestination"]["name"] == "Production Redis"
    assert answers["probe"]["state"] == answers["probeDestination"]["state"] == "passed"
