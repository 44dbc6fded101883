"""The console's page of switches, and the banner that every page shows while anything is off."""

import httpx
import pytest

from app.budgets import COUNT
from app.database import write
from app.switches import turn_off
from app.tables import BudgetHour
from app.world import World
from guardrails.standing import hour_of
from tests.app.web.browsing import HOSTILE, Forms, form_to, posts, reviewer, unpaid
from tests.builders import person
from tests.conftest import Clock, MakeKey

LEAD = person("lea", "lead")
NAME = "action:refund_payment"


async def test_a_lead_turns_a_switch_off_and_on_from_its_page(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    await reviewer(client, make_key, name="lea", roles=["lead"])
    page = (await client.get("/switches")).text
    assert "every action and every source is on" in page
    form = form_to(page, "/switches", state="off")
    answer = await client.post(form.action, data=form.filled(name=NAME, reason="Refunds go out twice."))
    assert (answer.status_code, answer.headers["location"]) == (303, "/switches?said=off")
    page = (await client.get("/switches?said=off")).text
    for part in ("nothing that it stops begins", NAME, "Refunds go out twice.", "lea"):
        assert part in page, part
    form = form_to(page, "/switches", state="on", name=NAME)
    answer = await client.post(form.action, data=form.filled(reason="It is mended."))
    assert answer.headers["location"] == "/switches?said=on"
    assert "every action and every source is on" in (await client.get("/switches")).text


async def test_every_page_says_what_is_off(client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock) -> None:
    case_id = await unpaid(world, clock)
    await reviewer(client, make_key)
    pages = (
        "/",
        f"/cases/{case_id}",
        f"/cases/{case_id}/trail",
        "/orders/9001",
        "/policy",
        "/switches",
        "/dead-letter",
        "/cases/none",
    )
    for path in pages:
        assert "Switched off:" not in (await client.get(path)).text, path
    await turn_off(world, LEAD, "everything", "All stop.")
    for path in pages:
        page = (await client.get(path)).text
        assert "Switched off:</b> <code>everything</code>" in page, path
        assert "All stop." in page, path
    client.cookies.clear()
    assert "Switched off" not in (await client.get("/sign-in")).text


async def test_who_may_not_turn_them_is_told_whom_to_ask_and_a_sent_form_does_nothing(
    client: httpx.AsyncClient, make_key: MakeKey, world: World
) -> None:
    await turn_off(world, LEAD, NAME, "why")
    await reviewer(client, make_key, "policy:read", "cases:review", roles=["senior_reviewer"])
    page = (await client.get("/switches")).text
    assert "Ask a person who is admin or lead or operations" in page
    assert [form.action for form in posts(page)] == ["/sign-out"]
    csrf = dict(next(posts(page)).fields)["csrf"]
    for fields in ({"state": "on", "name": NAME}, {"state": "off", "name": "everything"}):
        answer = await client.post("/switches", data={"csrf": csrf, "reason": "because", **fields})
        assert (answer.status_code, "Nothing was turned" in answer.text) == (403, True)
    page = (await client.get("/switches")).text
    assert f"Switched off:</b> <code>{NAME}</code>." in page


@pytest.mark.parametrize(
    ("fields", "status", "part"),
    [
        ({"state": "off", "name": "action:nonsense", "reason": "x"}, 404, "There is no switch"),
        ({"state": "off", "name": "everything", "reason": " "}, 422, "goes on record"),
        ({"state": "maybe", "name": "everything", "reason": "x"}, 422, "off or on"),
        ({"name": "everything", "reason": "x"}, 422, "off or on"),
    ],
)
async def test_what_is_refused_is_said_on_the_page(
    client: httpx.AsyncClient, make_key: MakeKey, fields: dict[str, str], status: int, part: str
) -> None:
    await reviewer(client, make_key, name="lea", roles=["lead"])
    form = form_to((await client.get("/switches")).text, "/switches")
    answer = await client.post("/switches", data={"csrf": dict(form.fields)["csrf"], **fields})
    assert (answer.status_code, part in answer.text, "Nothing was turned" in answer.text) == (status, True, True)
    assert "every action and every source is on" in answer.text


async def test_a_hostile_reason_stays_text(client: httpx.AsyncClient, make_key: MakeKey, world: World) -> None:
    await turn_off(world, LEAD, NAME, HOSTILE)
    await turn_off(world, LEAD, "source:stripe", HOSTILE)
    await reviewer(client, make_key, name="lea", roles=["lead"])
    page = (await client.get("/switches")).text
    read = Forms(page)
    assert read.forbidden == []
    assert len(read.ids) == len(set(read.ids))
    assert "alert(&#39;x&#39;)" in page


async def test_budgets_are_shown_in_words(client: httpx.AsyncClient, make_key: MakeKey, world: World) -> None:
    hour = hour_of(world.clock())
    async with write(world.database.sessions) as session:
        session.add(BudgetHour(key="finance", hour=hour, unit="USD", spent=123_400))
        session.add(BudgetHour(key="risk", hour=hour, unit=COUNT, spent=60))
    page = (await (await reviewer(client, make_key)).get("/switches")).text
    for part in ("1234.00 USD", "5000.00 USD", "3766.00 USD", "used up", "700000 JPY", "fulfilment/resubmit_fulfilment"):
        assert part in page, part


async def test_switches_are_still_turned_when_the_figures_of_the_budgets_cannot_be_right(
    client: httpx.AsyncClient, make_key: MakeKey, world: World
) -> None:
    async with write(world.database.sessions) as session:
        session.add(BudgetHour(key="risk", hour=hour_of(world.clock()), unit=COUNT, spent=-1))
    page = (await (await reviewer(client, make_key, name="lea", roles=["lead"])).get("/switches")).text
    assert "cannot be right" in page
    assert form_to(page, "/switches", state="off").method == "post"
