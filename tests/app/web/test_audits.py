"""Blind audits over HTTP and in the console: the answer is not told before the judgement, and is after it."""

from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from app.switches import AUTOMATION
from app.world import World
from guardrails.taxonomy import Action, Category, PrincipalKind
from tests.app.test_audits import ALL, QUICK, audited, decided, drawn
from tests.app.web.browsing import Forms, form_to, reviewer
from tests.builders import order_arrives, warehouse_busy
from tests.conftest import MakeKey
from tests.steps import work

MACHINE_SAID = ("warehouse_exception", Action.RESUBMIT_FULFILMENT.value, "confidence", "automate", "verdict", "case_")


@pytest.fixture
def here(world: World, http_app: FastAPI) -> World:
    """Every automated case is audited, and the app knows."""
    found = audited(world, ALL)
    http_app.state.world = found
    return found


async def test_an_open_audit_tells_the_order_and_nothing_of_the_answer(
    client: httpx.AsyncClient, make_key: MakeKey, here: World
) -> None:
    row = await decided(here)
    answer = await client.get("/api/v1/audits", headers=await make_key("cases:read"))
    (shown,) = answer.json()
    assert (shown["id"], shown["order_ref"]) == (row.id, "#1")
    assert {"order.total", "order.financial_status"} <= {fact["field"].partition("[")[0] for fact in shown["facts"]}
    assert not [word for word in MACHINE_SAID if word in answer.text]


async def test_judging_tells_the_answer_and_closes_the_audit(client: httpx.AsyncClient, make_key: MakeKey, here: World) -> None:
    row = await decided(here)
    key = await make_key("cases:review", "cases:read", name="kim", roles=["reviewer"])
    address, said = f"/api/v1/audits/{row.id}", {"category": Category.FRAUD_RISK.value}
    answer = await client.post(address, json=said, headers=key)
    told = answer.json()
    assert (answer.status_code, told["wrong"], told["answered"]) == (200, True, "warehouse_exception")
    assert (told["judged_by"], told["category"], told["acceptable"]) == ("kim", "fraud_risk", True)
    assert (await client.get("/api/v1/audits", headers=key)).json() == []
    again = await client.post(address, json=said, headers=key)
    assert (again.status_code, again.json()["code"]) == (409, "illegal_transition")


@pytest.mark.parametrize(
    "body", [{}, {"category": "nothing"}, {"category": "unknown", "acceptable": "yes"}, {"category": "unknown", "x": 1}]
)
async def test_a_judgement_that_cannot_be_read_is_refused(
    client: httpx.AsyncClient, admin: dict[str, str], here: World, body: dict[str, object]
) -> None:
    row = await decided(here)
    assert (await client.post(f"/api/v1/audits/{row.id}", json=body, headers=admin)).status_code == 422
    assert len((await client.get("/api/v1/audits", headers=admin)).json()) == 1


async def test_a_service_judges_nothing(client: httpx.AsyncClient, make_key: MakeKey, here: World) -> None:
    row = await decided(here)
    service = await make_key(kind=PrincipalKind.SERVICE)
    answer = await client.post(f"/api/v1/audits/{row.id}", json={"category": "unknown"}, headers=service)
    assert (answer.status_code, answer.json()["code"]) == (403, "person_required")


async def test_assurance_says_per_scope_how_many_labels_are_missing_and_when_automation_was_stopped(
    client: httpx.AsyncClient, admin: dict[str, str], here: World, http_app: FastAPI
) -> None:
    http_app.state.world = quick = replace(here, assurance=replace(here.assurance, rules=QUICK))
    row = await decided(quick)
    before = (await client.get("/api/v1/assurance", headers=admin)).json()
    assert (before["open"], before["judged"], before["stopped"], before["stake"]) == (1, 0, False, 1.0)
    assert before["scopes"][0]["scope"] == "global"
    assert {scope["state"] for scope in before["scopes"]} == {"uncertified"}
    assert len(before["scopes"]) == 1 + len(Category)
    await client.post(f"/api/v1/audits/{row.id}", json={"category": "fraud_risk"}, headers=admin)
    after = (await client.get("/api/v1/assurance", headers=admin)).json()
    assert (after["judged"], after["wrong"], after["sounded"], after["stopped"]) == (1, 1, True, True)
    switched = {item["name"]: item for item in (await client.get("/api/v1/switches", headers=admin)).json()}
    assert (switched[AUTOMATION]["state"], switched[AUTOMATION]["by"]) == ("off", "drift alarm")


async def test_a_person_judges_in_the_console_and_sees_the_answer_only_then(
    client: httpx.AsyncClient, make_key: MakeKey, here: World
) -> None:
    row = await decided(here)
    await reviewer(client, make_key)
    listed = (await client.get("/audits")).text
    assert f'href="/audits/{row.id}"' in listed
    page = (await client.get(f"/audits/{row.id}")).text
    assert Forms(page).forbidden == []
    assert not [word for word in ("resubmit", "case_", "machine was") if word in page]
    form = form_to(page, f"/audits/{row.id}")
    refused = await client.post(form.action, data=form.filled(category="", acceptable="yes"))
    assert (refused.status_code, "choose what is the matter" in refused.text) == (422, True)
    answer = await client.post(form.action, data=form.filled(category="warehouse_exception", acceptable="yes"))
    assert answer.status_code == 303
    page = (await client.get(answer.headers["location"])).text
    assert [word for word in ("The machine was right", "rosa") if word not in page] == []
    assert "Nothing waits to be judged." in (await client.get("/audits")).text


async def test_what_outsiders_wrote_is_shown_as_data(client: httpx.AsyncClient, make_key: MakeKey, here: World) -> None:
    await order_arrives(here, "#1", 1, note="<b onclick='x()'>At the door</b>, please.")
    await warehouse_busy(here, "#1")
    await work(here)
    (row,) = await drawn(here)
    await reviewer(client, make_key)
    page = (await client.get(f"/audits/{row.id}")).text
    assert Forms(page).forbidden == []
    assert "Outside text: data, never an instruction." in page
    assert "&lt;b onclick=" in page


async def test_a_reader_sees_audits_and_cannot_judge(client: httpx.AsyncClient, make_key: MakeKey, here: World) -> None:
    row = await decided(here)
    await reviewer(client, make_key, "cases:read", name="ria")
    page = await client.get(f"/audits/{row.id}")
    assert (page.status_code, "may look at it and not judge it" in page.text) == (200, True)
    assert not [form for form in Forms(page.text).found if form.action.startswith("/audits")]
    assert (await client.get("/audits/aud_none")).status_code == 404
