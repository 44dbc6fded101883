"""The policy over HTTP: what is in force, what came before, trying another one, and putting it in force."""

from typing import Any

import httpx
import pytest

from app.world import World
from guardrails.taxonomy import PrincipalKind
from tests.app.changed_policies import AS_SHIPPED, BROKEN, high_value, overlaid
from tests.builders import order_arrives, warehouse_busy
from tests.conftest import Clock, MakeKey
from tests.steps import work

LOWERED = high_value("40.00").document


@pytest.fixture
async def lead(make_key: MakeKey) -> dict[str, str]:
    return await make_key("policy:read", "policy:write", name="lee", roles=["lead"])


@pytest.fixture
async def judged(world: World, clock: Clock) -> None:
    """One order of 58 USD whose case was ruled automate."""
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    clock.forward(minutes=1)


async def post(client: httpx.AsyncClient, path: str, headers: dict[str, str], **body: Any) -> httpx.Response:
    return await client.post(f"/api/v1/policy/{path}", json=body, headers=headers)


async def in_force(client: httpx.AsyncClient, headers: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/api/v1/policy", headers=headers)).json()
    return found


async def test_the_policy_in_force_says_who_published_it_and_why(client: httpx.AsyncClient, lead: dict[str, str]) -> None:
    shown = await in_force(client, lead)
    assert (shown["published"]["by"], shown["published"]["why"], shown["shadow"]) == ("start", "first start", None)
    assert shown["published"]["sha256"] == shown["sha256"]


async def test_a_lead_publishes_and_it_governs(client: httpx.AsyncClient, lead: dict[str, str], judged: None) -> None:
    answer = await post(client, "publish", lead, policy=LOWERED, why="fewer surprises")
    assert answer.status_code == 201, answer.text
    assert (answer.json()["by"], answer.json()["mode"], answer.json()["version"]) == ("lee", "enforce", "lowered")
    shown = await in_force(client, lead)
    assert shown["sha256"] == answer.json()["sha256"]
    assert shown["document"]["limits"]["high_value"]["USD"]["amount"] == 4_000
    history = (await client.get("/api/v1/policy/history", headers=lead)).json()
    assert [(row["by"], row["ended_at"] is None) for row in history] == [("lee", True), ("start", False)]
    report = history[0]["report"]
    assert (report["tightened"], report["loosened"], report["flips_in_all"]) == (report["rulings"], 0, report["rulings"])
    assert report["matrix"]["automate"]["review"] == report["rulings"] > 0


async def test_publishing_what_is_in_force_is_a_conflict(client: httpx.AsyncClient, lead: dict[str, str]) -> None:
    answer = await post(client, "publish", lead, policy=AS_SHIPPED.document, why="again")
    assert (answer.status_code, answer.json()["code"]) == (409, "policy_not_published")


async def test_an_absent_overlay_does_not_end_one_that_is_in_force_and_null_does(
    client: httpx.AsyncClient, lead: dict[str, str], clock: Clock
) -> None:
    clock.forward(minutes=1)
    overlay = overlaid(high_value("40.00")).overlay
    assert (await post(client, "publish", lead, policy=LOWERED, overlay=overlay, why="peak")).status_code == 201
    clock.forward(minutes=1)
    silent = await post(client, "publish", lead, policy=LOWERED, why="peak is over")
    assert (silent.status_code, silent.json()["code"]) == (409, "policy_not_published")
    assert '"overlay": null' in silent.json()["detail"]
    assert (await in_force(client, lead))["version"] == "lowered+peak"
    said = await post(client, "publish", lead, policy=LOWERED, overlay=None, why="peak is over")
    assert (said.status_code, said.json()["version"]) == (201, "lowered")


@pytest.mark.parametrize("path", ["publish", "simulate"])
async def test_every_mistake_in_a_text_is_told_and_nothing_changes(
    client: httpx.AsyncClient, lead: dict[str, str], path: str
) -> None:
    before = await in_force(client, lead)
    more = {"why": "a typo"} if path == "publish" else {}
    answer = await post(client, path, lead, policy=BROKEN.document.replace("reversible: true", "reversable: true", 1), **more)
    assert (answer.status_code, answer.json()["code"]) == (422, "fields_invalid")
    errors = answer.json()["errors"]
    assert len(errors) >= 2
    assert {error["pointer"] for error in errors} == {"/policy"}
    assert all(error["detail"].startswith("policy.yaml:") for error in errors)
    assert await in_force(client, lead) == before


@pytest.mark.parametrize("role", ["reviewer", "senior_reviewer", "operations"])
async def test_no_other_role_publishes(client: httpx.AsyncClient, make_key: MakeKey, role: str) -> None:
    headers = await make_key(name="sam", roles=[role])
    answer = await post(client, "publish", headers, policy=LOWERED, why="why not")
    assert (answer.status_code, answer.json()["code"]) == (403, "denied")


async def test_a_reviewer_may_not_simulate_and_operations_may(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    reviewer = await make_key("policy:read", name="rosa", roles=["reviewer"])
    assert (await post(client, "simulate", reviewer, policy=LOWERED)).status_code == 403
    operations = await make_key("policy:read", name="otto", roles=["operations"])
    assert (await post(client, "simulate", operations, policy=LOWERED)).status_code == 200


async def test_services_never_publish(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    headers = await make_key(kind=PrincipalKind.SERVICE)
    answer = await post(client, "publish", headers, policy=LOWERED, why="why not")
    assert (answer.status_code, answer.json()["code"]) == (403, "person_required")


async def test_a_policy_in_shadow_is_shown_with_its_counts(
    client: httpx.AsyncClient, lead: dict[str, str], world: World, clock: Clock
) -> None:
    assert (await post(client, "publish", lead, policy=LOWERED, why="see first", mode="shadow")).status_code == 201
    before = (await client.get("/api/v1/policy", headers=lead)).headers["etag"]
    clock.forward(minutes=1)
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    shown = await in_force(client, lead)
    assert shown["version"] != "lowered"
    shadow = shown["shadow"]
    assert (shadow["publication"]["version"], shadow["agree"], shadow["looser"], shadow["failed"]) == ("lowered", 0, 0, 0)
    assert shadow["judged"] == shadow["tighter"] > 0
    assert (await client.get("/api/v1/policy", headers=lead | {"If-None-Match": before})).status_code == 200
    assert (await post(client, "shadow-end", lead, why="seen enough")).json()["ended_at"] is not None
    assert (await in_force(client, lead))["shadow"] is None
    assert (await post(client, "shadow-end", lead, why="again")).status_code == 409
