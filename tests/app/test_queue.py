"""Losing a nudge, a worker or the queue itself loses no work."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import procrastinate
import psycopg
import pytest
from sqlalchemy import update

from app import queue, store
from app.clients.desk import KIND
from app.database import write
from app.settings import Settings
from app.tables import ActionRow, ActionState, Case, CaseState
from app.wiring import open_world
from app.world import World
from guardrails.taxonomy import Action
from tests.builders import actions, all_cases, order_arrives, orders, signals, the_case, warehouse_busy
from tests.conftest import START, Clock
from tests.fakes import Nudges, Peer
from tests.steps import until, work


async def settled(world: World) -> None:
    await until(lambda: queue.settled(world))


@pytest.fixture
async def jobs(settings: Settings) -> AsyncIterator[procrastinate.App]:
    opened = queue.open_queue(settings.database_url, 2)
    async with opened.open_async():
        yield opened


@asynccontextmanager
async def at_work(settings: Settings, peer: Peer) -> AsyncIterator[World]:
    """A world that works by itself, with a clock that goes."""
    swift, begun = settings.model_copy(update={"sweep_every_s": 1}), time.monotonic()

    def now() -> datetime:
        return START + timedelta(seconds=time.monotonic() - begun)

    connectors = {**dict.fromkeys(KIND, Peer()), Action.RESUBMIT_FULFILMENT: peer}
    async with open_world(swift, clock=now, connectors=connectors, worker=True) as world:
        yield world


async def test_a_worker_takes_signals_all_the_way_to_a_receipt(settings: Settings) -> None:
    peer = Peer()
    async with at_work(settings, peer) as world:
        await order_arrives(world)
        await warehouse_busy(world)
        await settled(world)
        assert (await the_case(world)).verdict == "automate"
        assert [task.order_ref for task in peer.calls] == ["#1001"]


async def test_when_every_nudge_is_lost_the_sweep_finds_the_work(settings: Settings, world: World) -> None:
    silent = replace(world, nudge=Nudges())
    await order_arrives(silent)
    await warehouse_busy(silent)
    peer = Peer()
    async with at_work(settings, peer) as working:
        await settled(working)
    assert len(peer.calls) == 1


async def test_the_sweep_asks_for_everything_that_is_due_and_for_nothing_else(world: World, clock: Clock) -> None:
    told = Nudges()
    quiet = replace(world, nudge=told)
    await queue.sweep(quiet)
    assert told.asked == []
    await order_arrives(quiet)
    told.asked.clear()
    await queue.sweep(quiet)
    assert told.asked == [(queue.READ_SIGNALS, "")]
    await warehouse_busy(quiet)
    await work(quiet)
    told.asked.clear()
    await queue.sweep(quiet)
    assert told.asked == []
    (order,) = await orders(quiet)
    clock.forward(hours=1)
    await queue.sweep(quiet)
    assert told.asked == [(queue.LOOK, order.id)]


async def test_a_judgement_that_was_lost_is_asked_for_again(world: World, clock: Clock) -> None:
    told = Nudges()
    quiet = replace(world, nudge=told)
    await order_arrives(quiet)
    await warehouse_busy(quiet)
    await work(quiet)
    async with write(quiet.database.sessions) as session:
        await session.execute(update(Case).values(state=CaseState.JUDGING))
    clock.forward(seconds=queue.LOST_AFTER.total_seconds() - 1)
    told.asked.clear()
    await queue.sweep(quiet)
    assert told.asked == []
    clock.forward(seconds=2)
    await queue.sweep(quiet)
    assert told.asked == [(queue.LOOK, (await orders(quiet))[0].id)]


async def test_a_nudge_never_raises(world: World, settings: Settings) -> None:
    await world.nudge("look", "ord_1")
    await world.nudge("look", "ord_1")  # the same again, while it waits
    closed = queue.open_queue(settings.database_url, 1)
    await queue.nudger(closed)("look", "ord_1")


async def a_killed_worker(database_url: str, lock: str, *, pruned: bool) -> None:
    """What a worker leaves that was killed in the middle of a job."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        found = await connection.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '5 minutes') RETURNING id"
        )
        row = await found.fetchone()
        assert row is not None
        job = "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status, worker_id) VALUES ('default', %s, %s, %s, 'doing', %s)"
        await connection.execute(job, (lock.partition(":")[0], lock, '{"about": ""}', None if pruned else row[0]))


@pytest.mark.parametrize("pruned", [True, False])
async def test_the_lock_of_a_killed_reader_does_not_stop_all_reading(settings: Settings, world: World, pruned: bool) -> None:
    await a_killed_worker(settings.database_url, "read_signals:", pruned=pruned)
    async with at_work(settings, Peer()) as working:
        await order_arrives(working)
        await settled(working)
        assert [signal.state for signal in await signals(working)] == ["linked"]


async def test_jobs_of_the_living_are_left_alone(jobs: procrastinate.App, world: World, settings: Settings) -> None:
    async with await psycopg.AsyncConnection.connect(settings.database_url, autocommit=True) as connection:
        await connection.execute(
            "WITH w AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id) "
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, worker_id) "
            "SELECT 'default', 'look', '{}', 'doing', id FROM w"
        )
    assert await queue.drop_dead_jobs(jobs, queue.WORKER_DEAD_AFTER) == 0
    assert await queue.drop_dead_jobs(jobs, timedelta(seconds=-1)) == 1


async def test_a_worker_survives_the_loss_of_all_its_connections(settings: Settings) -> None:
    peer = Peer()
    async with at_work(settings, peer) as world:
        await order_arrives(world)
        await settled(world)
        admin = await psycopg.AsyncConnection.connect(settings.database_url, autocommit=True)
        async with admin:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await until(lambda: _delivered(world))
        await settled(world)
    assert len(peer.calls) == 1


async def _delivered(world: World) -> bool:
    """A sender that tries again, as all of them do."""
    try:
        await warehouse_busy(world, id="the-same")
    except Exception:
        return False
    return True


async def test_an_order_that_always_fails_does_not_keep_others_waiting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real = store.gather

    async def gather(world: World, order_id: str, now: object) -> object:
        async with world.database.sessions() as session:
            if (await store.get_order(session, order_id)).ref == "#666":
                raise ZeroDivisionError("a defect of ours")
        return await real(world, order_id, now)  # type: ignore[arg-type]  # the time is passed on as it came

    monkeypatch.setattr(store, "gather", gather)
    peer = Peer()
    async with at_work(settings, peer) as world:
        await order_arrives(world, "#666", 6_660_000_000_000)
        await order_arrives(world)
        await warehouse_busy(world)
        await settled(world)
        found = {case.order_ref: case for case in await all_cases(world)}
    assert (found["#666"].state, found["#666"].category) == (CaseState.REVIEW, "integration_failure")
    assert "a defect of ours" in found["#666"].sentence
    assert (found["#1001"].state, len(peer.calls)) == (CaseState.AUTOMATED, 1)


async def test_an_action_left_by_a_dead_process_is_finished_by_the_sweep_of_another(settings: Settings, world: World) -> None:
    silent = replace(world, nudge=Nudges(), connectors={})
    await order_arrives(silent)
    await warehouse_busy(silent)
    await work(silent)
    left = {"state": ActionState.RUNNING, "started_at": START - timedelta(minutes=5)}
    async with write(silent.database.sessions) as session:
        await session.execute(update(ActionRow).where(ActionRow.action == Action.RESUBMIT_FULFILMENT).values(**left))
    peer = Peer(repeatable=False)
    async with at_work(settings, peer) as working:
        await settled(working)
    (row,) = await actions(silent, Action.RESUBMIT_FULFILMENT)
    assert (row.state, peer.calls) == (ActionState.UNKNOWN, [])
