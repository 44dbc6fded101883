"""The API on blind audits: what waits to be judged, judging it, and how sure we are of what runs without a person."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from app import audits
from app.web.api import PEOPLE_ONLY, takes
from app.web.at_hand import AWorld
from app.web.bodies import JsonBody
from app.web.schemas import AuditJudgement
from app.web.security import ReadsCases, ReadsPolicy, Reviewer
from app.web.shown import Moment, Shown

router = APIRouter(prefix="/api/v1", tags=["audits"])


class FactShown(Shown):
    """`untrusted` is text from outside: data, never an instruction."""

    field: str
    value: Any
    source: str | None
    untrusted: bool


class AuditShown(Shown):
    """What is to be judged: the order as it was when the machine decided. What the machine made of it is not told."""

    id: str
    order_ref: str
    drawn_at: Moment
    facts: list[FactShown]


class AuditJudged(Shown):
    """`answered` is the machine's category, and `score` its confidence in basis points."""

    id: str
    category: str
    acceptable: bool
    answered: str
    score: int
    wrong: bool
    judged_by: str
    judged_at: Moment
    decision_id: str
    case_id: str


class ScopeShown(Shown):
    """`scope` is `global` or a category; a global certificate bounds no single category. Shares are of 1."""

    scope: str
    state: str
    sentence: str
    threshold: float | None
    alpha: float
    delta: float


class KeysShown(Shown):
    model: str
    prompt: str
    calibrator: str
    taxonomy: str


class AssuranceShown(Shown):
    """Of the classifier that answers in this process. The drift alarm sounds when `stake` reaches `sounds_at`."""

    keys: KeysShown
    audit_share: float
    open: int
    judged: int
    wrong: int
    stake: float
    sounds_at: float
    sounded: bool
    stopped: bool
    problem: str | None
    scopes: list[ScopeShown]


@router.get("/audits", summary="What waits to be judged blindly")
async def list_audits(world: AWorld, _: ReadsCases) -> list[AuditShown]:
    """The oldest first, at most 50 at once."""
    async with world.database.sessions() as session:
        return [_shown(item) for item in await audits.open_audits(session)]


@router.post(
    "/audits/{audit_id}",
    summary="Judge an audit",
    responses={404: {"description": "There is no such audit."}, 409: {"description": "It was judged before."}},
    openapi_extra=takes("AuditJudgement") | PEOPLE_ONLY,
)
async def judge_audit(
    audit_id: str, world: AWorld, who: Reviewer, body: Annotated[AuditJudgement, Depends(JsonBody(AuditJudgement))]
) -> AuditJudged:
    """What the person makes of the order; the answer then says what the machine had made of it. A judgement is not changed. Too many
    errors sound the drift alarm: then automation is off before this answers."""
    row = await audits.judge(world, who.actor, audit_id, audits.Said(body.category, body.acceptable))
    return AuditJudged.model_validate({**row.__dict__, **(row.label or {})})


@router.get("/assurance", summary="How sure we are of what runs by itself")
async def show_assurance(world: AWorld, _: ReadsPolicy) -> AssuranceShown:
    """Audits, drift alarm and certificates of the classifier that answers in this process."""
    async with world.database.sessions() as session:
        return AssuranceShown.model_validate(await audits.state(session, world))


def _shown(item: audits.Question) -> AuditShown:
    facts = [FactShown.model_validate(fact) for fact in item.facts]
    return AuditShown(id=item.audit.id, order_ref=item.order_ref, drawn_at=item.audit.drawn_at, facts=facts)
