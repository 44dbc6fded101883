"""Many signals, one case; it heals, comes back, and is left alone when a person has dealt with it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from app import pipeline, reader, store
from app.cases import FORGOTTEN_AFTER, REPORTED, settle_cases
from app.database import write
from app.judge import look
from app.tables import ActionRow, ActionState, Case, CaseState, Order
from app.trail import Event
from app.world import World
from guardrails.facts import rfc3339
from guardrails.taxonomy import Action
from tests.builders import (
    actions,
    all_cases,
    event_arrives,
    order_arrives,
    orders,
    payment,
    stripe_says,
    the_case,
    trail_of,
)
from tests.conftest import Clock
from tests.fakes import Peer, with_peers
from tests.steps import work


@pytest.fixture
def calm(world: World) -> World:
    """A world in which resubmitting works, so that a passing trouble needs nobody."""
    return with_peers(world, {Action.RESUBMIT_FULFILMENT: Peer()})


async def later(world: World, clock: Clock, topic: str, data: dict[str, object], **by: float) -> None:
    """Time passes, then the warehouse says something."""
    clock.forward(**(by or {"minutes": 10}))
    await event_arrives(world, topic, data, time=rfc3339(clock.now))
    await work(world)


async def busy(world: World, clock: Clock) -> None:
    await later(world, clock, "wms.order.rejected", {"reason": "system_busy"})


async def undeliverable(world: World, clock: Clock, **by: float) -> None:
    await later(world, clock, "address.verified", {"deliverable": False}, **by)


async def healed(world: World, clock: Clock) -> None:
    await later(world, clock, "address.verified", {"deliverable": True})


async def something_new(world: World, clock: Clock) -> None:
    await later(world, clock, "wms.order.rejected", {"reason": "incorrect_address"})


async def resolve(world: World, clock: Clock) -> None:
    closed = {"state": CaseState.RESOLVED, "closed_at": clock.now, "closed_because": "A person dealt with it."}
    async with write(world.database.sessions) as session:
        await session.execute(update(Case).values(**closed))


async def open_cases(world: World) -> list[Case]:
    return [case for case in await all_cases(world) if case.state not in ("resolved", "cleared")]


async def test_many_signals_about_one_thing_make_one_open_case(calm: World, clock: Clock) -> None:
    for _ in range(5):
        await undeliverable(calm, clock)
    case = await the_case(calm)
    assert (case.detected_category, case.recurrence) == ("address_risk", 0)


async def test_a_recurrence_with_something_new_is_counted_and_on_record(calm: World, clock: Clock) -> None:
    await undeliverable(calm, clock)
    await something_new(calm, clock)
    case = await the_case(calm)
    assert case.recurrence == 1
    assert [body["recurrence"] for _, body in await trail_of(calm, Event.CASE_EXTENDED)] == [1]


async def test_a_symptoms_case_takes_the_name_of_its_cause(calm: World, clock: Clock) -> None:
    await order_arrives(calm)
    await busy(calm, clock)
    before = await the_case(calm)
    await later(calm, clock, "wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1})
    after = await the_case(calm)
    assert (before.id, before.detected_category) == (after.id, "warehouse_exception")
    assert (after.detected_category, after.category) == ("inventory_unavailable", "inventory_unavailable")
    assert after.fingerprint.endswith(":inventory_unavailable")
    assert after.due_at < before.due_at  # a short pick is urgent


async def test_of_two_symptoms_the_second_case_closes_when_the_cause_is_known(calm: World, clock: Clock) -> None:
    await order_arrives(calm)
    short = payment("succeeded", amount=2900, amount_received=2900)
    await stripe_says(calm, "payment_intent.succeeded", short)
    await busy(calm, clock)
    assert sorted(case.detected_category for case in await open_cases(calm)) == ["payment_mismatch", "warehouse_exception"]
    review = {"object": "review", "id": "prv_1", "open": True, "payment_intent": "pi_1", "reason": "rule"}
    await stripe_says(calm, "review.opened", review)
    await work(calm)
    (cause,) = await open_cases(calm)
    assert cause.detected_category == "fraud_risk"
    (symptom,) = [case for case in await all_cases(calm) if case.id != cause.id]
    assert (symptom.state, cause.id in (symptom.closed_because or "")) == (CaseState.CLEARED, True)
    assert [body["why"] for _, body in await trail_of(calm, Event.CASE_CLEARED)] == [symptom.closed_because]


async def test_a_case_closes_by_itself_when_its_source_recovers(calm: World, clock: Clock) -> None:
    await undeliverable(calm, clock)
    await healed(calm, clock)
    case = await the_case(calm)
    assert (case.state, case.signature) == (CaseState.CLEARED, "")
    assert "recovered" in (case.closed_because or "")
    assert len(await trail_of(calm, Event.CASE_CLEARED)) == 1


async def test_what_cannot_be_seen_any_more_clears_nothing(calm: World, clock: Clock) -> None:
    await undeliverable(calm, clock)
    (order,) = await orders(calm)
    news = await store.newest_change(calm, order.id)
    assert news is not None
    blind = replace(await store.gather(calm, order.id, calm.clock()), fields={}, entities={}, signals=())
    await settle_cases(calm, order.id, look(blind, calm.detectors), news)
    assert (await the_case(calm)).state != CaseState.CLEARED


async def test_what_heals_and_breaks_again_soon_is_the_same_case_again(calm: World, clock: Clock) -> None:
    await undeliverable(calm, clock)
    first = await the_case(calm)
    await healed(calm, clock)
    await undeliverable(calm, clock)
    case = await the_case(calm)
    assert (case.id, case.episode, case.recurrence, case.closed_at) == (first.id, 2, 1, None)
    assert case.due_at > first.due_at  # its time begins anew
    assert len(await trail_of(calm, Event.CASE_REOPENED)) == 1


async def test_what_breaks_again_after_the_window_is_a_new_case_that_follows_the_old(calm: World, clock: Clock) -> None:
    await undeliverable(calm, clock)
    await healed(calm, clock)
    await undeliverable(calm, clock, days=8)
    first, second = await all_cases(calm)
    assert (first.state, second.follows_case) == (CaseState.CLEARED, first.id)
    assert second.state != CaseState.CLEARED


async def test_what_a_person_has_resolved_stays_so_while_nothing_new_is_learnt(calm: World, clock: Clock) -> None:
    await undeliverable(calm, clock)
    await resolve(calm, clock)
    await undeliverable(calm, clock)
    assert (await the_case(calm)).state == CaseState.RESOLVED


async def test_what_a_person_has_resolved_opens_again_when_the_facts_change(calm: World, clock: Clock) -> None:
    await undeliverable(calm, clock)
    await resolve(calm, clock)
    await something_new(calm, clock)
    case = await the_case(calm)
    assert (case.state != CaseState.RESOLVED, case.episode) == (True, 2)


async def test_what_a_person_has_resolved_opens_again_when_it_healed_in_between(calm: World, clock: Clock) -> None:
    await undeliverable(calm, clock)
    await resolve(calm, clock)
    await healed(calm, clock)
    assert (await the_case(calm)).state == CaseState.RESOLVED
    await undeliverable(calm, clock)
    assert (await the_case(calm)).episode == 2


async def test_ten_looks_at_once_open_one_case(calm: World) -> None:
    await order_arrives(calm)
    await event_arrives(calm, "wms.order.rejected", {"reason": "system_busy"})
    (order_id,) = await reader.read_signals(calm)
    await asyncio.gather(*(pipeline.look_at(calm, order_id) for _ in range(10)))
    await the_case(calm)
    assert len(await trail_of(calm, Event.CASE_OPENED)) == 1
    assert len(await trail_of(calm, Event.DECISION_MADE)) == 1
    assert {row.attempts for row in await actions(calm)} == {1}


async def test_news_do_not_move_a_case_under_an_approval_that_is_being_carried_out(calm: World, clock: Clock) -> None:
    await undeliverable(calm, clock)
    async with write(calm.database.sessions) as session:
        await session.execute(update(Case).values(state=CaseState.ACTING))
    before = await the_case(calm)
    await something_new(calm, clock)
    await healed(calm, clock)
    after = await the_case(calm)
    assert (after.state, after.version, after.detected_category) == (CaseState.ACTING, before.version, before.detected_category)


async def test_a_case_does_not_close_by_itself_while_one_of_its_actions_may_have_happened(calm: World, clock: Clock) -> None:
    await order_arrives(calm)
    await undeliverable(calm, clock)
    async with write(calm.database.sessions) as session:
        await session.execute(update(ActionRow).values(state=ActionState.UNKNOWN))
    await healed(calm, clock)
    assert (await the_case(calm)).state == CaseState.REVIEW


async def test_what_somebody_reported_is_not_cleared_by_a_detector(calm: World, clock: Clock) -> None:
    await undeliverable(calm, clock)
    async with write(calm.database.sessions) as session:
        await session.execute(update(Case).values(detectors=[REPORTED], detected_category="unknown", signature="reported"))
    await undeliverable(calm, clock)
    case = await the_case(calm)
    assert (case.detected_category, REPORTED in case.detectors) == ("address_risk", True)
    await healed(calm, clock)
    assert (await the_case(calm)).state != CaseState.CLEARED


async def test_an_order_of_which_nothing_is_heard_is_left_alone_in_the_end(calm: World, clock: Clock) -> None:
    await order_arrives(calm)
    await work(calm)
    (order,) = await orders(calm)
    assert order.next_look_at == clock.now + calm.detectors.look_every
    clock.forward(days=FORGOTTEN_AFTER / timedelta(days=1) + 1)
    await pipeline.look_at(calm, order.id)
    assert (await orders(calm))[0].next_look_at is None
    async with write(calm.database.sessions) as session:
        await session.execute(update(Order).values(looked_at=None))
    await order_arrives(calm)
    await work(calm)
    assert (await orders(calm))[0].next_look_at is not None


async def test_a_rejection_heals_when_the_warehouse_takes_the_order_after_all(world: World, clock: Clock) -> None:
    await order_arrives(world)
    await event_arrives(world, "wms.order.rejected", {"reason": "invalid_sku"}, time=rfc3339(clock.now))
    await work(world)
    assert await _state(world, "invalid_order_data") == "automated"
    clock.forward(minutes=30)
    await event_arrives(world, "wms.order.received", {}, time=rfc3339(clock.now))
    await work(world)
    assert await _state(world, "invalid_order_data") == "cleared"


async def _state(world: World, category: str) -> str:
    (found,) = [case.state for case in await all_cases(world) if case.detected_category == category]
    return found
