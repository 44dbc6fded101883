"""Holding, releasing and resubmitting through Shopify: once, only what is ours, and an honest answer when a reply is lost."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import respx

from app.clients.port import Done, Ending, Failed, Task, UnknownOutcome
from app.clients.shopify import ShopifyFulfilment
from guardrails.taxonomy import Action

URL = "https://shop.test/admin/api/2026-07/graphql.json"
GID = "gid://shopify/Order/5324830114102"
HANDLE = "ordermend-case_1"
HOLD, RELEASE, RESUBMIT = Action.HOLD_FULFILMENT, Action.RELEASE_OWN_HOLD, Action.RESUBMIT_FULFILMENT


def node(number: int = 1, status: str = "OPEN", request: str = "UNSUBMITTED", holds: list[dict[str, Any]] | None = None) -> Any:
    return {"id": f"fo{number}", "status": status, "requestStatus": request, "fulfillmentHolds": holds or []}


def own(handle: str = HANDLE, number: int = 1, ours: bool = True) -> dict[str, Any]:
    return {"id": f"hold{number}", "handle": handle, "heldByRequestingApp": ours}


def nodes(*found: Any, more: bool = False) -> httpx.Response:
    orders = {"pageInfo": {"hasNextPage": more}, "nodes": list(found)}
    return httpx.Response(200, json={"data": {"order": {"fulfillmentOrders": orders}}})


def done(name: str, *errors: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"data": {name: {"userErrors": list(errors)}}})


def refused(code: str) -> dict[str, Any]:
    return {"field": None, "message": f"It is {code}", "code": code}


HELD, RELEASED, SUBMITTED = (
    done("fulfillmentOrderHold"),
    done("fulfillmentOrderReleaseHold"),
    done("fulfillmentOrderSubmitFulfillmentRequest"),
)


@pytest.fixture
async def shop() -> AsyncIterator[respx.MockRouter]:
    with respx.mock(assert_all_called=False) as router:
        yield router


async def carry_out(shop: respx.MockRouter, action: Action, *answers: httpx.Response | Exception, **seen: Any) -> Ending:
    """What comes of it when Shopify answers so, one after the other."""
    shop.post(URL).mock(side_effect=list(answers))
    fields = {"order.id": {"value": GID}} | {name: {"value": value} for name, value in seen.items()}
    task = Task("act_1", action, {}, "case_1", "ord_1", "#1001", {"fields": fields}, "key", "agent")
    async with httpx.AsyncClient() as http:
        return await ShopifyFulfilment(http, URL.removesuffix("/graphql.json"), "token").carry_out(task)


def sent(shop: respx.MockRouter) -> list[Any]:
    return [json.loads(call.request.content)["variables"] for call in shop.calls]


async def test_every_open_fulfilment_order_is_held_with_the_handle_of_the_case(shop: respx.MockRouter) -> None:
    ending = await carry_out(shop, HOLD, nodes(node(1), node(2, "CLOSED"), node(3)), HELD, HELD)
    assert ending == Done({"handle": HANDLE, "fulfilment_orders": ["fo1", "fo3"]})
    assert [variables["hold"]["handle"] for variables in sent(shop)[1:]] == [HANDLE] * 2
    assert {call.request.headers["x-shopify-access-token"] for call in shop.calls} == {"token"}


async def test_a_hold_that_is_there_already_is_a_success(shop: respx.MockRouter) -> None:
    ending = await carry_out(shop, HOLD, nodes(node()), done("fulfillmentOrderHold", refused("DUPLICATE_FULFILLMENT_HOLD_HANDLE")))
    assert isinstance(ending, Done)


async def test_when_the_hold_limit_is_reached_nothing_was_held(shop: respx.MockRouter) -> None:
    ending = await carry_out(shop, HOLD, nodes(node()), done("fulfillmentOrderHold", refused("HOLD_LIMIT_REACHED")))
    assert isinstance(ending, Failed)
    assert "HOLD_LIMIT_REACHED" in ending.why


@pytest.mark.parametrize(
    "second", [done("fulfillmentOrderHold", refused("NOT_HOLDABLE")), httpx.Response(403), httpx.ConnectError("gone")]
)
async def test_a_hold_on_some_of_the_parts_is_not_called_a_failure_without_effect(
    shop: respx.MockRouter, second: httpx.Response | Exception
) -> None:
    answers = [second] * (3 if isinstance(second, Exception) else 1)
    ending = await carry_out(shop, HOLD, nodes(node(1), node(2)), HELD, *answers)
    assert isinstance(ending, UnknownOutcome)
    assert "fo1" in ending.why


async def test_there_is_nothing_to_hold_once_all_has_left(shop: respx.MockRouter) -> None:
    assert isinstance(await carry_out(shop, HOLD, nodes(node(1, "CLOSED"))), Failed)
    assert len(shop.calls) == 1


LOST = [httpx.ReadTimeout("slow"), httpx.Response(502), httpx.Response(200, text="<html>"), httpx.Response(200, json=[])]


@pytest.mark.parametrize("lost", LOST)
async def test_a_lost_reply_to_a_hold_is_read_back(shop: respx.MockRouter, lost: httpx.Response | Exception) -> None:
    ending = await carry_out(shop, HOLD, nodes(node()), lost, nodes(node(1, "ON_HOLD", holds=[own()])))
    assert ending == Done({"handle": HANDLE, "fulfilment_orders": ["fo1"], "read_back": True})
    assert len(shop.calls) == 3


async def test_a_hold_that_reading_back_does_not_find_is_placed_again_under_its_handle(shop: respx.MockRouter) -> None:
    ending = await carry_out(
        shop, HOLD, nodes(node(1), node(2)), HELD, httpx.ReadTimeout("slow"), nodes(node(1), node(2)), HELD, HELD
    )
    assert isinstance(ending, Done)


async def test_a_hold_that_cannot_be_read_back_is_unknown(shop: respx.MockRouter) -> None:
    ending = await carry_out(shop, HOLD, nodes(node()), httpx.ReadTimeout("slow"), httpx.Response(500))
    assert isinstance(ending, UnknownOutcome)


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("action", [RELEASE, RESUBMIT])
async def test_a_lost_reply_to_anything_else_is_unknown_and_not_sent_again(
    shop: respx.MockRouter, action: Action, lost: httpx.Response | Exception
) -> None:
    ending = await carry_out(shop, action, nodes(node(holds=[own()])), lost)
    assert isinstance(ending, UnknownOutcome)
    assert len(shop.calls) == 2


THROTTLED = httpx.Response(200, json={"errors": [{"message": "slow down", "extensions": {"code": "THROTTLED"}}]})


@pytest.mark.parametrize("busy", [httpx.Response(429), THROTTLED, httpx.ConnectError("no"), httpx.ConnectTimeout("no")])
async def test_what_certainly_had_no_effect_is_sent_again(shop: respx.MockRouter, busy: httpx.Response | Exception) -> None:
    ending = await carry_out(shop, RESUBMIT, busy, nodes(node()), busy, SUBMITTED)
    assert ending == Done({"fulfilment_order": "fo1"})


async def test_and_given_up_after_three_times(shop: respx.MockRouter) -> None:
    ending = await carry_out(shop, RESUBMIT, *[httpx.Response(429)] * 9)
    assert isinstance(ending, Failed)
    assert len(shop.calls) == 3


@pytest.mark.parametrize("status", [401, 403, 404, 422])
async def test_a_refused_call_failed_and_is_not_repeated(shop: respx.MockRouter, status: int) -> None:
    ending = await carry_out(shop, RESUBMIT, nodes(node()), httpx.Response(status))
    assert isinstance(ending, Failed)
    assert str(status) in ending.why
    assert len(shop.calls) == 2


async def test_an_error_inside_shopify_may_have_had_its_effect(shop: respx.MockRouter) -> None:
    inside = httpx.Response(200, json={"errors": [{"message": "?", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]})
    assert isinstance(await carry_out(shop, RESUBMIT, nodes(node()), inside), UnknownOutcome)


@pytest.mark.parametrize("errors", ["odd", ["odd"], [{"message": "?"}], {"a": 1}])
async def test_errors_of_any_shape_are_a_refusal(shop: respx.MockRouter, errors: Any) -> None:
    assert isinstance(await carry_out(shop, RESUBMIT, httpx.Response(200, json={"errors": errors})), Failed)


async def test_only_the_cases_own_hold_is_released(shop: respx.MockRouter) -> None:
    holds = [own(), own("ordermend-case_2", 2), own("fraud-app", 3), own(HANDLE, 4, ours=False)]
    assert await carry_out(shop, RELEASE, nodes(node(holds=holds)), RELEASED) == Done({"released": ["hold1"], "handles": [HANDLE]})
    assert sent(shop)[1]["holds"] == ["hold1"]


async def test_the_hold_that_the_decision_was_about_is_released_too_if_it_is_ours(shop: respx.MockRouter) -> None:
    holds = [own("ordermend-case_2", 2), own("fraud-app", 3)]
    seen = {"hold.handle[fo1]": "ordermend-case_2", "hold.handle": "fraud-app"}
    assert await carry_out(shop, RELEASE, nodes(node(holds=holds)), RELEASED, **seen) == Done(
        {"released": ["hold2"], "handles": ["ordermend-case_2"]}
    )


async def test_without_a_hold_of_ours_nothing_is_released(shop: respx.MockRouter) -> None:
    ending = await carry_out(shop, RELEASE, nodes(node(holds=[own("fraud-app")]), node(2)))
    assert isinstance(ending, Failed)
    assert len(shop.calls) == 1


async def test_of_several_parts_none_is_resubmitted_by_guess(shop: respx.MockRouter) -> None:
    for found in (nodes(node(1), node(2)), nodes()):
        assert isinstance(await carry_out(shop, RESUBMIT, found), Failed)


@pytest.mark.parametrize("request_", ["SUBMITTED", "ACCEPTED"])
async def test_what_the_warehouse_has_already_is_not_sent_a_second_time(shop: respx.MockRouter, request_: str) -> None:
    assert isinstance(await carry_out(shop, RESUBMIT, nodes(node(request=request_))), Failed)
    assert len(shop.calls) == 1


async def test_an_order_of_more_parts_than_one_page_is_left_to_a_person(shop: respx.MockRouter) -> None:
    assert isinstance(await carry_out(shop, HOLD, nodes(node(), more=True)), Failed)


async def test_without_the_orders_id_nobody_is_asked(shop: respx.MockRouter) -> None:
    shop.post(URL)
    task = Task("act_1", HOLD, {}, "case_1", "ord_1", "#1001", {"fields": {}}, "key", "agent")
    async with httpx.AsyncClient() as http:
        assert isinstance(await ShopifyFulfilment(http, URL.removesuffix("/graphql.json"), "token").carry_out(task), Failed)
    assert len(shop.calls) == 0
