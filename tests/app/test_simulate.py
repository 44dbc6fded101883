"""What another policy would have ruled on what was really ruled, compared with ruling each of them again."""

import asyncio
import logging
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from app import outcomes
from app.archive import Span, archive
from app.database import write
from app.errors import Denied, InputInvalid
from app.past_rulings import past, read_ruling
from app.published import PolicyText, read_policy
from app.publishing import publish
from app.simulate import in_short, may_simulate, read, simulate
from app.tables import Case, Decision, RulingColumn, RulingSegment
from app.world import World
from guardrails.policy.load import Policy
from guardrails.policy.tables import Mode
from guardrails.proposal import AGENT
from guardrails.replay.recorded import RecordedRuling, rule_again
from tests.app.changed_policies import SHIPPED, high_value
from tests.builders import event_arrives, order_arrives, payment, person, stripe_says, warehouse_busy
from tests.conftest import Clock
from tests.steps import work

LOWERED = read_policy(high_value("40.00"))


async def day(world: World, clock: Clock) -> None:
    """Orders from 20 to 60 USD: some run by themselves, some wait for a person, some are blocked."""
    for number, total in enumerate((20, 39.99, 40, 45, 60)):
        name = f"#3{number:03}"
        await order_arrives(world, name, 8_000 + number, total_price=f"{total:.2f}")
        await warehouse_busy(world, name)
        await work(world)
        clock.forward(minutes=7)
    await order_arrives(world, "#3900", 8_900, total_price="700.00")
    await event_arrives(world, "wms.order.rejected", {"reason": "out_of_stock"}, "#3900")
    await stripe_says(world, "payment_intent.succeeded", payment("succeeded", "3900", 70_000))
    await work(world)
    clock.forward(minutes=7)


async def asked_again(world: World, policy: Policy) -> dict[str, tuple[str, str]]:
    """By decision what the gate itself says under the policy in force and under this one."""
    async with world.database.sessions() as session:
        rows = [read_ruling(row) for row in (await session.execute(past())).all()]
    rulings = [row for row in rows if isinstance(row, RecordedRuling)]
    assert len(rulings) == len(rows)
    return {item.decision: (rule_again(item, world.policy).verdict, rule_again(item, policy).verdict) for item in rulings}


def flipped(report: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {case["decision_id"]: (case["old"], case["new"]) for case in report["cases"]}


@pytest.mark.parametrize("full", [None, 2, 4])
async def test_the_flips_are_those_that_ruling_again_brings(world: World, clock: Clock, full: int | None) -> None:
    await day(world, clock)
    while full and await archive(world, full):
        pass
    report = await simulate(world, LOWERED, cases=500)
    again = await asked_again(world, LOWERED)
    assert flipped(report) == {decision: pair for decision, pair in again.items() if pair[0] != pair[1]}
    assert report["rulings"] == report["decisions"] == len(again)
    assert (report["unreadable"], report["recorded_differs"], report["loosened"]) == (0, 0, 0)
    assert 0 < report["tightened"] < report["rulings"]


async def test_a_flipped_case_is_shown_with_its_facts_as_they_were_then(world: World, clock: Clock) -> None:
    await day(world, clock)
    case = next(item for item in (await simulate(world, LOWERED))["cases"] if item["order_ref"] == "#3004")
    await order_arrives(world, "#3004", 8_004, total_price="9000.00", updated_at="2026-11-02T10:30:00Z")
    await work(world)
    later = await simulate(world, LOWERED, cases=500)
    assert case in later["cases"]
    assert case["facts"]["order.total"]["value"] == {"amount": 6_000, "currency": "USD"}
    assert (case["old"], case["new"], case["newly_fired"]) == ("automate", "review", ["mandatory.high_value_order.1"])


async def test_only_so_many_cases_are_shown_and_all_are_counted(world: World, clock: Clock) -> None:
    await day(world, clock)
    full, none = await simulate(world, LOWERED, cases=500), await simulate(world, LOWERED, cases=0)
    assert none["cases"] == []
    assert none["flips_in_all"] == full["flips_in_all"] == len(full["cases"]) > 0


async def test_only_the_span_is_asked_about(world: World, clock: Clock) -> None:
    begun = clock.now
    await day(world, clock)
    await archive(world, 4)
    noon = begun.replace(minute=begun.minute + 15)
    before, after = await simulate(world, LOWERED, span=Span(until=noon)), await simulate(world, LOWERED, span=Span(since=noon))
    everything = await simulate(world, LOWERED)
    assert before["rulings"] + after["rulings"] == everything["rulings"]
    assert min(before["rulings"], after["rulings"]) > 0
    assert before["decisions"] == before["rulings"]
    with pytest.raises(InputInvalid):
        await simulate(world, LOWERED, span=Span(noon, noon))


@pytest.mark.parametrize(
    ("span", "pointer"),
    [
        (Span(since=datetime.fromisoformat("9999-12-31T23:59:00-14:00")), "/since"),
        (Span(until=datetime.fromisoformat("0001-01-01T00:00:00+14:00")), "/until"),
    ],
)
async def test_a_time_that_no_calendar_holds_is_a_mistake_of_the_caller(world: World, span: Span, pointer: str) -> None:
    with pytest.raises(InputInvalid, match=pointer):
        await simulate(world, LOWERED, span=span)


async def test_one_is_replayed_at_a_time(world: World) -> None:
    async with world.simulating:
        asked = asyncio.create_task(simulate(world, LOWERED))
        done, _ = await asyncio.wait([asked], timeout=0.3)
        assert not done
    assert (await asked)["decisions"] == 0


async def test_actions_ruled_otherwise_are_told_where_the_case_stays_as_it_is(world: World, clock: Clock) -> None:
    await order_arrives(world, total_price="700.00")
    await event_arrives(world, "wms.order.rejected", {"reason": "out_of_stock"})
    await work(world)
    waits = read_policy(every_action_waits())
    report = await simulate(world, waits)
    assert (report["tightened"], report["flips_in_all"]) == (0, 0)
    assert report["actions_tightened"] == report["actions"]["automate"]["review"] > 0
    back = await simulate(world, world.policy, against=waits)
    assert (back["loosened"], back["actions_loosened"]) == (0, report["actions_tightened"])
    assert in_short(back)["actions_loosened"] == back["actions_loosened"]


def every_action_waits() -> PolicyText:
    """The shipped policy with one more rule: a person decides about every action, also about those that protect."""
    rule = """rules:
  - id: review.everything
    effect: review
    owner: operations
    when: order.total >= 0.00 USD
    because: everything waits at present
    until: it is over
"""
    return PolicyText("policy.yaml", high_value("500.00", "waits").document.replace("\nrules:\n", f"\n{rule}", 1))


async def test_two_policies_that_are_not_in_force_can_be_compared(world: World, clock: Clock) -> None:
    await day(world, clock)
    report = await simulate(world, world.policy, against=LOWERED)
    assert (report["against"]["version"], report["tightened"]) == ("lowered", 0)
    assert report["loosened"] == (await simulate(world, LOWERED))["tightened"]


async def test_what_came_of_the_flipped_cases_is_counted(world: World, clock: Clock) -> None:
    await day(world, clock)
    async with world.database.sessions() as session:
        ids = {case.order_ref: case.id for case in (await session.execute(select(Case))).scalars()}
    await outcomes.report_outcome(world, person(), ids["#3004"], {"true_category": "payment_failed"})
    await outcomes.report_outcome(world, person(), ids["#3003"], {"true_category": "warehouse_exception"})
    report = await simulate(world, LOWERED, cases=500)
    by_order: dict[str, set[str]] = {}
    for case in report["cases"]:
        by_order.setdefault(case["order_ref"], set()).update(item["turned"] for item in case["outcomes"])
    assert (by_order["#3004"], by_order["#3003"], by_order["#3002"]) == ({"bad"}, {"good"}, set())
    counted = report["outcomes"]["tightened"]
    assert counted["good"] > 0
    assert counted["bad"] > 0
    assert sum(counted.values()) == report["tightened"]


async def test_a_decision_that_cannot_be_read_is_said_to_be_left_out(world: World, clock: Clock) -> None:
    await day(world, clock)
    async with write(world.database.sessions) as session:
        one = (await session.execute(select(Decision.id).order_by(Decision.at).limit(1))).scalar_one()
        await session.execute(update(Decision).where(Decision.id == one).values(diagnosis={"category": "of another age"}))
    report = await simulate(world, LOWERED)
    assert (report["unreadable"], report["unreadable_first"][0]["decision"]) == (1, one)
    assert report["decisions"] == report["rulings"] + 1
    assert report["left_out"] == in_short(report)["left_out"] == [{"count": 1, "why": "what is on record cannot be read back"}]


async def damage(world: World, column: str) -> int:
    """Bytes of the first segment's column are changed; its id."""
    async with write(world.database.sessions) as session:
        first = (await session.execute(select(func.min(RulingSegment.id)))).scalar_one()
        here = (RulingColumn.segment_id == first) & (RulingColumn.name == column)
        await session.execute(update(RulingColumn).where(here).values(data=b"OMC1 and nothing that fits"))
    return first


async def segments(world: World) -> list[int]:
    async with world.database.sessions() as session:
        return list((await session.execute(select(RulingSegment.id).order_by(RulingSegment.id))).scalars())


@pytest.mark.parametrize("column", ["segment", "field:order.total", "actions"])
async def test_a_damaged_segment_is_dropped_and_its_decisions_are_read_again(
    world: World, clock: Clock, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    await day(world, clock)
    whole = await simulate(world, LOWERED, cases=500)
    while await archive(world, 3):
        pass
    before = await segments(world)
    broken = await damage(world, column)
    with caplog.at_level(logging.WARNING):
        report = await simulate(world, LOWERED, cases=500)
    assert f"segment {broken} of the archive is damaged" in caplog.text
    assert flipped(report) == flipped(whole)
    assert (report["rulings"], report["matrix"], report["left_out"]) == (whole["rulings"], whole["matrix"], [])
    assert await segments(world) == before[1:]
    assert await archive(world, 3)
    again = await simulate(world, LOWERED, cases=500)
    assert (again["rulings"], again["matrix"]) == (whole["rulings"], whole["matrix"])


async def test_whoever_may_not_write_reads_past_a_damaged_segment(world: World, clock: Clock) -> None:
    await day(world, clock)
    whole = await simulate(world, LOWERED, cases=500)
    while await archive(world, 3):
        pass
    before = await segments(world)
    await damage(world, "at")
    reading = {"options": "-c default_transaction_read_only=on"}
    engine = create_async_engine(world.database.engine.url, connect_args=reading)
    database = replace(world.database, engine=engine, sessions=async_sessionmaker(engine, expire_on_commit=False))
    try:
        report = await simulate(replace(world, database=database), LOWERED, cases=500)
    finally:
        await engine.dispose()
    assert flipped(report) == flipped(whole)
    assert (report["rulings"], report["left_out"]) == (whole["rulings"], [])
    assert await segments(world) == before


async def test_publishing_is_not_stopped_by_a_damaged_segment(world: World, clock: Clock) -> None:
    await day(world, clock)
    assert await archive(world, 3)
    await damage(world, "rows")
    row = await publish(world, person("lee", "lead"), high_value("40.00"), Mode.ENFORCE, "fewer surprises")
    assert row.report is not None
    assert row.report["rulings"] == row.report["decisions"] > 0


async def test_with_no_past_there_is_nothing_to_compare(world: World) -> None:
    report = await simulate(world, LOWERED)
    assert (report["rulings"], report["flips_in_all"], report["cases"], report["first_at"]) == (0, 0, [], None)


async def test_an_overlay_counts_too() -> None:
    with pytest.raises(Exception, match=r"overlay.yaml:\d+:\d+: "):
        await read(PolicyText("policy.yaml", SHIPPED, "nonsense: true"))


@pytest.mark.parametrize("role", ["lead", "operations", "senior_reviewer", "admin"])
def test_those_who_answer_for_the_policy_may_simulate(role: str) -> None:
    may_simulate(person("kim", role))


def test_nobody_else_may() -> None:
    for actor in (person("kim", "reviewer"), AGENT):
        with pytest.raises(Denied):
            may_simulate(actor)
