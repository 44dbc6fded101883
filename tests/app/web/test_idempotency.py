"""The same request twice is carried out once."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from app import intake
from app.database import write
from app.tables import Case, IdempotentRequest, Signal
from app.web.idempotency import ABANDONED_AFTER, RETENTION
from app.world import World
from tests.conftest import START, Clock, MakeKey

REPORT: dict[str, Any] = {"order_ref": "#1001", "reported_by": "help desk"}
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


async def report(client: httpx.AsyncClient, headers: dict[str, str], **changes: Any) -> httpx.Response:
    return await client.post("/api/v1/triage", headers=headers, json=REPORT | changes)


async def reports_stored(world: World) -> int:
    async with world.database.sessions() as session:
        return (await session.execute(select(func.count()).select_from(Signal))).scalar_one()


async def test_a_repetition_is_answered_from_the_first_answer(
    client: httpx.AsyncClient, world: World, admin: dict[str, str]
) -> None:
    first, second = await report(client, admin | KEY), await report(client, admin | KEY)
    assert (second.status_code, second.json()) == (first.status_code, first.json())
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["location"] == first.headers["location"]
    assert await reports_stored(world) == 1


async def test_quotes_around_the_key_and_the_layout_of_the_body_do_not_matter(
    client: httpx.AsyncClient, world: World, admin: dict[str, str]
) -> None:
    await report(client, admin | KEY)
    body = b'{ "reported_by": "help desk",\n "order_ref": "#1001" }'
    quoted = admin | {"Idempotency-Key": f'"{KEY["Idempotency-Key"]}"', "content-type": "application/json"}
    answer = await client.post("/api/v1/triage", headers=quoted, content=body)
    assert answer.headers["idempotency-replayed"] == "true"
    assert await reports_stored(world) == 1


async def test_another_body_under_the_same_key_is_refused(client: httpx.AsyncClient, world: World, admin: dict[str, str]) -> None:
    await report(client, admin | KEY)
    answer = await report(client, admin | KEY, description="something else")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_conflict")
    assert await reports_stored(world) == 1


async def test_the_same_key_of_somebody_else_is_another_key(
    client: httpx.AsyncClient, world: World, make_key: MakeKey, admin: dict[str, str]
) -> None:
    await report(client, admin | KEY)
    other = await report(client, await make_key(name="bea") | KEY)
    assert "idempotency-replayed" not in other.headers
    assert await reports_stored(world) == 2


async def test_a_new_key_of_the_same_person_still_finds_the_answer(
    client: httpx.AsyncClient, world: World, make_key: MakeKey, admin: dict[str, str]
) -> None:
    await report(client, admin | KEY)
    rotated = await report(client, await make_key() | KEY)
    assert rotated.headers["idempotency-replayed"] == "true"


async def test_while_the_first_still_runs_the_second_is_told_to_wait(
    client: httpx.AsyncClient, world: World, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, real = asyncio.Event(), asyncio.Event(), intake.report

    async def slow(*args: Any) -> str:
        begun.set()
        await go_on.wait()
        return await real(*args)

    monkeypatch.setattr(intake, "report", slow)
    first = asyncio.create_task(report(client, admin | KEY))
    await begun.wait()
    second = await report(client, admin | KEY)
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_progress")
    assert int(second.headers["retry-after"]) > 0
    go_on.set()
    assert (await first).status_code == 202
    assert (await report(client, admin | KEY)).json() == (await first).json()


async def test_many_at_once_open_one_case(client: httpx.AsyncClient, world: World, admin: dict[str, str]) -> None:
    answers = await asyncio.gather(*(report(client, admin | KEY) for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["case_id"] for answer in answers if answer.status_code == 202}) == 1
    assert await reports_stored(world) == 1
    async with world.database.sessions() as session:
        assert (await session.execute(select(func.count()).select_from(Case))).scalar_one() == 1


async def test_a_refusal_frees_the_key(client: httpx.AsyncClient, world: World, admin: dict[str, str]) -> None:
    bad = await report(client, admin | KEY, facts={"order.total": {"value": 1}})
    assert bad.status_code == 422
    assert (await report(client, admin | KEY)).status_code == 202


async def test_a_failure_inside_frees_the_key(
    client: httpx.AsyncClient, world: World, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> str:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(intake, "report", broken)
        assert (await report(client, admin | KEY)).status_code == 500
    assert (await report(client, admin | KEY)).status_code == 202


async def test_a_first_request_that_died_with_its_process_does_not_block_for_ever(
    client: httpx.AsyncClient, world: World, admin: dict[str, str], clock: Clock
) -> None:
    await report(client, admin | KEY)
    async with write(world.database.sessions) as session:
        await session.execute(update(IdempotentRequest).values(status=None, body=None))
    assert (await report(client, admin | KEY)).status_code == 409
    clock.now = START + ABANDONED_AFTER
    clock.forward(seconds=1)
    assert (await report(client, admin | KEY)).status_code == 202


async def test_answers_are_forgotten_after_the_published_time(
    client: httpx.AsyncClient, world: World, admin: dict[str, str], clock: Clock
) -> None:
    await report(client, admin | KEY)
    clock.now = START + RETENTION
    assert "idempotency-replayed" in (await report(client, admin | KEY)).headers
    clock.forward(seconds=1)
    assert "idempotency-replayed" not in (await report(client, admin | KEY)).headers


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, '""', "é"])
async def test_an_unusable_key_is_refused(client: httpx.AsyncClient, admin: dict[str, str], key: str) -> None:
    headers = {**admin, "content-type": "application/json"}
    raw = [*((name.encode(), value.encode()) for name, value in headers.items()), (b"Idempotency-Key", key.encode())]
    answer = await client.post("/api/v1/triage", headers=raw, json=REPORT)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/header/Idempotency-Key")
