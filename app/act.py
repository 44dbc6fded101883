"""Carry out one allowed action, once: the intent is committed before the call and the receipt after it.

Nothing outside is called inside an open transaction. A lost reply is UNKNOWN, and only observation or a person leaves that.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import store
from app.budgets import reserve
from app.clients.port import Connector, Done, Ending, Failed, Task, UnknownOutcome
from app.database import write
from app.governing import Governing, governing_in
from app.judge import look
from app.switches import hold_still
from app.tables import CLOSED, ActionRow, ActionState, Case, CaseState, Decision, Order
from app.trail import Entry, Event, append
from app.world import World
from guardrails.grounding import speaking_in
from guardrails.standing import EVERYTHING, hour_of
from guardrails.taxonomy import Action, Reason

LONGEST_CALL = timedelta(seconds=45)
ABANDONED_AFTER = timedelta(seconds=60)
"""A started action without a receipt for this long: the process that ran it is gone, or it would have given up."""
MOST_ATTEMPTS = 5
log = logging.getLogger("ordermend.act")
_EVENT = {
    ActionState.DONE: Event.ACTION_DONE,
    ActionState.FAILED: Event.ACTION_FAILED,
    ActionState.UNKNOWN: Event.ACTION_UNKNOWN,
    ActionState.REFUSED: Event.ACTION_REFUSED,
    ActionState.HANDED_OVER: Event.ACTION_HANDED_OVER,
}
_NEEDS_A_PERSON = (ActionState.FAILED, ActionState.UNKNOWN, ActionState.HANDED_OVER)


@dataclass(frozen=True, slots=True)
class Refused:
    """An action was not begun; a look at its order is due."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an action may not be begun now. With a `reason` its case is put before a person at once."""

    why: str
    reason: Reason | None = None


async def carry_out(world: World, action_id: str) -> None:
    """Run the action unless it was begun, or what it rested on has changed. Safe to call any number of times."""
    found = await _begin(world, action_id, await _changed_since(world, action_id))
    match found:
        case None:
            return
        case Refused(order_id):
            await world.nudge("look", order_id)
            return
        case Task() as task:
            await _run(world, task)


async def _run(world: World, task: Task) -> None:
    connector = world.connectors.get(task.action)
    if connector is None:
        why = f"No connector carries out {task.action} here; a person does it by hand and reports the outcome."
        await _finish(world, task.action_id, ActionState.HANDED_OVER, {}, why)
        return
    await _settle(world, task.action_id, await _call(connector, task))


async def _call(connector: Connector, task: Task) -> Ending:
    """A connector never raises and always ends. Where one does, or does not, it may have done its work all the same."""
    try:
        async with asyncio.timeout(LONGEST_CALL.total_seconds()):
            return await connector.carry_out(task)
    except TimeoutError:
        return UnknownOutcome(f"No answer within {LONGEST_CALL.total_seconds():.0f} seconds; it may have happened.")
    except Exception as error:
        log.exception("the connector of %s failed in a way it does not know", task.action)
        return UnknownOutcome(f"The connector failed ({type(error).__name__}: {error}); it may have happened."[:500])


async def _settle(world: World, action_id: str, ending: Ending) -> None:
    match ending:
        case Done(receipt):
            await _finish(world, action_id, ActionState.DONE, receipt, None)
        case Failed(why):
            await _finish(world, action_id, ActionState.FAILED, {}, why)
        case UnknownOutcome(why):
            await _finish(world, action_id, ActionState.UNKNOWN, {}, why)


async def recover(world: World, action_id: str) -> None:
    """An action that was begun and never finished. Where the same key may be sent again it is; otherwise nobody can say."""
    now = world.clock()
    async with write(world.database.sessions) as session:
        row = await store.get_action(session, action_id, lock=True)
        if row.state == ActionState.INTENDED:
            again = True
        elif row.state == ActionState.RUNNING and row.started_at is not None and now - row.started_at >= ABANDONED_AFTER:
            connector = world.connectors.get(Action(row.action))
            again = connector is not None and connector.repeatable and row.attempts < MOST_ATTEMPTS
            if again:
                row.state = ActionState.INTENDED.value
        else:
            return
    if again:
        await carry_out(world, action_id)
        return
    why = "The process that carried it out ended before a receipt was written; it may have happened."
    await _finish(world, action_id, ActionState.UNKNOWN, {}, why)


async def _begin(world: World, action_id: str, changed: str | None) -> Task | Refused | None:
    """INTENDED becomes RUNNING, by one caller only, with its part of the budgets; or it is refused. None: it is not to be begun.

    Switches, policy, case and budgets are looked at inside the transaction that begins it. Locks are taken in this order:
    switches, order, case, action, budgets, end of the trail."""
    now = world.clock()
    async with write(world.database.sessions) as session:
        await hold_still(session)
        case, row = await _locked(session, action_id)
        if row.state != ActionState.INTENDED:
            return None
        decision = await store.get_decision(session, row.decision_id)
        rules = await governing_in(session, world, now)
        refusal = _forbids(case, decision, row, rules) or (Refusal(changed) if changed is not None else None)
        refusal = refusal or await _over_budget(session, row, rules, now)
        if refusal is not None:
            await _refuse(session, case, row, refusal, now)
            return Refused(case.order_id)
        row.state, row.started_at, row.attempts = ActionState.RUNNING.value, now, row.attempts + 1
        body = {"action_id": row.id, "action": row.action, "attempt": row.attempts}
        await session.flush()
        await append(session, now, [Entry(Event.ACTION_STARTED, row.requested_by, body, case.id, case.order_id)])
        return Task(
            action_id=row.id,
            action=Action(row.action),
            arguments=row.arguments,
            case_id=case.id,
            order_id=case.order_id,
            order_ref=case.order_ref,
            snapshot=decision.snapshot,
            idempotency_key=row.idempotency_key,
            requested_by=row.requested_by,
        )


async def _locked(session: AsyncSession, action_id: str) -> tuple[Case, ActionRow]:
    case_id = (await store.get_action(session, action_id)).case_id
    await store.lock_order(session, (await store.get_case(session, case_id)).order_id)
    return await store.get_case(session, case_id, lock=True), await store.get_action(session, action_id, lock=True)


def _forbids(case: Case, decision: Decision, row: ActionRow, rules: Governing) -> Refusal | None:
    """What our own records say against beginning it now."""
    stopped_by = rules.standing.stops(Action(row.action))
    if stopped_by is not None:
        return Refusal(f"{'Every action' if stopped_by == EVERYTHING else row.action} is switched off.")
    if not row.approved_by and (name := _distrusted(decision, rules)) is not None:
        return Refusal(f"{name} is switched off, and facts of this order come from there.")
    if Action(row.action) not in rules.policy.actions:
        return Refusal(f"The policy in force does not know {row.action}.")
    if case.state in CLOSED:
        return Refusal(f"The case is {case.state}.")
    if case.decision_id != row.decision_id:
        return Refusal("The case has been judged again since it was allowed.")
    ruled = {item["digest"] for item in decision.ruling["actions"] if item["verdict"] == "automate"}
    if row.digest not in ruled and not row.approved_by:
        return Refusal("The decision does not allow this action.")
    if row.policy_sha256 != rules.policy.sha256:
        return Refusal("The policy has changed since it was allowed.")
    return None


def _distrusted(decision: Decision, rules: Governing) -> str | None:
    """A source of the decision's facts that is switched off."""
    sources = {str(fact["source"]) for fact in decision.facts.values()} | speaking_in(decision.snapshot)
    return next((source for source in sorted(sources) if rules.standing.distrusts(source)), None)


async def _over_budget(session: AsyncSession, row: ActionRow, rules: Governing, now: datetime) -> Refusal | None:
    """Take its part of this hour's budgets. What a person approved takes nothing."""
    if row.approved_by:
        return None
    hour = hour_of(now)
    why = await reserve(session, hour, row.action, row.claims, rules.policy, row.claimed_hour)
    if why is not None:
        return Refusal(why, Reason.BUDGET_EXHAUSTED)
    row.claimed_hour = hour
    return None


async def _refuse(session: AsyncSession, case: Case, row: ActionRow, refusal: Refusal, now: datetime) -> None:
    """Not carried out. One whose earlier attempt never got its receipt may have happened, and only a person can tell."""
    if row.started_at is not None:
        why = f"{refusal.why} It had been begun before and no receipt was written; it may have happened."
        await _end(session, case, row, ActionState.UNKNOWN, {}, why, now)
        return
    if refusal.reason is not None:
        case.mandatory = list(dict.fromkeys([*case.mandatory, refusal.reason.value]))
        if case.state in (CaseState.AUTOMATED, CaseState.REVIEW):
            case.state, case.version, case.changed_at = CaseState.REVIEW.value, case.version + 1, now
            case.sentence = f"{row.action} was not begun. {refusal.why}"
    await session.execute(update(Order).where(Order.id == case.order_id).values(next_look_at=now))
    await _end(session, case, row, ActionState.REFUSED, {}, refusal.why, now)


async def _changed_since(world: World, action_id: str) -> str | None:
    """Why the action may no longer run, or None: its facts are not those that were ruled on."""
    async with world.database.sessions() as session:
        row = await store.get_action(session, action_id)
        order_id = (await store.get_case(session, row.case_id)).order_id
    if row.state != ActionState.INTENDED:
        return None
    context = await store.gather(world, order_id, world.clock())
    if look(context, world.detectors).facts.digest() != row.facts_sha256:
        return "The facts have changed since it was allowed."
    return None


async def _finish(world: World, action_id: str, state: ActionState, receipt: dict[str, Any], why: str | None) -> None:
    now = world.clock()
    async with write(world.database.sessions) as session:
        case, row = await _locked(session, action_id)
        late = row.state == ActionState.UNKNOWN and state in (ActionState.DONE, ActionState.FAILED)
        if row.state not in (ActionState.RUNNING, ActionState.INTENDED) and not late:
            return
        await _end(session, case, row, state, receipt, why, now)


async def _end(
    session: AsyncSession,
    case: Case,
    row: ActionRow,
    state: ActionState,
    receipt: dict[str, Any],
    why: str | None,
    now: datetime,
) -> None:
    late = row.state == ActionState.UNKNOWN
    row.state, row.finished_at, row.receipt, row.error = state.value, now, receipt or None, why
    await session.flush()
    closed = await close_when_done(session, case, now) if case.state == CaseState.ACTING else []
    if case.state == CaseState.AUTOMATED and state in _NEEDS_A_PERSON:
        case.state, case.version, case.changed_at = CaseState.REVIEW.value, case.version + 1, now
        case.sentence = f"{row.action} did not end well ({state}): {why}"
    elif case.state in (CaseState.REVIEW, CaseState.BLOCKED) and state in _NEEDS_A_PERSON and not row.approved_by:
        case.version, case.changed_at = case.version + 1, now
        case.sentence = f"{case.sentence} {row.action} did not end well ({state}): {why}"
    if state is ActionState.DONE and row.action == Action.RELEASE_OWN_HOLD:
        # the ledger says something new about the order, and no signal will
        await session.execute(update(Order).where(Order.id == case.order_id).values(next_look_at=now))
    told: dict[str, Any] = {"action_id": row.id, "action": row.action, "receipt": receipt, "why": why, "late": late}
    told |= {"case_state": case.state, "version": case.version}
    await session.flush()
    await append(session, now, [Entry(_EVENT[state], row.requested_by, told, case.id, case.order_id), *closed])


async def close_when_done(session: AsyncSession, case: Case, now: datetime) -> list[Entry]:
    """Once every action of the last approval has ended: resolved when all are done, back to review when one did not happen or
    may have happened. An action that was handed over keeps the case open until its outcome is reported. What was learnt
    meanwhile is looked at next."""
    approved = await _last_approved(session, case)
    if not approved or any(r.state in (ActionState.INTENDED, ActionState.RUNNING) for r in approved):
        return []
    await session.execute(update(Order).where(Order.id == case.order_id).values(next_look_at=now))
    trouble = [r for r in approved if r.state in (ActionState.FAILED, ActionState.UNKNOWN, ActionState.REFUSED)]
    case.version += 1
    case.changed_at = now
    if trouble:
        case.state = CaseState.REVIEW.value
        case.sentence = " ".join(f"{r.action} did not end well ({r.state}): {r.error}" for r in trouble)
        return []
    by_hand = [r.action for r in approved if r.state == ActionState.HANDED_OVER]
    if by_hand:
        case.sentence = f"Approved. Waiting for a person to carry out {', '.join(by_hand)} and report the outcome."
        return []
    case.state, case.closed_at = CaseState.RESOLVED.value, now
    case.closed_because = case.sentence = "Approved and carried out."
    case.holder, case.held_until = None, None
    body = {"why": case.closed_because, "actions": [r.id for r in approved], "version": case.version}
    return [Entry(Event.CASE_RESOLVED, "act", body, case.id, case.order_id)]


async def _last_approved(session: AsyncSession, case: Case) -> list[ActionRow]:
    """The actions of the newest approval, if it is one of the case's newest decision."""
    query = select(ActionRow).where(ActionRow.case_id == case.id, ActionRow.decision_id == case.decision_id)
    rows = (await session.execute(query.where(ActionRow.approval_id.is_not(None)))).scalars().all()
    newest = max(rows, key=lambda row: (row.created_at, row.id), default=None)
    return [row for row in rows if newest is not None and row.approval_id == newest.approval_id]
