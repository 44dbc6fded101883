"""A limit is lowered: tried on the past, published, obeyed by a process that was already running, and rolled back."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app import trail
from app.published import PolicyText, in_force, read_policy
from app.publishing import publish
from app.settings import Settings
from app.signals.shapes import Source
from app.simulate import simulate
from app.tables import Case, Decision, PublishedPolicy
from app.wiring import open_world
from app.world import World
from guardrails.facts import rfc3339
from guardrails.policy.tables import Mode
from tests.app.changed_policies import AS_SHIPPED, high_value
from tests.app.typed import SCRIPT
from tests.builders import CLOUD, cloud_event, person, shopify_headers, shopify_order
from tests.steps import deliver, until, work

pytestmark = pytest.mark.journey
LEAD = person("lee", "lead")
LOWERED = high_value("40.00")
TOTALS = ("19.00", "39.99", "40.00", "40.01", "88.00", "650.00")


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def here(settings: Settings) -> AsyncIterator[World]:
    """This process: it publishes, and works only where a test says so."""
    async with open_world(settings, clock=now) as world:
        yield world


@pytest.fixture
async def elsewhere(settings: Settings, here: World, tmp_path: Path) -> AsyncIterator[None]:
    """`ordermend worker`, running in a process of its own on the same database."""
    ours = {
        "ORDERMEND_DATABASE_URL": settings.database_url,
        "ORDERMEND_DATA_DIR": str(tmp_path),
        "ORDERMEND_CLASSIFIER": "rules",
        "ORDERMEND_SWEEP_EVERY_S": "1",
    }
    with (tmp_path / "worker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(SCRIPT, "worker", env=os.environ | ours, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            await process.wait()


async def rejected(world: World, name: str, number: int, total: str) -> None:
    """An order that the warehouse turned down for a passing reason."""
    moment = rfc3339(now() - timedelta(minutes=1))
    order = shopify_order(name, number, total_price=total, created_at=moment, updated_at=moment)
    await deliver(world, Source.SHOPIFY, order, shopify_headers())
    await deliver(world, Source.EVENTS, cloud_event("wms.order.rejected", {"reason": "system_busy"}, name, time=moment), CLOUD)


async def newest(world: World) -> dict[str, tuple[str, str, str]]:
    """By order its case's newest decision, verdict and policy."""
    query = select(Case.order_ref, Decision).join(Decision, Decision.id == Case.decision_id)
    async with world.database.sessions() as session:
        rows = (await session.execute(query)).all()
    return {ref: (decision.id, decision.verdict, decision.policy_sha256) for ref, decision in rows}


async def verdicts(world: World) -> dict[str, str]:
    return {ref: verdict for ref, (_, verdict, _) in (await newest(world)).items()}


async def all_judged_under(world: World, row: PublishedPolicy, orders: int) -> None:
    async def so() -> bool:
        found = await newest(world)
        return len(found) == orders and {sha256 for _, _, sha256 in found.values()} == {row.sha256}

    await until(so)


async def put(world: World, written: PolicyText, why: str) -> PublishedPolicy:
    return await publish(world, LEAD, written, Mode.ENFORCE, why)


def turned(report: dict[str, Any], judged: dict[str, tuple[str, str, str]]) -> dict[str, tuple[str, str]]:
    """By order how the newest ruling about it would turn out."""
    decisions = {decision: ref for ref, (decision, _, _) in judged.items()}
    shown = {case["decision_id"]: (case["old"], case["new"]) for case in report["cases"]}
    return {ref: shown[decision] for decision, ref in decisions.items() if decision in shown}


async def test_a_lowered_limit_from_its_trial_to_its_rollback(here: World, elsewhere: None) -> None:
    for number, total in enumerate(TOTALS):
        await rejected(here, f"#4{number:03}", 9_000 + number, total)
    await work(here)
    await until(lambda: _are_judged(here, len(TOTALS)))
    before = await newest(here)

    report = await simulate(here, read_policy(LOWERED), cases=500)
    foretold = turned(report, before)
    assert set(foretold) == {"#4002", "#4003", "#4004"}
    assert set(foretold.values()) == {("automate", "review")}
    assert await newest(here) == before  # a trial changes nothing

    row = await put(here, LOWERED, "fewer surprises")
    await all_judged_under(here, row, len(TOTALS))
    after = await verdicts(here)
    changed = {ref: (verdict, after[ref]) for ref, (_, verdict, _) in before.items() if after[ref] != verdict}
    assert changed == foretold

    await rejected(here, "#4900", 9_900, "41.00")
    await all_judged_under(here, row, len(TOTALS) + 1)
    assert (await verdicts(here))["#4900"] == "review"

    back = await put(here, AS_SHIPPED, "too many reviews")
    await all_judged_under(here, back, len(TOTALS) + 1)
    assert (await in_force(here)).sha256 == back.sha256 != row.sha256
    assert await verdicts(here) == {ref: verdict for ref, (_, verdict, _) in before.items()} | {"#4900": "automate"}

    async with here.database.sessions() as session:
        assert (await trail.verify(session)).valid
        published = (await session.execute(select(PublishedPolicy).order_by(PublishedPolicy.published_at))).scalars().all()
    assert [(item.by, item.ended_at is None) for item in published] == [("start", False), ("lee", False), ("lee", True)]
    assert [item.report is not None for item in published] == [False, True, True]


async def _are_judged(world: World, orders: int) -> bool:
    return len(await newest(world)) == orders
