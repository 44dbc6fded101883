"""What machines ask: is it alive, is it ready, how much waits; and what a problem type means."""

import asyncio
import logging

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from app import budgets, views
from app.database import CONNECTION_FAILURES, ping
from app.errors import NotFound
from app.governing import governing_in
from app.models.switching import status_of
from app.views import Backlog
from app.web.at_hand import AWorld, TheMetrics
from app.web.metrics import Guarded
from app.web.problems import DATABASE_UNAVAILABLE, NOT_READY, PROBLEM_TYPES, RETRY_AFTER_S, ProblemType, Refusal
from app.web.shown import Alive, ProblemExplained, Ready
from app.world import World

log = logging.getLogger(__name__)

router = APIRouter(tags=["operation"])

PATIENCE_S = 3.0
AWAY = (*CONNECTION_FAILURES, TimeoutError)


@router.get("/healthz", summary="The process answers")
async def healthz() -> Alive:
    """Says nothing about the database: restarting this process would not mend that."""
    return Alive(status="ok")


@router.get("/readyz", summary="It can do its work")
async def readyz(world: AWorld) -> Ready:
    """The database answers and the queue has its tables."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            version = str((await ping(world.database.engine))["version"])
            async with world.database.sessions() as session:
                queue = await views.has_queue(session)
    except AWAY as error:
        checks = {"database": "away", "queue": "unknown", "classifier": world.classifier.name}
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        raise Refusal(DATABASE_UNAVAILABLE, "The database does not answer.", members={"checks": checks}, headers=headers) from error
    if not queue:
        checks = {"database": version, "queue": "its tables are missing", "classifier": world.classifier.name}
        raise Refusal(
            NOT_READY, "The queue has no tables yet.", members={"checks": checks}, headers={"Retry-After": str(RETRY_AFTER_S)}
        )
    local = status_of(world.classifier)
    return Ready(
        status="ready", database=version, classifier=world.classifier.name, local_model=None if local is None else local.brief
    )


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def show_metrics(world: AWorld, metrics: TheMetrics) -> Response:
    """Counters of this process and gauges from the database; without the database the counters alone."""
    return Response(metrics.exposition(await _backlog(world), await _guarded(world)), media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _backlog(world: World) -> Backlog | None:
    try:
        async with asyncio.timeout(PATIENCE_S), world.database.sessions() as session:
            return await views.backlog(session, world.clock())
    except Exception as error:
        log.warning("a scrape went without the database: %s", type(error).__name__)
        return None


async def _guarded(world: World) -> Guarded | None:
    try:
        async with asyncio.timeout(PATIENCE_S), world.database.sessions() as session:
            now = world.clock()
            rules = await governing_in(session, world, now)
            return Guarded(rules.standing.off, await budgets.left_in(session, rules.policy, now))
    except Exception as error:
        log.warning("a scrape went without switches and budgets: %s", type(error).__name__)
        return None


@router.get("/problems", summary="Every kind of refusal")
async def list_problems() -> list[ProblemExplained]:
    return [_explained(problem) for problem in PROBLEM_TYPES.values()]


@router.get("/problems/{slug}", summary="What a refusal means and what to do")
async def explain_problem(slug: str) -> ProblemExplained:
    """The `type` of a problem document leads here."""
    if slug not in PROBLEM_TYPES:
        raise NotFound("There is no such problem type; /problems lists them.")
    return _explained(PROBLEM_TYPES[slug])


def _explained(problem: ProblemType) -> ProblemExplained:
    return ProblemExplained(type=problem.uri, code=problem.code, title=problem.title, status=problem.status, advice=problem.advice)
