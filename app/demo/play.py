"""Plays the stories as the vendors would: signed with their real signatures, posted to the real endpoints, one act after another.

What comes out is measured: from the answers, the database and the trail. Nothing here knows what the program ought to find.
"""

import asyncio
import base64
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx
from sqlalchemy import func, select

from app import queue, trail
from app.demo.scenario import Sending
from app.errors import OrdermendError
from app.settings import WebhookSecrets
from app.signals.reading import sign
from app.signals.shapes import WEBHOOK_SOURCES, Source
from app.tables import ActionRow, ActionState, Case, CaseState
from app.world import World

SETTLES_WITHIN_S = 120
_STANDARD_WEBHOOKS = (Source.SHIPBOB, Source.EVENTS)
_KEPT = frozenset([httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY])

Told = Callable[[Sending], None]


class DemoFailed(OrdermendError):
    """The demo could not be played to its end."""


@dataclass(frozen=True, slots=True)
class Played:
    """How the deliveries were answered. `kept_unread` are verified ones that wait in the dead letter."""

    accepted: int
    duplicates: int
    kept_unread: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What there is in the end."""

    cases: tuple[Case, ...]
    actions_executed: int
    trail_verified: bool
    settled: bool

    @property
    def by_category(self) -> dict[str, int]:
        return _counted([case.category for case in self.cases])

    @property
    def by_verdict(self) -> dict[str, int]:
        return _counted([case.verdict for case in self.cases if case.verdict is not None])

    @property
    def waiting_review(self) -> int:
        return sum(case.state == CaseState.REVIEW for case in self.cases)


def fresh_secrets() -> dict[Source, str]:
    """A random secret per source, in the form its scheme wants."""
    return {source: _secret(source) for source in WEBHOOK_SOURCES}


def _secret(source: Source) -> str:
    if source in _STANDARD_WEBHOOKS:
        return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    return secrets.token_urlsafe(24)


def webhook_settings(given: Mapping[Source, str]) -> WebhookSecrets:
    return WebhookSecrets.model_validate({f"{source}_secret": secret for source, secret in given.items()})


async def play(world: World, address: str, acts: Sequence[Sequence[Sending]], given: Mapping[Source, str], told: Told) -> Played:
    """Post every delivery; after each act wait until the program has come to rest. `told` hears of each answer.

    Raises DemoFailed for any answer that a vendor would have to take as "not stored"."""
    tally: Counter[str] = Counter()
    async with httpx.AsyncClient(base_url=address, timeout=30) as http:
        for act in acts:
            for sending in act:
                tally[await _post(world, http, sending, given[sending.source])] += 1
                told(sending)
            if not await come_to_rest(world):
                raise DemoFailed(f"There is still work to do after {SETTLES_WITHIN_S} s; is the machine very busy?")
    return Played(tally["accepted"], tally["duplicate"], tally["kept"])


async def _post(world: World, http: httpx.AsyncClient, sending: Sending, secret: str) -> str:
    """`accepted`, `duplicate` or `kept`."""
    headers = {"content-type": "application/json"} | {name.lower(): value for name, value in sending.headers.items()}
    signed = sign(sending.source, secret, sending.body, headers, world.clock())
    answer = await http.post(f"/api/v1/signals/{sending.source}", content=sending.body, headers=signed)
    said = answer.json()
    if answer.status_code == httpx.codes.ACCEPTED:
        return "duplicate" if said["duplicate"] else "accepted"
    if answer.status_code in _KEPT and "signal_id" in said:
        return "kept"
    raise DemoFailed(f"A {sending.source} delivery was answered {answer.status_code}: {answer.text[:300]}")


async def come_to_rest(world: World) -> bool:
    """True once every signal is read, every case judged and every action ended; False when that takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLES_WITHIN_S
    while not await queue.settled(world):
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(0.05)
    return True


async def measure(world: World) -> Outcome:
    done = select(func.count()).select_from(ActionRow).where(ActionRow.state == ActionState.DONE)
    async with world.database.sessions() as session:
        cases = (await session.execute(select(Case).order_by(Case.order_ref, Case.seq))).scalars().all()
        executed = (await session.execute(done)).scalar_one()
        verification = await trail.verify(session)
    return Outcome(tuple(cases), executed, verification.valid, await queue.settled(world))


def _counted(names: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
