"""The read side: what the API, the console and the metrics show. Nothing here changes a row."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app import store
from app.context import OrderContext
from app.errors import NotFound
from app.linking import order_identifier
from app.tables import (
    CLOSED,
    ActionRow,
    Annotation,
    Approval,
    Case,
    CaseState,
    Decision,
    ExplanationRow,
    OrderLink,
    OutcomeRow,
    Signal,
    SignalState,
    TrailEntry,
)
from app.world import World

CASES_OF_ORDER_LIMIT = 200


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """What the queue is narrowed to. Empty and None mean "any". `text` is searched in references, words and ids."""

    states: tuple[CaseState, ...] = ()
    owner: str | None = None
    category: str | None = None
    verdict: str | None = None
    text: str | None = None
    order_ref: str | None = None


@dataclass(frozen=True, slots=True)
class CasePlace:
    """A place in the queue: after this case."""

    due_at: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class CaseView:
    """One case with all that was decided and done about it."""

    case: Case
    decision: Decision | None
    actions: list[ActionRow]
    approvals: list[Approval]
    annotations: list[Annotation]
    outcomes: list[OutcomeRow]
    explanation: ExplanationRow | None = None
    """What a model wrote about the newest decision, for people to read."""


@dataclass(frozen=True, slots=True)
class OrderView:
    """The order as all systems see it now, and its cases, the newest first."""

    context: OrderContext
    cases: list[Case]


@dataclass(frozen=True, slots=True)
class CaseCount:
    state: str
    verdict: str | None
    cases: int


@dataclass(frozen=True, slots=True)
class SignalCount:
    source: str
    state: str
    signals: int


@dataclass(frozen=True, slots=True)
class JobCount:
    status: str
    jobs: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much there is and how much of it waits. `oldest_wait_s` is 0 when nothing waits."""

    cases: list[CaseCount] = field(default_factory=list)
    signals: list[SignalCount] = field(default_factory=list)
    jobs: list[JobCount] = field(default_factory=list)
    waiting: int = 0
    oldest_wait_s: float = 0.0
    dead: int = 0


async def queue(session: AsyncSession, wanted: CaseFilter, after: CasePlace | None, limit: int) -> list[Case]:
    """Cases, the one due first at the top. The order of two cases changes only when a due time does."""
    query = select(Case).where(*_conditions(wanted)).order_by(Case.due_at, Case.seq).limit(limit)
    if after is not None:
        query = query.where(tuple_(Case.due_at, Case.seq) > tuple_(after.due_at, after.seq))
    return list((await session.execute(query)).scalars())


def _conditions(wanted: CaseFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.states:
        conditions.append(Case.state.in_([state.value for state in wanted.states]))
    for column, value in ((Case.owner, wanted.owner), (Case.category, wanted.category), (Case.verdict, wanted.verdict)):
        if value is not None:
            conditions.append(column == value)
    if wanted.order_ref is not None:
        conditions.append(or_(Case.order_id.in_(_holding(order_identifier(wanted.order_ref))), Case.order_ref == wanted.order_ref))
    if wanted.text is not None:
        conditions.append(_mentions(wanted.text))
    return conditions


def _mentions(words: str) -> ColumnElement[bool]:
    """Every word somewhere in the case's own text; or the whole as its id, or as an identifier of its order such as a tracking
    code. Ids are random, so a part of one says nothing."""
    columns = (Case.order_ref, Case.summary, Case.sentence, Case.category)
    each = [or_(*(column.icontains(word, autoescape=True) for column in columns)) for word in words.split()]
    identifiers = _holding(words.strip(), order_identifier(words))
    return or_(and_(*each), Case.id == words.strip(), Case.order_id.in_(identifiers))


def _holding(*identifiers: str) -> Select[str]:
    return select(OrderLink.order_id).where(OrderLink.identifier.in_(identifiers))


async def case(session: AsyncSession, case_id: str) -> CaseView:
    """Raises NotFound."""
    row = await store.get_case(session, case_id)
    decision = await session.get(Decision, row.decision_id) if row.decision_id else None
    explanation = await session.get(ExplanationRow, row.decision_id) if row.decision_id else None
    actions = select(ActionRow).where(ActionRow.case_id == case_id).order_by(ActionRow.created_at, ActionRow.id)
    approvals = select(Approval).where(Approval.case_id == case_id).order_by(Approval.at, Approval.id)
    annotations = select(Annotation).where(Annotation.case_id == case_id).order_by(Annotation.at, Annotation.id)
    outcomes = select(OutcomeRow).where(OutcomeRow.case_id == case_id).order_by(OutcomeRow.at, OutcomeRow.id)
    return CaseView(
        row,
        decision,
        list((await session.execute(actions)).scalars()),
        list((await session.execute(approvals)).scalars()),
        list((await session.execute(annotations)).scalars()),
        list((await session.execute(outcomes)).scalars()),
        explanation,
    )


async def case_trail(session: AsyncSession, case_id: str, after: int, limit: int) -> list[TrailEntry]:
    """The case's entries with a sequence number above `after`, in order. Raises NotFound when there is no such case."""
    await store.get_case(session, case_id)
    query = select(TrailEntry).where(TrailEntry.case_id == case_id, TrailEntry.seq > after)
    return list((await session.execute(query.order_by(TrailEntry.seq).limit(limit))).scalars())


async def order(world: World, ref: str, now: datetime) -> OrderView:
    """By the storefront's name, with or without `#`. Raises NotFound."""
    async with world.database.sessions() as session:
        row = await store.get_order_by_ref(session, ref)
        query = select(Case).where(Case.order_id == row.id).order_by(Case.seq.desc()).limit(CASES_OF_ORDER_LIMIT)
        cases = list((await session.execute(query)).scalars())
    return OrderView(await store.gather(world, row.id, now), cases)


async def signals(
    session: AsyncSession, states: Sequence[SignalState], source: str | None, before: int | None, limit: int
) -> list[Signal]:
    """Stored signals, the newest first. `before` is the sequence number of the last one already seen."""
    query = select(Signal).order_by(Signal.seq.desc()).limit(limit)
    if states:
        query = query.where(Signal.state.in_([state.value for state in states]))
    if source is not None:
        query = query.where(Signal.source == source)
    if before is not None:
        query = query.where(Signal.seq < before)
    return list((await session.execute(query)).scalars())


async def signal(session: AsyncSession, signal_id: str) -> Signal:
    """Raises NotFound."""
    found = await session.get(Signal, signal_id)
    if found is None:
        raise NotFound(f"There is no signal {signal_id!r}.")
    return found


async def backlog(session: AsyncSession, now: datetime) -> Backlog:
    """The figures of one scrape."""
    cases = await session.execute(select(Case.state, Case.verdict, func.count()).group_by(Case.state, Case.verdict))
    stored = await session.execute(select(Signal.source, Signal.state, func.count()).group_by(Signal.source, Signal.state))
    signal_counts = [SignalCount(*row) for row in stored.all()]
    oldest = (await session.execute(select(func.min(Signal.received_at)).where(_is_waiting()))).scalar_one_or_none()
    jobs: list[JobCount] = []
    if await has_queue(session):
        rows = await session.execute(text("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY status"))
        jobs = [JobCount(str(status), int(count)) for status, count in rows.all()]
    return Backlog(
        cases=[CaseCount(*row) for row in cases.all()],
        signals=signal_counts,
        jobs=jobs,
        waiting=_sum(signal_counts, SignalState.RECEIVED),
        oldest_wait_s=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        dead=_sum(signal_counts, SignalState.DEAD),
    )


def _is_waiting() -> ColumnElement[bool]:
    return Signal.state == SignalState.RECEIVED.value


def _sum(counts: Sequence[SignalCount], state: SignalState) -> int:
    return sum(count.signals for count in counts if count.state == state)


async def has_queue(session: AsyncSession) -> bool:
    """Whether the queue's own tables are there."""
    return bool((await session.execute(text("SELECT to_regclass('procrastinate_jobs') IS NOT NULL"))).scalar_one())


async def open_by_state(session: AsyncSession) -> dict[str, int]:
    """How many open cases are in each state; states without any are left out."""
    query = select(Case.state, func.count()).where(Case.state.not_in([state.value for state in CLOSED])).group_by(Case.state)
    return {row.state: row[1] for row in await session.execute(query)}


def undo_of(world: World, action: str) -> dict[str, Any]:
    """What undoes this action, from the policy's catalogue; for an action that is not in it, nothing does."""
    declared = next((item for name, item in world.policy.actions.items() if name.value == action), None)
    if declared is None:
        return {"risk_class": None, "reversible": False, "undo": "cannot be undone"}
    return {"risk_class": declared.risk_class.value, "reversible": declared.reversible, "undo": declared.undo}
