"""What a classifier is asked and what it answers. It interprets; it decides nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from app.context import OrderContext
from app.detect import Detections
from guardrails.facts import Facts
from guardrails.money import Money
from guardrails.proposal import Evidence, Proposal, ProposedAction
from guardrails.ruling import GroundedEvidence
from guardrails.taxonomy import Category, Team


@dataclass(frozen=True, slots=True)
class Question:
    """One order's state as a classifier sees it. `snapshot` is what evidence pointers point into; `limits` are those of the policy
    that will rule on the answer."""

    context: OrderContext
    snapshot: dict[str, Any]
    facts: Facts
    detections: Detections
    limits: Mapping[str, Mapping[str, Money]]


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One conversation with a model, kept word for word. Tokens and price are None where the endpoint did not say."""

    model: str
    prompt_name: str
    prompt_version: str
    prompt_sha256: str
    messages: tuple[dict[str, str], ...]
    raw_answer: str | None
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    attempts: int
    latency_ms: int
    reused: int = 0
    """Answers that were known already; nothing was paid for them again, though their tokens are counted."""
    cost_micros: int | None = None
    """What all its tokens cost, in millionths of a US dollar; None where the price or the tokens are unknown."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """An interpretation. With `failure` set the classifier could not answer: the category is then `unknown`."""

    summary: str
    category: Category
    owner: Team
    confidence: int | None
    evidence: tuple[Evidence, ...]
    actions: tuple[ProposedAction, ...]
    classifier: str
    failure: str | None = None
    untrusted_instructions: bool = False
    call: ModelCall | None = None

    def to_proposal(self) -> Proposal:
        return Proposal(
            category=self.category,
            owner=self.owner,
            confidence=self.confidence,
            evidence=self.evidence,
            actions=self.actions,
            classifier=self.classifier,
            failure=self.failure,
            untrusted_instructions=self.untrusted_instructions,
        )


class Classifier(Protocol):
    """`rules` needs no model; `llm` talks to any OpenAI-compatible endpoint."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """Stands for all that decides an answer besides the question, such as the model and the prompt. While it is the same, an
        answer that was given need not be asked for again."""
        ...

    async def classify(self, question: Question) -> Diagnosis:
        """Never raises for anything the model or its endpoint does: a failure is a Diagnosis that says so."""
        ...


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a model wrote about a case whose category is fixed, for people to read. It decides nothing. With `failure` set there is
    none. `evidence` is every cited item after checking; `cost_micros` is in millionths of a US dollar, None where unknown."""

    summary: str
    evidence: tuple[GroundedEvidence, ...]
    failure: str | None = None
    call: ModelCall | None = None
    cost_micros: int | None = None

    @property
    def holding(self) -> tuple[GroundedEvidence, ...]:
        """The cited items that stand in the facts; of an ungrounded explanation there is none."""
        return tuple(item for item in self.evidence if item.struck is None)


class Explains(Protocol):
    async def explain(self, question: Question, category: Category) -> Explanation:
        """Never raises for anything the model or its endpoint does: a failure is an Explanation that says so."""
        ...


@runtime_checkable
class OffersExplanations(Protocol):
    """A classifier that routes without words, so that somebody else has to write them. One that writes its own offers none."""

    @property
    def explainer(self) -> Explains | None: ...


def explainer_of(classifier: Classifier) -> Explains | None:
    """Who writes the explanations as long as this classifier is in force."""
    return classifier.explainer if isinstance(classifier, OffersExplanations) else None
