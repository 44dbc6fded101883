"""Carry out one allowed action, once: the intent is committed before the call and the receipt after it.

Nothing outside is called inside an open transaction. A lost reply is UNKNOWN, and only observation or a person leaves that.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from app import store
from app.clients.port import Done, Ending, Failed, Task, UnknownOutcome
from app.database import write
from app.judge import look
from app.tables import ActionRow, ActionState, Case, CaseState
from app.trail import Entry, Event, append
from app.world import World
from guardrails.taxonomy import Action

ABANDONED_AFTER = timedelta(seconds=60)
"""A started action without a receipt for this long: the process that ran it is gone."""
_EVENT = {
    ActionState.DONE: Event.ACTION_DONE,
    ActionState.FAILED: Event.ACTION_FAILED,
    ActionState.UNKNOWN: Event.ACTION_UNKNOWN,
    ActionState.REFUSED: Event.ACTION_REFUSED,
    ActionState.HANDED_OVER: Event.ACTION_HANDED_OVER,
}


async def carry_out(world: World, action_id: str) -> None:
    """Run the action unless it was begun, or what it rested on has changed. Safe to call any number of times."""
    task = await _begin(world, action_id)
    if task is None:
        return
    if (why := await _changed_since(world, task)) is not None:
        await _finish(world, action_id, ActionState.REFUSED, {}, why)
        await world.nudge("look", task.order_id)
        return
    connector = world.connectors.get(task.action)
    if connector is None:
        why = f"No connector carries out {task.action} here; a person does it by hand and reports the outcome."
        await _finish(world, action_id, ActionState.HANDED_OVER, {}, why)
        return
    await _settle(world, action_id, await connector.carry_out(task))


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
            again = connector is not None and connector.repeatable
            if again:
                row.state = ActionState.INTENDED.value
        else:
            return
    if again:
        await carry_out(world, action_id)
        return
    why = "The process that carried it out ended before a receipt was written; it may have happened."
    await _finish(world, action_id, ActionState.UNKNOWN, {}, why)


async def _begin(world: World, action_id: str) -> Task | None:
    """INTENDED becomes RUNNING, by one caller only."""
    now = world.clock()
    async with write(world.database.sessions) as session:
        row = await store.get_action(session, action_id, lock=True)
        if row.state != ActionState.INTENDED:
            return None
        case = await store.get_case(session, row.case_id)
        decision = await store.get_decision(session, row.decision_id)
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


async def _changed_since(world: World, task: Task) -> str | None:
    """Why the action may no longer run, or None: its facts, policy or arguments are not those that were ruled on."""
    async with world.database.sessions() as session:
        row = await store.get_action(session, task.action_id)
        decision = await store.get_decision(session, row.decision_id)
    ruled = {item["digest"] for item in decision.ruling["actions"] if item["verdict"] == "automate"}
    if row.digest not in ruled and not row.approved_by:
        return "The decision does not allow this action."
    if row.policy_sha256 != world.policy.sha256:
        return "The policy has changed since it was allowed."
    context = await store.gather(world, task.order_id, world.clock())
    if look(context, world.detectors).facts.digest() != row.facts_sha256:
        return "The facts have changed since it was allowed."
    return None


async def _finish(world: World, action_id: str, state: ActionState, receipt: dict[str, Any], why: str | None) -> None:
    now = world.clock()
    async with write(world.database.sessions) as session:
        row = await store.get_action(session, action_id, lock=True)
        if row.state not in (ActionState.RUNNING, ActionState.INTENDED):
            return
        row.state, row.finished_at, row.receipt, row.error = state.value, now, receipt or None, why
        case = await store.get_case(session, row.case_id, lock=True)
        body = {"action_id": row.id, "action": row.action, "receipt": receipt, "why": why}
        entries = [Entry(_EVENT[state], row.requested_by, body, case.id, case.order_id)]
        await session.flush()
        if case.state == CaseState.ACTING:
            entries += await close_when_done(session, case, now)
        await session.flush()
        await append(session, now, entries)


async def close_when_done(session: Any, case: Case, now: datetime) -> list[Entry]:
    """Once every action of the approval has ended: resolved when all are done, back to review when one did not happen or may
    have happened. An action that was handed over keeps the case open until its outcome is reported."""
    rows = (await session.execute(select(ActionRow).where(ActionRow.case_id == case.id))).scalars().all()
    approved = [r for r in rows if r.approved_by and r.decision_id == case.decision_id]
    if any(r.state in (ActionState.INTENDED, ActionState.RUNNING) for r in approved):
        return []
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
    case.closed_because = "Approved and carried out."
    case.holder, case.held_until = None, None
    body = {"why": case.closed_because, "actions": [r.id for r in approved], "version": case.version}
    return [Entry(Event.CASE_RESOLVED, "act", body, case.id, case.order_id)]
