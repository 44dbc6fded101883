"""A world that routes by rules and lets a stand-in for the model explain."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from app.classify import Explains, Explanation, ModelCall, Question
from app.models.rules import RulesClassifier
from app.world import World
from guardrails.grounding import ground
from guardrails.proposal import Evidence
from guardrails.taxonomy import Category

CALL = ModelCall(
    model="test-model",
    prompt_name="explain",
    prompt_version="v1",
    prompt_sha256="e" * 64,
    messages=({"role": "system", "content": "explain"}, {"role": "user", "content": "the facts"}),
    raw_answer="{}",
    prompt_tokens=200,
    cached_tokens=None,
    completion_tokens=40,
    attempts=1,
    latency_ms=900,
)


@dataclass
class Pen:
    """Writes what it is told to, and remembers what it was asked."""

    summary: str = "The card was declined for lack of funds."
    quote: str = "insufficient_funds"
    failure: str | None = None
    asked: list[tuple[Question, Category]] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[object]] | None = None
    """What happens elsewhere while the model writes."""

    async def explain(self, question: Question, category: Category) -> Explanation:
        self.asked.append((question, category))
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.failure is not None:
            return Explanation("", (), failure=self.failure, call=CALL)
        cited = (Evidence("/fields/payment.decline_code/value", self.quote),)
        return Explanation(self.summary, ground(cited, question.snapshot), call=CALL)


@dataclass(frozen=True, slots=True)
class Routing(RulesClassifier):
    """Routes without words of its own."""

    pen: Explains | None = None

    @property
    def explainer(self) -> Explains | None:
        return self.pen


def with_pen(world: World, pen: Explains | None) -> World:
    return replace(world, classifier=Routing(world.owners, pen))
