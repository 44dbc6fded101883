"""The classifier of those that stay (`serve`, `worker`, `demo`): rules at once, the local model when it is ready."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from app.classify import Classifier
from app.errors import ConfigurationInvalid
from app.models.choice import Keep, chosen_classifier, local_classifier, wanted
from app.models.local_server import LocalModelFailed
from app.models.local_task import LocalModelTask, running
from app.models.rules import RulesClassifier
from app.models.switching import Stage, SwitchingClassifier
from app.models.this_machine import ThisMachine
from app.owners import Owners
from app.settings import Settings


async def _at_once() -> None:
    """Nothing to wait for."""


@asynccontextmanager
async def local_when_ready(
    settings: Settings, owners: Owners, keep: Keep | None = None, *, after: Callable[[], Awaitable[object]] = _at_once
) -> AsyncIterator[Classifier]:
    """What `chosen_classifier` gives, but where the local model is wanted: rules, until `after` has returned and the model answers.

    Raises ConfigurationInvalid, also when the local model is insisted on and can be seen to be out of reach."""
    if wanted(settings) != "local":
        async with chosen_classifier(settings, owners, keep) as chosen:
            yield chosen
        return
    machine = ThisMachine(settings, partial(local_classifier, settings, owners))
    if settings.classifier == "local":
        await _within_reach(machine, fetches=settings.local_model == "fetch")
    classifier = SwitchingClassifier(RulesClassifier(owners))
    async with running(LocalModelTask(classifier, machine), machine, after):
        yield classifier


@asynccontextmanager
async def local_now(settings: Settings, owners: Owners, keep: Keep | None = None) -> AsyncIterator[Classifier]:
    """The local model, answering; nothing is fetched for it, and nothing paid, so that `keep` has nothing to keep.

    Raises LocalModelFailed or ConfigurationInvalid."""
    wanted(settings.model_copy(update={"classifier": "local"}))
    machine = ThisMachine(settings.model_copy(update={"local_model": "present"}), partial(local_classifier, settings, owners))
    await _within_reach(machine, fetches=False)
    classifier = SwitchingClassifier(RulesClassifier(owners))
    task = LocalModelTask(classifier, machine)
    async with running(task, machine, _at_once):
        await task.settled.wait()
        if classifier.status.stage is not Stage.READY:
            raise LocalModelFailed(f"The local model cannot be used: {classifier.status.why}")
        yield classifier


async def out_of_reach(settings: Settings, owners: Owners) -> str | None:
    """Why the local model cannot be had here and now, or None."""
    try:
        await _within_reach(ThisMachine(settings, partial(local_classifier, settings, owners)), fetches=False)
    except ConfigurationInvalid as error:
        return str(error)
    return None


async def _within_reach(machine: ThisMachine, *, fetches: bool) -> None:
    if await machine.elsewhere() is not None:
        return
    if (obstacle := machine.obstacle()) is not None:
        raise ConfigurationInvalid(f"{obstacle}; or set --classifier rules.")
    if not fetches and not machine.here():
        raise ConfigurationInvalid(
            "The weights of the local model are not here; `ordermend model fetch` gets them. Or set --classifier rules."
        )
