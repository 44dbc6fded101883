"""Explanations of decided cases, written by a model for the people who read them, after the decision and apart from it.

The rows are the ledger: one per decision, taken before the model is asked and completed afterwards, so that a process that dies
in between loses nothing. Nothing here touches a case, a decision, a verdict or an action.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.classify import Explains, Explanation, ModelCall, Question, explainer_of
from app.context import OrderContext
from app.database import is_away, write
from app.detect import Detections, detect
from app.past_rulings import facts_of
from app.tables import Case, Decision, ExplanationRow
from app.trail import Entry, Event, append
from app.world import World
from guardrails.facts import to_plain
from guardrails.ruling import GroundedEvidence
from guardrails.taxonomy import Category

log = logging.getLogger("ordermend.explaining")

WRITER = "explainer"
MOST_ATTEMPTS = 3
TAKEN_FOR = timedelta(minutes=5)
"""For so long the row belongs to whoever asks. Longer than any one conversation with a model takes."""
TRY_AGAIN_AFTER = timedelta(minutes=2)
LOOK_EVERY_S = 3.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A decision that nobody has explained yet, and the category that its case is filed under."""

    decision_id: str
    category: Category
    attempt: int


async def explain_for_ever(world: World) -> None:
    """One explanation at a time, the case due first at the top. What waits for the model waits here and not in the queue's workers."""
    while True:
        try:
            explained = await explain_next(world)
        except Exception as error:
            explained = False
            if is_away(error):
                log.warning("explanations wait: the database could not be reached: %s", type(error).__name__)
            else:
                log.exception("an explanation failed; it is tried again later")
        await asyncio.sleep(0 if explained else LOOK_EVERY_S)


async def explain_next(world: World) -> bool:
    """Write one explanation that is lacking. False when there is none, or nobody to write it."""
    explainer = explainer_of(world.classifier)
    if explainer is None:
        return False
    wanted = await take(world)
    if wanted is None:
        return False
    await _explain(world, explainer, wanted)
    return True


async def take(world: World) -> Wanted | None:
    """The open case due first whose newest decision people read and nobody explained or is explaining. It is taken: the row stands."""
    now = world.clock()
    async with write(world.database.sessions) as session:
        found = (await session.execute(_lacking(world.settings.explained, now))).first()
        if found is None:
            return None
        values = {"decision_id": found.decision_id, "category": found.category, "asked_at": now, "retry_at": now + TAKEN_FOR}
        row = insert(ExplanationRow).values(**values, attempts=1, evidence=[])
        again = row.on_conflict_do_update(
            index_elements=["decision_id"],
            set_={**values, "attempts": ExplanationRow.attempts + 1},
            where=_may_be_tried(now),
        ).returning(ExplanationRow.attempts)
        attempt = (await session.execute(again)).scalar_one_or_none()
    # another process may have been quicker
    return None if attempt is None else Wanted(found.decision_id, Category(found.category), attempt)


def _lacking(states: Sequence[str], now: datetime) -> Any:
    return (
        select(Case.decision_id, Case.category)
        .outerjoin(ExplanationRow, ExplanationRow.decision_id == Case.decision_id)
        .where(Case.state.in_(states), Case.decision_id.is_not(None))
        .where(or_(ExplanationRow.decision_id.is_(None), _may_be_tried(now)))
        .order_by(Case.due_at, Case.seq)
        .limit(1)
    )


def _may_be_tried(now: datetime) -> Any:
    return ExplanationRow.at.is_(None) & (ExplanationRow.retry_at <= now)


async def _explain(world: World, explainer: Explains, wanted: Wanted) -> None:
    if wanted.attempt > MOST_ATTEMPTS:
        await _store(world, wanted, Explanation("", (), failure="each time it was asked for, the process ended before the answer"))
        return
    async with world.database.sessions() as session:
        decision = await session.get_one(Decision, wanted.decision_id)
    written = await explainer.explain(question_of(decision, world), wanted.category)
    if written.failure is not None and wanted.attempt < MOST_ATTEMPTS:
        await _put_off(world, wanted, written)
        return
    await _store(world, wanted, written)


def question_of(decision: Decision, world: World) -> Question:
    """What the classifier was asked, from the decision alone: its own snapshot and facts. Of the context only name and time are left,
    because all that may be shown of it stands in the snapshot."""
    as_of = datetime.fromisoformat(decision.snapshot["as_of"])
    facts = facts_of(decision.facts, decision.snapshot["order_ref"], as_of)
    seen, fired = detect(facts, world.detectors), frozenset(decision.diagnosis.get("detections", ()))
    detections = Detections(tuple(d for d in seen.found if d.detector in fired), tuple(decision.diagnosis.get("unseen", ())))
    context = OrderContext(facts.order_ref, as_of, {}, ())
    return Question(context, decision.snapshot, facts, detections, world.policy.limits)


async def _put_off(world: World, wanted: Wanted, written: Explanation) -> None:
    """The reason is kept for people to see; the next try may do better."""
    async with write(world.database.sessions) as session:
        later = {"retry_at": world.clock() + TRY_AGAIN_AFTER, "failure": written.failure}
        await session.execute(update(ExplanationRow).where(*_still(wanted)).values(later))


async def _store(world: World, wanted: Wanted, written: Explanation) -> None:
    """The explanation, or that there will be none, with its trail entry. Whoever comes second writes nothing."""
    now = world.clock()
    async with write(world.database.sessions) as session:
        stored = update(ExplanationRow).where(*_still(wanted)).values(at=now, **_columns(written))
        if (await session.execute(stored.returning(ExplanationRow.decision_id))).scalar_one_or_none() is None:
            return
        case = await _case_of(session, wanted.decision_id)
        entry = Entry(Event.CASE_EXPLAINED, WRITER, _trail_body(wanted, written), case.id, case.order_id)
        await append(session, now, [entry])


def _still(wanted: Wanted) -> tuple[Any, ...]:
    return ExplanationRow.decision_id == wanted.decision_id, ExplanationRow.at.is_(None)


async def _case_of(session: AsyncSession, decision_id: str) -> Case:
    query = select(Case).join(Decision, Decision.case_id == Case.id).where(Decision.id == decision_id)
    return (await session.execute(query)).scalar_one()


def _columns(written: Explanation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "summary": written.summary if written.failure is None else None,
        "evidence": [_plain(item) for item in written.evidence],
        "failure": written.failure,
        "cost_micros": written.cost_micros,
    }
    names = ("model", "prompt_name", "prompt_version", "prompt_sha256")
    counts = ("prompt_tokens", "cached_tokens", "completion_tokens", "latency_ms")
    return told if written.call is None else told | {name: getattr(written.call, name) for name in (*names, *counts)}


def _trail_body(wanted: Wanted, written: Explanation) -> dict[str, Any]:
    """All that was asked and answered, word for word, as with a decision."""
    call = written.call
    return {
        "decision_id": wanted.decision_id,
        "category": wanted.category.value,
        "summary": written.summary,
        "evidence": [_plain(item) for item in written.evidence],
        "failure": written.failure,
        "cost_micros": written.cost_micros,
        "call": None if call is None else {item.name: to_plain(getattr(call, item.name)) for item in fields(ModelCall)},
    }


def _plain(item: GroundedEvidence) -> dict[str, Any]:
    cited = {"pointer": item.evidence.pointer, "quote": item.evidence.quote}
    return cited | {"source": item.source, "untrusted": item.untrusted, "struck": item.struck}
