"""An answered request is not paid for again: after a failure, after a crash, or when two ask at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import respx
from sqlalchemy import select

from app.database import write
from app.model_answers import DatabaseAnswers, drop_expired, kept_answers
from app.models.endpoint import Endpoint, EndpointFailed, Tally
from app.models.model_settings import LlmSettings, ModelsFile, Price, Request
from app.tables import ModelCallRow
from app.world import World
from tests.app.test_llm import URL, Waits, refused, reply
from tests.conftest import Clock

ASKING = LlmSettings("http://llm.test/v1", "sk-1", "test-model")
PRICES = {"test-model": Price(input=Decimal("0.25"), cached=Decimal("0.025"), output=Decimal("2.00"), as_of=date(2026, 11, 1))}
REQUEST: dict[str, Any] = {"model": "test-model", "messages": [{"role": "user", "content": "Why?"}], "max_tokens": 50}
ONE_TOKEN = {**REQUEST, "max_tokens": 1}


@pytest.fixture
async def network() -> AsyncIterator[respx.Router]:
    with respx.mock(assert_all_called=False) as router:
        yield router


@pytest.fixture
def route(network: respx.Router) -> respx.Route:
    return network.post(URL)


def endpoint_of(world: World, asking: LlmSettings = ASKING) -> Endpoint:
    """A process that has just started: it remembers nothing but what is in the database."""
    waits = Waits()
    kept = DatabaseAnswers(world.database.sessions, world.clock, asking, PRICES, timedelta(days=1))
    return Endpoint(asking, waits.clock, waits.sleep, kept)


async def rows(world: World) -> list[ModelCallRow]:
    async with world.database.sessions() as session:
        return list((await session.execute(select(ModelCallRow))).scalars())


async def test_a_request_that_was_answered_before_a_restart_is_not_sent_again(world: World, route: respx.Route) -> None:
    route.mock(return_value=reply("because"))
    await endpoint_of(world).send(Tally(), REQUEST, 60)
    tally = Tally()

    said = await endpoint_of(world).send(tally, REQUEST, 60)

    assert said.choices[0].message.content == "because"
    assert (route.call_count, tally.attempts, tally.reused) == (1, 0, 1)
    assert tally.prompt_tokens == 1000


async def test_what_a_call_used_and_cost_stands_in_its_row(world: World, route: respx.Route) -> None:
    route.mock(return_value=reply("because"))
    await endpoint_of(world).send(Tally(), REQUEST, 60)

    (row,) = await rows(world)

    assert (row.prompt_tokens, row.cached_tokens, row.completion_tokens, row.cost_micros) == (1000, 800, 100, 270)
    assert (row.model, row.finish_reason) == ("test-model", "stop")


async def test_without_a_price_the_cost_is_unknown_and_not_nothing(world: World, route: respx.Route) -> None:
    route.mock(return_value=reply("because"))
    other = {**REQUEST, "model": "another"}
    await endpoint_of(world).send(Tally(), other, 60)

    (row,) = await rows(world)

    assert row.cost_micros is None


async def test_two_that_ask_the_same_at_once_share_one_call(world: World, route: respx.Route) -> None:
    route.mock(return_value=reply("because"))
    endpoint, tally = endpoint_of(world), Tally()

    await asyncio.gather(*(endpoint.send(tally, REQUEST, 60) for _ in range(3)))

    assert (route.call_count, tally.attempts, tally.reused) == (1, 1, 2)


@pytest.mark.parametrize("changed", [{"max_tokens": 51}, {"temperature": 0}, {"messages": [{"role": "user", "content": "How?"}]}])
async def test_another_request_is_asked(world: World, route: respx.Route, changed: dict[str, Any]) -> None:
    route.mock(return_value=reply("because"))
    endpoint = endpoint_of(world)
    await endpoint.send(Tally(), REQUEST, 60)

    await endpoint.send(Tally(), {**REQUEST, **changed}, 60)

    assert route.call_count == 2


async def test_another_endpoint_is_asked(world: World, route: respx.Route, network: respx.Router) -> None:
    route.mock(return_value=reply("because"))
    network.post("http://other.test/v1/chat/completions").mock(return_value=reply("no idea"))
    await endpoint_of(world).send(Tally(), REQUEST, 60)

    said = await endpoint_of(world, LlmSettings("http://other.test/v1", "", "test-model")).send(Tally(), REQUEST, 60)

    assert said.choices[0].message.content == "no idea"


async def test_an_answer_stands_for_its_time_and_is_then_forgotten(world: World, clock: Clock, route: respx.Route) -> None:
    route.mock(return_value=reply("because"))
    await endpoint_of(world).send(Tally(), REQUEST, 60)
    clock.forward(days=1)

    async with write(world.database.sessions) as session:
        await drop_expired(session, clock())
    left = await rows(world)
    await endpoint_of(world).send(Tally(), REQUEST, 60)

    assert left == []
    assert route.call_count == 2


async def test_an_expired_answer_that_is_still_there_is_not_used(world: World, clock: Clock, route: respx.Route) -> None:
    route.mock(side_effect=[reply("early"), reply("late")])
    await endpoint_of(world).send(Tally(), REQUEST, 60)
    clock.forward(days=2)

    said = await endpoint_of(world).send(Tally(), REQUEST, 60)

    assert said.choices[0].message.content == "late"
    assert [row.response["choices"][0]["message"]["content"] for row in await rows(world)] == ["late"]


@pytest.mark.parametrize("bad", [reply("half", finish="length"), reply(None), reply(None, refusal="no"), refused(401)])
async def test_what_was_no_answer_is_asked_again(world: World, route: respx.Route, bad: Any) -> None:
    route.mock(side_effect=[bad, reply("because")])
    with pytest.raises(EndpointFailed):
        await endpoint_of(world).send(Tally(), REQUEST, 60)

    said = await endpoint_of(world).send(Tally(), REQUEST, 60)

    assert said.choices[0].message.content == "because"


async def test_a_choice_of_one_token_is_cut_off_on_purpose_and_kept(world: World, route: respx.Route) -> None:
    route.mock(return_value=reply("late", finish="length"))
    await endpoint_of(world).send_choice(Tally(), ONE_TOKEN, 60)

    said = await endpoint_of(world).send_choice(Tally(), ONE_TOKEN, 60)

    assert said.choices[0].message.content == "late"
    assert route.call_count == 1


async def test_a_deadline_that_passes_while_an_answer_is_stored_does_not_lose_it(world: World, route: respx.Route) -> None:
    route.mock(return_value=reply("because"))
    storing, stored = asyncio.Event(), asyncio.Event()

    class Slow(DatabaseAnswers):
        async def put(self, *given: Any) -> None:
            storing.set()
            await asyncio.sleep(0)
            await super().put(*given)
            stored.set()

    waits = Waits()
    kept = Slow(world.database.sessions, world.clock, ASKING, PRICES, timedelta(days=1))
    asked = asyncio.create_task(Endpoint(ASKING, waits.clock, waits.sleep, kept).send(Tally(), REQUEST, 60))
    await storing.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await stored.wait()

    assert len(await rows(world)) == 1


async def test_the_key_is_not_kept_even_when_the_model_repeats_it(world: World, route: respx.Route) -> None:
    route.mock(return_value=reply("the key is sk-1"))
    await endpoint_of(world).send(Tally(), REQUEST, 60)

    (row,) = await rows(world)

    assert row.response["choices"][0]["message"]["content"] == "the key is [key]"


def test_with_no_time_to_stand_nothing_is_kept(world: World) -> None:
    models = ModelsFile.model_validate({"schema": "ordermend/models/v1", "request": Request(reuse_for_s=0)})

    assert kept_answers(world.database.sessions, world.clock, ASKING, models) is None
