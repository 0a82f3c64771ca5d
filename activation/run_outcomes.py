"""How a run that could not go on ends: back in the queue after a pause, or failed with words for its reader."""

from contextlib import suppress

import structlog
from django.utils import timezone

from activation import run_states
from activation.models import RunState, SyncRun
from activation.run_faults import DATABASE_AWAY, Fault

log = structlog.get_logger(__name__)

_MOST_TEXT = 1000


LOST_DATA = "destination_lost_data"


def put_back(run: SyncRun, *, code: str, message: str) -> None:
    """Send a run back to the queue after a pause, as a full one if data was lost; after too many times it fails."""
    now = timezone.now()
    if run.retries >= run_states.MOST_RETRIES:
        fail(run, code=code, message=message)
        return
    whole: dict[str, object] = {}
    if code == LOST_DATA and run.kind != SyncRun.Kind.REMOVAL:
        whole = {"kind": SyncRun.Kind.FULL, "full_reason": LOST_DATA}
    run_states.move(
        run,
        RunState.QUEUED,
        now=now,
        **whole,
        retries=run.retries + 1,
        not_before=now + run_states.wait_before(run.retries),
        error_code=code,
        error=message[:_MOST_TEXT],
    )


def end_early(run: SyncRun, fault: Fault) -> None:
    """Put a run back after a transient fault and fail it after another; without our database the lease does it."""
    with suppress(*DATABASE_AWAY):
        if fault.transient:
            put_back(run, code=fault.code, message=fault.message)
        else:
            fail(run, code=fault.code, message=fault.message)


def postpone_finish(run: SyncRun, fault: Fault) -> None:
    """Let the run be finished again after a pause; after too many times it fails."""
    now = timezone.now()
    with suppress(*DATABASE_AWAY):
        if run.retries >= run_states.MOST_RETRIES:
            fail(run, code=fault.code, message=fault.message)
            return
        SyncRun.objects.filter(pk=run.pk, state=RunState.FINISHING, attempt=run.attempt).update(
            heartbeat_at=None, retries=run.retries + 1, not_before=now + run_states.wait_before(run.retries)
        )


def fail(run: SyncRun, *, code: str, message: str) -> None:
    """Fail a run, if it still is as `run` says."""
    if run_states.move(run, RunState.FAILED, now=timezone.now(), error_code=code, error=message[:_MOST_TEXT]):
        log.warning("sync_failed", run=run.public_id, code=code)
