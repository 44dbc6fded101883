"""Lists, pages, orders, the policy, and the dead letter over HTTP."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.cases import REPORTED, new_case
from app.database import write
from app.signals.shapes import Source
from app.store import open_order
from app.web.pages import cursor_after
from app.world import World
from guardrails.facts import Facts
from guardrails.taxonomy import Action, Category
from tests.app.web.sending import ORDER, SHOPIFY, event, send
from tests.conftest import START
from tests.steps import work


async def with_cases(world: World, count: int) -> None:
    """That many cases; several share a due time."""
    async with write(world.database.sessions) as session:
        for number in range(count):
            order_id = await open_order(session, f"#{number}", START)
            category = Category.DELIVERY_LATE if number % 2 else Category.ADDRESS_RISK
            case = new_case(
                order_id, f"#{number}", category, [REPORTED], f"s{number}", False, world.owners, Facts(f"#{number}", START)
            )
            case.due_at = START + timedelta(hours=number // 3)
            session.add(case)


async def pages(client: httpx.AsyncClient, headers: dict[str, str], address: str) -> list[list[dict[str, Any]]]:
    """All pages, by following the Link header."""
    found, following = [], address
    while following:
        answer = await client.get(following, headers=headers)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found.append(body["data"])
        assert body["has_more"] == (body["next_cursor"] is not None) == ("next" in answer.links)
        following = answer.links["next"]["url"] if body["has_more"] else ""
    return found


async def test_the_queue_is_read_page_by_page_the_first_due_at_the_top(
    client: httpx.AsyncClient, world: World, admin: dict[str, str]
) -> None:
    await with_cases(world, 11)
    found = await pages(client, admin, "/api/v1/cases?limit=4")
    assert [len(page) for page in found] == [4, 4, 3]
    lines = [line for page in found for line in page]
    assert [line["order_ref"] for line in lines] == [f"#{number}" for number in range(11)]


async def test_a_case_that_arrives_while_one_reads_shifts_nothing(
    client: httpx.AsyncClient, world: World, admin: dict[str, str]
) -> None:
    await with_cases(world, 6)
    first = (await client.get("/api/v1/cases?limit=3", headers=admin)).json()
    async with write(world.database.sessions) as session:
        order_id = await open_order(session, "#new", START)
        case = new_case(order_id, "#new", Category.UNKNOWN, [REPORTED], "new", True, world.owners, Facts("#new", START))
        case.due_at = START - timedelta(days=1)
        session.add(case)
    second = (await client.get(f"/api/v1/cases?limit=3&cursor={first['next_cursor']}", headers=admin)).json()
    assert [line["order_ref"] for line in first["data"] + second["data"]] == [f"#{number}" for number in range(6)]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("category=delivery_late", 5),
        ("owner=ecommerce", 6),
        ("owner=ecommerce&category=delivery_late", 0),
        ("status=judging", 11),
        ("status=review&status=blocked", 0),
        ("verdict=block", 0),
        ("order_ref=%237", 1),
        ("q=address_risk", 6),
        ("q=%25", 0),
        ("q=_", 11),
        ("q=%2310", 1),
        ("q=%2310+delivery", 0),
    ],
)
async def test_filters_narrow_the_queue(
    client: httpx.AsyncClient, world: World, admin: dict[str, str], query: str, count: int
) -> None:
    await with_cases(world, 11)
    found = (await client.get(f"/api/v1/cases?{query}", headers=admin)).json()["data"]
    assert len(found) == count


async def test_a_tracking_code_finds_the_case_of_its_order(client: httpx.AsyncClient, world: World, admin: dict[str, str]) -> None:
    await send(client, world, Source.SHOPIFY, ORDER, SHOPIFY)
    lost = {
        "carrier": "UPS",
        "tracking_code": "1Z999AA10123456784",
        "status": "failure",
        "message": "lost",
        "occurred_at": "2026-11-02T08:00:00Z",
    }
    structured = {"content-type": "application/cloudevents+json", "webhook-id": "msg_1"}
    answer = await send(client, world, Source.EVENTS, event("t1", "carrier.tracking", lost), structured)
    assert answer.status_code == 202, answer.text
    await work(world)
    found = (await client.get("/api/v1/cases?q=1Z999AA10123456784", headers=admin)).json()["data"]
    assert {line["order_ref"] for line in found} == {"#1001"}


async def test_a_cursor_is_good_for_its_own_list_only(client: httpx.AsyncClient, world: World, admin: dict[str, str]) -> None:
    await with_cases(world, 6)
    cursor = (await client.get("/api/v1/cases?limit=2&owner=ecommerce", headers=admin)).json()["next_cursor"]
    assert (await client.get(f"/api/v1/cases?limit=5&owner=ecommerce&cursor={cursor}", headers=admin)).status_code == 200
    filters: dict[str, Any] = {
        "status": [],
        "owner": None,
        "category": None,
        "verdict": None,
        "q": None,
        "order_ref": None,
        "list": "cases",
    }
    forged = [
        cursor_after(place, filters)
        for place in (["soon", 1], ["2026-11-02T10:00:00Z", -1], ["2026-11-02T10:00:00Z", 2**63], [1], [])
    ]
    for other in ("x", "e30", cursor[:-4], cursor, *forged):
        answer = await client.get(f"/api/v1/cases?cursor={other}", headers=admin)
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid"), other
    assert (await client.get(f"/api/v1/signals?cursor={cursor}", headers=admin)).status_code == 400


@pytest.mark.parametrize("ref", ["%231001", "1001"])
async def test_an_order_shows_each_value_with_its_source_and_age(
    client: httpx.AsyncClient, world: World, admin: dict[str, str], ref: str
) -> None:
    await send(client, world, Source.SHOPIFY, ORDER, SHOPIFY)
    await work(world)
    order = (await client.get(f"/api/v1/orders/{ref}", headers=admin)).json()
    total = order["fields"]["order.total"]
    assert (total["value"], total["source"], total["conflict"]) == ({"amount": 5800, "currency": "USD"}, "shopify", False)
    assert total["age_s"] == 25 * 3600
    assert {"since", "pointer", "why", "stale", "others"} <= total.keys()
    assert order["order_ref"] == "#1001"
    assert [signal["topic"] for signal in order["signals"]] == ["orders/create"]


@pytest.mark.parametrize("ref", ["%239", "a/b", "%00", "%20", "..%2F..", "x" * 500])
async def test_an_order_that_nobody_named_is_not_found(client: httpx.AsyncClient, admin: dict[str, str], ref: str) -> None:
    answer = await client.get(f"/api/v1/orders/{ref}", headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_policy_in_force_is_shown_with_its_digest(client: httpx.AsyncClient, world: World, admin: dict[str, str]) -> None:
    answer = await client.get("/api/v1/policy", headers=admin)
    assert answer.headers["etag"] == f'"{world.policy.sha256}"'
    assert answer.json()["document"]["limits"]["high_value"]["USD"] == {"amount": 50_000, "currency": "USD"}
    assert (await client.get("/api/v1/policy", headers=admin | {"If-None-Match": answer.headers["etag"]})).status_code == 304


async def test_the_catalogue_lists_every_action_there_is(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    found = {item["name"]: item for item in (await client.get("/api/v1/actions", headers=admin)).json()}
    assert set(found) == set(Action)
    assert (found["refund_payment"]["risk_class"], found["refund_payment"]["default"]) == ("R3", "review")


async def test_signals_are_listed_newest_first_without_their_bodies(
    client: httpx.AsyncClient, world: World, admin: dict[str, str]
) -> None:
    for number in range(5):
        headers = SHOPIFY | {"x-shopify-webhook-id": f"d{number}", "x-shopify-event-id": f"e{number}"}
        await send(client, world, Source.SHOPIFY, ORDER | {"name": f"#{number}"}, headers)
    await send(client, world, Source.SHOPIFY, b"nonsense", SHOPIFY)
    found = await pages(client, admin, "/api/v1/signals?limit=2&state=received&source=shopify")
    assert [[signal["order_ref"] for signal in page] for page in found] == [["#4", "#3"], ["#2", "#1"], ["#0"]]
    assert "kim@example.com" not in str(found)


async def test_a_dead_signal_is_listed_fixed_replayed_and_gone(
    client: httpx.AsyncClient, world: World, admin: dict[str, str]
) -> None:
    broken = await send(client, world, Source.SHOPIFY, ORDER | {"total_price": []}, SHOPIFY)
    await send(client, world, Source.SHOPIFY, b"nonsense", SHOPIFY)
    first, second = [line for page in await pages(client, admin, "/api/v1/signals/dead-letter?limit=1") for line in page]
    assert first["id"] == broken.json()["signal_id"]
    assert "kim@example.com" in first["body"]
    assert second["body"] == "nonsense"
    again = await client.post(f"/api/v1/signals/{first['id']}/replay", headers=admin)
    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (422, "/total_price")
    fixed = await client.post(f"/api/v1/signals/{first['id']}/replay", headers=admin, json={"payload": ORDER})
    assert (fixed.status_code, fixed.json()["state"], fixed.json()["order_ref"]) == (202, "received", "#1001")
    await work(world)
    assert (await client.get("/api/v1/orders/1001", headers=admin)).status_code == 200
    repeated = await client.post(f"/api/v1/signals/{first['id']}/replay", headers=admin)
    assert (repeated.status_code, repeated.json()["code"]) == (409, "illegal_transition")
    assert (await client.post("/api/v1/signals/sig_none/replay", headers=admin)).status_code == 404
