"""Commands that need the database: they open a World, do one thing in it, and close it."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from procrastinate.exceptions import ConnectorException

from app import keys
from app.cli_settings import settings_now
from app.database import CONNECTION_FAILURES
from app.errors import DatabaseUnavailable, Denied, Unauthenticated
from app.keys import Principal, Scope
from app.publishing import publish_at_start, publish_if_first
from app.wiring import open_world
from app.world import World
from guardrails.proposal import Actor
from guardrails.taxonomy import PrincipalKind

KEY_VARIABLE = "ORDERMEND_API_KEY"
OPERATOR = Actor(PrincipalKind.SERVICE, "system")
"""Whoever has a shell on the machine. Such a one may look and mend, but approves nothing."""

_T = TypeVar("_T")


def in_world(step: Callable[[World], Awaitable[_T]], *, worker: bool = False) -> _T:
    """What `step` returns. With `worker` the queue is worked on meanwhile. Without it a policy file
    that was changed is not put in force by merely asking for something. Raises DatabaseUnavailable."""

    async def opened() -> _T:
        at_start = publish_at_start if worker else publish_if_first
        async with open_world(settings_now(), worker=worker, at_start=at_start) as world:
            return await step(world)

    try:
        return asyncio.run(opened())
    except (ConnectorException, *CONNECTION_FAILURES) as error:
        raise DatabaseUnavailable(
            f"The database does not answer ({type(error).__name__}); `ordermend doctor` says more."
        ) from error


async def person_of_the_key(world: World, scope: Scope) -> Actor:
    """Whoever the key in the environment speaks for. Raises Unauthenticated, or Denied without the scope."""
    found = await _principal(world)
    if found is None:
        raise Unauthenticated(f"Set {KEY_VARIABLE} to your API key; `ordermend keys create` makes one.")
    return _checked(found, scope)


async def reporter(world: World, scope: Scope) -> Actor:
    """Whoever the key speaks for; the operator of this machine when there is none."""
    found = await _principal(world)
    return OPERATOR if found is None else _checked(found, scope)


async def _principal(world: World) -> Principal | None:
    secret = os.environ.get(KEY_VARIABLE, "").strip()
    if not secret:
        return None
    async with world.database.sessions() as session:
        return await keys.authenticate(session, secret, world.clock())


def _checked(found: Principal, scope: Scope) -> Actor:
    if not found.may(scope):
        raise Denied(f"The key {found.key_id} lacks the scope {scope}.")
    return found.actor
