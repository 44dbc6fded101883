"""A case judged with a language model behind a real HTTP endpoint on this machine, from the signal to the trail."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import SecretStr
from sqlalchemy import select

from app import pipeline, trail
from app.publishing import publish
from app.serving import listening
from app.settings import LlmEndpoint, Settings
from app.signals.shapes import Source
from app.tables import Case, Decision, ModelAnswer
from app.wiring import open_world
from app.world import World
from guardrails.policy.tables import Mode
from guardrails.taxonomy import Reason
from tests.app.changed_policies import high_value
from tests.builders import person
from tests.conftest import Clock
from tests.steps import deliver, work

pytestmark = pytest.mark.journey

DECLINED: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "created": 1793613540,
    "type": "payment_intent.payment_failed",
    "data": {
        "object": {
            "id": "pi_1",
            "object": "payment_intent",
            "amount": 5800,
            "currency": "usd",
            "status": "requires_payment_method",
            "metadata": {"order_id": "#1001"},
            "last_payment_error": {"code": "card_declined", "decline_code": "insufficient_funds", "message": "declined"},
        }
    },
}
ANSWER = {
    "category": "payment_failed",
    "evidence": [{"pointer": "payment.decline_code[pi_1]", "quote": "insufficient_funds"}],
    "summary": "The card was declined for lack of funds.",
    "owner": "finance",
    "actions": ["notify_owner", "refund_payment"],
    "confidence": 97,
    "injection_suspected": False,
}


class Model:
    """An OpenAI-compatible endpoint that says what it is told to, and counts how often it is asked."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = ANSWER
        self.status = 200
        self.asked: list[dict[str, Any]] = []
        self.app = FastAPI()
        self.app.post("/v1/chat/completions")(self._complete)

    async def _complete(self, request: Request) -> JSONResponse:
        body = await request.json()
        self.asked.append(body)
        if self.status != 200:
            return JSONResponse({"error": {"message": "no", "type": "invalid_request_error"}}, self.status)
        message = {"role": "assistant", "content": json.dumps(self.answer), "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 700, "completion_tokens": 80, "total_tokens": 780}
        told = {"id": "c1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice], "usage": usage}
        return JSONResponse(told)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def world(settings: Settings, clock: Clock, model: Model) -> AsyncIterator[World]:
    async with listening(model.app, "127.0.0.1", 0) as address:
        llm = LlmEndpoint(base_url=f"{address}/v1", api_key=SecretStr("sk-very-secret"), model="test-model")
        configured = settings.model_copy(update={"classifier": "auto", "llm": llm})
        async with open_world(configured, clock=clock) as opened:
            yield opened


async def _judged(world: World) -> tuple[Case, Decision]:
    async with world.database.sessions() as session:
        case = (await session.execute(select(Case))).scalar_one()
        assert case.decision_id is not None
        return case, await session.get_one(Decision, case.decision_id)


async def test_the_model_interprets_and_the_policy_rules(world: World, model: Model) -> None:
    await deliver(world, Source.STRIPE, DECLINED)
    await work(world)
    case, decision = await _judged(world)
    assert (case.category, case.summary) == ("payment_failed", ANSWER["summary"])
    ruled = {item["action"]["action"]: item["verdict"] for item in decision.ruling["actions"]}
    assert ruled["notify_owner"] == "automate"
    assert ruled["refund_payment"] == "block"  # nobody has stated what the order is worth
    assert Reason.FAILED_PAYMENT_CAPTURE in case.mandatory
    assert [item["struck"] for item in decision.ruling["evidence"]] == [None]


async def test_the_trail_holds_prompt_hash_model_and_raw_answer(world: World) -> None:
    await deliver(world, Source.STRIPE, DECLINED)
    await work(world)
    case, _ = await _judged(world)
    async with world.database.sessions() as session:
        entries = await trail.of_case(session, case.id)
    told = next(json.loads(e.body) for e in entries if e.event == trail.Event.DECISION_MADE)
    call = told["diagnosis"]["call"]
    assert call["model"] == "test-model"
    assert json.loads(call["raw_answer"]) == ANSWER
    assert len(call["prompt_sha256"]) == 64
    assert call["prompt_tokens"] >= 700
    assert call["messages"][0]["role"] == "system"
    assert "sk-very-secret" not in json.dumps(told)


async def test_an_answered_question_is_not_asked_again(world: World, model: Model, clock: Clock) -> None:
    await deliver(world, Source.STRIPE, DECLINED)
    await work(world)
    asked = len(model.asked)
    assert asked >= 1
    case, _ = await _judged(world)
    async with world.database.sessions() as session, session.begin():
        (await session.get_one(Case, case.id)).state = "judging"
    clock.forward(hours=2)
    await pipeline.triage(world, case.id)
    again, _ = await _judged(world)
    assert (again.state, again.category) == (case.state, "payment_failed")
    assert len(model.asked) == asked
    async with world.database.sessions() as session:
        assert len((await session.execute(select(ModelAnswer))).scalars().all()) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {**ANSWER, "category": "banana"},
        {"nonsense": True},
        {**ANSWER, "evidence": [{"pointer": "payment.decline_code[pi_1]", "quote": "lost_card"}]},
        {**ANSWER, "evidence": [{"pointer": "/nowhere/at/all", "quote": "insufficient_funds"}]},
    ],
)
async def test_an_answer_that_does_not_hold_goes_to_a_person(world: World, model: Model, answer: dict[str, Any]) -> None:
    model.answer = answer
    await deliver(world, Source.STRIPE, DECLINED)
    await work(world)
    case, decision = await _judged(world)
    assert case.verdict in ("review", "block")
    assert {Reason.CLASSIFIER_UNAVAILABLE, Reason.UNGROUNDED_EVIDENCE} & set(case.mandatory)
    assert not [
        item
        for item in decision.ruling["actions"]
        if item["verdict"] == "automate" and item["action"]["action"] == "hold_fulfilment"
    ]


async def test_an_endpoint_that_refuses_the_key_sends_the_case_to_a_person(world: World, model: Model) -> None:
    model.status = 401
    await deliver(world, Source.STRIPE, DECLINED)
    await work(world)
    case, decision = await _judged(world)
    assert case.verdict in ("review", "block")
    assert Reason.CLASSIFIER_UNAVAILABLE in case.mandatory
    assert decision.diagnosis["failure"]
    assert len(model.asked) == 1


async def test_the_prompt_shows_the_numbers_of_the_policy_that_rules(world: World, model: Model, clock: Clock) -> None:
    await publish(world, person("lee", "lead"), high_value("41.17"), Mode.ENFORCE, "fewer surprises")
    clock.forward(minutes=1)
    await deliver(world, Source.STRIPE, DECLINED)
    await work(world)
    _, decision = await _judged(world)
    assert decision.policy_version == "lowered"
    for asked in model.asked:
        assert "41.17 USD" in asked["messages"][0]["content"]
        assert "500.00 USD" not in asked["messages"][0]["content"]
    assert model.asked
