"""The JSON that goes out: stored rows as the API shows them."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from app.findings import passed, told
from app.tables import ActionRow, Case, Decision, ExplanationRow, Signal, TrailEntry
from app.views import CaseView, OrderView, undo_of
from app.world import World
from guardrails.facts import rfc3339
from guardrails.policy.load import Policy

Moment = Annotated[datetime, PlainSerializer(rfc3339, return_type=str), Field(json_schema_extra={"format": "date-time"})]
Item = TypeVar("Item")


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Page(Shown, Generic[Item]):
    """`next_cursor` is null on the last page."""

    data: list[Item]
    next_cursor: str | None
    has_more: bool


class CaseSummary(Shown):
    """One line of the queue. `confidence` is in basis points; `version` is what `If-Match` wants."""

    id: str = Field(examples=["case_01jd8v3q4r5s6t7v8w9x0y1z2a"])
    order_ref: str
    status: str
    verdict: str | None
    category: str
    detected_category: str
    detectors: list[str]
    owner: str
    assignee: str | None
    urgent: bool
    summary: str
    sentence: str
    confidence: int | None
    mandatory_review: list[str]
    recurrence: int
    version: int
    opened_at: Moment
    changed_at: Moment
    due_at: Moment
    closed_at: Moment | None
    closed_because: str | None
    follows_case: str | None
    holder: str | None
    held_until: Moment | None
    snoozed_until: Moment | None
    reported_by: str | None


class DecisionShown(Shown):
    """One judgement with what it rested on. Evidence pointers point into `snapshot`."""

    id: str
    at: Moment
    verdict: str
    diagnosis: dict[str, Any]
    ruling: dict[str, Any]
    snapshot: dict[str, Any]
    facts: dict[str, Any]
    facts_sha256: str
    policy_version: str
    policy_sha256: str


class ProposedShown(Shown):
    """An action that the newest decision ruled on, and how it could be undone."""

    action: str
    arguments: dict[str, Any]
    digest: str | None
    verdict: str
    findings: list[dict[str, Any]]
    passed: list[str]
    """Rules about the action that were looked at and did not fire."""
    risk_class: str | None
    reversible: bool
    undo: str


class ActionShown(Shown):
    """An action of the ledger: intended, run, and what the other system answered."""

    id: str
    decision_id: str
    action: str
    arguments: dict[str, Any]
    digest: str
    state: str
    requested_by: str
    approved_by: list[str]
    attempts: int
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    receipt: dict[str, Any] | None
    error: str | None
    risk_class: str | None
    reversible: bool
    undo: str


class ExplanationShown(Shown):
    """What a model wrote about the newest decision, for people to read; it decides nothing. `at` is null while it is still tried, and
    `failure` says why there is none. `grounded` is false where nothing that it cites stands in the facts."""

    decision_id: str
    at: Moment | None
    model: str | None
    category: str
    summary: str | None
    grounded: bool
    evidence: list[dict[str, Any]] = Field(description="Every cited item; `struck` says why one does not hold.")
    failure: str | None
    attempts: int
    prompt_name: str | None
    prompt_version: str | None
    prompt_sha256: str | None
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    latency_ms: int | None
    cost_micros: int | None = Field(description="Millionths of a US dollar; null where the price or the tokens are unknown.")


class ApprovalShown(Shown):
    """What a person decided, and the digests that it was bound to."""

    id: str
    decision_id: str
    at: Moment
    person: str
    roles: list[str]
    decision: str
    reason: str
    actions: list[Any]
    actions_sha256: str
    facts_sha256: str
    policy_sha256: str
    category: str | None
    owner: str | None


class AnnotationShown(Shown):
    id: str
    kind: str
    body: dict[str, Any]
    action_id: str | None
    at: Moment
    by: str


class OutcomeShown(Shown):
    id: str
    at: Moment
    reported_by: str
    body: dict[str, Any]


class CaseShown(CaseSummary):
    """A case with everything that was decided and done about it. `evidence` are the cited facts after checking: `struck` says
    why one does not count."""

    decision: DecisionShown | None
    explanation: ExplanationShown | None
    evidence: list[dict[str, Any]]
    proposed_actions: list[ProposedShown]
    actions: list[ActionShown]
    approvals: list[ApprovalShown]
    annotations: list[AnnotationShown]
    outcomes: list[OutcomeShown]


class TrailShown(Shown):
    """One link of the chain. `body` is the very text that `body_sha256` was made from, opened."""

    seq: int
    at: Moment
    event: str
    case_id: str | None
    order_id: str | None
    actor: str
    body: dict[str, Any]
    body_sha256: str
    previous: str
    hash: str


class OrderShown(Shown):
    """The order as all systems see it: per field the value, its source, age, and who says otherwise."""

    order_ref: str
    as_of: str
    fields: dict[str, dict[str, Any]]
    signals: list[dict[str, Any]]
    related: list[dict[str, Any]]
    conflicts: list[str] = Field(description="Keys of the fields on which two systems disagree.")
    stale: list[str] = Field(description="Keys of the fields whose value is older than its system should leave it.")
    cases: list[CaseSummary]


class SignalShown(Shown):
    """A stored delivery, without its body."""

    id: str
    seq: int
    source: str
    topic: str
    state: str
    delivery_id: str
    event_id: str
    received_at: Moment
    occurred_at: Moment | None
    order_ref: str | None
    duplicates: int
    attempts: int
    error: str | None
    body_sha256: str


class DeadSignal(SignalShown):
    """With the body as it came, as text, so that it can be mended."""

    body: str


class ActionDeclared(Shown):
    """One line of the action catalogue."""

    name: str
    risk_class: str
    reversible: bool
    undo: str
    scopes: list[str]
    expected_outcome: str
    default: str
    protective: bool


class ProblemExplained(Shown):
    """One kind of refusal, and what to do about it."""

    type: str
    code: str
    title: str
    status: int
    advice: str


class Ready(Shown):
    status: str
    database: str = Field(description="The server's version.")
    classifier: str
    local_model: str | None = Field(None, description="How far the model on this machine is; null where none is wanted.")


class Alive(Shown):
    status: str


class SignalAccepted(Shown):
    signal_id: str
    duplicate: bool


class BatchAccepted(Shown):
    signals: list[SignalAccepted]


class CaseOpened(Shown):
    """The report is stored; the case is being judged."""

    case_id: str
    status: str
    location: str


def case_summary(row: Case) -> CaseSummary:
    return CaseSummary.model_validate(_summary(row))


def case_shown(view: CaseView, world: World) -> CaseShown:
    ruling: Mapping[str, Any] = view.decision.ruling if view.decision else {}
    return CaseShown.model_validate(
        {
            **_summary(view.case),
            "decision": _decision(view.decision) if view.decision else None,
            "explanation": _explanation(view.explanation) if view.explanation else None,
            "evidence": ruling.get("evidence", []),
            "proposed_actions": [_proposed(item, world) for item in ruling.get("actions", [])],
            "actions": [_action(row, world) for row in view.actions],
            "approvals": [_row(row, ApprovalShown) for row in view.approvals],
            "annotations": [_row(row, AnnotationShown) for row in view.annotations],
            "outcomes": [_row(row, OutcomeShown) for row in view.outcomes],
        }
    )


def order_shown(view: OrderView) -> OrderShown:
    snapshot = view.context.snapshot()
    fields: dict[str, dict[str, Any]] = snapshot["fields"]
    return OrderShown(
        order_ref=snapshot["order_ref"],
        as_of=snapshot["as_of"],
        fields=fields,
        signals=snapshot["signals"],
        related=snapshot["related"],
        conflicts=sorted(key for key, item in fields.items() if item["conflict"]),
        stale=sorted(key for key, item in fields.items() if item["stale"]),
        cases=[case_summary(row) for row in view.cases],
    )


def trail_shown(row: TrailEntry) -> TrailShown:
    return TrailShown.model_validate(_row(row, TrailShown) | {"body": json.loads(row.body)})


def signal_shown(row: Signal) -> SignalShown:
    return SignalShown.model_validate(row)


def dead_signal(row: Signal) -> DeadSignal:
    return DeadSignal.model_validate(_row(row, SignalShown) | {"body": row.body.decode("utf-8", "replace")})


def catalogue(policy: Policy) -> list[ActionDeclared]:
    return [
        ActionDeclared(
            name=action.value,
            risk_class=item.risk_class.value,
            reversible=item.reversible,
            undo=item.undo,
            scopes=list(item.scopes),
            expected_outcome=item.expected_outcome,
            default=item.default.value,
            protective=item.protective,
        )
        for action, item in policy.actions.items()
    ]


def _summary(row: Case) -> dict[str, Any]:
    renamed = {"status": row.state, "mandatory_review": row.mandatory}
    return {name: renamed[name] if name in renamed else getattr(row, name) for name in CaseSummary.model_fields}


def _decision(row: Decision) -> dict[str, Any]:
    """The conversation with the model stays in the trail: it is long, and nobody who decides needs it word for word."""
    diagnosis = dict(row.diagnosis)
    if isinstance(call := diagnosis.get("call"), Mapping):
        diagnosis["call"] = {name: value for name, value in call.items() if name not in ("messages", "raw_answer")}
    return _row(row, DecisionShown) | {"diagnosis": diagnosis}


def _explanation(row: ExplanationRow) -> dict[str, Any]:
    grounded = any(item["struck"] is None for item in row.evidence)
    stored = [name for name in ExplanationShown.model_fields if name != "grounded"]
    return {name: getattr(row, name) for name in stored} | {"grounded": grounded}


def _proposed(item: Mapping[str, Any], world: World) -> dict[str, Any]:
    name = item["action"]["action"]
    return {
        "action": name,
        "arguments": item["action"]["arguments"],
        "digest": item.get("digest"),
        "verdict": item["verdict"],
        "findings": told(item),
        "passed": passed(item),
        **undo_of(world, name),
    }


def _action(row: ActionRow, world: World) -> dict[str, Any]:
    undo = undo_of(world, row.action)
    return {name: undo[name] if name in undo else getattr(row, name) for name in ActionShown.model_fields}


def _row(row: Any, shape: type[BaseModel]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in shape.model_fields}
