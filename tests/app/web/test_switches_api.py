"""Switches and budgets over HTTP: who sees them, who turns them, and what the answer says."""

import httpx
import pytest

from app.budgets import COUNT
from app.database import write
from app.tables import BudgetHour
from app.trail import Event
from app.world import World
from guardrails.facts import rfc3339
from guardrails.standing import hour_of
from guardrails.taxonomy import Action, PrincipalKind
from tests.app.web.test_health import figure
from tests.builders import trail_of
from tests.conftest import MakeKey

REFUND = "/api/v1/switches/action:refund_payment"
OFF, ON = {"state": "off", "reason": "Refunds go out twice."}, {"state": "on", "reason": "It is mended."}


async def test_a_switch_is_turned_off_shown_and_turned_on_again(client: httpx.AsyncClient, make_key: MakeKey, world: World) -> None:
    lead = await make_key("cases:review", "policy:read", name="lea", roles=["lead"])
    answer = await client.put(REFUND, json=OFF, headers=lead)
    told = {
        "name": "action:refund_payment",
        "state": "off",
        "by": "lea",
        "at": rfc3339(world.clock()),
        "why": "Refunds go out twice.",
    }
    assert (answer.status_code, answer.json()) == (200, told)
    listed = {item["name"]: item for item in (await client.get("/api/v1/switches", headers=lead)).json()}
    assert listed["action:refund_payment"] == told
    assert {item["state"] for name, item in listed.items() if name != "action:refund_payment"} == {"on"}
    assert len(listed) > len(Action)
    assert (await client.put(REFUND, json=OFF | {"reason": "again"}, headers=lead)).json() == told
    answer = await client.put(REFUND, json=ON, headers=lead)
    assert (answer.status_code, answer.json()["state"], answer.json()["by"]) == (200, "on", None)
    assert [event for event, _ in await trail_of(world) if event.startswith("switch.")] == [
        Event.SWITCH_TURNED_OFF,
        Event.SWITCH_TURNED_ON,
    ]


@pytest.mark.parametrize(
    ("role", "status"), [("lead", 200), ("operations", 200), ("admin", 200), ("reviewer", 403), ("senior_reviewer", 403)]
)
async def test_only_leads_operations_and_admins_turn_them(
    client: httpx.AsyncClient, make_key: MakeKey, role: str, status: int
) -> None:
    key = await make_key("cases:review", "policy:read", name="pat", roles=[role])
    answer = await client.put(REFUND, json=OFF, headers=key)
    assert answer.status_code == status
    if status == 403:
        assert "ask a lead, operations or an admin" in answer.json()["detail"]
        assert (await client.get("/api/v1/switches", headers=key)).status_code == 200


async def test_a_service_never_turns_one_whatever_its_scopes(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    service = await make_key(kind=PrincipalKind.SERVICE)
    answer = await client.put(REFUND, json=OFF, headers=service)
    assert (answer.status_code, answer.json()["code"]) == (403, "person_required")


async def test_a_switch_that_there_is_not_is_404_and_says_what_was_meant(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    answer = await client.put("/api/v1/switches/action:refund_paymnt", json=OFF, headers=admin)
    assert answer.status_code == 404
    assert "did you mean 'action:refund_payment'?" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"state": "off"},
        {"reason": "x"},
        OFF | {"state": "maybe"},
        OFF | {"reason": "  "},
        OFF | {"more": 1},
        {"state": False, "reason": "x"},
    ],
)
async def test_a_body_that_does_not_say_what_and_why_is_refused(
    client: httpx.AsyncClient, admin: dict[str, str], world: World, body: dict[str, object]
) -> None:
    assert (await client.put(REFUND, json=body, headers=admin)).status_code == 422
    assert await trail_of(world, Event.SWITCH_TURNED_OFF) == []


async def test_budgets_show_the_limit_what_this_hour_has_spent_and_what_is_left(
    client: httpx.AsyncClient, make_key: MakeKey, world: World
) -> None:
    hour = hour_of(world.clock())
    async with write(world.database.sessions) as session:
        session.add(BudgetHour(key="finance", hour=hour, unit=COUNT, spent=7))
        session.add(BudgetHour(key="finance", hour=hour, unit="USD", spent=123_400))
    lines = (await client.get("/api/v1/budgets", headers=await make_key("policy:read"))).json()
    budget = {(line["key"], line["unit"]): line for line in lines}
    assert budget["finance", COUNT] == {
        "key": "finance",
        "unit": COUNT,
        "hour": rfc3339(hour),
        "limit": 60,
        "spent": 7,
        "left": 53,
    }
    assert (budget["finance", "USD"]["spent"], budget["finance", "USD"]["left"]) == (123_400, 500_000 - 123_400)
    assert ("fulfilment/hold_fulfilment", COUNT) in budget


async def test_metrics_tell_what_is_off_and_how_the_budgets_stand(
    client: httpx.AsyncClient, admin: dict[str, str], world: World
) -> None:
    async with write(world.database.sessions) as session:
        session.add(BudgetHour(key="finance", hour=hour_of(world.clock()), unit="USD", spent=900))
    before = (await client.get("/metrics")).text
    assert figure(before, "ordermend_switches_off") == 0
    await client.put(REFUND, json=OFF, headers=admin)
    after = (await client.get("/metrics")).text
    assert figure(after, "ordermend_switches_off") == 1
    assert figure(after, "ordermend_switch_off", switch="action:refund_payment") == 1
    assert figure(after, "ordermend_budget_spent", budget="finance", unit="USD") == 900
    assert figure(after, "ordermend_budget_limit", budget="finance", unit="USD") == 500_000


async def test_metrics_go_on_when_the_figures_cannot_be_right(client: httpx.AsyncClient, world: World) -> None:
    async with write(world.database.sessions) as session:
        session.add(BudgetHour(key="finance", hour=hour_of(world.clock()), unit="USD", spent=-1))
    text = (await client.get("/metrics")).text
    assert figure(text, "ordermend_database_up") == 1
    assert figure(text, "ordermend_budget_spent", budget="finance", unit="USD") is None
