"""A trouble comes, goes, and comes back; a person deals with it in between. Over HTTP, with the vendors' own shapes."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app import trail
from app.signals.shapes import Source
from app.world import World
from guardrails.facts import rfc3339
from tests.app.web.sending import ORDER, SHOPIFY, send
from tests.builders import payment, stripe_event
from tests.conftest import Clock, MakeKey
from tests.steps import work

pytestmark = pytest.mark.journey
Tell = Callable[[str, dict[str, Any]], Awaitable[None]]


@pytest.fixture
def stripe(client: httpx.AsyncClient, world: World, clock: Clock) -> Tell:
    """Ten minutes pass, Stripe says something, and everything that follows from it is done."""

    async def tell(topic: str, thing: dict[str, Any]) -> None:
        clock.forward(minutes=10)
        answer = await send(client, world, Source.STRIPE, stripe_event(topic, thing, int(clock.now.timestamp())))
        assert answer.status_code == 202, answer.text
        await work(world)

    return tell


async def shown(client: httpx.AsyncClient, headers: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/api/v1/cases", headers=headers)).json()["data"]
    return found


def under_review(opened: bool, reason: str = "rule") -> dict[str, Any]:
    return {"object": "review", "id": "prv_1", "open": opened, "payment_intent": "pi_1", "reason": reason}


async def test_a_case_heals_comes_back_and_is_resolved_by_a_person(
    client: httpx.AsyncClient, world: World, clock: Clock, make_key: MakeKey, stripe: Tell
) -> None:
    reviewer = await make_key(name="rosa", roles=["senior_reviewer"])
    order = ORDER | {"updated_at": rfc3339(clock.now)}
    await send(client, world, Source.SHOPIFY, order, SHOPIFY)
    await stripe("payment_intent.succeeded", payment("succeeded", amount_received=5800))
    assert await shown(client, reviewer) == []

    await stripe("review.opened", under_review(True))
    (case,) = await shown(client, reviewer)
    assert (case["category"], case["status"]) == ("fraud_risk", "review")

    await stripe("review.closed", under_review(False, "approved"))
    (healed,) = await shown(client, reviewer)
    assert (healed["id"], healed["status"]) == (case["id"], "cleared")

    await stripe("review.opened", under_review(True))
    (back,) = await shown(client, reviewer)
    assert (back["id"], back["status"]) == (case["id"], "review")
    match = {"If-Match": f'"{back["version"]}"'}
    reject = {"decision": "reject", "reason": "A regular customer."}
    address = f"/api/v1/cases/{case['id']}"
    assert (await client.post(f"{address}/review", headers=reviewer | match, json=reject)).status_code == 200

    await stripe("payment_intent.succeeded", payment("succeeded", amount_received=5800))
    (resolved,) = await shown(client, reviewer)
    assert resolved["status"] == "resolved"

    entries = (await client.get(f"{address}/trail?limit=100", headers=reviewer)).json()["data"]
    story = [entry["event"] for entry in entries if entry["event"].startswith(("case.", "review."))]
    assert story == ["case.opened", "case.cleared", "case.reopened", "review.rejected"]
    async with world.database.sessions() as session:
        assert (await trail.verify(session)).valid


async def test_a_late_event_after_the_cure_does_not_bring_the_trouble_back(
    client: httpx.AsyncClient, world: World, clock: Clock, admin: dict[str, str], stripe: Tell
) -> None:
    await send(client, world, Source.SHOPIFY, ORDER | {"financial_status": "pending"}, SHOPIFY)
    failed = payment("requires_payment_method", last_payment_error={"code": "card_declined", "decline_code": "generic_decline"})
    late = stripe_event("payment_intent.payment_failed", failed, int(clock.now.timestamp()))
    await stripe("payment_intent.succeeded", payment("succeeded", amount_received=5800))
    before = [(case["category"], case["status"]) for case in await shown(client, admin)]
    clock.forward(minutes=30)
    assert (await send(client, world, Source.STRIPE, late)).status_code == 202
    await work(world)
    after = [(case["category"], case["status"]) for case in await shown(client, admin)]
    assert "payment_failed" not in {category for category, _ in after}
    assert after == before
