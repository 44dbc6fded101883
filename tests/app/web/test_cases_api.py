"""Report, look, take, decide: the cases over HTTP."""

import asyncio
from typing import Any

import httpx
import pytest

from app.signals.shapes import Source
from app.world import World
from guardrails.taxonomy import PrincipalKind
from tests.app.web.sending import ORDER, SHOPIFY, event, send
from tests.conftest import Clock, MakeKey
from tests.steps import work

REPORT: dict[str, Any] = {"order_ref": "#1001", "reported_by": "help desk", "description": "The parcel never came."}


async def opened(client: httpx.AsyncClient, world: World, admin: dict[str, str]) -> dict[str, Any]:
    """A judged case of a short pick, as the API shows it."""
    await send(client, world, Source.SHOPIFY, ORDER, SHOPIFY)
    short = event("e1", "wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1})
    await send(client, world, Source.EVENTS, short, {"content-type": "application/cloudevents+json", "webhook-id": "msg_1"})
    await work(world)
    (line,) = (await client.get("/api/v1/cases", headers=admin)).json()["data"]
    found: dict[str, Any] = (await client.get(f"/api/v1/cases/{line['id']}", headers=admin)).json()
    return found


async def review(
    client: httpx.AsyncClient, case: dict[str, Any], headers: dict[str, str], body: dict[str, Any], version: int | None = None
) -> httpx.Response:
    match = {"If-Match": f'"{case["version"] if version is None else version}"'}
    return await client.post(f"/api/v1/cases/{case['id']}/review", headers=headers | match, json=body)


async def test_a_report_opens_a_case_and_says_where_it_is(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    answer = await client.post("/api/v1/triage", headers=admin, json=REPORT)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == answer.json()["location"] == f"/api/v1/cases/{answer.json()['case_id']}"
    case = (await client.get(answer.headers["location"], headers=admin)).json()
    assert (case["status"], case["order_ref"], case["reported_by"]) == ("judging", "#1001", "help desk")


async def test_waiting_gives_the_verdict_when_it_comes_in_time(
    client: httpx.AsyncClient, world: World, admin: dict[str, str]
) -> None:
    first = await client.post("/api/v1/triage", headers=admin | {"Idempotency-Key": "k1"}, json=REPORT)
    await work(world)
    answer = await client.post("/api/v1/triage?wait=5", headers=admin | {"Idempotency-Key": "k1"}, json=REPORT)
    assert (answer.status_code, answer.json()["id"]) == (200, first.json()["case_id"])
    assert answer.json()["verdict"] in ("automate", "review", "block")
    assert answer.json()["decision"]["snapshot"]["order_ref"] == "#1001"


async def test_waiting_in_vain_gives_the_address(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    answer = await client.post("/api/v1/triage?wait=1", headers=admin, json=REPORT)
    assert (answer.status_code, "location" in answer.headers) == (202, True)


@pytest.mark.parametrize("wait", ["61", "-1", "soon"])
async def test_nobody_waits_longer_than_a_minute(client: httpx.AsyncClient, admin: dict[str, str], wait: str) -> None:
    answer = await client.post(f"/api/v1/triage?wait={wait}", headers=admin, json=REPORT)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/query/wait")


async def test_facts_of_the_wrong_shape_are_refused_with_pointers_and_nothing_is_stored(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    facts = {
        "order.total": {"value": 1},
        "payment.status": {"value": "x", "source": "stripe", "observed_at": "2026-11-02T10:00:00"},
    }
    answer = await client.post("/api/v1/triage", headers=admin, json=REPORT | {"facts": facts})
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/facts/order.total", "/facts/payment.status/observed_at"}
    assert (await client.get("/api/v1/signals", headers=admin)).json()["data"] == []


async def test_a_case_shows_its_decision_evidence_actions_and_how_to_undo_them(
    client: httpx.AsyncClient, world: World, admin: dict[str, str]
) -> None:
    case = await opened(client, world, admin)
    assert (case["category"], case["status"]) == ("inventory_unavailable", "review")
    assert "unavailable_inventory" in case["mandatory_review"]
    assert case["decision"]["policy_sha256"] == world.policy.sha256
    assert case["evidence"]
    for action in [*case["proposed_actions"], *case["actions"]]:
        assert action["undo"]
        assert action["risk_class"] in ("R0", "R1", "R2", "R3")
    assert case["due_at"].endswith("Z")


async def test_the_version_of_a_case_is_its_etag(client: httpx.AsyncClient, world: World, admin: dict[str, str]) -> None:
    case = await opened(client, world, admin)
    address = f"/api/v1/cases/{case['id']}"
    first = await client.get(address, headers=admin)
    assert first.headers["etag"] == f'"{case["version"]}"'
    same = await client.get(address, headers=admin | {"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    await client.post(f"{address}/claim", headers=admin)
    assert (await client.get(address, headers=admin | {"If-None-Match": first.headers["etag"]})).status_code == 200


async def test_the_trail_of_a_case_comes_in_order_and_chained(
    client: httpx.AsyncClient, world: World, admin: dict[str, str]
) -> None:
    case = await opened(client, world, admin)
    entries, cursor = [], ""
    while True:
        answer = (await client.get(f"/api/v1/cases/{case['id']}/trail?limit=1{cursor}", headers=admin)).json()
        entries += answer["data"]
        if not answer["has_more"]:
            break
        cursor = f"&cursor={answer['next_cursor']}"
    assert [entry["event"] for entry in entries][:2] == ["case.opened", "decision.made"]
    assert [entry["seq"] for entry in entries] == sorted({entry["seq"] for entry in entries})
    assert all(len(entry["hash"]) == 64 for entry in entries)
    assert (await client.get("/api/v1/cases/case_none/trail", headers=admin)).status_code == 404


async def test_a_claimed_case_is_held_until_it_is_released(
    client: httpx.AsyncClient, world: World, make_key: MakeKey, admin: dict[str, str], clock: Clock
) -> None:
    case = await opened(client, world, admin)
    other = await make_key(name="bea")
    address = f"/api/v1/cases/{case['id']}"
    claimed = await client.post(f"{address}/claim", headers=admin)
    assert (claimed.status_code, claimed.json()["holder"]) == (200, "person of the tests")
    for verb in ("claim", "release"):
        refused = await client.post(f"{address}/{verb}", headers=other)
        assert (refused.status_code, refused.json()["code"]) == (409, "case_held")
        assert (refused.json()["holder"], refused.json()["until"]) == ("person of the tests", claimed.json()["held_until"])
    assert (await client.post(f"{address}/release", headers=admin)).json()["holder"] is None
    await client.post(f"{address}/claim", headers=other)
    clock.forward(seconds=world.settings.claim_lease_s + 1)
    assert (await client.post(f"{address}/claim", headers=admin)).status_code == 200


async def test_a_case_is_assigned_by_a_service_too(
    client: httpx.AsyncClient, world: World, make_key: MakeKey, admin: dict[str, str]
) -> None:
    case = await opened(client, world, admin)
    service = await make_key("cases:review", kind=PrincipalKind.SERVICE)
    answer = await client.post(f"/api/v1/cases/{case['id']}/assign", headers=service, json={"owner": "finance", "assignee": "Bea"})
    assert (answer.status_code, answer.json()["owner"], answer.json()["assignee"]) == (200, "finance", "Bea")
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
    empty = await client.post(f"/api/v1/cases/{case['id']}/assign", headers=service, json={})
    assert empty.status_code == 422


async def test_a_review_needs_the_version_that_was_read(client: httpx.AsyncClient, world: World, admin: dict[str, str]) -> None:
    case = await opened(client, world, admin)
    reject = {"decision": "reject", "reason": "Counted again: it is there."}
    address = f"/api/v1/cases/{case['id']}/review"
    absent = await client.post(address, headers=admin, json=reject)
    assert (absent.status_code, absent.json()["code"]) == (428, "precondition_required")
    for useless in ("*", "abc", '"1", "2"', ""):
        answer = await client.post(address, headers=admin | {"If-Match": useless}, json=reject)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/header/If-Match"), useless
    stale = await review(client, case, admin, reject, case["version"] - 1)
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_version")
    assert stale.json()["current_version"] == case["version"]
    done = await review(client, case, admin, reject)
    assert (done.status_code, done.json()["status"]) == (200, "resolved")
    again = await review(client, case, admin, reject, done.json()["version"])
    assert (again.status_code, again.json()["code"]) == (409, "illegal_transition")


async def test_a_repeated_review_is_answered_again_and_decided_once(
    client: httpx.AsyncClient, world: World, admin: dict[str, str]
) -> None:
    case = await opened(client, world, admin)
    reject = {"decision": "reject", "reason": "Counted again."}
    keyed = admin | {"Idempotency-Key": "r1"}
    first, second = await review(client, case, keyed, reject), await review(client, case, keyed, reject)
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    shown = (await client.get(f"/api/v1/cases/{case['id']}", headers=admin)).json()
    assert len(shown["approvals"]) == 1


async def test_an_edited_action_that_the_guard_blocks_is_refused_with_its_rules(
    client: httpx.AsyncClient, world: World, make_key: MakeKey, admin: dict[str, str]
) -> None:
    case = await opened(client, world, admin)
    junior = await make_key("cases:review", name="junior", roles=["reviewer"])
    wish = {"decision": "edit", "reason": "Money back.", "actions": [{"action": "refund_payment", "arguments": {}}]}
    answer = await review(client, case, junior, wish)
    assert (answer.status_code, answer.json()["code"]) == (403, "guardrail_refused")
    assert answer.json()["rules"]


async def test_evidence_sends_the_case_back_to_be_judged(client: httpx.AsyncClient, world: World, admin: dict[str, str]) -> None:
    case = await opened(client, world, admin)
    address = f"/api/v1/cases/{case['id']}/evidence"
    keyed = admin | {"Idempotency-Key": "e1"}
    answer = await client.post(address, headers=keyed, json={"note": "The stock count sheet says 12."})
    assert (answer.status_code, answer.json()["status"]) == (202, "judging")
    assert (await client.post(address, headers=keyed, json={"note": "The stock count sheet says 12."})).json() == answer.json()
    assert (await client.post(address, headers=admin, json={})).status_code == 422
    found = (await client.get("/api/v1/signals?source=evidence", headers=admin)).json()["data"]
    assert len(found) == 1


async def test_an_outcome_is_kept_beside_the_decision(client: httpx.AsyncClient, world: World, admin: dict[str, str]) -> None:
    case = await opened(client, world, admin)
    address = f"/api/v1/cases/{case['id']}/outcome"
    answer = await client.post(
        address, headers=admin, json={"result": "found in aisle 4", "true_category": "inventory_unavailable"}
    )
    assert answer.status_code == 201, answer.text
    shown = (await client.get(f"/api/v1/cases/{case['id']}", headers=admin)).json()
    assert [outcome["body"]["result"] for outcome in shown["outcomes"]] == ["found in aisle 4"]
    assert (await client.post(address, headers=admin, json={})).status_code == 422
    assert (await client.post(address, headers=admin, json={"action_id": "act_none"})).json()["errors"][0]["pointer"] == "/done"


@pytest.mark.parametrize("case_id", ["case_none", "%00", "x" * 300, "%F0%9F%8D%95"])
async def test_a_case_that_is_not_there_is_not_found(client: httpx.AsyncClient, admin: dict[str, str], case_id: str) -> None:
    assert (await client.get(f"/api/v1/cases/{case_id}", headers=admin)).status_code == 404
    answer = await client.post(f"/api/v1/cases/{case_id}/claim", headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_body_that_is_not_declared_as_json_is_refused(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    answer = await client.post("/api/v1/triage", headers=admin | {"content-type": "text/plain"}, content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_a_body_over_the_limit_is_refused(client: httpx.AsyncClient, world: World, admin: dict[str, str]) -> None:
    answer = await client.post(
        "/api/v1/triage", headers=admin, json=REPORT | {"description": "x" * world.settings.body_limit_bytes}
    )
    assert answer.status_code == 413


async def test_a_name_that_is_no_text_is_refused_with_an_answer_that_is(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    raw = b'{"order_ref": "#1", "reported_by": "x", "facts": {"\\ud800": {"value": "\\u0000"}}}'
    answer = await client.post("/api/v1/triage", headers=admin | {"content-type": "application/json"}, content=raw)
    assert answer.status_code == 422
    first, second = [error["pointer"] for error in answer.json()["errors"]]
    assert first == "/facts"
    assert second.startswith("/facts/\ufffd")


async def test_of_two_reviewers_at_once_one_decides_and_the_other_is_told(
    client: httpx.AsyncClient, world: World, make_key: MakeKey, admin: dict[str, str]
) -> None:
    case = await opened(client, world, admin)
    other = await make_key(name="bea")
    reject = {"decision": "reject", "reason": "Counted again."}
    answers = await asyncio.gather(review(client, case, admin, reject), review(client, case, other, reject))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    shown = (await client.get(f"/api/v1/cases/{case['id']}", headers=admin)).json()
    assert len(shown["approvals"]) == 1
