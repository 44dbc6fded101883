"""A hold that outlives its case is found in our own ledger and released, through the real client at a shop on this machine."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from app.demo.shop import ADMIN_PATH, Shop
from app.serving import listening
from app.settings import Settings, ShopifyConnector
from app.tables import Case
from app.wiring import open_world
from app.world import World
from guardrails.facts import rfc3339
from tests.builders import order_arrives, payment, shopify_order, stripe_says
from tests.conftest import Clock
from tests.steps import work

pytestmark = pytest.mark.journey


@pytest.fixture
def shop(clock: Clock) -> Shop:
    return Shop("shpat-test", clock)


@pytest.fixture
async def world(settings: Settings, clock: Clock, shop: Shop) -> AsyncIterator[World]:
    async with listening(shop.app(), "127.0.0.1", 0) as address:
        connector = ShopifyConnector(admin_url=address + ADMIN_PATH, access_token=SecretStr("shpat-test"))
        async with open_world(settings.model_copy(update={"shopify": connector}), clock=clock) as opened:
            yield opened


def done_at_the_shop(shop: Shop) -> list[str]:
    return [effect.operation for effect in shop.effects]


async def test_a_hold_whose_case_has_healed_is_released_and_that_case_clears_too(world: World, shop: Shop, clock: Clock) -> None:
    shop.sell([shopify_order()])
    await order_arrives(world, financial_status="pending", updated_at=rfc3339(clock.now), total_outstanding="58.00")
    at = int(clock.now.timestamp())
    error = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "declined"}
    await stripe_says(world, "payment_intent.payment_failed", payment("requires_payment_method", last_payment_error=error), at)
    await work(world)
    assert done_at_the_shop(shop) == ["hold"]

    clock.forward(minutes=5)
    at = int(clock.now.timestamp())
    await order_arrives(world, financial_status="paid", updated_at=rfc3339(clock.now), total_outstanding="0.00")
    await stripe_says(world, "payment_intent.succeeded", payment("succeeded", amount_received=5800), at)
    await work(world)
    clock.forward(minutes=1)
    await work(world)
    clock.forward(minutes=1)
    await work(world)
    assert done_at_the_shop(shop) == ["hold", "release"]
    async with world.database.sessions() as session:
        states = {c.detected_category: c.state for c in (await session.execute(select(Case))).scalars()}
    assert states == {"payment_failed": "cleared", "integration_failure": "cleared"}
