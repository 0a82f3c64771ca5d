"""The documentation of the API names every error that the contract table knows."""

from pathlib import Path

from tests.contracts.test_activation_table import CASES

GUIDE = Path(__file__).resolve().parent.parent.parent / "docs" / "api.md"


def test_every_error_of_the_contract_is_documented_with_its_status():
    guide = GUIDE.read_text()
    told = {(row.expected[0], row.expected[1]) for row, _, _ in CASES} | {
        (500, "internal"),
        (503, "service_unavailable"),
    }
    assert len(told) >= 11
    assert sorted(case for case in told if "| {} | `{}` |".format(*case) not in guide) == []
