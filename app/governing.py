"""What rules right now: the policy in force, the one in shadow, and how things stand with budgets and switches.

It is read from the database for every judgement and every action, so that a switch or a new policy holds in every process at once.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.budgets import spent_in
from app.published import policy_in_force, policy_in_shadow
from app.switches import switches_off
from app.world import World
from guardrails.policy.load import Policy
from guardrails.standing import Standing, hour_of


@dataclass(frozen=True, slots=True)
class Governing:
    policy: Policy
    shadow: Policy | None
    """A policy on trial: what it would have ruled is recorded, and nothing follows from it."""
    standing: Standing


async def governing(world: World) -> Governing:
    """As it is now, in one short transaction."""
    async with world.database.sessions() as session:
        return await governing_in(session, world, world.clock())


async def governing_in(session: AsyncSession, world: World, now: datetime) -> Governing:
    """As this transaction sees it."""
    return Governing(
        policy=await policy_in_force(session, world),
        shadow=await policy_in_shadow(session, world),
        standing=Standing(await spent_in(session, hour_of(now)), await switches_off(session)),
    )
