"""Every refusal as `application/problem+json` (RFC 9457). Status codes are decided here and nowhere else."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app import errors
from app.database import CONNECTION_FAILURES
from app.signals.shapes import BodyNotJson, FieldsInvalid, SignatureInvalid
from app.tables import storable

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
PATH_SAFE = "/:@!$&'()*+,;=~"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of refusal. `advice` is what `GET /problems/<slug>` tells the reader to do."""

    slug: str
    status: int
    title: str
    advice: str

    @property
    def uri(self) -> str:
        return f"/problems/{self.slug}" if self.slug else "about:blank"

    @property
    def code(self) -> str:
        return self.slug.replace("-", "_") or f"http_{self.status}"


UNAUTHENTICATED = ProblemType(
    "unauthenticated", 401, "No valid API key", "Send `Authorization: Bearer om_live_…`. `ordermend keys create` makes a key."
)
SIGNATURE_INVALID = ProblemType(
    "signature-invalid",
    401,
    "The signature does not fit",
    "Sign the raw body with the secret that Ordermend has for this source. The detail says what was missing or wrong; when no secret is "
    "configured it names the environment variable to set. Nothing was stored: send the delivery again once it is mended.",
)
DENIED = ProblemType("denied", 403, "The key does not allow this", "Use a key with the scope or role that the detail names.")
PERSON_REQUIRED = ProblemType(
    "person-required",
    403,
    "Only a person may do this",
    "Claiming and reviewing are decisions of people. Use a person's key; no scope opens them to a service.",
)
GUARDRAIL_REFUSED = ProblemType(
    "guardrail-refused",
    403,
    "The guardrails forbid it",
    "`rules` lists the policy rules that say so. Bring the evidence they ask for, or choose an action that they allow.",
)
NOT_FOUND = ProblemType("not-found", 404, "There is no such thing", "Check the id. Nothing was changed.")
UNKNOWN_SOURCE = ProblemType(
    "unknown-source",
    404,
    "No such signal source",
    "Send to one of the listed sources; systems without one of their own use `events`.",
)
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed", 405, "The address does not know this method", "The `Allow` header lists the methods that it knows."
)
CASE_HELD = ProblemType(
    "case-held",
    409,
    "Somebody else works on the case",
    "`holder` has it until `until`. Ask for its release or wait for the lease to end.",
)
STALE_VERSION = ProblemType(
    "stale-version",
    409,
    "The case has changed since you read it",
    "Read the case again, look at what changed, decide anew, and send its new version in `If-Match`. Nothing was carried out.",
)
ILLEGAL_TRANSITION = ProblemType(
    "illegal-transition",
    409,
    "The case is not in a state that allows this",
    "Read the case again: its status says what can follow.",
)
POLICY_NOT_PUBLISHED = ProblemType(
    "policy-not-published",
    409,
    "The policy cannot be published as things stand",
    "The detail says why: it is in force already, or another one was published meanwhile. Read `GET /policy/history` and decide anew.",
)
IDEMPOTENCY_IN_PROGRESS = ProblemType(
    "idempotency-in-progress",
    409,
    "The first request with this key is still running",
    "Wait for `Retry-After` seconds, then repeat it.",
)
BODY_TOO_LARGE = ProblemType(
    "body-too-large", 413, "The body is too large", "Send a smaller body. The limit is ORDERMEND_BODY_LIMIT_BYTES."
)
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    "unsupported-media-type", 415, "The body is not declared as JSON", "Send `Content-Type: application/json`."
)
BODY_NOT_JSON = ProblemType(
    "body-not-json",
    400,
    "The body is not a JSON object",
    "Send one JSON object, in UTF-8, without NaN, Infinity or repeated names. A signed delivery was kept in the dead letter under its signal_id.",
)
CURSOR_INVALID = ProblemType(
    "cursor-invalid",
    400,
    "The cursor does not belong to this list",
    "A cursor is good for the filters it came with. Begin again without a cursor.",
)
FIELDS_INVALID = ProblemType(
    "fields-invalid",
    422,
    "Some fields are wrong",
    "`errors` names each: `pointer` is the RFC 6901 pointer into the body (or `/query/…`, `/header/…`, `/path/…`), `detail` what is wrong. "
    "A signed delivery was kept in the dead letter under its signal_id, to be fixed and replayed.",
)
IDEMPOTENCY_CONFLICT = ProblemType(
    "idempotency-conflict",
    422,
    "The Idempotency-Key was used for another body",
    "Use a new key for a new request; repeat the old body to see the old answer.",
)
PRECONDITION_REQUIRED = ProblemType(
    "precondition-required",
    428,
    "If-Match is missing",
    'Read the case and send its version back: `If-Match: "7"`. So nobody decides on a case they have not seen.',
)
INTERNAL_ERROR = ProblemType(
    "internal-error", 500, "Something failed inside Ordermend", "Try again. When it persists, give the operator the request id."
)
DATABASE_UNAVAILABLE = ProblemType(
    "database-unavailable", 503, "The database does not answer", "Nothing was accepted. Send it again after `Retry-After` seconds."
)
NOT_READY = ProblemType(
    "not-ready", 503, "Ordermend is not ready", "`checks` says what is missing. `ordermend db upgrade` makes the tables."
)

PROBLEM_TYPES: Mapping[str, ProblemType] = {item.slug: item for item in list(globals().values()) if isinstance(item, ProblemType)}


class Refusal(Exception):
    """A refusal that the edge itself makes. `members` are further members of the problem document."""

    def __init__(
        self,
        problem: ProblemType,
        detail: str,
        *,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem, self.detail = problem, detail
        self.members, self.headers = dict(members or {}), dict(headers or {})


@dataclass(frozen=True, slots=True)
class _Said:
    problem: ProblemType
    detail: str
    members: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def pointer_errors(found: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {"errors": [{"pointer": pointer, "detail": detail} for pointer, detail in found]}


def problem_response(
    request: Request,
    problem: ProblemType,
    detail: str,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = {
        "type": problem.uri,
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "instance": quote(request.scope["path"], safe=PATH_SAFE, errors="replace"),
        "code": problem.code,
        "request_id": getattr(request.state, "request_id", ""),
        **(members or {}),
    }
    # Details quote what was sent, and half a surrogate pair in it must not cost us the answer.
    return JSONResponse(storable(body), problem.status, dict(headers or {}), MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every way to fail end in a problem document."""
    for kind in (
        Refusal,
        errors.OrdermendError,
        SignatureInvalid,
        BodyNotJson,
        FieldsInvalid,
        RequestValidationError,
        HTTPException,
        *CONNECTION_FAILURES,
    ):
        app.add_exception_handler(kind, _answer)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    said = describe(error)
    if said.problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("%s: %s", said.problem.code, type(error).__name__, extra={"request_id": getattr(request.state, "request_id", "")})
    return problem_response(request, said.problem, said.detail, said.members, said.headers)


def describe(error: Exception) -> _Said:
    """What an exception says to the one who asked. Anything unforeseen says nothing of itself."""
    match error:
        case Refusal():
            return _Said(error.problem, error.detail, error.members, error.headers)
        case SignatureInvalid():
            return _Said(SIGNATURE_INVALID, str(error), headers={"WWW-Authenticate": "Webhook-Signature"})
        case BodyNotJson():
            return _Said(BODY_NOT_JSON, str(error))
        case FieldsInvalid():
            return _Said(FIELDS_INVALID, f"{len(error.errors)} of the fields cannot be read.", pointer_errors(error.errors))
        case RequestValidationError():
            found = [(_parameter_pointer(item["loc"]), str(item["msg"])) for item in error.errors()]
            return _Said(FIELDS_INVALID, "Parameters of the request are wrong.", pointer_errors(found))
        case HTTPException():
            return _http(error)
        case errors.OrdermendError():
            return _refused(error)
    if isinstance(error, CONNECTION_FAILURES):
        return _database_away("The database does not answer; nothing was changed. Try again.")
    return _Said(INTERNAL_ERROR, "The request could not be completed. The request id leads to the cause in the log.")


def _refused(error: errors.OrdermendError) -> _Said:
    match error:
        case errors.Unauthenticated():
            return _Said(UNAUTHENTICATED, str(error), headers={"WWW-Authenticate": 'Bearer realm="ordermend"'})
        case errors.GuardrailRefused():
            return _Said(GUARDRAIL_REFUSED, str(error), {"rules": list(error.rules), "lift": list(error.lift)})
        case errors.CaseHeld():
            return _Said(CASE_HELD, str(error), {"holder": error.holder, "until": error.until})
        case errors.StaleVersion():
            return _Said(STALE_VERSION, str(error), {"current_version": error.current_version, "changes": list(error.changes)})
        case errors.InputInvalid():
            return _Said(FIELDS_INVALID, str(error), pointer_errors(error.errors))
        case errors.IdempotencyInProgress():
            return _Said(IDEMPOTENCY_IN_PROGRESS, str(error), headers={"Retry-After": "1"})
        case errors.DatabaseUnavailable():
            return _database_away(str(error))
    problem = _PLAIN.get(type(error))
    if problem is None:
        return _Said(INTERNAL_ERROR, "The request could not be completed. The request id leads to the cause in the log.")
    return _Said(problem, str(error))


_PLAIN: Mapping[type[errors.OrdermendError], ProblemType] = {
    errors.NotFound: NOT_FOUND,
    errors.Denied: DENIED,
    errors.IllegalTransition: ILLEGAL_TRANSITION,
    errors.PolicyNotPublished: POLICY_NOT_PUBLISHED,
    errors.IdempotencyConflict: IDEMPOTENCY_CONFLICT,
}


def _database_away(detail: str) -> _Said:
    return _Said(DATABASE_UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


def _http(error: HTTPException) -> _Said:
    """The framework's own refusals."""
    headers = dict(error.headers or {})
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return _Said(NOT_FOUND, "There is nothing at this address; /docs lists what there is.", headers=headers)
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = headers.get("Allow") or headers.get("allow") or "another method"
            return _Said(METHOD_NOT_ALLOWED, f"Use {allowed} here.", headers=headers)
    status = HTTPStatus(error.status_code)
    return _Said(ProblemType("", status.value, status.phrase, "See the status code."), str(error.detail), headers=headers)


def _parameter_pointer(location: Sequence[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
