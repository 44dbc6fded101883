"""The composition root: settings become a World. Nothing else builds one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx

from app import queue as jobs
from app.assurance import Assurance, load_assurance
from app.classify import Classifier
from app.clients.desk import KIND, Desk
from app.clients.port import Connector
from app.clients.refetch import Refetch
from app.clients.shopify import ShopifyFulfilment
from app.config_files import load_detectors, load_owners, load_sources
from app.context import SourceRules
from app.database import Sessions, connect, embedded_url, upgrade
from app.detect import DetectorRules
from app.errors import ConfigurationInvalid
from app.learned_instructions import shipped
from app.model_answers import kept_answers
from app.models.choice import Choose, chosen_classifier
from app.owners import Owners
from app.published import OVERLAY, PolicyText, read_policy
from app.publishing import publish_at_start
from app.settings import Settings
from app.world import Clock, Nudge, World
from guardrails.policy.load import Policy, PolicyInvalid
from guardrails.policy.reader import decoded
from guardrails.taxonomy import Action

_T = TypeVar("_T")
AtStart = Callable[[World, PolicyText], Awaitable[None]]


def utc_now() -> datetime:
    """The one place where the clock is read."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_world(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    classifier: Classifier | None = None,
    choose: Choose = chosen_classifier,
    connectors: Mapping[Action, Connector] | None = None,
    worker: bool = False,
    at_start: AtStart = publish_at_start,
) -> AsyncIterator[World]:
    """Upgrade the schema, load the configuration, open the queue, see to the policy file (`at_start`), and, with `worker`, work in
    this process too. `choose` gives the classifier, unless one is given."""
    files = load_configuration(settings.config_dir)
    url = settings.database_url or await asyncio.to_thread(embedded_url, settings.data_dir)
    await asyncio.to_thread(upgrade, url)
    database = connect(url, pool_size=settings.database_pool_size)
    queue = jobs.open_queue(database.url, settings.worker_concurrency + 2)
    async with (
        queue.open_async(),
        httpx.AsyncClient(timeout=20) as http,
        choose(settings, files.owners, partial(kept_answers, database.sessions, clock)) as chosen,
    ):
        await jobs.ensure_schema(queue)
        nudge = jobs.nudger(queue)
        world = World(
            settings=settings,
            database=database,
            clock=clock,
            policy=files.policy,
            sources=files.sources,
            detectors=files.detectors,
            owners=files.owners,
            classifier=classifier or chosen,
            connectors=connectors if connectors is not None else _connectors(settings, database.sessions, http, clock, nudge),
            nudge=nudge,
            assurance=files.assurance,
        )
        try:
            await at_start(world, files.policy_text)
            if not worker:
                yield world
                return
            jobs.register(queue, world)
            async with jobs.working(queue, world):
                yield world
        finally:
            await database.engine.dispose()


@dataclass(frozen=True, slots=True)
class Configuration:
    """The versioned data of `config/`."""

    policy: Policy
    policy_text: PolicyText
    owners: Owners
    sources: SourceRules
    detectors: DetectorRules
    assurance: Assurance


def load_configuration(directory: Path) -> Configuration:
    """Read and check every file. Raises ConfigurationInvalid with all mistakes of all files at once."""
    problems: list[str] = []
    shipped()

    def read(name: str, load: Callable[[str, str], _T]) -> _T | None:
        path = directory / name
        try:
            return load(decoded(path.read_bytes(), name), name)
        except OSError as error:
            problems.append(f"{name}: {error.strerror}; put it into {directory} or set ORDERMEND_CONFIG_DIR")
        except PolicyInvalid as error:
            problems.extend(str(problem) for problem in error.errors)
        return None

    policy = read("policy.yaml", lambda text, name: _policy(directory, text, name))
    owners = read("owners.yaml", load_owners)
    sources = read("sources.yaml", load_sources)
    detectors = read("detectors.yaml", load_detectors)
    assurance = _assurance(directory, problems) if not problems else None
    if policy is None or owners is None or sources is None or detectors is None or assurance is None:
        raise ConfigurationInvalid("\n".join(problems))
    return Configuration(*policy, owners, sources, detectors, assurance)


def _assurance(directory: Path, problems: list[str]) -> Assurance | None:
    try:
        return load_assurance(directory)
    except PolicyInvalid as error:
        problems.extend(str(problem) for problem in error.errors)
        return None


def _policy(directory: Path, text: str, name: str) -> tuple[Policy, PolicyText]:
    """The policy file with the overlay that tightens it, where there is one."""
    overlay = directory / OVERLAY
    written = PolicyText(name, text, decoded(overlay.read_bytes(), OVERLAY) if overlay.exists() else None)
    return read_policy(written), written


def _connectors(
    settings: Settings, sessions: Sessions, http: httpx.AsyncClient, clock: Clock, nudge: Nudge
) -> dict[Action, Connector]:
    """What can be carried out here. Everything else is handed over to a person."""
    found: dict[Action, Connector] = dict.fromkeys(KIND, Desk(sessions, clock))
    found[Action.REFETCH_FACTS] = Refetch(http, sessions, clock, settings.shopify, settings.stripe, nudge)
    if settings.shopify.admin_url:
        token = settings.shopify.access_token.get_secret_value()
        shop = ShopifyFulfilment(http, settings.shopify.admin_url, token)
        found[Action.HOLD_FULFILMENT] = shop
        found[Action.RELEASE_OWN_HOLD] = shop
        found[Action.RESUBMIT_FULFILMENT] = replace(shop, repeatable=False)
    return found
