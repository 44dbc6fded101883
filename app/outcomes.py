"""What turned out true later, kept apart from what was decided."""

from typing import Any

from app import store
from app.database import write
from app.errors import Denied, InputInvalid
from app.ids import new_id
from app.review import report_by_hand
from app.tables import OutcomeRow
from app.trail import Entry, Event, append
from app.world import World
from guardrails.proposal import Actor
from guardrails.taxonomy import PrincipalKind

FIELDS = frozenset({"result", "note", "action_id", "done", "true_category", "at"})


async def report_outcome(world: World, actor: Actor, case_id: str, body: dict[str, Any]) -> None:
    """Store an outcome. With `action_id` and `done` it also settles an action that was handed over or is unknown.

    Raises NotFound, InputInvalid for unknown fields or an `action_id` without `done`, Denied when a service would settle an action."""
    unknown = sorted(set(body) - FIELDS)
    if unknown:
        raise InputInvalid([(f"/{name}", "is not a field of an outcome") for name in unknown])
    action_id, done = body.get("action_id"), body.get("done")
    if (action_id is None) != (done is None) or (done is not None and not isinstance(done, bool)):
        raise InputInvalid([("/done", "goes with action_id, and is true or false")])
    if action_id is not None and actor.kind is not PrincipalKind.PERSON:
        raise Denied("Only a person can say how an action went that was handed over or is unknown; use a person's key.")
    now = world.clock()
    async with write(world.database.sessions) as session:
        case = await store.get_case(session, case_id)
        outcome = OutcomeRow(id=new_id("out", now), case_id=case.id, at=now, reported_by=actor.id, body=body)
        session.add(outcome)
        entries = [Entry(Event.OUTCOME_REPORTED, actor.id, {"outcome_id": outcome.id, **body}, case.id, case.order_id)]
        if isinstance(action_id, str) and isinstance(done, bool):
            entries += await report_by_hand(session, world, actor, case, action_id, done)
        await session.flush()
        await append(session, now, entries)
