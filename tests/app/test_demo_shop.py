"""The shop of the demo, through the very client that acts on a real one."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from app.clients.port import Done, Failed, Task
from app.clients.shopify import ShopifyFulfilment
from app.demo.shop import ADMIN_PATH, Effect, Shop
from guardrails.taxonomy import Action

ORDER = {"id": 5480000002001, "name": "#2001", "fulfillment_status": None}
FULFILMENT_ORDER = "gid://shopify/FulfillmentOrder/6480000002001"


@pytest.fixture
def shop() -> Shop:
    opened = Shop("shop-token", lambda: datetime(2026, 11, 23, 12, tzinfo=UTC))
    opened.sell([ORDER])
    return opened


@pytest.fixture
async def http(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(shop.app()), base_url="http://shop.test") as opened:
        yield opened


def client(http: httpx.AsyncClient, token: str = "shop-token") -> ShopifyFulfilment:
    return ShopifyFulfilment(http, f"http://shop.test{ADMIN_PATH}", token)


def task(action: Action, order: str = "gid://shopify/Order/5480000002001") -> Task:
    snapshot = {"fields": {"order.id": {"value": order}}}
    return Task("act_1", action, {}, "case_1", "ord_1", "#2001", snapshot, "key", "agent")


async def test_a_hold_is_placed_once_however_often_it_is_asked_for(shop: Shop, http: httpx.AsyncClient) -> None:
    for _ in range(2):
        ending = await client(http).carry_out(task(Action.HOLD_FULFILMENT))
        assert ending == Done({"handle": "ordermend-case_1", "fulfilment_orders": [FULFILMENT_ORDER]})
    assert shop.effects == [Effect("hold", FULFILMENT_ORDER)]


async def test_only_our_own_hold_is_released_and_then_nothing_is_left_to_release(shop: Shop, http: httpx.AsyncClient) -> None:
    await client(http).carry_out(task(Action.HOLD_FULFILMENT))
    assert isinstance(await client(http).carry_out(task(Action.RELEASE_OWN_HOLD)), Done)
    assert isinstance(await client(http).carry_out(task(Action.RELEASE_OWN_HOLD)), Failed)
    assert [effect.operation for effect in shop.effects] == ["hold", "release"]


async def test_a_request_is_submitted_again(shop: Shop, http: httpx.AsyncClient) -> None:
    ending = await client(http).carry_out(task(Action.RESUBMIT_FULFILMENT))
    assert ending == Done({"fulfilment_order": FULFILMENT_ORDER})
    assert shop.effects == [Effect("submit", FULFILMENT_ORDER)]


async def test_an_order_that_the_shop_does_not_know_cannot_be_held(shop: Shop, http: httpx.AsyncClient) -> None:
    assert isinstance(await client(http).carry_out(task(Action.HOLD_FULFILMENT, "gid://shopify/Order/1")), Failed)
    assert shop.effects == []


async def test_a_wrong_token_opens_nothing(shop: Shop, http: httpx.AsyncClient) -> None:
    assert isinstance(await client(http, "stolen").carry_out(task(Action.HOLD_FULFILMENT)), Failed)
    assert (await http.get(f"{ADMIN_PATH}/orders/{ORDER['id']}.json")).status_code == 401
    assert shop.effects == []


async def test_an_order_can_be_read_again_and_says_when(shop: Shop, http: httpx.AsyncClient) -> None:
    answer = await http.get(f"{ADMIN_PATH}/orders/{ORDER['id']}.json", headers={"X-Shopify-Access-Token": "shop-token"})
    assert answer.json()["order"] == ORDER | {"updated_at": "2026-11-23T12:00:00Z"}
    unknown = await http.get(f"{ADMIN_PATH}/orders/1.json", headers={"X-Shopify-Access-Token": "shop-token"})
    assert unknown.status_code == 404
