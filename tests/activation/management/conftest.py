"""Projects that are ready to be synced, as the pages' tests have them, and workers that take at once what is asked."""

from collections.abc import Callable

import pytest
from django.utils import timezone

from activation import probes, tasks
from tests.activation.pages.conftest import activation, bare_project, project, warehouse

__all__ = ["activation", "bare_project", "project", "warehouse"]


@pytest.fixture
def worker(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A worker that makes every connection test at the moment it is woken for it."""

    def make(probe_id: int) -> None:
        probes.run(probe_id, now=timezone.now())

    monkeypatch.setattr(tasks, "wake_for_probe", make)
    return make
