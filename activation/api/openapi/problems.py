"""Every code of an error, with its status, what it means and what is told with it."""

from typing import Any, NamedTuple

from activation import handles
from activation.api import bodies, errors
from activation.api.openapi.schemas import Schema


class Code(NamedTuple):
    """One code. `text` is what an answer with it may say."""

    status: str
    code: str
    meaning: str
    text: str


ALL: tuple[Code, ...] = (
    Code(
        "400",
        "invalid_request",
        "The request is not what is asked for; the text says what and where.",
        "entity is missing.",
    ),
    Code(
        "401", "unauthorized", "The token is missing, wrong, expired, deleted, or may not do this.", errors.UNAUTHORIZED
    ),
    Code(
        "404",
        "invalid_destination",
        "Your organisation has no destination with this id.",
        str(handles.InvalidDestination()),
    ),
    Code("404", "not_found", "Nothing is at this path.", "Nothing is here. Check the path and the ids in it."),
    Code("405", "method_not_allowed", "See `Allow`.", "This method is not allowed here."),
    Code(
        "406",
        "not_acceptable",
        "`Accept` excludes JSON.",
        "Only application/json can be answered; the Accept header excludes it.",
    ),
    Code(
        "409",
        "already_running",
        "A sync, a Profiles run, or a test of a destination of this name is under way.",
        "A sync of this source is active already.",
    ),
    Code("409", "no_runner", "Profiles runs cannot be started here; report them instead.", "No runner is configured."),
    Code("409", "name_taken", "Something of your organisation has this name already.", "This name is taken."),
    Code("409", "in_use", "Something else needs it; the text says what.", "A project reads from this warehouse."),
    Code(
        "409",
        "not_ready",
        "The sync cannot be turned on yet; `preconditions` says what is missing and what meets it.",
        "The sync cannot be turned on yet.",
    ),
    Code(
        "409",
        "destination_refused",
        "The profiles are in another destination, or another project writes the same view there.",
        "The profiles of this project are in another destination.",
    ),
    Code(
        "409", "never_enabled", "The project was never synced, so it has no schedule.", "This project was never synced."
    ),
    Code(
        "409",
        "changed_meanwhile",
        "Somebody changed it; read it again.",
        "Somebody changed it meanwhile. Read it again, then change it.",
    ),
    Code(
        "409",
        "removal_not_tried",
        "No removal of a source's profiles was tried in vain; remove them first.",
        "No removal of the profiles of features_by_email by email was tried in vain.",
    ),
    Code(
        "409",
        "not_synced",
        "The sync is turned off, or the feature view is no longer in the specification.",
        "This source is not synced any more.",
    ),
    Code("413", "too_large", "The body is larger than the call takes.", str(bodies.BodyTooLarge())),
    Code(
        "422",
        "invalid_fields",
        "Members of the body cannot be used; `fields` says what is wrong with each, by its path.",
        "name: Enter a name.",
    ),
    Code(
        "422",
        "invalid_specification",
        "The `pb_project.yaml` has faults; `problems` says where and which.",
        "The file has one fault.",
    ),
    Code(
        "422",
        "probe_failed",
        "The connection test failed and nothing is changed; `probe` has its steps.",
        "Redis refused the password.",
    ),
    Code(
        "429",
        "rate_limited",
        "The token's rate is used up, or your organisation tested many connections.",
        "Too many requests. Wait for as long as Retry-After says.",
    ),
    Code("500", "internal", "A fault of ours; it is logged.", errors.INTERNAL),
    Code(
        "503",
        "destination_unavailable",
        "Redis does not answer in time; try again after `Retry-After` seconds.",
        "The Redis destination cannot be reached at the moment. Try again in a few seconds.",
    ),
    Code(
        "503",
        "service_unavailable",
        "Our own database does not answer; try again after `Retry-After` seconds.",
        str(handles.ServiceUnavailable()),
    ),
)
CODES = [each.code for each in ALL]
# Where only some of the codes of a status are possible.
_OF_CALLS: dict[tuple[str, str], tuple[str, ...]] = {
    ("409", "startSync"): ("already_running", "not_synced"),
    ("409", "startRun"): ("already_running", "no_runner"),
    ("409", "connectWarehouse"): ("name_taken",),
    ("409", "changeWarehouse"): ("name_taken",),
    ("409", "deleteWarehouse"): ("in_use",),
    ("409", "connectDestination"): ("name_taken", "already_running"),
    ("409", "changeDestination"): ("name_taken", "already_running"),
    ("409", "deleteDestination"): ("in_use",),
    ("409", "createProject"): ("name_taken",),
    ("409", "changeProject"): ("name_taken", "never_enabled", "changed_meanwhile"),
    ("409", "deleteProject"): ("in_use",),
    ("409", "changeSpecification"): ("changed_meanwhile",),
    ("409", "placeView"): ("changed_meanwhile",),
    ("409", "serveMainView"): ("changed_meanwhile",),
    ("409", "switchActivation"): ("not_ready", "destination_refused", "removal_not_tried", "not_synced"),
    ("422", "createProject"): ("invalid_fields", "invalid_specification"),
    ("422", "changeSpecification"): ("invalid_fields", "invalid_specification"),
    ("422", "connectDestination"): ("invalid_fields", "probe_failed"),
    ("422", "changeDestination"): ("invalid_fields", "probe_failed"),
}
_ABOUT_PROFILES = {"fetchProfileV1", "fetchProfile", "fetchProfiles", "deleteProfiles"}


def codes_of(status: str, operation_id: str) -> list[Code]:
    """List the codes that a call may be answered with under a status."""
    only = _OF_CALLS.get((status, operation_id))
    if only is None and status == "422":
        only = ("invalid_fields",)
    if only is None and status == "404" and operation_id != "switchActivation":
        only = ("invalid_destination",) if operation_id in _ABOUT_PROFILES else ("not_found",)
    return [each for each in ALL if each.status == status and (only is None or each.code in only)]


def examples(codes: list[Code]) -> dict[str, Any]:
    """Return examples of answers with these codes, by code."""
    return {each.code: {"value": {"error": each.text, "code": each.code}} for each in codes}


def with_codes(schema: Schema) -> Schema:
    """Return the schema of an error whose `code` is one of these."""
    code = {**schema["properties"]["code"], "enum": CODES}
    return {**schema, "properties": {**schema["properties"], "code": code}}
