"""Stand-ins for what is outside, handed in through the World."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from app.classify import Diagnosis, Question
from app.clients.port import Done, Ending, Task
from app.models.rules import RulesClassifier
from app.world import World
from guardrails.taxonomy import Action


@dataclass
class Peer:
    """An outside system. It remembers every call; `effects` are those with a key that it had not seen."""

    ending: Ending | Exception = field(default_factory=lambda: Done({"receipt": "r-1"}))
    repeatable: bool = True
    calls: list[Task] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[object]] | None = None
    """What happens elsewhere while the call is under way."""

    @property
    def effects(self) -> set[str]:
        return {task.idempotency_key for task in self.calls}

    async def carry_out(self, task: Task) -> Ending:
        self.calls.append(task)
        await asyncio.sleep(0)
        if self.meanwhile is not None:
            await self.meanwhile()
        if isinstance(self.ending, Exception):
            raise self.ending
        return self.ending


def with_peers(world: World, peers: dict[Action, Peer]) -> World:
    return replace(world, connectors={**world.connectors, **peers})


def with_other_policy(world: World) -> World:
    """The same lines under another digest, as after a publication."""
    later = {row: replace(policy, version="later", sha256="0" * 64) for row, policy in world.loaded.items()}
    return replace(world, loaded=later)


def with_rules(world: World, **changed: Any) -> World:
    """The policy in force with other tables, under the same digest, as if it had always said so."""
    return replace(world, loaded={row: replace(policy, **changed) for row, policy in world.loaded.items()})


@dataclass
class Nudges:
    """Takes the place of the queue and loses everything, but remembers what was asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, job: str, about: str) -> None:
        self.asked.append((job, about))


class Broken(RulesClassifier):
    """A classifier with a defect: it raises, which none of them may."""

    async def classify(self, question: Question) -> Diagnosis:
        raise RuntimeError("a defect")
