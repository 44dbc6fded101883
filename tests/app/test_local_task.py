"""From rules to the local model and back, with a machine on which each step can go wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.classify import Classifier, Diagnosis, Question
from app.errors import ConfigurationInvalid
from app.models.abilities import Abilities
from app.models.answer import failed
from app.models.background import in_a_thread
from app.models.choice import wanted
from app.models.local_server import LocalModelFailed
from app.models.local_task import PATIENCE, LocalModelTask, running
from app.models.running import LocalEndpoint
from app.models.switching import LocalStatus, Stage, SwitchingClassifier, in_use, status_of
from app.models.weights import FetchedElsewhere, Progress, WeightsUnavailable
from app.settings import Settings
from tests.app.questions import DECLINED, question

HERE = LocalEndpoint("http://127.0.0.1:1/v1", "key", "tiny")
THERE = LocalEndpoint("http://127.0.0.1:2/v1", "key", "tiny")
ABLE = Abilities("tiny", True, True, 5, True, True, False, ())
STAGES = [Stage.FETCHING, Stage.FETCHING, Stage.LOADING, Stage.TESTING, Stage.READY]


@dataclass
class Answering:
    """A classifier that says its name."""

    name: str
    warmed: bool = False
    closed: bool = False
    fault: Exception | None = None

    @property
    def fingerprint(self) -> str:
        return f"{self.name} 1"

    async def classify(self, question: Question) -> Diagnosis:
        return failed(question.context.order_ref, self.name, "of no matter")

    async def warm(self) -> None:
        if self.fault is not None:
            raise self.fault
        self.warmed = True

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class Server:
    failure: str | None = None
    endpoint: LocalEndpoint = HERE
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def dies(self, why: str) -> None:
        self.failure = why
        self.ended.set()


@dataclass
class Machine:
    """Everything works, unless a test says otherwise. `others` are what is found elsewhere, look by look."""

    server: Server = field(default_factory=Server)
    model: Answering = field(default_factory=lambda: Answering("local"))
    abilities: Abilities = ABLE
    steps: list[Progress | Exception] = field(
        default_factory=lambda: [Progress(43, 100, "from the hub"), Progress(100, 100, "verified")]
    )
    missing: str | None = None
    others: list[LocalEndpoint | None] = field(default_factory=list)
    free: list[bool] = field(default_factory=list)
    served: int = 0
    serving: bool = False
    tested: list[LocalEndpoint] = field(default_factory=list)
    noted: list[LocalStatus | None] = field(default_factory=list)
    fetch_closed: bool = False

    def obstacle(self) -> str | None:
        return self.missing

    async def elsewhere(self) -> LocalEndpoint | None:
        return self.others.pop(0) if self.others else None

    def fetching(self) -> Iterator[Progress]:
        try:
            while self.steps:
                step = self.steps.pop(0)
                if isinstance(step, Exception):
                    raise step
                yield step
        finally:
            self.fetch_closed = True

    def fetched(self) -> Progress:
        return Progress(7, 100, "by another process")

    def weights(self) -> Path:
        return Path("tiny.gguf")

    @contextmanager
    def alone(self) -> Iterator[bool]:
        yield self.free.pop(0) if self.free else True

    @asynccontextmanager
    async def serve(self, weights: Path) -> AsyncIterator[Server]:
        self.served, self.serving = self.served + 1, True
        try:
            yield self.server
        finally:
            self.serving = False

    async def test(self, endpoint: LocalEndpoint) -> Abilities:
        self.tested.append(endpoint)
        return self.abilities

    def with_model(self, endpoint: LocalEndpoint, abilities: Abilities) -> Classifier:
        return self.model

    def note(self, status: LocalStatus | None) -> None:
        self.noted.append(status)

    @property
    def stages(self) -> list[Stage]:
        return [status.stage for status in self.noted if status is not None]


async def no_pause(seconds: float) -> None:
    await asyncio.sleep(0)


async def at_once() -> None:
    """Nothing to wait for."""


async def until(so: Callable[[], bool]) -> None:
    for _ in range(30_000):
        if so():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to that")


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def rules() -> Answering:
    return Answering("rules")


@pytest.fixture
def classifier(rules: Answering) -> SwitchingClassifier:
    return SwitchingClassifier(rules)


@pytest.fixture
def task(classifier: SwitchingClassifier, machine: Machine) -> LocalModelTask:
    return LocalModelTask(classifier, machine, sleep=no_pause)


async def given_up(task: LocalModelTask, classifier: SwitchingClassifier, why: str, stage: Stage = Stage.FAILED) -> None:
    await task.run()
    assert task.settled.is_set()
    assert (classifier.name, classifier.status.stage) == ("rules", stage)
    assert why in classifier.status.sentence
    assert classifier.status.sentence.startswith("Classifying by rules; ")


async def test_rules_answer_until_the_model_is_ready_and_then_the_model_does(
    task: LocalModelTask, classifier: SwitchingClassifier, machine: Machine
) -> None:
    asked = question(DECLINED)
    assert (classifier.name, (await classifier.classify(asked)).classifier) == ("rules", "rules")
    async with running(task, machine, at_once):
        await task.settled.wait()
        assert (classifier.name, classifier.fingerprint) == ("local", "local 1")
        assert (await classifier.classify(asked)).classifier == "local"
        assert machine.model.warmed
        assert machine.stages == STAGES
        assert status_of(classifier) == LocalStatus(Stage.READY, "tiny")
    assert (classifier.name, machine.serving, machine.model.closed) == ("rules", False, True)
    assert machine.noted[-1] is None


async def test_nothing_begins_before_it_may(task: LocalModelTask, machine: Machine, classifier: SwitchingClassifier) -> None:
    may = asyncio.Event()
    async with running(task, machine, may.wait):
        for _ in range(10):
            await asyncio.sleep(0)
        assert (machine.noted, classifier.name) == ([], "rules")
        may.set()
        await task.settled.wait()
        assert classifier.name == "local"


async def test_the_progress_of_fetching_can_be_read(task: LocalModelTask, machine: Machine) -> None:
    async with running(task, machine, at_once):
        await task.settled.wait()
    first = machine.noted[0]
    assert first is not None
    assert first.sentence == "Classifying by rules; the local model is being fetched: 43 %"
    assert first.concerns_reviewers


async def test_when_fetching_fails_rules_stay_and_the_reason_is_told(
    task: LocalModelTask, classifier: SwitchingClassifier, machine: Machine
) -> None:
    machine.steps.append(WeightsUnavailable("hub: it cannot be reached"))
    await given_up(task, classifier, "hub: it cannot be reached")
    assert machine.served == 0


async def test_without_the_engine_rules_stay_and_it_is_told_what_to_install(
    task: LocalModelTask, classifier: SwitchingClassifier, machine: Machine
) -> None:
    machine.missing = "pip install it"
    await given_up(task, classifier, "pip install it", Stage.NOT_INSTALLED)
    assert machine.steps, "nothing was fetched for an engine that is not there"
    assert not classifier.status.concerns_reviewers


@pytest.mark.parametrize("enforced", [False, None])
async def test_a_model_that_does_not_show_that_it_keeps_to_the_schema_is_not_used(
    task: LocalModelTask, classifier: SwitchingClassifier, machine: Machine, enforced: bool | None
) -> None:
    machine.abilities = Abilities("tiny", enforced, True, 5, True, True, False, ("schema: it answered 'banana'",))
    await given_up(task, classifier, "it answered 'banana'")
    assert (machine.serving, machine.model.warmed) == (False, False)


async def test_a_model_that_cannot_be_warmed_is_not_used(
    task: LocalModelTask, classifier: SwitchingClassifier, machine: Machine
) -> None:
    machine.model.fault = LocalModelFailed("it does not answer")
    await given_up(task, classifier, "it does not answer")
    assert (machine.serving, machine.model.closed) == (False, True)


async def test_a_server_that_cannot_start_leaves_rules_in_place(
    task: LocalModelTask, classifier: SwitchingClassifier, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(weights: Path) -> None:
        raise LocalModelFailed("tiny.gguf cannot be served: no memory")

    monkeypatch.setattr(machine, "serve", serve)
    await given_up(task, classifier, "no memory")


async def test_a_defect_is_told_by_its_kind_and_stops_nothing(
    task: LocalModelTask, classifier: SwitchingClassifier, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.model.fault = RuntimeError("a secret, perhaps")
    await given_up(task, classifier, "RuntimeError on the way there")
    assert "a secret" not in classifier.status.sentence
    assert "a secret" in caplog.text


async def test_when_the_server_ends_rules_answer_again_and_say_why(
    task: LocalModelTask, classifier: SwitchingClassifier, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    going = asyncio.create_task(task.run())
    await task.settled.wait()
    assert classifier.name == "local"
    machine.server.dies("it was started 4 times and is down")
    await going
    assert (classifier.name, classifier.status.stage) == ("rules", Stage.FAILED)
    assert "started 4 times and is down" in classifier.status.sentence
    assert "started 4 times and is down" in caplog.text
    assert (machine.serving, machine.model.closed) == (False, True)


async def test_ending_while_fetching_stops_the_fetch(machine: Machine, classifier: SwitchingClassifier) -> None:
    machine.steps = [Progress(n, 100_000, "from the hub") for n in range(100_000)]
    before = len(machine.steps)
    task = LocalModelTask(classifier, machine, sleep=no_pause)
    async with running(task, machine, at_once):
        await until(lambda: bool(machine.noted))
    assert machine.fetch_closed
    assert 0 < len(machine.steps) < before
    assert (classifier.name, machine.served) == ("rules", 0)


async def test_a_server_of_another_process_is_used_and_replaced_when_it_has_gone(
    task: LocalModelTask, classifier: SwitchingClassifier, machine: Machine
) -> None:
    machine.others = [*[THERE, None] * PATIENCE, THERE, *[None] * PATIENCE]  # silent now and then is not the end
    going = asyncio.create_task(task.run())
    await until(lambda: machine.served == 1 and classifier.name == "local")
    assert machine.tested == [THERE, HERE]
    machine.server.dies("over")
    await going
    assert classifier.name == "rules"


async def test_while_another_process_fetches_its_progress_is_shown_and_waited_for(
    task: LocalModelTask, classifier: SwitchingClassifier, machine: Machine
) -> None:
    machine.steps.insert(0, FetchedElsewhere("another process is at it"))
    async with running(task, machine, at_once):
        await task.settled.wait()
        assert classifier.name == "local"
    assert machine.noted[0] == LocalStatus(Stage.FETCHING, percent=7)


async def test_while_another_process_loads_no_second_server_is_started(
    task: LocalModelTask, classifier: SwitchingClassifier, machine: Machine
) -> None:
    machine.free, machine.others = [False], [None, THERE, *[THERE] * 10_000]
    async with running(task, machine, at_once):
        await task.settled.wait()
        assert (classifier.name, machine.served, machine.tested) == ("local", 0, [THERE])


async def test_who_holds_on_to_the_classifier_in_use_keeps_it_over_a_switch(
    classifier: SwitchingClassifier, rules: Answering
) -> None:
    held = in_use(classifier)
    classifier.switched(Answering("local"), LocalStatus(Stage.READY))
    assert (held, in_use(classifier).name, in_use(rules)) == (rules, "local", rules)


async def test_a_failure_in_the_thread_is_raised_where_it_is_awaited() -> None:
    def steps() -> Iterator[Progress]:
        yield Progress(1, 2, "from the hub")
        raise WeightsUnavailable("no")

    told: list[Progress] = []
    with pytest.raises(WeightsUnavailable, match="no"):
        await in_a_thread(steps(), told.append)
    assert [step.percent for step in told] == [50]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "local"),
        ({"local_model": "present"}, "local"),
        ({"local_model": "off"}, "rules"),
        ({"llm": {"base_url": "http://llm.test/v1"}}, "llm"),
        ({"llm": {"base_url": "http://llm.test/v1"}, "classifier": "local"}, "local"),
        ({"llm": {"api_key": "k"}, "classifier": "rules"}, "rules"),
    ],
)
def test_who_classifies_follows_from_the_settings(settings: dict[str, object], expected: str) -> None:
    assert wanted(Settings.model_validate({"local_model": "fetch"} | settings)) == expected


@pytest.mark.parametrize(("insisted", "why"), [("llm", "needs ORDERMEND_LLM__BASE_URL"), ("local", "ORDERMEND_LOCAL_MODEL=off")])
def test_what_is_insisted_on_and_cannot_be_is_refused(insisted: str, why: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=why):
        wanted(Settings.model_validate({"classifier": insisted, "local_model": "off"}))
