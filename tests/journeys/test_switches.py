"""A switch turned in one process holds in every other at once, and a budget is one for all of them."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from app import keys, trail
from app.database import discard_embedded, write
from app.demo.shop import ADMIN_PATH, Shop
from app.serving import listening
from app.settings import Settings
from app.signals.shapes import Source
from app.tables import ActionState, CaseState
from app.trail import Event
from app.wiring import open_world
from app.world import World
from guardrails.facts import rfc3339
from guardrails.taxonomy import Action, PrincipalKind
from tests.app.typed import SCRIPT
from tests.builders import CLOUD, actions, all_cases, cloud_event, shopify_headers, shopify_order, trail_of
from tests.steps import deliver, until

pytestmark = pytest.mark.journey
FIRST = 5_480_000_000_000
HOLD = Action.HOLD_FULFILMENT
SWITCH = f"action:{HOLD}"
MORE_AFTERWARDS = 12


@pytest.fixture
def shop() -> Shop:
    return Shop("token", lambda: datetime.now(UTC))


@pytest.fixture
def folder() -> Iterator[Path]:
    """The data folder of an embedded database. A socket's path must be short."""
    with TemporaryDirectory(prefix="om-", ignore_cleanup_errors=True) as name:
        yield Path(name)
        discard_embedded(Path(name))


def environment(folder: Path, shop_address: str) -> dict[str, str]:
    return os.environ | {
        "ORDERMEND_DATA_DIR": str(folder),
        "ORDERMEND_CLASSIFIER": "rules",
        "ORDERMEND_SWEEP_EVERY_S": "1",
        "ORDERMEND_SHOPIFY__ADMIN_URL": shop_address + ADMIN_PATH,
        "ORDERMEND_SHOPIFY__ACCESS_TOKEN": "token",
    }


@asynccontextmanager
async def running(*words: str, folder: Path, environment: dict[str, str]) -> AsyncIterator[Path]:
    """`ordermend WORDS…` in a process of its own, until the block is left; the file that it writes to."""
    said = folder / f"{words[0]}.log"
    with said.open("ab") as log:
        process = await asyncio.create_subprocess_exec(SCRIPT, *words, env=environment, stdout=log, stderr=log)
        try:
            yield said
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def typed(*words: str, environment: dict[str, str]) -> int:
    process = await asyncio.create_subprocess_exec(SCRIPT, *words, env=environment, stdout=asyncio.subprocess.DEVNULL)
    return await process.wait()


async def sell(world: World, shop: Shop, number: int) -> None:
    """An order of which a pick found too little: the guard lets a hold run by itself."""
    now = rfc3339(datetime.now(UTC) - timedelta(minutes=1))
    order = shopify_order(f"#{number}", FIRST + number, created_at=now, updated_at=now)
    shop.sell([order])
    await deliver(world, Source.SHOPIFY, order, shopify_headers())
    short = {"sku": f"MUG-{number}", "requested": 2, "available": 1}
    await deliver(world, Source.EVENTS, cloud_event("wms.pick.short", short, f"#{number}", time=now), CLOUD)


async def keep_selling(world: World, shop: Shop, enough: asyncio.Event) -> int:
    """Until told to stop; how many orders there are."""
    number = 0
    while not enough.is_set():
        await sell(world, shop, number)
        await asyncio.sleep(0.05)
        number += 1
    return number


async def lead_key(world: World) -> str:
    async with write(world.database.sessions) as session:
        kind, roles = PrincipalKind.PERSON, ["lead"]
        issued = await keys.create(session, world.clock(), name="lea", kind=kind, scopes=["cases:review"], roles=roles, by="tests")
    return issued.secret


async def true(say: Callable[[], bool]) -> bool:
    return say()


async def has_address(said: Path) -> bool:
    return "Listening on " in await asyncio.to_thread(said.read_text)


async def begun_and_turned(world: World) -> list[str]:
    """The trail's entries about beginning a hold, and about turning its switch, in order."""
    return [
        event
        for event, body in await trail_of(world)
        if event.startswith("switch.") or (event == Event.ACTION_STARTED and body["action"] == HOLD)
    ]


async def none_waits_to_be_judged(world: World, count: int) -> bool:
    cases = await all_cases(world)
    live = [row for row in await actions(world) if row.state in (ActionState.INTENDED, ActionState.RUNNING)]
    return len(cases) == count and not live and all(case.state != CaseState.JUDGING for case in cases)


async def test_a_switch_turned_over_http_in_one_process_stops_the_worker_in_another(
    shop: Shop, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    enough = asyncio.Event()
    async with listening(shop.app(), "127.0.0.1", 0) as shop_address:
        ours = environment(folder, shop_address)
        settings = Settings.model_validate({"data_dir": folder, "classifier": "rules"})
        async with (
            open_world(settings) as world,
            running("serve", "--no-worker", "--port", "0", folder=folder, environment=ours) as said,
            running("worker", folder=folder, environment=ours),
            httpx.AsyncClient(timeout=30) as http,
        ):
            bearer = {"Authorization": f"Bearer {await lead_key(world)}"}
            await until(lambda: has_address(said))
            address = (await asyncio.to_thread(said.read_text)).split("Listening on ")[1].split(",")[0]
            selling = asyncio.create_task(keep_selling(world, shop, enough))
            await until(lambda: true(lambda: len(shop.effects) >= 5))

            body = {"state": "off", "reason": "Holds are put on the wrong orders."}
            answer = await http.put(f"{address}/api/v1/switches/{SWITCH}", json=body, headers=bearer)
            assert answer.status_code == 200, answer.text
            begun = (await begun_and_turned(world)).count(Event.ACTION_STARTED)

            held = len(await all_cases(world))
            await until(lambda: more_cases(world, held + MORE_AFTERWARDS))
            enough.set()
            count = await selling
            await until(partial(none_waits_to_be_judged, world, count), 90)
            events = await begun_and_turned(world)
            assert events.count(Event.SWITCH_TURNED_OFF) == 1
            assert events[-1] == Event.SWITCH_TURNED_OFF  # none was begun after it, though as many more were wished for
            assert len(events) == begun + 1
            assert len(shop.effects) == begun
            stopped = [case for case in await all_cases(world) if case.state == CaseState.BLOCKED]
            assert len(stopped) >= count - begun >= MORE_AFTERWARDS

            key = ours | {"ORDERMEND_API_KEY": bearer["Authorization"].removeprefix("Bearer ")}
            assert await typed("switches", "on", SWITCH, "--why", "It is mended.", environment=key) == 0
            await until(lambda: true(lambda: len(shop.effects) == count), 90)
            await until(partial(none_waits_to_be_judged, world, count), 90)
            assert {row.state for row in await actions(world, HOLD)} <= {ActionState.DONE}
            assert len(await actions(world, HOLD)) == count
            async with world.database.sessions() as session:
                assert (await trail.verify(session)).valid
    assert set(Counter(effect.fulfilment_order for effect in shop.effects).values()) == {1}


async def more_cases(world: World, count: int) -> bool:
    return len(await all_cases(world)) >= count


async def test_whoever_stands_at_the_machine_stops_everything_from_the_shell(shop: Shop, folder: Path) -> None:
    async with listening(shop.app(), "127.0.0.1", 0) as shop_address:
        ours = environment(folder, shop_address)
        settings = Settings.model_validate({"data_dir": folder, "classifier": "rules"})
        async with open_world(settings) as world, running("worker", folder=folder, environment=ours):
            await sell(world, shop, 0)
            await until(lambda: true(lambda: len(shop.effects) == 1))
            assert await typed("switches", "off", "everything", "--why", "All stop.", environment=ours) == 0
            for number in (1, 2, 3):
                await sell(world, shop, number)
            await until(partial(none_waits_to_be_judged, world, 4), 90)
            assert len(shop.effects) == 1
            assert (await begun_and_turned(world))[-1] == Event.SWITCH_TURNED_OFF
            assert [case.state for case in await all_cases(world)][1:] == [CaseState.BLOCKED] * 3
