"""From a signal to an explanation: a case routed by rules, judged, and explained by a model behind a real HTTP endpoint."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app import explaining, trail
from app.models.endpoint import Endpoint
from app.models.explain import Explainer
from app.models.model_settings import LlmSettings, Request
from app.models.turns import Turns
from app.prompts import load_prompts
from app.serving import listening
from app.settings import Settings
from app.signals.shapes import Source
from app.tables import Case, ExplanationRow
from app.wiring import open_world
from app.world import World
from tests.app.explained import Routing
from tests.app.test_llm import Waits
from tests.conftest import Clock
from tests.journeys.test_model import DECLINED, Model
from tests.steps import deliver, until, work

pytestmark = pytest.mark.journey

PROMPTS = load_prompts(Path(__file__).parents[2] / "prompts")
TOLD: dict[str, Any] = {
    "summary": "The bank declined the card for lack of funds.",
    "evidence": [{"pointer": "payment.decline_code", "quote": "insufficient_funds"}],
}


@pytest.fixture
def model() -> Model:
    told = Model()
    told.answer = TOLD
    return told


@pytest.fixture
async def explainer(model: Model) -> AsyncIterator[Explainer]:
    waits = Waits()
    async with listening(model.app, "127.0.0.1", 0) as address:
        settings = LlmSettings(f"{address}/v1", "sk-very-secret", "test-model", Request(attempts=1))
        endpoint = Endpoint(settings, waits.clock, waits.sleep)
        yield Explainer(settings, PROMPTS, endpoint=endpoint, clock=waits.clock, turns=Turns(), prices={})
        await endpoint.aclose()


def explained_by(world: World, explainer: Explainer) -> World:
    return replace(world, classifier=Routing(world.owners, explainer))


async def judged(world: World) -> Case:
    await deliver(world, Source.STRIPE, DECLINED)
    await work(world)
    async with world.database.sessions() as session:
        return (await session.execute(select(Case))).scalar_one()


async def explanation(world: World) -> ExplanationRow | None:
    async with world.database.sessions() as session:
        return (await session.execute(select(ExplanationRow))).scalar_one_or_none()


async def test_the_model_explains_what_was_decided_without_it(world: World, model: Model, explainer: Explainer) -> None:
    case = await judged(world)
    assert model.asked == []
    assert await explaining.explain_next(explained_by(world, explainer))
    row = await explanation(world)
    assert row is not None
    assert (row.decision_id, row.summary) == (case.decision_id, TOLD["summary"])
    assert [(item["source"], item["struck"]) for item in row.evidence] == [("stripe", None)]
    assert len(model.asked) == 1
    assert model.asked[0]["max_tokens"] <= 150
    async with world.database.sessions() as session:
        after = await session.get_one(Case, case.id)
        entries = await trail.of_case(session, case.id)
    assert (after.verdict, after.category, after.version) == (case.verdict, case.category, case.version)
    told = json.loads(next(e.body for e in entries if e.event == trail.Event.CASE_EXPLAINED))
    assert told["call"]["messages"][0]["role"] == "system"
    assert "sk-very-secret" not in json.dumps(told)


async def test_an_endpoint_that_is_down_leaves_the_case_decided_and_says_why(
    world: World, model: Model, explainer: Explainer
) -> None:
    model.status = 503
    case = await judged(world)
    await explaining.explain_next(explained_by(world, explainer))
    row = await explanation(world)
    assert row is not None
    assert row.at is None
    assert "503" in (row.failure or "")
    async with world.database.sessions() as session:
        assert (await session.get_one(Case, case.id)).verdict == case.verdict


async def test_a_running_program_explains_by_itself(settings: Settings, clock: Clock, explainer: Explainer) -> None:
    async with open_world(settings, clock=clock) as world:
        routing = Routing(world.owners, explainer)
    async with open_world(settings, clock=clock, classifier=routing, worker=True) as world:
        await deliver(world, Source.STRIPE, DECLINED)

        async def told() -> bool:
            row = await explanation(world)
            return row is not None and row.summary == TOLD["summary"]

        await until(told)
