"""Slow steps in a thread of their own, so that the program goes on meanwhile and can end at any time."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

from app.models.weights import Progress

_PATIENCE_S = 5.0
"""How long an end waits for a step that is stuck in the network. The thread is then left behind; it holds nothing."""


async def in_a_thread(steps: Iterator[Progress], tell: Callable[[Progress], None]) -> None:
    """Runs the steps; `tell` is called here, for each new percent. Raises what they raise. Cancelled, it stops at the next step."""
    loop, stop = asyncio.get_running_loop(), threading.Event()
    ended: asyncio.Future[BaseException | None] = loop.create_future()

    def work() -> None:
        failure: BaseException | None = None
        try:
            with closing(_generator(steps)) as going:
                _go(going, stop, lambda step: loop.call_soon_threadsafe(tell, step))
        except BaseException as error:  # whoever waits for the thread raises it again
            failure = error
        with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
            loop.call_soon_threadsafe(_settle, ended, failure)

    threading.Thread(target=work, name="local model", daemon=True).start()
    try:
        failure = await asyncio.shield(ended)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([ended], timeout=_PATIENCE_S)
        raise
    if failure is not None:
        raise failure


def _go(steps: Iterator[Progress], stop: threading.Event, tell: Callable[[Progress], object]) -> None:
    last: tuple[str, int] | None = None
    for step in steps:
        if stop.is_set():
            return
        now = (step.what, step.percent)
        if now != last:
            tell(step)
        last = now


def _settle(ended: asyncio.Future[BaseException | None], failure: BaseException | None) -> None:
    if not ended.done():
        ended.set_result(failure)


def _generator(steps: Iterator[Progress]) -> Generator[Progress, None, None]:
    yield from steps
