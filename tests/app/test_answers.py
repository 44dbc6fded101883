"""A question that was answered is not paid for twice; a failure is asked again; another question is another question."""

from dataclasses import dataclass, field, replace

import pytest
from sqlalchemy import select

from app import answers, store
from app.answers import plain_diagnosis, question_key, revive
from app.classify import Diagnosis, ModelCall, Question
from app.context import RelatedOrder
from app.judge import Sighting, look
from app.models.rules import RulesClassifier
from app.owners import Owners
from app.tables import Case, ModelAnswer
from app.world import World
from tests.builders import event_arrives, order_arrives, orders, the_case, warehouse_busy
from tests.conftest import START, Clock
from tests.steps import work


@dataclass
class Told:
    asked: list[Question] = field(default_factory=list)
    failure: str | None = None
    prompt: str = "prompt 1"


CALL = ModelCall("m-1", "classify", "3", "0" * 64, ({"role": "user", "content": "?"},), '{"a": 1}', 9, 0, None, 1, 12)


class Costly:
    """Remembers what it is asked, and fails when told to."""

    name = "llm"

    def __init__(self, owners: Owners) -> None:
        self._rules = RulesClassifier(owners)
        self.told = Told()

    @property
    def fingerprint(self) -> str:
        return f"llm {self.told.prompt}"

    async def classify(self, question: Question) -> Diagnosis:
        self.told.asked.append(question)
        return replace(await self._rules.classify(question), call=CALL, failure=self.told.failure, classifier="llm")


@pytest.fixture
def costly(world: World) -> Costly:
    return Costly(world.owners)


@pytest.fixture
def paid(world: World, costly: Costly) -> World:
    return replace(world, classifier=costly)


async def sighting_of(world: World) -> tuple[Case, Sighting]:
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    (order,) = await orders(world)
    return await the_case(world), look(await store.gather(world, order.id, world.clock()), world.detectors)


async def test_a_question_is_asked_once_and_its_answer_comes_back_whole(paid: World, costly: Costly) -> None:
    case, sighting = await sighting_of(paid)
    costly.told.asked.clear()
    first = await answers.ask(paid, case, sighting, paid.policy.limits)
    second = await answers.ask(paid, case, sighting, paid.policy.limits)
    assert first == second
    assert (second.call, len(costly.told.asked)) == (CALL, 0)  # the first judgement had asked it already


async def test_the_mere_passing_of_time_is_no_new_question(paid: World, costly: Costly, clock: Clock) -> None:
    case, _ = await sighting_of(paid)
    clock.forward(minutes=10)
    later = look(await store.gather(paid, case.order_id, clock.now), paid.detectors)
    costly.told.asked.clear()
    await answers.ask(paid, case, later, paid.policy.limits)
    assert costly.told.asked == []


async def test_a_new_fact_is_a_new_question(paid: World, costly: Costly) -> None:
    case, _ = await sighting_of(paid)
    await event_arrives(paid, "customer.message", {"channel": "mail", "text": "hello"})
    costly.told.asked.clear()
    await work(paid)
    assert len(costly.told.asked) == 1
    assert (await the_case(paid)).id == case.id


async def test_after_a_change_of_prompt_or_model_everything_is_asked_anew(paid: World, costly: Costly) -> None:
    case, sighting = await sighting_of(paid)
    costly.told.asked.clear()
    costly.told.prompt = "prompt 2"
    await answers.ask(paid, case, sighting, paid.policy.limits)
    assert len(costly.told.asked) == 1


async def test_a_failure_is_not_remembered(paid: World, costly: Costly) -> None:
    costly.told.failure = "the endpoint is away"
    case, sighting = await sighting_of(paid)
    costly.told.asked.clear()
    for _ in range(2):
        assert (await answers.ask(paid, case, sighting, paid.policy.limits)).failure == "the endpoint is away"
    assert len(costly.told.asked) == 2
    async with paid.database.sessions() as session:
        (row,) = (await session.execute(select(ModelAnswer))).scalars()
    assert (row.answered_at, row.diagnosis) == (None, None)  # the ledger shows that it was asked


async def test_the_rules_cost_nothing_and_leave_no_ledger(world: World) -> None:
    await sighting_of(world)
    async with world.database.sessions() as session:
        assert (await session.execute(select(ModelAnswer))).first() is None


async def test_other_orders_that_are_shown_belong_to_the_question(world: World) -> None:
    _, sighting = await sighting_of(world)
    question = Question(sighting.context, sighting.snapshot, sighting.facts, sighting.detections, world.policy.limits)
    twin = replace(sighting.context, related=(RelatedOrder("#1000", START, ("lines",)),))
    other = Question(twin, twin.snapshot(), sighting.facts, sighting.detections, world.policy.limits)
    assert question_key("llm", question) != question_key("llm", other)
    assert question_key("llm", question) != question_key("local", question)


async def test_a_stored_answer_is_read_back_as_it_was(world: World, costly: Costly) -> None:
    _, sighting = await sighting_of(world)
    diagnosis = await costly.classify(
        Question(sighting.context, sighting.snapshot, sighting.facts, sighting.detections, world.policy.limits)
    )
    assert revive(plain_diagnosis(diagnosis)) == diagnosis
