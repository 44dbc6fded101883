"""The queue only nudges. Jobs carry ids; losing one is harmless, because the sweep finds every piece of work by itself."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Status
from procrastinate.schema import SchemaManager

from app import act, archive, budgets, decisions, explaining, model_answers, pipeline, published, reader, store
from app.database import is_away, write
from app.world import World

log = logging.getLogger("ordermend.queue")

READ_SIGNALS, LOOK, ACT = "read_signals", "look", "act"
LOOK_MAX_FAILURES = 5
LOST_AFTER = timedelta(seconds=15)
SWEEP_LIMIT = 500
WORKER_DEAD_AFTER = timedelta(seconds=45)
"""A worker says every ten seconds that it lives."""
WORKER_PAUSE_S = 1.0
ARCHIVE_EVERY_S, ARCHIVE_PAUSE_S = 60.0, 1.0
"""How often it is asked whether a segment is full, and the pause after one was written."""


def open_queue(database_url: str, pool_size: int) -> procrastinate.App:
    connector = procrastinate.PsycopgConnector(conninfo=database_url, min_size=1, max_size=pool_size)
    return procrastinate.App(connector=connector)


async def ensure_schema(queue: procrastinate.App) -> None:
    """The queue's own tables, made by its library on first use."""
    found = await queue.connector.execute_query_one_async("SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS there")
    if not found["there"]:
        await queue.schema_manager.apply_schema_async()


def schema_sql() -> str:
    """The statements that make the queue's tables, from its library."""
    return str(SchemaManager.get_schema())


def nudger(queue: procrastinate.App) -> Callable[[str, str], Awaitable[None]]:
    """Ask for a job unless the same one already waits."""

    async def nudge(job: str, about: str) -> None:
        key = f"{job}:{about}"
        try:
            await queue.configure_task(job, lock=key, queueing_lock=key).defer_async(about=about)
        except AlreadyEnqueued:
            return
        except Exception as error:
            # What was to be told is stored already: whatever is wrong with the queue, the sweep finds it.
            log.warning("nudge lost, the sweep will find the work: %s (%s)", job, type(error).__name__)

    return nudge


def register(queue: procrastinate.App, world: World) -> None:
    """Bind the jobs to this world."""

    @queue.task(name=READ_SIGNALS)
    async def read_signals(about: str) -> None:
        for order_id in await reader.read_signals(world):
            await world.nudge(LOOK, order_id)

    @queue.task(name=LOOK)
    async def look(about: str) -> None:
        await look_safely(world, about)

    @queue.task(name=ACT)
    async def finish(about: str) -> None:
        await act.recover(world, about)


async def look_safely(world: World, order_id: str) -> None:
    """Look at the order; when that keeps failing, put it before a person instead of trying for ever."""
    try:
        await pipeline.look_at(world, order_id)
        await decisions.forget_failures(world, order_id)
    except Exception as error:
        if is_away(error):
            raise
        log.exception("looking at %s failed", order_id)
        if await decisions.count_failure(world, order_id) >= LOOK_MAX_FAILURES:
            await decisions.give_up(world, order_id, error)


async def sweep(world: World) -> None:
    """Find work that nobody was told of: unread signals, orders due for a look, lost judgements, judgements
    under an earlier policy, unfinished actions. Budgets of long ago and answers that expired are forgotten."""
    now = world.clock()
    async with world.database.sessions() as session:
        unread = await reader.waiting(session)
        due = list((await session.execute(store.orders_due(now, SWEEP_LIMIT))).scalars())
        lost = await decisions.judging_since(session, now - LOST_AFTER, SWEEP_LIMIT)
        ruled_before = published.judged_otherwise((await published.policy_in_force(session, world)).sha256)
        lost += (await session.execute(ruled_before.distinct().limit(SWEEP_LIMIT))).scalars()
        unfinished = list((await session.execute(store.live_actions(now - LOST_AFTER, SWEEP_LIMIT))).scalars())
    async with write(world.database.sessions) as session:
        await budgets.drop_old(session, now)
        await model_answers.drop_expired(session, now)
    if unread:
        await world.nudge(READ_SIGNALS, "")
    for order_id in dict.fromkeys([*due, *lost]):
        await world.nudge(LOOK, order_id)
    for action_id in unfinished:
        await world.nudge(ACT, action_id)


async def drop_dead_jobs(queue: procrastinate.App, after: timedelta) -> int:
    """Remove the jobs of workers that have died, and how many there were. A job that is `doing` holds its lock: left alone, one
    killed reader would stop all reading for ever. What the job was about, the sweep finds by itself."""
    dead = list(await queue.job_manager.get_stalled_jobs(seconds_since_heartbeat=after.total_seconds()))
    for job in dead:
        await queue.job_manager.finish_job(job, status=Status.FAILED, delete_job=True)
    return len(dead)


async def settled(world: World) -> bool:
    """True when no signal waits, no look is due for what has arrived, and no case or action is under way."""
    async with world.database.sessions() as session:
        return not await store.work_left(session)


@asynccontextmanager
async def working(queue: procrastinate.App, world: World) -> AsyncIterator[None]:
    """Run the worker, the sweep, the archive and the explanations beside whatever else this process does."""
    worker = asyncio.create_task(_work_for_ever(queue, world), name="worker")
    sweeper = asyncio.create_task(_sweep_for_ever(queue, world), name="sweeper")
    archivist = asyncio.create_task(_archive_for_ever(world), name="archivist")
    explainer = asyncio.create_task(explaining.explain_for_ever(world), name="explainer")
    try:
        yield
    finally:
        for task in (explainer, archivist, sweeper, worker):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(worker, sweeper, archivist, explainer, return_exceptions=True)


async def _work_for_ever(queue: procrastinate.App, world: World) -> None:
    """A worker ends when it loses the database; the next one begins where it left off."""
    while True:
        try:
            await queue.run_worker_async(
                concurrency=world.settings.worker_concurrency,
                install_signal_handlers=False,
                listen_notify=True,
                fetch_job_polling_interval=2.0,
                delete_jobs="always",
                shutdown_graceful_timeout=10.0,
            )
        except Exception as error:
            log.warning("the worker stopped (%s: %s); it starts again", type(error).__name__, error)
        await asyncio.sleep(WORKER_PAUSE_S)


async def _sweep_for_ever(queue: procrastinate.App, world: World) -> None:
    while True:
        try:
            await drop_dead_jobs(queue, WORKER_DEAD_AFTER)
            await sweep(world)
        except Exception as error:
            if is_away(error) or isinstance(error, ConnectorException):
                log.warning("the sweep could not reach the database: %s", type(error).__name__)
            else:
                log.exception("the sweep failed")
        await asyncio.sleep(world.settings.sweep_every_s)


async def _archive_for_ever(world: World) -> None:
    """A segment takes many seconds to write, and the sweep must not wait for that."""
    while True:
        try:
            written = await archive.archive(world)
        except Exception as error:
            written = False
            if is_away(error):
                log.warning("the archive could not reach the database: %s", type(error).__name__)
            else:
                log.exception("archiving rulings failed; the next replay reads them one by one")
        await asyncio.sleep(ARCHIVE_PAUSE_S if written else ARCHIVE_EVERY_S)
