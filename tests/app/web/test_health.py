"""What load balancers and Prometheus see, with and without a database."""

from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from app.database import connect, write
from app.inbox import Inbox
from app.signals.shapes import Source
from app.web.app import create_app
from app.world import World
from tests.app.web.sending import ORDER, SHOPIFY, send
from tests.conftest import Clock


@pytest.fixture
async def cut_off(world: World, inbox: Inbox) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app whose database does not answer."""
    nowhere = connect("postgresql:///none?host=/nowhere", pool_size=1)
    object.__setattr__(world, "database", nowhere)
    transport = httpx.ASGITransport(create_app(world, inbox), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://ordermend.test") as client:
        yield client
    await nowhere.engine.dispose()


def figure(exposition: str, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


async def test_alive_and_ready_with_a_database(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["classifier"]) == (200, "rules")


async def test_alive_but_not_ready_without_a_database(cut_off: httpx.AsyncClient) -> None:
    assert (await cut_off.get("/healthz")).status_code == 200
    answer = await cut_off.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert answer.json()["checks"]["database"] == "away"
    assert int(answer.headers["retry-after"]) > 0


async def test_every_call_without_a_database_is_a_503_and_no_signal_is_falsely_accepted(
    cut_off: httpx.AsyncClient, world: World
) -> None:
    key = {"Authorization": "Bearer om_live_" + "a" * 43}
    for answer in (
        await send(cut_off, world, Source.SHOPIFY, ORDER, SHOPIFY),
        await send(cut_off, world, Source.SHOPIFY, b"nonsense", SHOPIFY),
        await cut_off.get("/api/v1/cases", headers=key),
        await cut_off.post("/api/v1/triage", headers=key, json={"order_ref": "#1", "reported_by": "x"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert int(answer.headers["retry-after"]) > 0


async def test_not_ready_without_the_tables_of_the_queue(client: httpx.AsyncClient, world: World) -> None:
    async with write(world.database.sessions) as session:
        await session.execute(text("ALTER TABLE procrastinate_jobs RENAME TO elsewhere"))
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    figures = (await client.get("/metrics")).text
    assert figure(figures, "ordermend_database_up") == 1


async def test_the_figures_come_from_the_database(
    client: httpx.AsyncClient, world: World, admin: dict[str, str], clock: Clock
) -> None:
    await send(client, world, Source.SHOPIFY, ORDER, SHOPIFY)
    await send(client, world, Source.SHOPIFY, b"nonsense", SHOPIFY)
    clock.forward(seconds=90)
    figures = (await client.get("/metrics")).text
    assert figure(figures, "ordermend_signals_waiting") == 1
    assert figure(figures, "ordermend_oldest_waiting_signal_seconds") == 90
    assert figure(figures, "ordermend_dead_letters") == 1
    assert figure(figures, "ordermend_stored_signals", source="shopify", state="dead") == 1
    await client.post("/api/v1/triage", headers=admin, json={"order_ref": "#1001", "reported_by": "x"})
    assert figure((await client.get("/metrics")).text, "ordermend_cases", state="judging", verdict="none") == 1


async def test_the_counters_are_there_without_a_database_too(cut_off: httpx.AsyncClient, world: World) -> None:
    await send(cut_off, world, Source.SHOPIFY, ORDER, SHOPIFY)
    answer = await cut_off.get("/metrics")
    assert answer.status_code == 200
    assert figure(answer.text, "ordermend_database_up") == 0
    assert figure(answer.text, "ordermend_signals_total", source="shopify", result="database_unavailable") == 1


async def test_latency_is_kept_by_declared_path_so_that_ids_do_not_fill_the_memory(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    for number in range(3):
        await client.get(f"/api/v1/cases/case_{number}", headers=admin)
        await client.get(f"/nowhere/{number}")
    await client.request("BREW", "/healthz")
    figures = (await client.get("/metrics")).text
    counted = {"method": "GET", "status": "404"}
    assert figure(figures, "ordermend_request_seconds_count", route="/api/v1/cases/{case_id}", **counted) == 3
    assert figure(figures, "ordermend_request_seconds_count", route="unmatched", **counted) == 3
    assert "case_1" not in figures
    assert "BREW" not in figures
