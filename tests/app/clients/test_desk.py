"""What is done on our own desk is done once, and never against what a person has said."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.clients.desk import KIND, SNOOZE_MAX_H, Desk
from app.clients.port import Done, Failed, Task
from app.database import write
from app.tables import ActionRow, Annotation, Case
from app.world import World
from guardrails.taxonomy import Action
from tests.builders import actions, order_arrives, the_case, warehouse_busy
from tests.conftest import Clock
from tests.steps import work


async def task(world: World, action: Action, **arguments: Any) -> Task:
    """A task of a real case; its action row stands in for any."""
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    case, row = await the_case(world), (await actions(world))[-1]
    async with write(world.database.sessions) as session:
        for mark in (await session.execute(select(Annotation))).scalars():
            await session.delete(mark)
        await session.execute(update(ActionRow).where(ActionRow.id == row.id).values(action=action.value))
    return Task(row.id, action, arguments, case.id, case.order_id, case.order_ref, {}, row.idempotency_key, "agent")


async def annotations(world: World) -> list[Annotation]:
    async with world.database.sessions() as session:
        return list((await session.execute(select(Annotation))).scalars())


@pytest.mark.parametrize("action", sorted(KIND))
async def test_sent_ten_times_at_once_it_is_done_once(world: World, action: Action) -> None:
    asked = await task(world, action, owner="risk", text="x")
    before = (await the_case(world)).version
    desk = Desk(world.database.sessions, world.clock)
    endings = await asyncio.gather(*(desk.carry_out(asked) for _ in range(10)))
    assert all(isinstance(ending, Done) for ending in endings)
    assert [(mark.kind, mark.action_id) for mark in await annotations(world)] == [(KIND[action], asked.action_id)]
    changed = action in (Action.ASSIGN_OWNER, Action.SNOOZE_CASE)
    assert (await the_case(world)).version == before + changed


async def test_a_case_is_snoozed_for_the_hours_asked_for(world: World, clock: Clock) -> None:
    await Desk(world.database.sessions, clock).carry_out(await task(world, Action.SNOOZE_CASE, hours=3))
    assert (await the_case(world)).snoozed_until == clock.now + timedelta(hours=3)


@pytest.mark.parametrize("hours", [0, -1, SNOOZE_MAX_H + 1, "3", True, None, 2.5])
async def test_hours_that_are_none_fail_and_change_nothing(world: World, hours: Any) -> None:
    ending = await Desk(world.database.sessions, world.clock).carry_out(await task(world, Action.SNOOZE_CASE, hours=hours))
    assert isinstance(ending, Failed)
    assert ((await the_case(world)).snoozed_until, await annotations(world)) == (None, [])


@pytest.mark.parametrize("owner", ["nobody", None, ["risk"], 7])
async def test_an_owner_that_is_no_team_fails(world: World, owner: Any) -> None:
    ending = await Desk(world.database.sessions, world.clock).carry_out(await task(world, Action.ASSIGN_OWNER, owner=owner))
    assert isinstance(ending, Failed)


async def test_the_agent_does_not_take_a_case_from_whom_a_person_gave_it(world: World) -> None:
    asked = await task(world, Action.ASSIGN_OWNER, owner="risk")
    async with write(world.database.sessions) as session:
        await session.execute(update(Case).values(owner="finance", assignee="rosa"))
    await Desk(world.database.sessions, world.clock).carry_out(asked)
    assert ((await the_case(world)).owner, (await the_case(world)).assignee) == ("finance", "rosa")
