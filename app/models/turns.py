"""Whose turn it is to ask a model that can answer one question at a time: what decides where a case goes, before what explains it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

_T = TypeVar("_T")


class Turns:
    """Shared by all who ask one model in this process. Those in `first` do not wait for each other: the model has its own queue."""

    def __init__(self) -> None:
        self._routing = 0
        self._routed, self._arrived = asyncio.Event(), asyncio.Event()
        self._routed.set()
        self._one_later = asyncio.Lock()

    @asynccontextmanager
    async def first(self) -> AsyncIterator[None]:
        """Ask now. What is asked in `later` is broken off and asked again afterwards."""
        self._routing += 1
        self._routed.clear()
        self._arrived.set()
        try:
            yield
        finally:
            self._routing -= 1
            if not self._routing:
                self._arrived.clear()
                self._routed.set()

    async def later(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """The answer of `ask`, which is called while nobody is in `first`, one at a time, and again each time it was broken off."""
        async with self._one_later:
            while True:
                await self._routed.wait()
                if (answered := await self._unless_broken_off(ask)) is not None:
                    return answered[0]

    async def _unless_broken_off(self, ask: Callable[[], Awaitable[_T]]) -> tuple[_T] | None:
        asking, arrival = asyncio.ensure_future(ask()), asyncio.ensure_future(self._arrived.wait())
        try:
            await asyncio.wait({asking, arrival}, return_when=asyncio.FIRST_COMPLETED)
            return (asking.result(),) if asking.done() else None
        finally:
            asking.cancel()
            arrival.cancel()
            await asyncio.gather(asking, arrival, return_exceptions=True)
