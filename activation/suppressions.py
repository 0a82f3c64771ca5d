"""Suppressions: keys that were deleted through the API and must not be written again.

A suppression is committed **before** its key is deleted in Redis, and the loader asks for newer ones **after** each
chunk Redis acknowledged. Whatever the order of the two, one of them deletes last. For that, sequence numbers must
become visible in their own order: they are taken while holding the lock on the destination's row, which is released
by the commit, so that whoever has seen number n will never see a smaller one appear.

What is kept about the person is a keyed digest, and a checksum sealed with the same secret. The key itself is kept only
encrypted, and only until Redis has acknowledged the delete and the syncs that were under way then have ended.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q

from accounts import audit, vault
from accounts.actors import Actor
from activation import deletions, handles
from activation.engine import profiles
from activation.engine.kept_out import Mark
from activation.handle import DestinationUnavailable
from activation.models import Activation, DeletedProfilesPolicy, RedisDestination, Suppression, SyncRun

# A delete that is just being made by the process that was asked for it is left to that process.
RETRY_AFTER = timedelta(seconds=5)
RETRIED_AT_ONCE = 500
# In SQL, because a sync asks after each write, where making the statement took twenty times as long as running it.
_SINCE = """
SELECT sequence, key_version, digest, sealed_checksum, lifted_at IS NULL FROM activation_suppression
WHERE destination_id = %s AND sequence > %s ORDER BY sequence
"""

log = structlog.get_logger(__name__)


# A run that began to load without knowing of a suppression may hold the profile in a write under way until its fences
# are closed, also when it has ended by then. Told by numbers, not by times: a request that waits is older than its
# suppression, and hosts have clocks of their own.
_IN_FLIGHT = Exists(
    SyncRun.objects.filter(
        Q(source__destination=OuterRef("destination")) | Q(source__destination__other_place_of=OuterRef("destination")),
        fences_open=True,
        suppressions_known__lt=OuterRef("sequence"),
    )
)


class SuppressionKeyMissing(Exception):
    """Suppressions stand that were made with a key this process was not started with: it cannot tell whose they are."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"This process lacks version {version} of SUPPRESSION_KEYS, so it cannot tell who was deleted under it. "
            "Have it restarted with the keys that the other processes have."
        )
        self.version = version


@dataclass(frozen=True)
class Suppressed:
    """Suppressions that stand, as primary keys: those of one request."""

    ids: tuple[int, ...]


def stand(destination_id: int) -> bool:
    """Tell whether profiles deleted in this destination stay deleted: unless every project there lets them return."""
    policies = Activation.objects.filter(destination_id=destination_id).values_list("deleted_profiles", flat=True)
    return set(policies) != {DeletedProfilesPolicy.MAY_RETURN}


@transaction.atomic
def suppress(
    destination: RedisDestination, keys: Sequence[str], *, by: Actor, now: datetime, receipt: str = ""
) -> Suppressed:
    """Suppress each key (whole key text), keeping it encrypted until `settle` is told that Redis deleted it.

    A key that is suppressed already keeps its suppression, and is to be deleted once more. `receipt` is that of a
    cascading delete.
    """
    wanted = {key: _digests(key) for key in dict.fromkeys(keys)}
    # First the lock of the destination's row, then the look: two requests for one key come one after the other.
    RedisDestination.objects.filter(pk=destination.pk).update(last_suppression=F("last_suppression") + len(wanted))
    last: int = RedisDestination.objects.values_list("last_suppression", flat=True).get(pk=destination.pk)
    standing = _standing(destination.pk, wanted.values())
    known = {key: pk for key, digests in wanted.items() for digest in digests.values() if (pk := standing.get(digest))}
    for key, pk in known.items():
        Suppression.objects.filter(pk=pk).update(pending_key=vault.encrypt(key), deleted_at=None)
    version = vault.newest_version(settings.SUPPRESSION_KEYS)
    secret = settings.SUPPRESSION_KEYS[version]
    fresh = Suppression.objects.bulk_create(
        Suppression(
            destination=destination,
            sequence=last - offset,
            digest=digests[version],
            sealed_checksum=profiles.sealed_checksum(secret, digests[version], profiles.key_checksum(key)),
            key_version=version,
            pending_key=vault.encrypt(key),
            requested_by=by.name,
            receipt=receipt,
            created_at=now,
        )
        for offset, (key, digests) in enumerate(wanted.items())
        if key not in known
    )
    return Suppressed(ids=(*known.values(), *(suppression.pk for suppression in fresh)))


def in_flight(suppressed: Suppressed) -> frozenset[int]:
    """Return those that a sync under way may be writing at this moment.

    Ask before the delete is sent: a sync that writes after it and ends before the answer is noted is not seen later.
    One that begins to load after this knows of them.
    """
    rows = Suppression.objects.filter(_IN_FLIGHT, pk__in=suppressed.ids)
    return frozenset(rows.values_list("pk", flat=True))


def settle(suppressed: Suppressed, *, written: Collection[int], everywhere: bool = True, now: datetime) -> int:
    """Note that Redis acknowledged the deletes; returns how many were still waiting for it.

    The keys are erased, but for those that a sync may have been writing when the delete was sent (`written`, as
    `in_flight` told): what it had in flight is taken back once it has ended (`retry_pending`), also if it fails before
    it learns of the delete. They are kept as well while the destination moves and the place that is not served has not
    acknowledged them: not `everywhere`.
    """
    rows = Suppression.objects.filter(pk__in=suppressed.ids)
    settled = rows.filter(deleted_at=None).update(deleted_at=now)
    if everywhere:
        rows.exclude(pk__in=written).update(pending_key="")
    return settled


def lift(destination: RedisDestination, keys: Sequence[str], *, now: datetime) -> int:
    """Lift the suppressions that stand for any of the keys, and return how many. Nothing is deleted for them any more.

    The next sync does not write the profiles by itself (`activation.lifts`).
    """
    standing = _standing(destination.pk, [_digests(key) for key in keys])
    rows = Suppression.objects.filter(pk__in=set(standing.values()), lifted_at=None)
    return rows.update(lifted_at=now, pending_key="")


def standing(destination_id: int, keys: Sequence[str]) -> list[Suppression]:
    """Return the suppressions that stand for any of the keys (whole key texts), oldest first."""
    found = _standing(destination_id, [_digests(key) for key in keys])
    return list(Suppression.objects.filter(pk__in=set(found.values())).order_by("sequence"))


def since(destination_id: int, sequence: int) -> tuple[int, list[Mark]]:
    """List the marks of the suppressions numbered above `sequence` that stand, and the highest number seen.

    Call it again with that number for what came later; with 0 for all of them. Raises `SuppressionKeyMissing`, rather
    than leave somebody out whom this process would then write again.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SINCE, (destination_id, sequence))
        rows = cursor.fetchall()
    last = rows[-1][0] if rows else sequence
    secrets: Mapping[int, bytes] = settings.SUPPRESSION_KEYS
    try:
        marks = [
            Mark(_opened(secrets[version], digest, sealed), digest)
            for _, version, digest, sealed, stands in rows
            if stands
        ]
    except KeyError as missing:
        log.warning("suppression_key_missing", version=missing.args[0])
        raise SuppressionKeyMissing(missing.args[0]) from None
    return last, marks


def require_keys(destination_id: int) -> None:
    """Refuse to answer for suppressions that this process cannot read. Raises `SuppressionKeyMissing`."""
    standing = Suppression.objects.filter(destination_id=destination_id, lifted_at=None)
    unread = standing.exclude(key_version__in=settings.SUPPRESSION_KEYS).values_list("key_version", flat=True)
    version = unread.order_by("-key_version").first()
    if version is not None:
        raise SuppressionKeyMissing(version)


@lru_cache(maxsize=1 << 16)
def _opened(secret: bytes, digest: str, sealed: int) -> int:
    """Open a sealed checksum. Every partition begins with all of them; to open one again takes ten times as long."""
    return profiles.sealed_checksum(secret, digest, sealed)


def retry_pending(now: datetime) -> int:
    """Delete what Redis has not acknowledged yet, and once more what a sync had in flight; then erase those keys.

    Returns how many suppressions that settled. A destination that still cannot be reached is left for the next call.
    """
    kept = Suppression.objects.filter(created_at__lte=now - RETRY_AFTER).exclude(pending_key="")
    pending = kept.exclude(_IN_FLIGHT, deleted_at__isnull=False)
    finished = 0
    for destination_id in pending.order_by().values_list("destination_id", flat=True).distinct():
        # Newest first: old ones that nobody can decrypt any more must not stand in the way of the others.
        rows = pending.filter(destination_id=destination_id).select_related("destination__organisation")
        by_receipt: dict[str, list[Suppression]] = {}
        for row in rows.order_by("-sequence")[:RETRIED_AT_ONCE]:
            by_receipt.setdefault(row.receipt, []).append(row)
        finished += sum(_retry(group, receipt=receipt, now=now) for receipt, group in by_receipt.items())
    return finished


def delete_elsewhere(destination: RedisDestination) -> frozenset[int]:
    """Delete at the place that is not served what some place has not acknowledged yet; return those suppressions.

    For the switch, which must not wait for an old place that is gone. They go on waiting for the others. One that
    nobody can decrypt any more counts as reached. Raises `DestinationUnavailable`, `ServiceUnavailable`.
    """
    pending = list(Suppression.objects.filter(destination=destination).exclude(pending_key=""))
    if not pending:
        return frozenset()
    handle = handles.get(destination.organisation_id, destination.public_id, anew=True)
    if handle.other is None:
        raise DestinationUnavailable("not_moving")
    for first in range(0, len(pending), RETRIED_AT_ONCE):
        handle.other.delete(list(_readable_keys(pending[first : first + RETRIED_AT_ONCE]).values()))
    return frozenset(each.pk for each in pending)


def _retry(pending: Sequence[Suppression], *, receipt: str, now: datetime) -> int:
    keys = _readable_keys(pending)
    if not keys:
        return 0
    destination, suppressed = pending[0].destination, Suppressed(ids=tuple(keys))
    written = in_flight(suppressed)
    try:
        handle = handles.get(destination.organisation_id, destination.public_id)
        deleted = handle.delete(list(keys.values()))
    except (handles.InvalidDestination, handles.ServiceUnavailable, DestinationUnavailable):
        return 0
    with transaction.atomic():
        finished = settle(suppressed, written=written, everywhere=deleted.everywhere, now=now)
        if receipt:
            deletions.credit(receipt, deleted=deleted.profiles)
        if finished or deleted.profiles:
            record_delete(
                destination,
                addressed=len(keys),
                deleted=deleted.profiles,
                suppressed=finished,
                by=Actor.system(destination.organisation),
                receipt=receipt,
                now=now,
            )
    return finished


def record_delete(
    destination: RedisDestination,
    *,
    addressed: int,
    deleted: int | None,
    suppressed: int,
    by: Actor,
    receipt: str = "",
    now: datetime,
) -> None:
    """Write the audit row of a delete: counts only. `deleted` is None when Redis could not be reached."""
    details: dict[str, object] = {"addressed": addressed, "deleted": deleted, "suppressed": suppressed}
    details |= {"receipt": receipt} if receipt else {}
    audit.record(
        "profiles_deleted",
        by=by,
        target_type="destination",
        target_id=destination.public_id,
        target=destination.name,
        details=details,
        now=now,
    )


def _readable_keys(pending: Iterable[Suppression]) -> dict[int, str]:
    """Decrypt the keys; one whose encryption key is gone cannot be retried by anybody and must not stop the others."""
    keys = {}
    for suppression in pending:
        try:
            keys[suppression.pk] = vault.decrypt(suppression.pending_key)
        except vault.SecretUnreadable:
            log.warning("pending_delete_unreadable", suppression=suppression.pk)
    return keys


def _standing(destination_id: int, digests: Iterable[Mapping[int, str]]) -> dict[str, int]:
    """Find the suppressions that stand for any of the digests: digest → primary key."""
    texts = [text for versions in digests for text in versions.values()]
    rows = Suppression.objects.filter(destination_id=destination_id, digest__in=texts, lifted_at=None)
    return dict(rows.values_list("digest", "pk"))


def _digests(key: str) -> dict[int, str]:
    """Digest a key with every version of the suppression key, since older rows keep the version they were made with."""
    keys: Mapping[int, bytes] = settings.SUPPRESSION_KEYS
    return {version: profiles.suppression_digest(secret, key) for version, secret in keys.items()}
