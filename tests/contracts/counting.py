"""Counts the calls that Schemathesis made in all test processes; printed at the end of the tests."""

from collections.abc import Callable

import pytest

PROPERTY = "schemathesis_calls"


def record(record_property: Callable[[str, object], None], calls: int) -> None:
    """Put a test's calls on record."""
    record_property(PROPERTY, calls)


def told(reporter: pytest.TerminalReporter) -> None:
    """Print the sum."""
    counts = [
        int(value)
        for report in reporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == PROPERTY and report.when == "call"
    ]
    if counts:
        reporter.section("schemathesis")
        reporter.line(
            f"{sum(counts):,} calls from the OpenAPI document in {len(counts):,} tests, all answered as described"
        )
