"""From nothing to a local model that answers, beside a program that meanwhile classifies by rules, and back to rules when it ends."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from app.classify import Classifier
from app.errors import OrdermendError
from app.models.abilities import Abilities
from app.models.background import in_a_thread
from app.models.endpoint import Sleep
from app.models.local_server import LocalModelFailed
from app.models.running import LocalEndpoint
from app.models.switching import LocalStatus, Stage, SwitchingClassifier
from app.models.weights import FetchedElsewhere, Progress

log = logging.getLogger(__name__)

LOOK_EVERY_S = 3.0
PATIENCE = 3
"""Looks in a row at which a server of another process may be silent before it counts as gone."""
_LOG_EVERY = 10
"""Percent."""


class Served(Protocol):
    """A server of one's own. Once `ended` is set, `failure` says why."""

    failure: str | None
    ended: asyncio.Event

    @property
    def endpoint(self) -> LocalEndpoint: ...


class Means(Protocol):
    """What the task works with. Whatever raises an OrdermendError ends the attempt with that reason."""

    def obstacle(self) -> str | None:
        """Why no server can be started here, and what to install."""
        ...

    async def elsewhere(self) -> LocalEndpoint | None:
        """A server of the same model that another process of ours runs and that answers."""
        ...

    def fetching(self) -> Iterator[Progress]:
        """The steps to weights that may be served; none when they are here. Raises FetchedElsewhere while another process is at it."""
        ...

    def fetched(self) -> Progress:
        """How much is here."""
        ...

    def weights(self) -> Path: ...

    def alone(self) -> AbstractContextManager[bool]:
        """False while another process of ours starts or holds a server."""
        ...

    def serve(self, weights: Path) -> AbstractAsyncContextManager[Served]: ...

    async def test(self, endpoint: LocalEndpoint) -> Abilities: ...

    def with_model(self, endpoint: LocalEndpoint, abilities: Abilities) -> Classifier: ...

    def note(self, status: LocalStatus | None) -> None:
        """Leave word for other commands; None: the task has ended."""
        ...


@runtime_checkable
class Warming(Protocol):
    """A classifier that can have the beginning of its prompt read before the first case comes."""

    async def warm(self) -> None: ...


@runtime_checkable
class Closing(Protocol):
    async def aclose(self) -> None: ...


class LocalModelTask:
    """`settled` is set when the model answers, and when it is given up."""

    def __init__(self, classifier: SwitchingClassifier, means: Means, *, sleep: Sleep = asyncio.sleep) -> None:
        self._classifier, self._means, self._sleep = classifier, means, sleep
        self.settled = asyncio.Event()

    async def run(self) -> None:
        """Ends when the model is given up; the reason is the classifier's status. Raises nothing but CancelledError."""
        try:
            await self._until_given_up()
        except OrdermendError as error:
            self._tell(LocalStatus(Stage.FAILED, str(error)))
        except Exception as error:  # the program works on rules, whatever is wrong here
            log.exception("the local model could not be used")
            self._tell(LocalStatus(Stage.FAILED, f"{type(error).__name__} on the way there; the log says more"))
        self.settled.set()

    async def _until_given_up(self) -> None:
        while True:
            if (other := await self._means.elsewhere()) is not None:
                async with self._answering(other):
                    await self._until_gone(other)
                log.warning("the process that served the local model has ended; starting one here")
            elif (obstacle := self._means.obstacle()) is not None:
                self._tell(LocalStatus(Stage.NOT_INSTALLED, obstacle))
                return
            else:
                await self._serve_if_nobody_does(await self._weights())

    async def _weights(self) -> Path:
        while True:
            try:
                await in_a_thread(self._means.fetching(), self._tell_progress)
                return self._means.weights()
            except FetchedElsewhere:
                self._tell_progress(self._means.fetched())
                await self._sleep(LOOK_EVERY_S)

    async def _serve_if_nobody_does(self, weights: Path) -> None:
        """Raises LocalModelFailed when the server that was started here is gone for good."""
        with self._means.alone() as alone:
            self._tell(LocalStatus(Stage.LOADING))
            if not alone:
                await self._sleep(LOOK_EVERY_S)
                return
            async with self._means.serve(weights) as server:
                async with self._answering(server.endpoint):
                    await server.ended.wait()
                raise LocalModelFailed(server.failure or "the local model has ended")

    @asynccontextmanager
    async def _answering(self, endpoint: LocalEndpoint) -> AsyncIterator[None]:
        """The model classifies in this block, if it passes the test. Raises LocalModelFailed."""
        self._tell(LocalStatus(Stage.TESTING))
        abilities = await self._means.test(endpoint)
        if abilities.enums_enforced is not True:
            raise LocalModelFailed(
                f"it did not show that it keeps to a list of words ({'; '.join(abilities.notes) or 'no reason told'})"
            )
        model = self._means.with_model(endpoint, abilities)
        try:
            if isinstance(model, Warming):
                await model.warm()
            self._switch(model, LocalStatus(Stage.READY, endpoint.model))
            yield
        finally:
            # First nobody asks it any more, then it is closed. What comes next says so itself.
            self._classifier.told(LocalStatus(Stage.STARTING))
            if isinstance(model, Closing):
                await model.aclose()

    async def _until_gone(self, other: LocalEndpoint) -> None:
        missed = 0
        while missed < PATIENCE:
            await self._sleep(LOOK_EVERY_S)
            missed = 0 if await self._means.elsewhere() == other else missed + 1

    def _tell_progress(self, step: Progress) -> None:
        stage = Stage.CHECKING if step.what.startswith("checking") else Stage.FETCHING
        self._tell(LocalStatus(stage, percent=step.percent))

    def _switch(self, model: Classifier, status: LocalStatus) -> None:
        self._classifier.switched(model, status)
        self._write(status)
        self.settled.set()

    def _tell(self, status: LocalStatus) -> None:
        before = self._classifier.status
        self._classifier.told(status)
        if status != before:
            self._write(status, before)

    def _write(self, status: LocalStatus, before: LocalStatus | None = None) -> None:
        self._means.note(status)
        same = before is not None and before.stage is status.stage and before.why == status.why
        if not same or (status.stage is Stage.FETCHING and (status.percent or 0) % _LOG_EVERY == 0):
            log.log(logging.WARNING if status.stage is Stage.FAILED else logging.INFO, "%s", status.sentence)


@asynccontextmanager
async def running(task: LocalModelTask, means: Means, first: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """The task goes on beside the block, after `first`, and is ended with it."""

    async def all_of_it() -> None:
        await first()
        await task.run()

    going = asyncio.create_task(all_of_it(), name="local model")
    try:
        yield
    finally:
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        means.note(None)
