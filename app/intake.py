"""Exceptions that people and scripts report, and evidence they attach. Both come in as signals."""

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from app import reader, store
from app.cases import REPORTED, new_case
from app.database import write
from app.ids import new_id
from app.inbox import signal_row
from app.signals import reading
from app.signals.shapes import Delivery, Envelope, FieldsInvalid, Source
from app.tables import CLOSED, Case, CaseState, Signal, storable_bytes
from app.trail import Entry, Event, append
from app.world import World
from guardrails.facts import Facts
from guardrails.proposal import Actor
from guardrails.taxonomy import Category


@dataclass(frozen=True, slots=True)
class Report:
    """One exception, reported directly. `facts` are in the labelled-case form; `signals` are `{source, headers, payload}`."""

    order_ref: str
    reported_by: str
    description: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    signals: tuple[dict[str, Any], ...] = ()


async def report(world: World, actor: Actor, reported: Report) -> str:
    """Store the report, join it to its order and make sure that a case is open for it. The case's id.

    Raises FieldsInvalid for facts or signals of the wrong type; nothing is stored then."""
    now = world.clock()
    body: dict[str, Any] = {"order_ref": reported.order_ref, "reported_by": reported.reported_by, "facts": reported.facts}
    if reported.description is not None:
        body["description"] = reported.description
    mark = new_id("rep", now)
    rows = [signal_row(Source.TRIAGE, Delivery({}, body, mark, mark, "report"), storable_bytes(body), now)]
    for index, given in enumerate(reported.signals):
        rows += _given_signal(world, given, f"/signals/{index}/payload")
    async with write(world.database.sessions) as session:
        await session.execute(insert(Signal).values(rows).on_conflict_do_nothing())
    await reader.read_signals(world)
    case_id = await _ensure_case(world, actor, reported)
    async with world.database.sessions() as session:
        case = await store.get_case(session, case_id)
    await world.nudge("look", case.order_id)
    return case_id


def _given_signal(world: World, given: dict[str, Any], pointer: str) -> list[dict[str, Any]]:
    """A vendor's body handed over by an authenticated reporter; its signature was theirs to check. It is known by its content
    and not by the vendor's ids, so that no report can stand in the way of what the vendor itself delivers under them.

    Raises FieldsInvalid with pointers that begin with `pointer`."""
    now = world.clock()
    headers = {str(k).lower(): str(v) for k, v in (given.get("headers") or {}).items()}
    raw = storable_bytes(given["payload"])
    source = Source(given["source"])
    try:
        opened = reading.open_body(Envelope(source, headers, raw, now))
        return [signal_row(source, _known_by_content(delivery), storable_bytes(delivery.payload), now) for delivery in opened]
    except FieldsInvalid as error:
        raise FieldsInvalid([(pointer + place, detail) for place, detail in error.errors]) from error


def _known_by_content(delivery: Delivery) -> Delivery:
    mark = f"reported:{hashlib.sha256(storable_bytes([delivery.headers, delivery.payload])).hexdigest()}"
    return replace(delivery, delivery_id=mark, event_id=mark)


async def _ensure_case(world: World, actor: Actor, reported: Report) -> str:
    """The order's newest open case takes the report; without one a case of its own opens."""
    now = world.clock()
    async with write(world.database.sessions) as session:
        found = await store.get_order_by_ref(session, reported.order_ref)
        order = await store.lock_order(session, found.id) or found
        opened = [c for c in await store.cases_of(session, order.id) if c.state not in CLOSED]
        body = {"reported_by": reported.reported_by, "by": actor.id}
        if opened:
            case, event = opened[-1], Event.CASE_EXTENDED
            case.state = case.state if case.state == CaseState.ACTING else CaseState.JUDGING.value
            case.changed_at, case.version, case.recurrence = now, case.version + 1, case.recurrence + 1
        else:
            mark = new_id("rep", now)
            case = new_case(order.id, order.ref, Category.UNKNOWN, [REPORTED], mark, False, world.owners, Facts(order.ref, now))
            case.reported_by = reported.reported_by
            session.add(case)
            event = Event.CASE_OPENED
        await session.flush()
        await append(session, now, [Entry(event, actor.id, body, case.id, order.id)])
        return case.id


async def attach_evidence(world: World, actor: Actor, case_id: str, facts: dict[str, Any], note: str | None) -> Case:
    """Add facts or a note to the case's order; the case is judged again."""
    now = world.clock()
    async with world.database.sessions() as session:
        case = await store.get_case(session, case_id)
    body: dict[str, Any] = {"order_ref": case.order_ref, "reported_by": actor.id, "facts": facts}
    if note is not None:
        body["description"] = note
    mark = new_id("evi", now)
    row = signal_row(Source.EVIDENCE, Delivery({}, body, mark, mark, "evidence"), storable_bytes(body), now)
    async with write(world.database.sessions) as session:
        await session.execute(insert(Signal).values([row]).on_conflict_do_nothing())
        locked = await store.get_case(session, case_id, lock=True)
        if locked.state not in (*CLOSED, CaseState.ACTING):
            locked.state, locked.changed_at, locked.version = CaseState.JUDGING.value, now, locked.version + 1
        told = {"signal_id": row["id"], "facts": sorted(facts), "note": note is not None, "version": locked.version}
        await session.flush()
        await append(session, now, [Entry(Event.EVIDENCE_ATTACHED, actor.id, told, case_id, locked.order_id)])
    await reader.read_signals(world)
    await world.nudge("look", locked.order_id)
    return locked


async def wait_for_verdict(world: World, case_id: str, seconds: float) -> Case:
    """The case once it has its verdict and what that allows has been carried out, or as it is when the time is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        async with world.database.sessions() as session:
            case = await store.get_case(session, case_id)
            acting = await store.has_live_actions(session, case_id)
        if (case.state != CaseState.JUDGING and not acting) or loop.time() >= deadline:
            return case
        await asyncio.sleep(0.1)
