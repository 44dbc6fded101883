"""The demo from curtain to curtain: a shop to act on, Ordermend over an embedded database, the play, and what was measured."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from sqlalchemy import select

from app import keys
from app.database import discard_embedded, write
from app.demo import report
from app.demo.play import Outcome, Played, fresh_secrets, measure, play, webhook_settings
from app.demo.scenario import Story, in_acts, orders_sold, read_stories
from app.demo.shop import ADMIN_PATH, Shop
from app.inbox import inbox_for
from app.models.choice import Choose, chosen_classifier
from app.models.local_choice import local_now, local_when_ready
from app.serving import free_port, interrupted, listening
from app.settings import Settings, ShopifyConnector, StripeConnector
from app.signals.shapes import Source
from app.tables import Signal
from app.web.app import create_app
from app.wiring import open_world, utc_now
from app.world import World
from guardrails.taxonomy import PrincipalKind

HOST = "127.0.0.1"
SWEEP_EVERY_S = 2
ANY_PORT = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything up and running, ready for the play."""

    world: World
    address: str
    shop: Shop
    stories: tuple[Story, ...]
    given: dict[Source, str]


@dataclass(frozen=True, slots=True)
class Performance:
    played: Played
    outcome: Outcome
    classifier: str
    seconds: float

    @property
    def succeeded(self) -> bool:
        return self.outcome.trail_verified and self.outcome.settled

    def as_json(self) -> dict[str, Any]:
        return report.as_json(self.played, self.outcome, self.classifier, self.seconds)


async def perform_once(settings: Settings, console: Console) -> Performance:
    """The whole demo on a database that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="ordermend-demo-", ignore_cleanup_errors=True) as folder:
        try:
            return await _perform(settings, Path(folder), console)
        finally:
            await asyncio.to_thread(discard_embedded, Path(folder))


async def _perform(settings: Settings, folder: Path, console: Console) -> Performance:
    begun = time.perf_counter()
    choose = at_home(settings, local_now) if settings.classifier == "local" else chosen_classifier
    async with stage(settings, folder, ANY_PORT, choose) as ready:
        played = await _play(ready, console)
        outcome = await measure(ready.world)
        return Performance(played, outcome, ready.world.classifier.name, time.perf_counter() - begun)


async def perform_and_stay(settings: Settings, console: Console) -> None:
    """Play where it has not been played yet, show what there is, and serve until interrupted."""
    folder, played = settings.data_dir / "demo", asyncio.Event()
    # While it plays, the processor is needed: the stories take seconds by rules, and the model would take minutes to read them.
    choose = at_home(settings, partial(local_when_ready, after=played.wait))
    async with stage(settings, folder, free_port(HOST, settings.port), choose) as ready:
        if await _is_untouched(ready.world):
            report.deliveries(console, await _play(ready, console))
        else:
            console.print(f"The stories were played before; this is what is kept. To see them anew, delete {folder}.")
        report.summary(console, await measure(ready.world), ready.world.classifier.name)
        report.where_to_go(console, ready.address, await _reviewers_key(ready.world), folder)
        played.set()
        await interrupted()


def at_home(home: Settings, choose: Choose) -> Choose:
    """A choice that looks for the weights where this installation keeps them, and not in the demo's own folder."""
    return lambda settings, owners, keep: choose(home, owners, keep)


@asynccontextmanager
async def stage(settings: Settings, folder: Path, port: int, choose: Choose = chosen_classifier) -> AsyncIterator[Stage]:
    """Ordermend over an embedded database in `folder`, with a shop of its own: no real system is ever called."""
    given, shop = fresh_secrets(), Shop(secrets.token_urlsafe(16), utc_now)
    stories = read_stories(utc_now())
    shop.sell(orders_sold(stories))
    async with listening(shop.app(), HOST, ANY_PORT) as shop_address:
        wanted = {
            "data_dir": folder,
            "database_url": "",
            "webhooks": webhook_settings(given),
            "shopify": ShopifyConnector.model_validate({"admin_url": shop_address + ADMIN_PATH, "access_token": shop.token}),
            "stripe": StripeConnector(),
            "sweep_every_s": SWEEP_EVERY_S,
        }
        async with (
            open_world(settings.model_copy(update=wanted), worker=True, choose=choose) as world,
            inbox_for(world) as inbox,
            listening(create_app(world, inbox), HOST, port) as address,
        ):
            yield Stage(world, address, shop, stories, given)


async def _play(ready: Stage, console: Console) -> Played:
    acts = in_acts(ready.stories)
    with report.progress(console, sum(len(act) for act in acts)) as told:
        return await play(ready.world, ready.address, acts, ready.given, told)


async def _is_untouched(world: World) -> bool:
    async with world.database.sessions() as session:
        return (await session.execute(select(Signal.id).limit(1))).scalar_one_or_none() is None


async def _reviewers_key(world: World) -> str:
    """A key of a person who may do everything in the demo, made anew each time: a stored key cannot be shown again."""
    async with write(world.database.sessions) as session:
        issued = await keys.create(
            session,
            world.clock(),
            name="demo reviewer",
            kind=PrincipalKind.PERSON,
            scopes=[keys.Scope.ADMIN],
            roles=["senior_reviewer"],
            by="ordermend",
        )
    return issued.secret
