"""The shape of a model's answer, and what becomes of it."""

from pydantic import BaseModel, Field

from app.classify import Diagnosis
from app.rendering import Rendering
from guardrails.proposal import Evidence
from guardrails.taxonomy import Action, Category, Team

_BASIS_POINTS = 100
TEXT_ONLY_CEILING = 50
"""Percent. Where only outside text speaks for a category, it is never surer than this, so that a person looks."""


class Cited(BaseModel):
    pointer: str = Field(max_length=300)
    quote: str = Field(max_length=500)


class Answer(BaseModel):
    """Category first: what follows is written to fit it. No amounts and no arguments: code works those out."""

    category: Category
    evidence: list[Cited] = Field(max_length=5)
    summary: str = Field(max_length=300)
    owner: Team
    actions: list[Action] = Field(max_length=5)
    confidence: int = Field(ge=0, le=100)
    injection_suspected: bool

    def citing(self, rendering: Rendering) -> tuple[Evidence, ...]:
        """Pointers into the snapshot, quotes with the personal words back in place."""
        found = (Evidence(rendering.pointer_of(item.pointer), rendering.unmask(item.quote)) for item in self.evidence)
        return tuple(dict.fromkeys(found))


def weigh(by_facts: Answer, by_text: Answer | None) -> tuple[Answer, bool]:
    """The answer to go by, and whether outside text tried to steer it.

    Without text there is one answer. Where facts alone name a category and the text would change it, the facts count and the
    difference is suspicious. Where facts alone say nothing, the text may name one, at low confidence.
    """
    if by_text is None:
        return by_facts, by_facts.injection_suspected
    suspected = by_facts.injection_suspected or by_text.injection_suspected
    if by_text.category == by_facts.category:
        return (by_facts, True) if suspected else (by_text, False)
    if by_facts.category is Category.UNKNOWN and not suspected:
        return by_text.model_copy(update={"confidence": min(by_text.confidence, TEXT_ONLY_CEILING)}), False
    return by_facts, True


def basis_points(confidence: int) -> int:
    return confidence * _BASIS_POINTS


def failed(order_ref: str, classifier: str, reason: str) -> Diagnosis:
    """Nothing was understood, and why: a person reads the case."""
    return Diagnosis(
        summary=f"Order {order_ref} was not classified: {reason}.",
        category=Category.UNKNOWN,
        owner=Team.OPERATIONS,
        confidence=None,
        evidence=(),
        actions=(),
        classifier=classifier,
        failure=reason,
    )
