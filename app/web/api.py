"""The API on cases: report, list, show, claim, assign, review, evidence, outcome. Reading the rest is in `api_reading`."""

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from app import intake, outcomes, review, views
from app.errors import InputInvalid
from app.published import governed
from app.tables import Case, CaseState
from app.web import idempotency
from app.web.at_hand import AWorld
from app.web.bodies import JsonBody
from app.web.idempotency import Answer, KeyHeader
from app.web.pages import cursor_after, link_next, place_of
from app.web.problems import CURSOR_INVALID, PRECONDITION_REQUIRED, Refusal
from app.web.schemas import (
    AssignRequest,
    CaseQuery,
    EvidenceRequest,
    OutcomeRequest,
    PageQuery,
    ReviewBody,
    TriageRequest,
)
from app.web.security import BringsEvidence, ReadsCases, ReportsExceptions, ReportsOutcomes, Reviewer, Routes
from app.web.shown import CaseOpened, CaseShown, CaseSummary, Page, TrailShown, case_shown, case_summary, trail_shown
from app.world import World
from guardrails.facts import rfc3339
from guardrails.proposal import ProposedAction

router = APIRouter(prefix="/api/v1", tags=["cases"])

MAX_WAIT_S = 60


def takes(name: str) -> dict[str, Any]:
    """The OpenAPI part for a body that `JsonBody` reads."""
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


PEOPLE_ONLY = {"x-people-only": True}


def expected_version(
    if_match: Annotated[str | None, Header(alias="If-Match", description='The case\'s `version` as its ETag: `"7"`.')] = None,
) -> int:
    """Raises Refusal (428) without the header, InputInvalid when it is no version."""
    if if_match is None:
        raise Refusal(PRECONDITION_REQUIRED, 'Send the version of the case that you read, for instance `If-Match: "7"`.')
    match = re.fullmatch(r'(?:W/)?"?(\d{1,9})"?', if_match.strip())
    if match is None:
        raise InputInvalid([("/header/If-Match", 'must be the version of the case, for instance "7"')])
    return int(match[1])


@router.post(
    "/triage",
    tags=["triage"],
    status_code=202,
    summary="Report one exception",
    response_model=CaseOpened,
    responses={200: {"model": CaseShown, "description": "The verdict came within `wait` seconds."}},
    openapi_extra=takes("TriageRequest"),
)
async def triage(
    request: Request,
    world: AWorld,
    who: ReportsExceptions,
    body: Annotated[TriageRequest, Depends(JsonBody(TriageRequest))],
    wait: Annotated[int, Query(ge=0, le=MAX_WAIT_S, description="Seconds to wait for the verdict.")] = 0,
    key: KeyHeader = None,
) -> Response:
    """Store the report and judge its order. Without `wait`, or when the verdict takes longer, the answer is 202 with the case's address."""

    async def report() -> Answer:
        case_id = await intake.report(world, who.actor, _report(body))
        location = f"/api/v1/cases/{case_id}"
        return Answer(202, CaseOpened(case_id=case_id, status=CaseState.JUDGING, location=location).model_dump(mode="json"))

    answer = await idempotency.once(world, request, who, key, idempotency.fingerprint(body), report)
    if answer.status == 202 and wait:
        case = await intake.wait_for_verdict(world, answer.body["case_id"], wait)
        if case.state != CaseState.JUDGING:
            answer = Answer(200, (await _shown(world, case.id)).model_dump(mode="json"), answer.replayed)
            await idempotency.keep(world, request, who, key, answer)
    return _respond(answer)


def _report(body: TriageRequest) -> intake.Report:
    signals = tuple(item.model_dump(mode="json") for item in body.signals)
    return intake.Report(body.order_ref, body.reported_by, body.description, body.facts, signals)


@router.get("/cases", summary="The queue")
async def list_cases(
    request: Request, response: Response, world: AWorld, _: ReadsCases, wanted: Annotated[CaseQuery, Query()]
) -> Page[CaseSummary]:
    """Cases, the one due first at the top."""
    filters = wanted.model_dump(mode="json", exclude={"cursor", "limit"}) | {"list": "cases"}
    after = _case_place(place_of(wanted.cursor, filters, str, int))
    narrowed = views.CaseFilter(tuple(wanted.status), wanted.owner, wanted.category, wanted.verdict, wanted.q, wanted.order_ref)
    async with world.database.sessions() as session:
        rows = await views.queue(session, narrowed, after, wanted.limit + 1)
    page, more = rows[: wanted.limit], len(rows) > wanted.limit
    cursor = cursor_after([rfc3339(page[-1].due_at), page[-1].seq], filters) if more else None
    link_next(request, response, cursor)
    return Page[CaseSummary](data=[case_summary(row) for row in page], next_cursor=cursor, has_more=more)


def _case_place(place: list[Any] | None) -> views.CasePlace | None:
    if place is None:
        return None
    try:
        return views.CasePlace(datetime.fromisoformat(place[0]), place[1])
    except ValueError as error:
        raise Refusal(CURSOR_INVALID, "That is not a cursor of Ordermend; begin again without one.") from error


@router.get(
    "/cases/{case_id}", summary="One case", response_model=CaseShown, responses={304: {"description": "It has not changed."}}
)
async def show_case(
    case_id: str,
    response: Response,
    world: AWorld,
    _: ReadsCases,
    if_none_match: Annotated[str | None, Header(alias="If-None-Match")] = None,
) -> CaseShown | Response:
    """The case with its decision, actions and receipts, approvals, notes and evidence. The ETag is its version."""
    shown = await _shown(world, case_id)
    response.headers["ETag"] = etag = f'"{shown.version}"'
    if if_none_match is not None and etag in if_none_match:
        return Response(status_code=304, headers={"ETag": etag})
    return shown


@router.get("/cases/{case_id}/trail", summary="The decision trail")
async def show_trail(
    case_id: str, request: Request, response: Response, world: AWorld, _: ReadsCases, wanted: Annotated[PageQuery, Query()]
) -> Page[TrailShown]:
    """Every entry about the case, in order, each with its hash."""
    filters = {"list": "trail", "case": case_id}
    place = place_of(wanted.cursor, filters, int)
    async with world.database.sessions() as session:
        rows = await views.case_trail(session, case_id, place[0] if place else 0, wanted.limit + 1)
    page, more = rows[: wanted.limit], len(rows) > wanted.limit
    cursor = cursor_after([page[-1].seq], filters) if more else None
    link_next(request, response, cursor)
    return Page[TrailShown](data=[trail_shown(row) for row in page], next_cursor=cursor, has_more=more)


@router.post("/cases/{case_id}/claim", summary="Take a case", openapi_extra=PEOPLE_ONLY)
async def claim(case_id: str, response: Response, world: AWorld, who: Reviewer) -> CaseSummary:
    """Take it, or renew one's lease on it. The lease ends by itself."""
    return _changed(response, await review.claim(world, who.actor, case_id))


@router.post("/cases/{case_id}/release", summary="Give a case back", openapi_extra=PEOPLE_ONLY)
async def release(case_id: str, response: Response, world: AWorld, who: Reviewer) -> CaseSummary:
    """Only its holder can, while the lease runs."""
    return _changed(response, await review.release(world, who.actor, case_id))


@router.post("/cases/{case_id}/assign", summary="Give a case to a team or person", openapi_extra=takes("AssignRequest"))
async def assign(
    case_id: str, response: Response, world: AWorld, who: Routes, body: Annotated[AssignRequest, Depends(JsonBody(AssignRequest))]
) -> CaseSummary:
    """An assigned case is not routed by the table any more."""
    return _changed(response, await review.assign(world, who.actor, case_id, body.owner, body.assignee))


@router.post(
    "/cases/{case_id}/review",
    summary="Decide on a case",
    response_model=CaseSummary,
    openapi_extra=takes("ReviewBody") | PEOPLE_ONLY,
)
async def decide(
    case_id: str,
    request: Request,
    world: AWorld,
    who: Reviewer,
    version: Annotated[int, Depends(expected_version)],
    body: Annotated[ReviewBody, Depends(JsonBody(ReviewBody))],
    key: KeyHeader = None,
) -> Response:
    """Approve, edit, reject or request evidence. What is approved passes the guard again on fresh facts and then leaves through the same
    door as everything else. 409 when the case has changed or somebody else holds it, 403 when the guardrails or the person's roles refuse."""
    wanted = review.ReviewRequest(body.decision, body.reason, _actions(body), body.category, body.owner)

    async def act() -> Answer:
        return _told(await review.decide(world, who.actor, case_id, version, wanted))

    return _respond(await idempotency.once(world, request, who, key, idempotency.fingerprint(body, version), act))


def _actions(body: ReviewBody) -> tuple[ProposedAction, ...] | None:
    return None if body.actions is None else tuple(ProposedAction(item.action, item.arguments) for item in body.actions)


@router.post(
    "/cases/{case_id}/evidence",
    summary="Attach facts or a note",
    status_code=202,
    response_model=CaseSummary,
    openapi_extra=takes("EvidenceRequest"),
)
async def attach_evidence(
    case_id: str,
    request: Request,
    world: AWorld,
    who: BringsEvidence,
    body: Annotated[EvidenceRequest, Depends(JsonBody(EvidenceRequest))],
    key: KeyHeader = None,
) -> Response:
    """The case is judged again."""
    if not body.facts and body.note is None:
        raise InputInvalid([("", "bring facts, a note, or both")])

    async def act() -> Answer:
        return _told(await intake.attach_evidence(world, who.actor, case_id, body.facts, body.note), 202)

    return _respond(await idempotency.once(world, request, who, key, idempotency.fingerprint(body), act))


@router.post(
    "/cases/{case_id}/outcome",
    summary="Say what turned out true",
    status_code=201,
    response_model=CaseSummary,
    openapi_extra=takes("OutcomeRequest"),
)
async def report_outcome(
    case_id: str,
    request: Request,
    world: AWorld,
    who: ReportsOutcomes,
    body: Annotated[OutcomeRequest, Depends(JsonBody(OutcomeRequest))],
    key: KeyHeader = None,
) -> Response:
    """Kept apart from what was decided. With `action_id` and `done` it says how an action went that a person carried out."""
    told = body.model_dump(mode="json", exclude_none=True)
    if not told:
        raise InputInvalid([("", "say something: result, note, true_category, or action_id with done")])

    async def act() -> Answer:
        await outcomes.report_outcome(world, who.actor, case_id, told)
        async with world.database.sessions() as session:
            return _told((await views.case(session, case_id)).case, 201)

    return _respond(await idempotency.once(world, request, who, key, idempotency.fingerprint(body), act))


async def _shown(world: World, case_id: str) -> CaseShown:
    async with world.database.sessions() as session:
        view = await views.case(session, case_id)
    return case_shown(view, await governed(world))


def _changed(response: Response, case: Case) -> CaseSummary:
    response.headers["ETag"] = f'"{case.version}"'
    return case_summary(case)


def _told(case: Case, status: int = 200) -> Answer:
    return Answer(status, case_summary(case).model_dump(mode="json"))


def _respond(answer: Answer) -> JSONResponse:
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
    if "location" in answer.body:
        headers["Location"] = answer.body["location"]
    if "version" in answer.body:
        headers["ETag"] = f'"{answer.body["version"]}"'
    return JSONResponse(answer.body, answer.status, headers)
