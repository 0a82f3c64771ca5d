"""Every code with which a sync, a preview or a look through Redis can end says what to do, and where to read on.

The codes are read out of the source, so that a new one without words fails here and not in front of a person.
"""

import ast
from collections.abc import Iterator

import pytest

from activation import cures, run_faults
from activation.engine import cures as of_redis
from activation.engine import errors, replies
from activation.models import RedisDestination, Source, SyncRun
from config import guides
from projects.warehouses import cures as of_warehouses
from projects.warehouses import port
from tests.rules.files import ROOT

TROUBLE = guides.guide("troubleshooting")
# Caught where they are raised, so that no run ends with them; what answers calls of the API has words there.
INSIDE = {"destination_error", "redirected", "script_unknown"}
PLACES = ("activation/*.py", "activation/engine/*.py", "projects/warehouses/*.py")
_RAISING = {"put_back", "fail", "give_up", "_let_go", "postpone_finish", "Fault"}


def raised() -> Iterator[str]:
    """Find the codes in the source: of error classes, and those given where an error is raised or a run ended."""
    for pattern in PLACES:
        for file in ROOT.glob(pattern):
            if file.name not in {"cascades.py", "deletions.py"}:  # a receipt of the API tells those
                for node in ast.walk(ast.parse(file.read_text())):
                    yield from _codes(node)


def _codes(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ClassDef):
        named = [each for each in node.body if isinstance(each, ast.Assign)]
        yield from (_text(each.value) for each in named if [ast.unparse(target) for target in each.targets] == ["code"])
    elif isinstance(node, ast.Call):
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in _RAISING or name.startswith(("Destination", "Client", "Certificate")):
            yield from (_text(each.value) for each in node.keywords if each.arg == "code")
        if name == "Fault" and node.args:
            yield _text(node.args[0])
        yield from (_text(each.value) for each in node.keywords if each.arg == "error_code")


def _text(value: ast.expr) -> str:
    return str(value.value) if isinstance(value, ast.Constant) else ""


def of_classes(base: type[errors.DestinationError | port.WarehouseError]) -> Iterator[str]:
    """Name the codes of an error and of all that are made of it."""
    yield base.code
    for kind in base.__subclasses__():
        yield from of_classes(kind)


CODES = sorted(
    {
        *raised(),
        *of_classes(errors.DestinationError),
        *of_classes(port.WarehouseError),
        *(code for code, _ in run_faults._KNOWN.values()),
        *(replies.fault(code, "").code for code in (*replies._TRANSIENT, *replies._REFUSED, *replies._PLAIN)),
        replies.fault("UNKNOWNCOMMAND", "").code,
    }
    - INSIDE
    - {""}
)


@pytest.mark.parametrize("code", CODES)
def test_an_error_says_what_to_do_and_is_explained(code):
    assert code in TROUBLE.codes, "docs/troubleshooting.md does not name it"
    assert TROUBLE.codes[code] in TROUBLE.anchors
    told = cures.of_run(failed(code))
    assert told not in {"", cures.of_run(failed("nobody_knows"))}
    assert "try again" not in told.lower() or "press Try again" in told


def failed(code: str) -> SyncRun:
    destination = RedisDestination(workspace_id="ws", public_id="dest", settings={})
    return SyncRun(source=Source(destination=destination), error_code=code, error="What happened.")


def test_the_codes_are_found():
    assert {"unreachable", "no_cluster", "oom", "tls_failed", "grant_missing", "fence_lost", "worker_stalled"} <= {
        *CODES
    }


def test_no_cure_is_for_a_code_that_nothing_has():
    known = of_redis.CODES | set(of_warehouses.CURES) | set(cures.OURS) | set(cures._PLACES)
    assert known - set(CODES) == set()


def test_the_connection_test_and_a_sync_say_the_same():
    asker = of_redis.Asker("ws:dest:")
    for code in of_redis.CODES - of_redis.RIGHTS_MISSING:
        own = of_redis.cure(code, "", asker).lower().partition("try again")[0]
        assert own in cures.of_run(failed(code)).lower(), code
    for code in of_redis.RIGHTS_MISSING:
        assert of_redis.cure(code, "", asker).endswith(asker.grant())
        assert cures.of_run(failed(code)).endswith(asker.grant())
