"""Recorded answers: the same questions give the same answers and the same bytes, and what was never asked is never made up."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from app.models.answer_store import request_key
from app.models.endpoint import Endpoint, EndpointFailed, Tally
from app.models.model_settings import LlmSettings
from evals.cassette import Cassette, CassetteInvalid, CassetteMiss, Mode
from tests.app.test_llm import URL, Waits, reply

ASKING = LlmSettings("http://llm.test/v1", "", "test-model")


@pytest.fixture
async def route() -> AsyncIterator[respx.Route]:
    with respx.mock(assert_all_called=False) as router:
        yield router.post(URL)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recorded.jsonl"


def asking(user: str, system: str = "Say why. " * 100) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return {"model": "test-model", "messages": messages, "max_tokens": 1, "logprobs": True, "top_logprobs": 2}


def label(word: str, made: str = "c1") -> httpx.Response:
    top = [{"token": word, "logprob": -0.12345678, "bytes": [1]}, {"token": "other", "logprob": -3.0, "bytes": [2]}]
    tokens = [{"token": word, "logprob": -0.12345678, "bytes": [1], "top_logprobs": top}]
    message = {"role": "assistant", "content": word}
    choice = {"index": 0, "finish_reason": "length", "message": message, "logprobs": {"content": tokens}}
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    told = {"id": made, "object": "chat.completion", "created": len(made), "model": "m", "choices": [choice], "usage": usage}
    return httpx.Response(200, json=told)


async def ask(cassette: Cassette, *users: str) -> list[Any]:
    waits = Waits()
    endpoint = Endpoint(ASKING, waits.clock, waits.sleep, cassette)
    return [(await endpoint.send_choice(Tally(), asking(user), 60)).choices[0] for user in users]


async def recorded(path: Path, *users: str, mode: Mode = "record") -> bytes:
    cassette = Cassette(path, mode)
    await ask(cassette, *users)
    cassette.save()
    return content(path)


def content(path: Path) -> bytes:
    return path.read_bytes()


async def test_what_was_recorded_is_answered_without_a_request(path: Path, route: respx.Route) -> None:
    route.mock(return_value=label("late"))
    await recorded(path, "a", "b")

    first, second = await ask(Cassette(path, "replay"), "b", "a")

    assert route.call_count == 2
    assert (first.message.content, second.message.content, first.finish_reason) == ("late", "late", "length")
    assert [(t.token, t.logprob) for t in first.logprobs.content[0].top_logprobs] == [("late", -0.1235), ("other", -3.0)]


async def test_the_same_answers_give_the_same_bytes_whatever_the_order_and_the_ids(tmp_path: Path, route: respx.Route) -> None:
    route.mock(side_effect=lambda request: label("a" if b'"a"' in request.content else "b", "x" * (1 + route.call_count)))

    one, two = await recorded(tmp_path / "1.jsonl", "a", "b"), await recorded(tmp_path / "2.jsonl", "b", "a")

    assert one == two


async def test_a_system_prompt_is_kept_once(path: Path, route: respx.Route) -> None:
    route.mock(return_value=label("late"))

    text = (await recorded(path, "a", "b", "c")).decode()

    assert text.count("Say why. " * 100) == 1


async def test_repeats_of_one_request_are_told_apart(path: Path, route: respx.Route) -> None:
    route.mock(side_effect=[label("late"), label("idle")])
    await recorded(path, "a", "a")
    cassette = Cassette(path, "replay")

    first, second = await ask(cassette, "a", "a")
    cassette.begin_again()
    (again,) = await ask(cassette, "a")

    assert [c.message.content for c in (first, second, again)] == ["late", "idle", "late"]


async def test_a_request_that_was_never_recorded_is_a_miss_that_names_the_nearest(path: Path, route: respx.Route) -> None:
    route.mock(return_value=label("late"))
    await recorded(path, "order.total: 10", "payment.status: paid")
    cassette = Cassette(path, "replay")

    with pytest.raises(EndpointFailed, match=r"asked 'order\.total: 11', recorded 'order\.total: 10'"):
        await ask(cassette, "order.total: 11")
    with pytest.raises(CassetteMiss, match="1 requests were never recorded"):
        cassette.require_complete()
    assert route.call_count == 2


async def test_another_system_prompt_is_a_miss_that_says_so(path: Path, route: respx.Route) -> None:
    route.mock(return_value=label("late"))
    await recorded(path, "a")
    other = asking("a", system="Another.")

    with pytest.raises(EndpointFailed, match="the system prompt or its model is another"):
        await Cassette(path, "replay").get(request_key(other), other)


async def test_recording_again_asks_only_what_is_new(path: Path, route: respx.Route) -> None:
    route.mock(return_value=label("late"))
    before = await recorded(path, "a")

    after = await recorded(path, "a", "b")

    assert route.call_count == 2
    assert len(after.splitlines()) == len(before.splitlines()) + 1


async def test_refreshing_asks_all_anew_and_keeps_nothing_else(path: Path, route: respx.Route) -> None:
    route.mock(side_effect=[label("late"), label("idle"), label("parcel")])
    await recorded(path, "a", "b")

    await recorded(path, "a", mode="refresh")
    (answer,) = await ask(Cassette(path, "replay"), "a")

    assert answer.message.content == "parcel"
    assert len(content(path).splitlines()) == 2


async def test_a_refusal_is_not_recorded(path: Path, route: respx.Route) -> None:
    route.mock(return_value=reply(None, refusal="no"))
    cassette = Cassette(path, "record")

    with pytest.raises(EndpointFailed):
        await ask(cassette, "a")
    cassette.save()

    assert content(path) == b""


@pytest.mark.parametrize("text", ["{", '{"v": 1}', '{"v":2,"key":"' + "0" * 64 + '","seq":0}', "[]"])
def test_a_damaged_file_is_refused_with_the_line(path: Path, text: str) -> None:
    path.write_text(text)

    with pytest.raises(CassetteInvalid, match=r"recorded\.jsonl:1: .*record anew"):
        Cassette(path, "replay")
