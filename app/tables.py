"""The tables. The case row is the truth; every change of its state is a compare-and-set on `version`."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from guardrails.facts import canonical_json


def storable(value: Any) -> Any:
    """The value without what PostgreSQL cannot hold: NUL and lone surrogates become U+FFFD, everywhere inside it."""
    match value:
        case str():
            return value.replace("\x00", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        case dict():
            return {storable(key): storable(item) for key, item in value.items()}
        case list() | tuple():
            return [storable(item) for item in value]
    return value


def storable_bytes(value: Any) -> bytes:
    """The value as canonical JSON in UTF-8, as it is kept for reading again."""
    return canonical_json(storable(value)).encode()


class StorableText(TypeDecorator[str]):
    """Text from outside: hostile bytes must not make a row unstorable."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else str(storable(value))


class StorableJson(TypeDecorator[Any]):
    impl = JSONB
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return storable(value)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - read once by SQLAlchemy's metaclass
        str: StorableText(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: StorableJson(none_as_null=True),
        list[Any]: StorableJson(none_as_null=True),
        list[str]: ARRAY(StorableText()),
        bytes: LargeBinary(),
    }


class SignalState(StrEnum):
    RECEIVED = "received"
    """Stored and answered; not yet joined to an order."""
    LINKED = "linked"
    UNLINKED = "unlinked"
    """Read, but no known order holds any of its identifiers; tried again when one appears."""
    UNMAPPED = "unmapped"
    """No parser knows its topic: stored and counted."""
    DEAD = "dead"
    """It cannot be read; it waits in the dead letter to be fixed and replayed."""


class CaseState(StrEnum):
    JUDGING = "judging"
    """New facts arrived; a ruling is due."""
    REVIEW = "review"
    BLOCKED = "blocked"
    """Waits for the evidence that its decision lists."""
    ACTING = "acting"
    """Approved; its actions run, or a person carries them out by hand."""
    AUTOMATED = "automated"
    """Its actions were allowed and run; watched until the source recovers."""
    RESOLVED = "resolved"
    """Closed by a person's decision."""
    CLEARED = "cleared"
    """Closed by itself: the source recovered."""


CLOSED = (CaseState.RESOLVED, CaseState.CLEARED)


class ActionState(StrEnum):
    INTENDED = "intended"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """The other system refused it: nothing happened."""
    UNKNOWN = "unknown"
    """It may have happened: only observation or a person may leave this state."""
    REFUSED = "refused"
    """Facts, policy or approval had changed: it was not carried out."""
    HANDED_OVER = "handed_over"
    """Approved, but no connector can do it: a person does it by hand and reports the outcome."""


UNSETTLED = (ActionState.UNKNOWN, ActionState.HANDED_OVER)


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[str] = mapped_column(primary_key=True)
    ref: Mapped[str] = mapped_column(index=True)
    """The name its storefront gives it, e.g. `#1001`."""
    created_at: Mapped[datetime]
    placed_at: Mapped[datetime | None]
    customer: Mapped[str | None]
    """One-way hash of the buyer's e-mail."""
    channel_order: Mapped[str | None] = mapped_column(index=True)
    """The marketplace's own order id."""
    next_look_at: Mapped[datetime | None] = mapped_column(index=True)
    """When time alone could set off a detector; None when nothing is open to change."""
    looked_at: Mapped[datetime | None]
    """The `changed_at` that the last look had seen. Less than `changed_at`: a look is due."""
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    """How often looking at it has failed in a row."""
    changed_at: Mapped[datetime]
    """Mark of the last signal that joined: its time, or a moment after the mark before. It only grows."""

    __table_args__ = (
        Index("ix_orders_customer_placed", "customer", "placed_at"),
        Index("ix_orders_look_due", "changed_at", postgresql_where=text("looked_at IS NULL OR changed_at > looked_at")),
    )


class OrderLink(Base):
    """An identifier that belongs to an order. Identifiers such as stock items may belong to many."""

    __tablename__ = "order_links"
    identifier: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), primary_key=True, index=True)


class Signal(Base):
    __tablename__ = "signals"
    id: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    source: Mapped[str]
    delivery_id: Mapped[str]
    """The transport's id: the same on every retry of one delivery."""
    event_id: Mapped[str]
    """The event's id: the same for several deliveries of one event."""
    topic: Mapped[str]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes]
    body_sha256: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(index=True)
    occurred_at: Mapped[datetime | None]
    order_ref: Mapped[str | None]
    identifiers: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    observations: Mapped[list[Any] | None]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    retry_at: Mapped[datetime | None]
    error: Mapped[str | None]
    duplicates: Mapped[int] = mapped_column(server_default=text("0"))

    __table_args__ = (
        UniqueConstraint("source", "delivery_id"),
        UniqueConstraint("source", "event_id"),
        Index("ix_signals_waiting", "seq", postgresql_where=text("state = 'received'")),
        Index(
            "ix_signals_unlinked_identifiers", "identifiers", postgresql_using="gin", postgresql_where=text("state = 'unlinked'")
        ),
        Index("ix_signals_dead", "seq", postgresql_where=text("state = 'dead'")),
    )


class SignalOrder(Base):
    __tablename__ = "signal_orders"
    signal_id: Mapped[str] = mapped_column(ForeignKey("signals.id"), primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), primary_key=True, index=True)


class Case(Base):
    __tablename__ = "cases"
    id: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), index=True)
    order_ref: Mapped[str]
    fingerprint: Mapped[str]
    """`<order id>:<detected category>`: at most one open case holds it."""
    detected_category: Mapped[str]
    detectors: Mapped[list[str]]
    category: Mapped[str]
    """What the classifier made of it; the detected category until it has answered."""
    owner: Mapped[str]
    assignee: Mapped[str | None]
    state: Mapped[str]
    verdict: Mapped[str | None]
    urgent: Mapped[bool]
    summary: Mapped[str]
    sentence: Mapped[str]
    confidence: Mapped[int | None]
    mandatory: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    signature: Mapped[str]
    """sha256 of what set it off: detectors and the facts they fired on. The same signature again is no news."""
    episode: Mapped[int] = mapped_column(server_default=text("1"))
    """Counts its lives: one more each time it is re-opened."""
    version: Mapped[int]
    """Counts every change of this row; reviewers send it back in `If-Match`."""
    recurrence: Mapped[int]
    """How many later signals extended or re-opened this case."""
    opened_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    due_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    closed_because: Mapped[str | None]
    follows_case: Mapped[str | None]
    """The earlier, resolved case of the same fingerprint that this one came back from."""
    holder: Mapped[str | None]
    held_until: Mapped[datetime | None]
    snoozed_until: Mapped[datetime | None]
    decision_id: Mapped[str | None]
    reported_by: Mapped[str | None]

    __table_args__ = (
        Index(
            "uq_cases_open_fingerprint", "fingerprint", unique=True, postgresql_where=text("state NOT IN ('resolved', 'cleared')")
        ),
        Index("ix_cases_queue", "state", "due_at", "seq"),
        Index("ix_cases_fingerprint", "fingerprint", "opened_at"),
    )


class Decision(Base):
    """One judgement of a case, with all that it rested on. Never changed after it is written."""

    __tablename__ = "decisions"
    id: Mapped[str] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    at: Mapped[datetime]
    verdict: Mapped[str]
    snapshot: Mapped[dict[str, Any]]
    facts: Mapped[dict[str, Any]]
    facts_sha256: Mapped[str]
    diagnosis: Mapped[dict[str, Any]]
    ruling: Mapped[dict[str, Any]]
    policy_version: Mapped[str]
    policy_sha256: Mapped[str]
    standing: Mapped[dict[str, Any] | None]
    """What was spent of the budgets and switched off when it was ruled."""
    shadow: Mapped[dict[str, Any] | None]
    """What the policy in shadow would have ruled; None where none was."""

    __table_args__ = (Index("ix_decisions_at", "at", "id"),)


class ModelAnswer(Base):
    """The model ledger: a row before the question, completed by the answer, so that an answered call is never paid twice."""

    __tablename__ = "model_answers"
    question_sha256: Mapped[str] = mapped_column(primary_key=True)
    case_id: Mapped[str]
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    diagnosis: Mapped[dict[str, Any] | None]


class ModelCallRow(Base):
    """One answered request to a model endpoint, what it used, and how long it may be used again."""

    __tablename__ = "model_calls"
    endpoint_sha256: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]
    finish_reason: Mapped[str]
    response: Mapped[dict[str, Any]]
    """The body of the chat completion."""
    prompt_tokens: Mapped[int | None]
    cached_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    latency_ms: Mapped[int]
    cost_micros: Mapped[int | None] = mapped_column(BigInteger)
    """Millionths of a US dollar; None when the price or the tokens are unknown."""
    at: Mapped[datetime]
    expires_at: Mapped[datetime]

    __table_args__ = (Index("ix_model_calls_expires_at", "expires_at"),)


class ExplanationRow(Base):
    """What a model wrote about a decision, for people to read. A row before the question, completed by the answer; `at` is None while
    there is none and it is still tried."""

    __tablename__ = "explanations"
    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"), primary_key=True)
    category: Mapped[str]
    """The category that was fixed when it was asked for."""
    asked_at: Mapped[datetime]
    attempts: Mapped[int]
    retry_at: Mapped[datetime]
    """Until then whoever asked last has it to themselves."""
    at: Mapped[datetime | None]
    summary: Mapped[str | None]
    evidence: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    """`{"pointer", "quote", "source", "untrusted", "struck"}` of each cited item; `struck` says why it does not hold."""
    failure: Mapped[str | None]
    model: Mapped[str | None]
    prompt_name: Mapped[str | None]
    prompt_version: Mapped[str | None]
    prompt_sha256: Mapped[str | None]
    prompt_tokens: Mapped[int | None]
    cached_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    latency_ms: Mapped[int | None]
    cost_micros: Mapped[int | None] = mapped_column(BigInteger)
    """Millionths of a US dollar; None when the price or the tokens are unknown."""


class ActionRow(Base):
    """The action ledger: the intent is committed before the call, the receipt after it."""

    __tablename__ = "actions"
    id: Mapped[str] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"))
    action: Mapped[str]
    arguments: Mapped[dict[str, Any]]
    digest: Mapped[str]
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    requested_by: Mapped[str]
    approval_id: Mapped[str | None] = mapped_column(ForeignKey("approvals.id"))
    """The approval that it carries out; None for what the guard allowed by itself."""
    approved_by: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    facts_sha256: Mapped[str]
    policy_sha256: Mapped[str]
    claims: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    """What it takes of budgets when it is begun: `{"key", "amount"}`; nothing where a person approved it."""
    claimed_hour: Mapped[datetime | None]
    """The hour whose budgets it was counted in."""
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    receipt: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]

    __table_args__ = (Index("ix_actions_live", "created_at", postgresql_where=text("state IN ('intended', 'running')")),)


class BudgetHour(Base):
    """What one clock hour has spent of one budget: a row for the `actions` begun, and one per currency in minor units."""

    __tablename__ = "budget_hours"
    key: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    unit: Mapped[str] = mapped_column(primary_key=True)
    spent: Mapped[int] = mapped_column(BigInteger)


class SwitchedOff(Base):
    """A switch that is off: `everything`, `action:<name>` or `source:<name>`. Switching on removes the row; the trail remembers."""

    __tablename__ = "switched_off"
    switch: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    by: Mapped[str]
    why: Mapped[str]


class Audit(Base):
    """A case that was decided without a person and drawn to be judged by one who does not see the answer."""

    __tablename__ = "audits"
    id: Mapped[str] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"))
    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"))
    drawn_at: Mapped[datetime]
    model: Mapped[str]
    """The key of what judged, as in `keys`."""
    keys: Mapped[dict[str, Any]]
    """Model, prompt, calibrator and taxonomy: what the label says something about."""
    score: Mapped[int]
    """The confidence in basis points."""
    answered: Mapped[str]
    """The category that the machine gave; nobody sees it before judging."""
    label: Mapped[dict[str, Any] | None]
    """`{"category", "acceptable"}`, as the person said."""
    wrong: Mapped[bool | None]
    judged_by: Mapped[str | None]
    judged_at: Mapped[datetime | None]
    forgotten_at: Mapped[datetime | None]
    """The drift alarm has sounded since and was begun anew: it does not count this one any more. As a label it goes on counting."""

    __table_args__ = (
        UniqueConstraint("case_id", "model"),
        Index("ix_audits_open", "drawn_at", postgresql_where=text("judged_at IS NULL")),
        Index("ix_audits_judged", "model", "judged_at"),
    )


class PublishedPolicy(Base):
    """A policy that was put in force or in shadow, by whom and why, with the replay report that was attached. At most one of each
    mode has not ended."""

    __tablename__ = "published_policies"
    id: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(index=True)
    version: Mapped[str]
    name: Mapped[str]
    document: Mapped[str]
    overlay: Mapped[str | None]
    mode: Mapped[str]
    published_at: Mapped[datetime]
    by: Mapped[str]
    why: Mapped[str]
    report: Mapped[dict[str, Any] | None]
    ended_at: Mapped[datetime | None]

    __table_args__ = (Index("uq_published_policies_current", "mode", unique=True, postgresql_where=text("ended_at IS NULL")),)


class RulingSegment(Base):
    """Rulings in columnar form, for replay: `size` of them, made between two moments."""

    __tablename__ = "ruling_segments"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    size: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)
    format: Mapped[int]


class RulingColumn(Base):
    """One column of a segment, as `guardrails/replay/segments.py` encodes it."""

    __tablename__ = "ruling_columns"
    segment_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("ruling_segments.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[bytes]


class ArchivedRuling(Base):
    """In which segment, and in which row of it, a decision stands."""

    __tablename__ = "archived_rulings"
    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"), primary_key=True)
    segment_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("ruling_segments.id"))
    row: Mapped[int]

    __table_args__ = (Index("ix_archived_rulings_place", "segment_id", "row"),)


class Approval(Base):
    """What a person decided, bound to the digests they saw. Rows are added, never changed."""

    __tablename__ = "approvals"
    id: Mapped[str] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"))
    at: Mapped[datetime]
    person: Mapped[str]
    roles: Mapped[list[str]]
    decision: Mapped[str]
    reason: Mapped[str]
    actions: Mapped[list[Any]]
    actions_sha256: Mapped[str]
    facts_sha256: Mapped[str]
    policy_sha256: Mapped[str]
    category: Mapped[str | None]
    owner: Mapped[str | None]


class Annotation(Base):
    """What R0 actions leave on a case: notes, tags, links, tickets, notifications. One row per action at most."""

    __tablename__ = "annotations"
    id: Mapped[str] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    kind: Mapped[str]
    body: Mapped[dict[str, Any]]
    action_id: Mapped[str | None] = mapped_column(ForeignKey("actions.id"), unique=True)
    at: Mapped[datetime]
    by: Mapped[str]


class OutcomeRow(Base):
    """What turned out true later."""

    __tablename__ = "outcomes"
    id: Mapped[str] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    at: Mapped[datetime]
    reported_by: Mapped[str]
    body: Mapped[dict[str, Any]]


class TrailEntry(Base):
    """One link of the hash chain. A trigger refuses UPDATE and DELETE."""

    __tablename__ = "trail"
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    event: Mapped[str]
    case_id: Mapped[str | None] = mapped_column(index=True)
    order_id: Mapped[str | None]
    actor: Mapped[str]
    body: Mapped[str]
    """Canonical JSON, kept as text: what was hashed is what is stored, to the byte."""
    body_sha256: Mapped[str]
    previous: Mapped[str]
    hash: Mapped[str]


class TrailHead(Base):
    """The chain's end, so that cutting off its tail is noticed too. One row."""

    __tablename__ = "trail_head"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str]


class ApiKey(Base):
    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    """`person` or `service`; only a person can approve."""
    roles: Mapped[list[str]]
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class ConsoleSession(Base):
    """A person signed in to the console. The cookie's token is nowhere stored, and its key is asked again on every request."""

    __tablename__ = "console_sessions"
    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"), index=True)
    opened_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class IdempotentRequest(Base):
    """The stored answer of a POST with an `Idempotency-Key`. `status` is None while the first one is in progress."""

    __tablename__ = "idempotent_requests"
    principal: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str]
    created_at: Mapped[datetime]
    status: Mapped[int | None]
    body: Mapped[dict[str, Any] | None]
