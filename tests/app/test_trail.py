"""The trail notices every way of tampering."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app import trail
from app.database import write
from app.trail import Entry, Event
from app.world import World

Tamper = Callable[[AsyncSession], Awaitable[object]]


async def _write_five(world: World) -> None:
    """The publication of the policy, which the start wrote, and four more."""
    for number in range(1, 5):
        async with write(world.database.sessions) as session:
            body = {"n": number, "text": "naïve \x00 \ud800 text", "exact": 1e22}
            await trail.append(session, world.clock(), [Entry(Event.CASE_OPENED, "test", body, case_id="case_1")])


async def _verify(world: World) -> trail.Verification:
    async with world.database.sessions() as session:
        return await trail.verify(session)


async def test_an_untouched_trail_verifies(world: World) -> None:
    await _write_five(world)
    found = await _verify(world)
    assert (found.entries, found.valid, found.why) == (5, True, None)


async def test_the_trail_of_a_first_start_verifies(world: World) -> None:
    found = await _verify(world)
    assert (found.entries, found.valid) == (1, True)


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ("UPDATE trail SET body = replace(body, '2', '3') WHERE seq = 3", 3),
        ("UPDATE trail SET actor = 'somebody else' WHERE seq = 2", 2),
        ("UPDATE trail SET at = at + interval '1 second' WHERE seq = 4", 4),
        ("UPDATE trail SET event = 'case.cleared' WHERE seq = 1", 1),
        ("UPDATE trail SET hash = repeat('a', 64) WHERE seq = 3", 3),
        ("DELETE FROM trail WHERE seq = 2", 2),
        ("DELETE FROM trail WHERE seq = 5", 5),
        ("DELETE FROM trail", 1),
        (
            "INSERT INTO trail SELECT 0, at, event, case_id, order_id, actor, body, body_sha256, previous, hash FROM trail WHERE seq = 1",
            0,
        ),
        ("UPDATE trail SET seq = CASE seq WHEN 2 THEN 30 WHEN 3 THEN 2 ELSE seq END WHERE seq IN (2, 3)", 2),
    ],
)
async def test_the_first_bad_entry_is_named(world: World, statement: str, first_bad: int) -> None:
    await _write_five(world)
    async with write(world.database.sessions) as session:
        await session.execute(text("ALTER TABLE trail DISABLE TRIGGER ALL"))
        await session.execute(text(statement))
    assert (await _verify(world)).first_bad == first_bad


@pytest.mark.parametrize("statement", ["UPDATE trail SET actor = 'x'", "DELETE FROM trail", "TRUNCATE trail"])
async def test_the_database_refuses_changes_to_the_trail(world: World, statement: str) -> None:
    await _write_five(world)
    with pytest.raises(DBAPIError, match="append-only"):
        async with write(world.database.sessions) as session:
            await session.execute(text(statement))
    assert (await _verify(world)).entries == 5


async def test_a_rolled_back_transaction_leaves_no_entry(world: World) -> None:
    class Undo(Exception):
        pass

    async def append_and_fail() -> None:
        async with write(world.database.sessions) as session:
            await trail.append(session, world.clock(), [Entry(Event.CASE_OPENED, "test", {})])
            raise Undo

    with pytest.raises(Undo):
        await append_and_fail()
    await _write_five(world)
    assert (await _verify(world)).entries == 5
