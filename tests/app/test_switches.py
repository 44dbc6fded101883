"""Kill switches: what is off does not begin, whoever asked for it, and what was stopped goes on when it is on again."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from app import act, pipeline, queue, reader, review, store, switches, trail
from app.database import write
from app.errors import Denied, GuardrailRefused, InputInvalid, NotFound
from app.governing import governing
from app.review import ReviewDecision, ReviewRequest
from app.settings import Settings
from app.switches import turn_off, turn_on
from app.tables import ActionRow, ActionState, Case, CaseState, Order, SwitchedOff
from app.trail import Event
from app.wiring import open_world
from app.world import World
from guardrails.proposal import Actor
from guardrails.taxonomy import Action, PrincipalKind
from tests.builders import (
    actions,
    all_cases,
    event_arrives,
    order_arrives,
    orders,
    payment,
    person,
    signals,
    stripe_says,
    the_case,
    trail_of,
    warehouse_busy,
)
from tests.conftest import Clock
from tests.fakes import Nudges, Peer, with_peers
from tests.steps import until, work

RESUBMIT, MESSAGE = Action.RESUBMIT_FULFILMENT, Action.MESSAGE_CUSTOMER
SWITCH = f"action:{RESUBMIT}"
LEAD, KIM = person("lea", "lead"), person("kim")
MACHINE = Actor(PrincipalKind.SERVICE, "system")
WHY = "It goes out twice."


@pytest.fixture
def peer() -> Peer:
    return Peer(repeatable=False)


@pytest.fixture
def acting(world: World, peer: Peer) -> World:
    return with_peers(world, {RESUBMIT: peer, MESSAGE: peer})


async def busy(world: World, name: str = "#1001", number: int = 1) -> None:
    """An order about which the guard lets one action run by itself."""
    await order_arrives(world, name, number)
    await warehouse_busy(world, name)


async def intended(world: World, monkeypatch: pytest.MonkeyPatch, orders_wanted: int = 1) -> list[str]:
    """Allowed by the guard, and not begun."""

    async def later(world: World, action_id: str) -> None:
        """The process has ended."""

    with monkeypatch.context() as patch:
        patch.setattr(act, "carry_out", later)
        for number in range(1, orders_wanted + 1):
            await busy(world, f"#{number}", number)
        for order_id in await reader.read_signals(world):
            await pipeline.look_at(world, order_id)
    return [row.id for row in await actions(world, RESUBMIT)]


async def look_where_due(world: World) -> int:
    """Look at the orders that are due, as the sweep would; how many."""
    async with world.database.sessions() as session:
        due = list((await session.execute(store.orders_due(world.clock(), 100))).scalars())
    for order_id in due:
        await pipeline.look_at(world, order_id)
    return len(due)


async def resubmission(world: World) -> ActionRow:
    (row,) = await actions(world, RESUBMIT)
    return row


async def off_now(world: World) -> set[str]:
    async with world.database.sessions() as session:
        return set(await switches.switches_off(session))


async def is_off(world: World) -> bool:
    return bool(await off_now(world))


async def standing(world: World) -> dict[str, Any]:
    async with world.database.sessions() as session:
        decision = await store.get_decision(session, (await the_case(world)).decision_id or "")
    return decision.standing or {}


# --- turning ---


async def test_turning_a_switch_is_on_record_with_who_and_why(world: World) -> None:
    found = await turn_off(world, LEAD, SWITCH, WHY)
    assert (found.name, found.off, found.by, found.why, found.at) == (SWITCH, True, "lea", WHY, world.clock())
    assert await off_now(world) == {SWITCH}
    assert not (await turn_on(world, LEAD, SWITCH, "It is mended.")).off
    assert await off_now(world) == set()
    told = [(event, body) for event, body in await trail_of(world) if event.startswith("switch.")]
    assert told == [
        (Event.SWITCH_TURNED_OFF, {"switch": SWITCH, "why": WHY}),
        (Event.SWITCH_TURNED_ON, {"switch": SWITCH, "why": "It is mended."}),
    ]


async def test_turning_what_is_turned_already_changes_nothing(world: World) -> None:
    await turn_on(world, LEAD, SWITCH, "no need")
    await turn_off(world, LEAD, SWITCH, WHY)
    again = await turn_off(world, person("tom", "operations"), SWITCH, "the same again")
    assert (again.by, again.why) == ("lea", WHY)
    assert len([event for event, _ in await trail_of(world) if event.startswith("switch.")]) == 1


async def test_ten_at_once_turn_it_once(world: World) -> None:
    await asyncio.gather(*(turn_off(world, LEAD, SWITCH, f"reason {n}") for n in range(10)))
    assert len(await trail_of(world, Event.SWITCH_TURNED_OFF)) == 1
    async with world.database.sessions() as session:
        assert (await trail.verify(session)).valid


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("action:refund_paymnt", "action:refund_payment"),
        ("refund_payment", "action:refund_payment"),
        ("everythin", "everything"),
        ("source:stipe", "source:stripe"),
        ("", None),
        ("action:", None),
        ("source:nobody", None),
        ("x" * 5000, None),
    ],
)
async def test_a_switch_that_there_is_not_is_refused_with_what_was_meant(world: World, name: str, meant: str | None) -> None:
    for turn in (turn_off, turn_on):
        with pytest.raises(NotFound) as caught:
            await turn(world, LEAD, name, WHY)
        if meant is not None:
            assert f"did you mean {meant!r}?" in str(caught.value)
    assert await off_now(world) == set()


@pytest.mark.parametrize("why", ["", "  \n", "x" * 4001])
async def test_a_switch_is_not_turned_without_a_reason_that_can_be_read(world: World, why: str) -> None:
    for turn in (turn_off, turn_on):
        with pytest.raises(InputInvalid):
            await turn(world, LEAD, SWITCH, why)


@pytest.mark.parametrize(
    "actor",
    [
        Actor(PrincipalKind.SERVICE, "robot"),
        Actor(PrincipalKind.SERVICE, "robot", frozenset(["admin"])),
        Actor(PrincipalKind.AGENT, "agent"),
        Actor(PrincipalKind.AGENT, "system"),
        person("ann", "reviewer"),
        person("kim", "senior_reviewer"),
        Actor(PrincipalKind.PERSON, "nobody"),
    ],
)
async def test_only_people_in_charge_turn_switches(world: World, actor: Actor) -> None:
    for turn in (turn_off, turn_on):
        with pytest.raises(Denied):
            await turn(world, actor, SWITCH, WHY)
    assert await off_now(world) == set()


async def test_whoever_stands_at_the_machine_may_stop_it_and_only_a_known_person_starts_it_again(world: World) -> None:
    assert (await turn_off(world, MACHINE, "everything", WHY)).by == "system"
    with pytest.raises(Denied, match="ORDERMEND_API_KEY"):
        await turn_on(world, MACHINE, "everything", WHY)
    for role in ("lead", "operations", "admin"):
        await turn_on(world, person("pat", role), "everything", WHY)
        await turn_off(world, person("pat", role), "everything", WHY)


async def test_every_action_and_every_source_has_a_switch(world: World) -> None:
    names = switches.known_switches(world.sources)
    assert len(set(names)) == len(names)
    assert {f"action:{action}" for action in Action} <= set(names)
    assert {"everything", "source:shopify", "source:stripe", "source:wms"} <= set(names)
    async with world.database.sessions() as session:
        assert [switch.name for switch in await switches.all_switches(session, world.sources)] == list(names)


async def test_what_is_off_stays_in_sight_when_its_source_leaves_the_files(world: World) -> None:
    async with write(world.database.sessions) as session:
        session.add(SwitchedOff(switch="source:oldshop", at=world.clock(), by="lea", why=WHY))
    async with world.database.sessions() as session:
        assert (await switches.all_switches(session, world.sources))[-1].name == "source:oldshop"
    await turn_on(world, LEAD, "source:oldshop", WHY)
    assert await off_now(world) == set()


# --- what it stops ---


@pytest.mark.parametrize("name", [SWITCH, "everything"])
async def test_what_is_switched_off_is_blocked_and_runs_once_it_is_on_again(acting: World, peer: Peer, name: str) -> None:
    await turn_off(acting, LEAD, name, WHY)
    await busy(acting)
    await work(acting)
    case = await the_case(acting)
    assert (case.state, peer.calls) == (CaseState.BLOCKED, [])
    assert "switched off" in case.sentence
    assert (await standing(acting))["off"] == [name]
    await turn_on(acting, LEAD, name, "mended")
    assert await look_where_due(acting) == 1
    assert ((await the_case(acting)).state, len(peer.calls)) == (CaseState.AUTOMATED, 1)


@pytest.mark.parametrize("name", [SWITCH, "everything", "source:wms"])
async def test_what_was_allowed_before_the_switch_does_not_begin_after_it(
    acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (action_id,) = await intended(acting, monkeypatch)
    await turn_off(acting, LEAD, name, WHY)
    nudges = Nudges()
    await act.carry_out(replace(acting, nudge=nudges), action_id)
    row = await resubmission(acting)
    assert (row.state, peer.calls) == (ActionState.REFUSED, [])
    assert "switched off" in (row.error or "")
    assert nudges.asked == [("look", (await orders(acting))[0].id)]
    assert [body["action"] for _, body in await trail_of(acting, Event.ACTION_STARTED)] == []


async def test_what_was_refused_for_a_switch_is_intended_anew_even_if_nobody_looked_meanwhile(
    acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (action_id,) = await intended(acting, monkeypatch)
    await turn_off(acting, LEAD, SWITCH, WHY)
    await act.carry_out(replace(acting, nudge=Nudges()), action_id)
    await turn_on(acting, LEAD, SWITCH, "a false alarm")
    await look_where_due(acting)
    row = await resubmission(acting)
    assert (row.id, row.state, len(peer.calls)) == (action_id, ActionState.DONE, 1)
    assert (await the_case(acting)).state == CaseState.AUTOMATED


async def test_a_switch_of_another_action_stops_nothing_and_has_nothing_judged_again(acting: World, peer: Peer) -> None:
    await turn_off(acting, LEAD, "action:refund_payment", WHY)
    await busy(acting)
    await work(acting)
    assert ((await the_case(acting)).state, len(peer.calls)) == (CaseState.AUTOMATED, 1)
    judged = len(await trail_of(acting, Event.DECISION_MADE))
    await turn_on(acting, LEAD, "action:refund_payment", WHY)
    await pipeline.triage(acting, (await the_case(acting)).id)
    assert len(await trail_of(acting, Event.DECISION_MADE)) == judged


async def test_what_has_run_is_not_judged_again_because_of_a_switch(acting: World, peer: Peer) -> None:
    await busy(acting)
    await work(acting)
    before = await the_case(acting)
    await turn_off(acting, LEAD, "everything", WHY)
    assert await look_where_due(acting) == 0
    await pipeline.triage(acting, before.id)
    after = await the_case(acting)
    assert (after.state, after.version, len(peer.calls)) == (CaseState.AUTOMATED, before.version, 1)


async def test_facts_of_a_source_that_is_off_wait_for_a_person_and_its_signals_are_kept(acting: World, peer: Peer) -> None:
    await turn_off(acting, LEAD, "source:wms", WHY)
    await busy(acting)
    await work(acting)
    assert {row.state for row in await signals(acting)} == {"linked"}
    case = await the_case(acting)
    assert (case.state, peer.calls) == (CaseState.REVIEW, [])
    assert "wms" in case.sentence
    await turn_on(acting, LEAD, "source:wms", "it counts right again")
    await look_where_due(acting)
    assert ((await the_case(acting)).state, len(peer.calls)) == (CaseState.AUTOMATED, 1)


async def test_turning_it_off_has_a_waiting_case_looked_at_and_turning_it_on_again(acting: World, clock: Clock) -> None:
    await order_waiting(acting)
    assert (await the_case(acting)).state == CaseState.REVIEW
    nudges = Nudges()
    await turn_off(replace(acting, nudge=nudges), LEAD, f"action:{MESSAGE}", WHY)
    assert nudges.asked == [("look", (await orders(acting))[0].id)]
    assert await look_where_due(acting) == 1
    assert ((await the_case(acting)).state, (await standing(acting))["off"]) == (CaseState.BLOCKED, [f"action:{MESSAGE}"])
    clock.forward(minutes=1)
    await turn_on(acting, LEAD, f"action:{MESSAGE}", WHY)
    assert await look_where_due(acting) == 1
    assert ((await the_case(acting)).state, (await standing(acting))["off"]) == (CaseState.REVIEW, [])


async def test_orders_that_a_switch_does_not_concern_are_left_alone(acting: World) -> None:
    await order_waiting(acting)
    for name in ("action:refund_payment", "source:aftership"):
        nudges = Nudges()
        await turn_off(replace(acting, nudge=nudges), LEAD, name, WHY)
        assert nudges.asked == []
    assert await look_where_due(acting) == 0


# --- people ---


async def order_waiting(world: World) -> None:
    """A paid order of high value with a short pick: a message to the customer waits for a person."""
    await order_arrives(world, total_price="1500.00")
    await stripe_says(world, "payment_intent.succeeded", payment("succeeded", amount=150_000, amount_received=150_000))
    await event_arrives(world, "wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1})
    await work(world)


async def approve(world: World) -> Case:
    case = await the_case(world)
    return await review.decide(world, KIM, case.id, case.version, ReviewRequest(ReviewDecision.APPROVE, "By phone."))


@pytest.mark.parametrize("name", [f"action:{MESSAGE}", "everything"])
async def test_a_person_cannot_approve_what_is_switched_off(acting: World, peer: Peer, name: str) -> None:
    await order_waiting(acting)
    await turn_off(acting, LEAD, name, WHY)
    for looked_at in (False, True):
        if looked_at:
            await look_where_due(acting)
        with pytest.raises(GuardrailRefused, match="switched off") as caught:
            await approve(acting)
        assert "action.switch" in caught.value.rules
        assert f"switch {name} on again" in caught.value.lift
    assert peer.calls == []


async def test_what_a_person_approved_before_the_switch_is_stopped_too_and_waits_for_them_again(
    acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await order_waiting(acting)

    async def later(world: World, action_id: str) -> None:
        """Another worker will."""

    with monkeypatch.context() as patch:
        patch.setattr(act, "carry_out", later)
        await approve(acting)
    await turn_off(acting, LEAD, f"action:{MESSAGE}", WHY)
    (row,) = await actions(acting, MESSAGE)
    await act.carry_out(replace(acting, nudge=Nudges()), row.id)
    (row,) = await actions(acting, MESSAGE)
    assert (row.state, row.error, peer.calls) == (ActionState.REFUSED, "message_customer is switched off.", [])
    case = await the_case(acting)
    assert (case.state, "switched off" in case.sentence) == (CaseState.REVIEW, True)
    await turn_on(acting, LEAD, f"action:{MESSAGE}", "mended")
    await look_where_due(acting)
    await approve(acting)
    assert len(peer.calls) == 1


async def test_what_may_have_happened_is_unknown_when_a_switch_stops_its_recovery(
    acting: World, peer: Peer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.repeatable = True
    (action_id,) = await intended(acting, monkeypatch)
    async with write(acting.database.sessions) as session:
        begun = {"state": ActionState.RUNNING, "started_at": clock(), "attempts": 1}
        await session.execute(update(ActionRow).where(ActionRow.id == action_id).values(**begun))
    clock.forward(minutes=5)
    await turn_off(acting, LEAD, SWITCH, WHY)
    await act.recover(acting, action_id)
    row = await resubmission(acting)
    assert (row.state, peer.calls) == (ActionState.UNKNOWN, [])
    assert "switched off" in (row.error or "")
    assert (await the_case(acting)).state == CaseState.REVIEW


# --- at the same moment ---


async def test_nothing_begins_after_the_entry_that_says_it_is_off(
    settings: Settings, clock: Clock, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(settings, clock=clock) as one, open_world(settings, clock=clock) as two:
        ids = await intended(one, monkeypatch, 12)
        worlds = [with_peers(world, {RESUBMIT: peer}) for world in (one, two)]
        half = asyncio.gather(*(act.carry_out(worlds[n % 2], action_id) for n, action_id in enumerate(ids)))
        await asyncio.sleep(0.05)
        await turn_off(two, LEAD, "everything", WHY)
        await half
        told = [event for event, body in await trail_of(one) if body.get("action") in (RESUBMIT, None)]
        after = told[told.index(Event.SWITCH_TURNED_OFF) :]
        assert Event.ACTION_STARTED not in after
        rows = await actions(one, RESUBMIT)
        assert {row.state for row in rows} <= {ActionState.DONE, ActionState.REFUSED}
        assert len(peer.calls) == len([row for row in rows if row.state == ActionState.DONE])
        async with one.database.sessions() as session:
            assert (await trail.verify(session)).valid


async def test_whoever_turns_a_switch_waits_for_what_is_being_begun_and_for_nothing_else(
    acting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds an order and its case for long; the switch is turned meanwhile all the same."""
    await order_waiting(acting)
    async with write(acting.database.sessions) as session:
        await store.lock_order(session, (await orders(acting))[0].id)
        turning = asyncio.create_task(turn_off(acting, LEAD, f"action:{MESSAGE}", WHY))
        await until(lambda: is_off(acting))
    await turning
    async with acting.database.sessions() as session:
        assert (await session.execute(select(Order.next_look_at))).scalar_one() == acting.clock()


async def test_the_sweep_finds_the_cases_that_a_switch_concerns(acting: World) -> None:
    await order_waiting(acting)
    await turn_off(replace(acting, nudge=Nudges()), LEAD, "everything", WHY)
    nudges = Nudges()
    await queue.sweep(replace(acting, nudge=nudges))
    assert (queue.LOOK, (await orders(acting))[0].id) in nudges.asked


async def test_a_switch_is_turned_with_more_open_cases_than_a_statement_takes_parameters(acting: World, clock: Clock) -> None:
    await turn_off(acting, LEAD, SWITCH, WHY)
    await busy(acting)
    await work(acting)
    copied = (
        "INSERT INTO {0} OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(r, {1})).* FROM {0} r, generate_series(1, 66000) n"
    )
    async with write(acting.database.sessions) as session:
        for table, other in (
            ("orders", "jsonb_build_object('id', id || n, 'ref', ref || n)"),
            (
                "cases",
                "jsonb_build_object('id', id || n, 'order_id', order_id || n, 'fingerprint', fingerprint || n, 'seq', seq + n)",
            ),
        ):
            await session.execute(text(copied.format(table, other)))
    clock.forward(minutes=1)
    await turn_on(replace(acting, nudge=Nudges()), LEAD, SWITCH, "mended")
    async with acting.database.sessions() as session:
        due = select(func.count()).select_from(Order).where(Order.next_look_at <= clock.now)
        assert (await session.execute(due)).scalar_one() == 66_001


async def test_many_cases_are_all_looked_at(acting: World) -> None:
    await turn_off(acting, LEAD, SWITCH, WHY)
    for number in range(1, 6):
        await busy(acting, f"#{number}", number)
    await work(acting)
    assert {case.state for case in await all_cases(acting)} == {CaseState.BLOCKED}
    await turn_on(acting, LEAD, SWITCH, "mended")
    assert await look_where_due(acting) == 5
    assert {case.state for case in await all_cases(acting)} == {CaseState.AUTOMATED}
    assert (await governing(acting)).standing.off == frozenset()
