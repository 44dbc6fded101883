"""A policy on trial: it is asked about every judgement, and nothing follows from what it says."""

from typing import Any

import pytest
from sqlalchemy import select

from app import shadow
from app.errors import PolicyNotPublished
from app.published import policy_in_shadow, trial_of
from app.publishing import end_shadow, publish
from app.tables import Decision
from app.world import World
from guardrails.policy.tables import Mode
from guardrails.taxonomy import Verdict
from tests.app.changed_policies import high_value
from tests.app.test_published import LEAD, rows
from tests.builders import order_arrives, the_case, trail_of, warehouse_busy
from tests.conftest import Clock
from tests.steps import work


async def shadow_of(world: World) -> list[dict[str, Any] | None]:
    async with world.database.sessions() as session:
        return list((await session.execute(select(Decision.shadow).order_by(Decision.at, Decision.id))).scalars())


async def test_without_a_policy_on_trial_nothing_is_recorded_of_one(world: World) -> None:
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    assert await shadow_of(world) == [None]


async def test_a_policy_on_trial_is_asked_and_nothing_follows(world: World, clock: Clock) -> None:
    row = await publish(world, LEAD, high_value("40.00"), Mode.SHADOW, "see first")
    clock.forward(minutes=1)
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    assert (await the_case(world)).verdict == Verdict.AUTOMATE
    tried, *_ = await shadow_of(world)
    assert tried is not None
    assert tried["policy"] == {"version": "lowered", "sha256": row.sha256}
    assert (tried["against"], tried["verdict"], tried["error"]) == ("tighter", "review", None)
    assert tried["only_here"] == ["mandatory.high_value_order.1"]
    assert "58.00 USD" in tried["sentence"]
    assert {item["verdict"] for item in tried["actions"]} <= set(Verdict)
    async with world.database.sessions() as session:
        trial = await trial_of(session, row)
    assert (trial.judged, trial.agree, trial.tighter, trial.looser, trial.failed) == (
        len(await shadow_of(world)),
        0,
        trial.judged,
        0,
        0,
    )


async def test_a_trial_that_breaks_is_recorded_and_felt_by_nobody(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(world, LEAD, high_value("40.00"), Mode.SHADOW, "see first")
    clock.forward(minutes=1)

    def broken(*of: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(shadow, "compared", broken)
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    assert (await the_case(world)).verdict == Verdict.AUTOMATE
    recorded = [item for item in await shadow_of(world) if item is not None]
    assert {(item["against"], item["error"]) for item in recorded} == {("failed", "RuntimeError: a defect")}


async def test_a_trial_ends_when_its_policy_comes_into_force(world: World, clock: Clock) -> None:
    clock.forward(minutes=1)
    await publish(world, LEAD, high_value("40.00"), Mode.SHADOW, "see first")
    clock.forward(minutes=1)
    await publish(world, LEAD, high_value("40.00"), Mode.ENFORCE, "it was right")
    assert [(row.mode, row.ended_at is None) for row in await rows(world)] == [
        ("enforce", False),
        ("shadow", False),
        ("enforce", True),
    ]


async def test_a_trial_goes_on_when_another_policy_comes_into_force(world: World) -> None:
    tried = await publish(world, LEAD, high_value("40.00", "tried"), Mode.SHADOW, "see first")
    await publish(world, LEAD, high_value("41.00", "other"), Mode.ENFORCE, "urgent")
    assert [row.id for row in await rows(world) if row.mode == "shadow" and row.ended_at is None] == [tried.id]


async def test_a_trial_can_be_ended(world: World) -> None:
    await publish(world, LEAD, high_value("40.00"), Mode.SHADOW, "see first")
    await end_shadow(world, LEAD, "seen enough")
    async with world.database.sessions() as session:
        assert await policy_in_shadow(session, world) is None
    ((_, body),) = await trail_of(world, "policy.ended")
    assert (body["version"], body["why"]) == ("lowered", "seen enough")
    with pytest.raises(PolicyNotPublished, match="No policy is in shadow"):
        await end_shadow(world, LEAD, "again")
