"""What is read again comes in as a signal, like everything else, and moves the picture."""

from typing import Any

import httpx
import pytest
import respx

from app.clients.port import Done, Ending, Failed, Task
from app.clients.refetch import Refetch
from app.settings import ShopifyConnector, StripeConnector
from app.signals.shapes import Source
from app.tables import SignalState
from app.world import World
from guardrails.taxonomy import Action
from tests.builders import ORDER_GID, ORDER_ID, order_arrives, orders, payment, shopify_order, signals, stripe_says
from tests.conftest import Clock
from tests.fakes import Nudges
from tests.steps import work

ADMIN = "https://shop.test/admin/api/2026-07"
STRIPE = "https://api.stripe.com"
SHOPIFY_CALL = f"{ADMIN}/orders/{ORDER_ID}.json"


async def refetch(world: World, **fields: Any) -> Ending:
    seen = {name: {"value": value} for name, value in ({"order.id": ORDER_GID} | fields).items()}
    shop = ShopifyConnector.model_validate({"admin_url": ADMIN, "access_token": "t"})
    pay = StripeConnector.model_validate({"secret_key": "sk"})
    asked = Task("act_1", Action.REFETCH_FACTS, {}, "case_1", "ord_1", "#1001", {"fields": seen}, "key", "agent")
    async with httpx.AsyncClient() as http:
        return await Refetch(http, world.database.sessions, world.clock, shop, pay, Nudges()).carry_out(asked)


@respx.mock
async def test_what_was_read_is_stored_as_signals_and_read_into_the_order(world: World, clock: Clock) -> None:
    await order_arrives(world, financial_status="pending")
    await stripe_says(world, "payment_intent.processing", payment("processing"))
    await work(world)
    clock.forward(hours=1)
    fresh = shopify_order(financial_status="paid", updated_at="2026-11-02T10:30:00Z")
    respx.get(SHOPIFY_CALL).respond(json={"order": fresh})
    respx.get(f"{STRIPE}/v1/payment_intents/pi_1").respond(json=payment("succeeded", amount_received=5800))
    assert await refetch(world, **{"payment.status[pi_1]": "processing"}) == Done({"read": ["shopify", "stripe"], "problems": []})
    await work(world)
    assert [(s.source, s.state) for s in await signals(world)][2:] == [
        (Source.SHOPIFY, SignalState.LINKED),
        (Source.STRIPE, SignalState.LINKED),
    ]
    assert len(await orders(world)) == 1


@respx.mock
async def test_the_same_answer_twice_is_one_signal(world: World) -> None:
    respx.get(SHOPIFY_CALL).respond(json={"order": shopify_order()})
    for _ in range(2):
        assert isinstance(await refetch(world), Done)
    assert len(await signals(world)) == 1


@respx.mock
async def test_one_system_that_does_not_answer_does_not_hide_the_other(world: World) -> None:
    respx.get(SHOPIFY_CALL).mock(side_effect=httpx.ReadTimeout("slow"))
    respx.get(f"{STRIPE}/v1/payment_intents/pi_1").respond(json=payment("succeeded"))
    ending = await refetch(world, **{"payment.status[pi_1]": "x"})
    assert ending == Done({"read": ["stripe"], "problems": ["shopify: ReadTimeout"]})


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(401),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[1]),
        httpx.Response(200, json={"order": "odd"}),
        httpx.Response(200, json={"order": {"id": 1, "line_items": "odd", "name": ["x"]}}),
    ],
)
@respx.mock
async def test_an_answer_that_says_nothing_is_a_failure_and_no_exception(world: World, answer: httpx.Response) -> None:
    respx.get(SHOPIFY_CALL).mock(return_value=answer)
    assert isinstance(await refetch(world), Failed)
    assert await signals(world) == []


@respx.mock
async def test_ids_out_of_hostile_bodies_do_not_choose_the_address(world: World) -> None:
    odd = {"order.id": "gid://shopify/Order/1²", "payment.status[pi_1/../../refunds?x=1]": "x", "payment.status[pi_]": "x"}
    ending = await refetch(world, **odd)
    assert isinstance(ending, Failed)
    assert "no connector" in ending.why
