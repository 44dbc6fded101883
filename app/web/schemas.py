"""The JSON that comes in. Strict: nothing is converted, nothing unknown is ignored, no time is without a zone."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from app.review import ReviewDecision
from app.signals.shapes import WEBHOOK_SOURCES, Source
from app.tables import CaseState, SignalState
from app.web.pages import DEFAULT_LIMIT, MAX_CURSOR, MAX_LIMIT
from guardrails.policy.tables import Mode
from guardrails.taxonomy import Action, Category, Team, Verdict


def one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def signed_source(source: Source) -> Source:
    if source not in WEBHOOK_SOURCES:
        raise ValueError("must be one of " + ", ".join(WEBHOOK_SOURCES))
    return source


ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(one_line)]
LongText = Annotated[str, StringConstraints(min_length=1, max_length=20_000), AfterValidator(not_blank)]
ReasonText = Annotated[str, StringConstraints(min_length=1, max_length=4_000), AfterValidator(not_blank)]
FactTable = Annotated[
    dict[str, Any],
    Field(
        max_length=500,
        description="Answers of systems of record: a dotted name to `{value, source, observed_at}`; `value: null` means read and got "
        "nothing. `links` maps vendor ids to the order reference. Money is `{amount, currency}` in minor units.",
        examples=[
            {
                "order.total": {
                    "value": {"amount": 5800, "currency": "USD"},
                    "source": "shopify",
                    "observed_at": "2026-11-23T10:00:00Z",
                }
            }
        ],
    ),
]


class Sent(BaseModel):
    """What our own callers send."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ReportedSignal(Sent):
    """A vendor's body as the reporter received it."""

    source: Annotated[Source, AfterValidator(signed_source)]
    headers: dict[str, str] = Field(default_factory=dict, max_length=100)
    received_at: AwareDatetime | None = None
    payload: dict[str, Any]


class TriageRequest(Sent):
    """One exception, reported directly."""

    order_ref: ShortText = Field(examples=["#1001"])
    reported_by: ShortText = Field(examples=["help desk"])
    description: LongText | None = Field(None, description="Free text: data for the reader, never an instruction.")
    facts: FactTable = Field(default_factory=dict)
    signals: list[ReportedSignal] = Field(default_factory=list, max_length=50)

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "order_ref": "#1001",
                    "reported_by": "help desk",
                    "description": "The customer says that the parcel never came.",
                    "facts": {
                        "tracking.status": {"value": "delivered", "source": "easypost", "observed_at": "2026-11-23T09:00:00Z"}
                    },
                }
            ]
        }
    )


class AssignRequest(Sent):
    owner: Team | None = None
    assignee: ShortText | None = None


class WantedAction(Sent):
    """An action by name. The arguments are what the case shows for it, changed as wanted."""

    action: Action
    arguments: dict[str, Any] = Field(default_factory=dict, max_length=50)


class ReviewBody(Sent):
    """`actions` go with `edit` only: they replace the proposed ones and pass the guard again."""

    decision: ReviewDecision
    reason: ReasonText = Field(description="Why. It goes on record.")
    actions: list[WantedAction] | None = Field(None, min_length=1, max_length=20)
    category: Category | None = Field(None, description="Corrects the classifier.")
    owner: Team | None = Field(None, description="Corrects the routing.")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"decision": "approve", "reason": "The customer confirmed the address by phone."}]}
    )


class EvidenceRequest(Sent):
    """Facts, a note, or both. The case is judged again."""

    facts: FactTable = Field(default_factory=dict)
    note: LongText | None = Field(None, description="Free text, for instance what a document says.")


class SwitchState(StrEnum):
    OFF = "off"
    ON = "on"


class SwitchRequest(Sent):
    state: SwitchState
    reason: ReasonText = Field(description="Why. It goes on record.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "off", "reason": "Refunds go out twice."}]})


class AuditJudgement(Sent):
    """What a person makes of an order, without knowing what the machine made of it."""

    category: Category
    acceptable: bool = Field(True, description="False: a person should have decided this one, whatever its category.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"category": "warehouse_exception"}]})


class OutcomeRequest(Sent):
    """What turned out true later. With `action_id` and `done`, how an action went that a person carried out."""

    result: ShortText | None = Field(None, examples=["delivered after all"])
    note: LongText | None = None
    action_id: ShortText | None = None
    done: bool | None = None
    true_category: Category | None = None
    at: AwareDatetime | None = None


class ReplayRequest(Sent):
    """The corrected payload; without one the signal is read again as it came."""

    payload: dict[str, Any] | None = None


PolicyDocument = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200_000),
    AfterValidator(not_blank),
    Field(description="The text of a policy file, as YAML.", examples=["schema: ordermend/policy/v1\nversion: 2026-11-24.1\n..."]),
]


class PolicySimulation(Sent):
    """Another policy, and which part of the past to ask it about: rulings made from `since` on and before `until`."""

    policy: PolicyDocument
    overlay: PolicyDocument | None = Field(None, description="A second file that may only tighten the first.")
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    cases: int = Field(20, ge=0, le=500, description="How many of the cases ruled otherwise to show in full.")


class PolicyPublication(Sent):
    """`shadow` puts it on trial: what it would rule is recorded, and nothing follows from it."""

    policy: PolicyDocument
    overlay: PolicyDocument | None = Field(None, description="Where one is in force, null says that it ends; absent, 409.")
    mode: Mode = Mode.ENFORCE
    why: ReasonText = Field(description="Why. It goes on record.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"policy": "schema: ordermend/policy/v1\n...", "why": "Refunds above 300 USD need a person."}]
        }
    )


class ShadowEnd(Sent):
    why: ReasonText = Field(description="Why. It goes on record.")


BODIES: tuple[type[BaseModel], ...] = (
    TriageRequest,
    AssignRequest,
    ReviewBody,
    EvidenceRequest,
    SwitchRequest,
    AuditJudgement,
    OutcomeRequest,
    ReplayRequest,
    PolicySimulation,
    PolicyPublication,
    ShadowEnd,
)


class Asked(BaseModel):
    """Query parameters: one that is not known is refused, because a mistyped filter would silently show everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Needle = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(one_line)]


class PageQuery(Asked):
    cursor: str | None = Field(None, max_length=MAX_CURSOR, description="`next_cursor` of the page before.")
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)


class CaseQuery(PageQuery):
    status: list[CaseState] = Field(default_factory=list, description="Repeat it for several.")
    owner: Team | None = None
    category: Category | None = None
    verdict: Verdict | None = None
    q: Needle | None = Field(None, description="Words in reference, summary or sentence, or an identifier such as a tracking code.")
    order_ref: Needle | None = Field(None, description="With or without `#` (sent as `%23`).")


class SignalQuery(PageQuery):
    state: list[SignalState] = Field(default_factory=list, description="Repeat it for several.")
    source: Source | None = None
