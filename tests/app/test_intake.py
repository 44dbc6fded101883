"""Reports and evidence come in as signals; each report leads to one case."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from app import intake
from app.database import write
from app.errors import NotFound
from app.intake import Report
from app.signals.shapes import FieldsInvalid
from app.tables import Case, CaseState
from app.trail import Event
from app.world import World
from guardrails.proposal import Actor
from guardrails.taxonomy import PrincipalKind
from tests.builders import all_cases, event_arrives, order_arrives, orders, person, shopify_order, signals, the_case, trail_of
from tests.conftest import Clock
from tests.steps import work

DESK = Actor(PrincipalKind.SERVICE, "helpdesk")
AT = "2026-11-02T09:55:00Z"


def fact(value: Any, source: str = "shopify") -> dict[str, Any]:
    return {"value": value, "source": source, "observed_at": AT}


def about(ref: str = "#1001", **more: Any) -> Report:
    return Report(ref, "help desk", "The parcel never came.", **more)


async def test_a_report_is_stored_and_judged_as_a_case(world: World) -> None:
    total = fact({"amount": 5800, "currency": "USD"})
    case_id = await intake.report(world, DESK, about(facts={"order.total": total, "address.deliverable": fact(False, "verifier")}))
    await work(world)
    case = await the_case(world)
    assert (case.id, case.reported_by, case.category, case.state) == (case_id, "help desk", "address_risk", CaseState.REVIEW)
    assert [signal.source for signal in await signals(world)] == ["triage"]


async def test_ten_reports_at_once_about_one_new_order_open_one_record_and_one_case(world: World) -> None:
    ids = await asyncio.gather(*(intake.report(world, DESK, about()) for _ in range(10)))
    assert len(set(ids)) == 1
    assert len(await orders(world)) == 1
    assert len(await signals(world)) == 10
    assert (await the_case(world)).recurrence == 9


async def test_a_report_about_a_known_trouble_extends_its_case(world: World) -> None:
    await order_arrives(world)
    await event_arrives(world, "address.verified", {"deliverable": False})
    await work(world)
    case_id = await intake.report(world, DESK, about())
    case = await the_case(world)
    assert (case.id, case.state) == (case_id, CaseState.JUDGING)
    assert [body["by"] for _, body in await trail_of(world, Event.CASE_EXTENDED)] == ["helpdesk"]
    await work(world)
    assert (await the_case(world)).state == CaseState.REVIEW


async def test_a_report_does_not_disturb_an_approval_that_is_being_carried_out(world: World) -> None:
    await intake.report(world, DESK, about())
    await work(world)
    async with write(world.database.sessions) as session:
        await session.execute(update(Case).values(state=CaseState.ACTING))
    await intake.report(world, DESK, about())
    assert (await the_case(world)).state == CaseState.ACTING


async def test_signals_that_come_with_a_report_are_read_like_any_other(world: World) -> None:
    given = {"source": "shopify", "headers": {"X-Shopify-Topic": "orders/create"}, "payload": shopify_order()}
    await intake.report(world, DESK, about(signals=(given,)))
    assert [signal.source for signal in await signals(world)] == ["triage", "shopify"]
    assert len(await orders(world)) == 1


@pytest.mark.parametrize(
    "facts",
    [{"order.total": {"value": 1}}, {"order.total": 5}, {"order.total": {"value": 1, "source": "x", "observed_at": "soon"}}],
)
async def test_facts_of_the_wrong_shape_store_nothing(world: World, facts: dict[str, Any]) -> None:
    with pytest.raises(FieldsInvalid):
        await intake.report(world, DESK, about(facts=facts))
    assert (await signals(world), await all_cases(world)) == ([], [])


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "\u202e<b>"])
async def test_hostile_text_is_kept_and_judged(world: World, text: str) -> None:
    await intake.report(world, DESK, Report("#1001", "help\x00desk\ud800", text, {"order.note": fact(text)}))
    await work(world)
    assert (await the_case(world)).state != CaseState.JUDGING


async def test_evidence_is_a_signal_with_an_entry_and_the_case_is_judged_again(world: World, clock: Clock) -> None:
    await intake.report(world, DESK, about())
    await work(world)
    before = await the_case(world)
    clock.forward(minutes=1)
    facts = {"order.total": fact({"amount": 5800, "currency": "USD"})}
    judging = await intake.attach_evidence(world, person(), before.id, facts, "see the till roll")
    assert (judging.state, judging.version) == (CaseState.JUDGING, before.version + 1)
    await work(world)
    after = await the_case(world)
    assert after.decision_id != before.decision_id
    ((_, body),) = [entry for entry in await trail_of(world) if entry[0] == Event.EVIDENCE_ATTACHED]
    assert (body["facts"], body["signal_id"]) == (["order.total"], (await signals(world))[-1].id)


async def test_evidence_for_a_closed_case_is_kept_and_opens_nothing_by_itself(world: World) -> None:
    await intake.report(world, DESK, about())
    async with write(world.database.sessions) as session:
        await session.execute(update(Case).values(state=CaseState.RESOLVED))
    await intake.attach_evidence(world, person(), (await the_case(world)).id, {}, "found it")
    assert ((await the_case(world)).state, len(await signals(world))) == (CaseState.RESOLVED, 2)


async def test_evidence_for_no_case_is_refused(world: World) -> None:
    with pytest.raises(NotFound):
        await intake.attach_evidence(world, person(), "case_none", {}, "x")
    assert await signals(world) == []


async def test_waiting_ends_with_the_verdict_or_with_the_time(world: World) -> None:
    case_id = await intake.report(world, DESK, about())
    assert (await intake.wait_for_verdict(world, case_id, 0.0)).state == CaseState.JUDGING
    waiting = asyncio.create_task(intake.wait_for_verdict(world, case_id, 20.0))
    await work(world)
    assert (await waiting).state != CaseState.JUDGING
