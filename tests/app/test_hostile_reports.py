"""What somebody with a key of their own, or without one any more, cannot do to other people's orders and decisions."""

import pytest

from app import intake, keys, review
from app.database import write
from app.intake import Report
from app.review import ReviewDecision, ReviewRequest
from app.signals.shapes import Source
from app.tables import ActionState, CaseState
from app.world import World
from guardrails.proposal import Actor, ProposedAction
from guardrails.taxonomy import Action, PrincipalKind
from tests.builders import (
    ORDER_ID,
    actions,
    all_cases,
    event_arrives,
    order_arrives,
    orders,
    payment,
    person,
    signals,
    stripe_event,
    stripe_says,
    the_case,
)
from tests.steps import deliver, work

DESK = Actor(PrincipalKind.SERVICE, "helpdesk")
AMOUNT = {"amount": {"amount": 150_000, "currency": "USD"}}
REFUND = ReviewRequest(ReviewDecision.EDIT, "Money back.", (ProposedAction(Action.REFUND_PAYMENT, AMOUNT),))


async def test_a_report_under_a_vendors_event_id_does_not_keep_the_vendors_own_event_out(world: World) -> None:
    await order_arrives(world)
    event = stripe_event("payment_intent.payment_failed", payment("requires_payment_method"), event_id="evt_1")
    forged = event | {"data": {"object": {"object": "payment_intent", "id": "pi_other"}}}
    given = ({"source": "stripe", "payload": forged},)
    await intake.report(world, DESK, Report("#1001", "help desk", signals=given))
    (accepted,) = await deliver(world, Source.STRIPE, event)
    assert not accepted.duplicate
    await intake.report(world, DESK, Report("#1001", "help desk", signals=given))
    assert [row.source for row in await signals(world)].count("stripe") == 2, "the same report twice is one signal"


async def test_a_report_cannot_put_an_orders_name_on_another_order(world: World) -> None:
    await order_arrives(world)
    await order_arrives(world, "#2002", ORDER_ID + 1)
    await work(world)
    await intake.report(world, DESK, Report("#2002", "help desk", facts={"links": {"order:1001": "#2002"}}))
    await event_arrives(world, "wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1}, subject="#1001")
    await work(world)
    assert sorted(order.ref for order in await orders(world)) == ["#1001", "#2002"]
    (mine,) = await _cases_of(world, "#1001")
    assert mine == "inventory_unavailable"


async def _cases_of(world: World, ref: str) -> list[str]:
    return [case.category for case in await all_cases(world) if case.order_ref == ref]


@pytest.mark.parametrize(("revoked", "left"), [(1, CaseState.ACTING), (2, CaseState.REVIEW)], ids=["one of two keys", "both keys"])
async def test_the_word_of_a_person_whose_last_key_was_revoked_is_no_second_opinion(
    world: World, revoked: int, left: CaseState
) -> None:
    await order_arrives(world, total_price="1500.00")
    await stripe_says(world, "payment_intent.succeeded", payment("succeeded", amount=150_000, amount_received=150_000))
    await event_arrives(world, "wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1})
    await work(world)
    issued = [await _key(world, "kim") for _ in range(2)]
    case = await the_case(world)
    await review.decide(world, person("kim"), case.id, case.version, REFUND)
    for key in issued[:revoked]:
        async with write(world.database.sessions) as session:
            await keys.revoke(session, world.clock(), key, by="tests")
    case = await the_case(world)
    assert (await review.decide(world, person("lee"), case.id, case.version, REFUND)).state == left
    assert [row.state for row in await actions(world, Action.REFUND_PAYMENT)] == (
        [ActionState.HANDED_OVER] if left == CaseState.ACTING else []
    )


async def _key(world: World, name: str) -> str:
    async with write(world.database.sessions) as session:
        issued = await keys.create(
            session, world.clock(), name=name, kind=PrincipalKind.PERSON, scopes=["admin"], roles=["senior_reviewer"], by="tests"
        )
    return issued.row.id
