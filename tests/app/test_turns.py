"""Whose turn it is at a model with one slot."""

import asyncio

import pytest

from app.models.turns import Turns


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


class Slow:
    """Something asked that ends when it is told to; it counts how often it was begun."""

    def __init__(self) -> None:
        self.begun, self.broken_off = 0, 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> str:
        self.begun += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.broken_off += 1
            raise
        return "told"


async def test_an_explanation_waits_until_no_case_is_being_routed() -> None:
    turns, slow = Turns(), Slow()
    async with turns.first(), turns.first():
        later = asyncio.create_task(turns.later(slow))
        await settle()
        assert slow.begun == 0
    await settle()
    assert slow.begun == 1
    slow.may_end.set()
    assert await later == "told"


async def test_a_case_to_be_routed_breaks_an_explanation_off_and_it_is_asked_again() -> None:
    turns, slow = Turns(), Slow()
    later = asyncio.create_task(turns.later(slow))
    await settle()
    assert slow.begun == 1
    async with turns.first():
        await settle()
        assert (slow.begun, slow.broken_off) == (1, 1)
    await settle()
    assert slow.begun == 2
    slow.may_end.set()
    assert await later == "told"


async def test_routing_never_waits_for_an_explanation() -> None:
    turns, slow = Turns(), Slow()
    later = asyncio.create_task(turns.later(slow))
    await settle()
    entered = asyncio.create_task(_enter(turns))
    await settle()
    assert entered.done()
    later.cancel()
    await asyncio.gather(later, return_exceptions=True)


async def _enter(turns: Turns) -> None:
    async with turns.first():
        pass


async def test_explanations_are_asked_one_at_a_time() -> None:
    turns, one, two = Turns(), Slow(), Slow()
    asked = [asyncio.create_task(turns.later(one)), asyncio.create_task(turns.later(two))]
    await settle()
    assert (one.begun, two.begun) == (1, 0)
    one.may_end.set()
    await settle()
    assert two.begun == 1
    two.may_end.set()
    assert await asyncio.gather(*asked) == ["told", "told"]


async def test_who_stops_waiting_leaves_the_turn_to_the_next() -> None:
    turns, one, two = Turns(), Slow(), Slow()
    given_up = asyncio.create_task(turns.later(one))
    await settle()
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert one.broken_off == 1
    two.may_end.set()
    assert await turns.later(two) == "told"


async def test_what_goes_wrong_reaches_who_asked() -> None:
    async def broken() -> str:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        await Turns().later(broken)
