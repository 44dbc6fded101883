"""One classifier, three kinds of evidence: rules on documented codes, statistics of reviewed cases, and a model's choice of a label.

Their opinions are pooled (`opinions.py`). The model is asked only where rules and statistics do not settle the matter. There are two
views: facts alone, and with what outsiders wrote. Where facts say what it is and the text would change it, the facts count and the
difference is suspicious; where facts say nothing, the text may name a category, never surer than `TEXT_ONLY_CEILING`.
"""

import asyncio
import json
from dataclasses import dataclass, field, replace

from app.classify import Diagnosis, Explains, ModelCall, Question
from app.compact import compact
from app.models.answer import TEXT_ONLY_CEILING, basis_points
from app.models.endpoint import Clock, EndpointFailed, Tally
from app.models.explain import Explainer
from app.models.label_choice import LabelChoice, plain_opinion
from app.models.linear import LinearModel
from app.models.model_settings import Request
from app.models.opinions import Combination, Opinion, best, of_rules, of_statistics
from app.models.rules import RulesClassifier, evidence_of
from app.models.turns import Turns
from guardrails.facts import sha256_of
from guardrails.taxonomy import Category

NAME = "local"
_FACTS_SPEAK = 0.5
"""Probability. From here on facts alone name a category, and text that would change it is suspicious."""
_SYMPTOM_ONLY = 6_000
"""Basis points. A detector that is less sure saw that something is wrong and not what: nothing that resembles it makes that surer."""
_SURE_OF_TEXT = 0.6
"""Probability. Below it the text's category differs by weakness, not by intent."""


@dataclass(slots=True)
class _Asking:
    """What was asked and said, as it happens, so that a failure half-way is recorded too."""

    started: float
    tally: Tally = field(default_factory=Tally)
    messages: list[dict[str, str]] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _View:
    """`failure` says why the model, which was to be asked, is not in the opinion."""

    opinion: Opinion
    failure: str | None = None


class CombinedClassifier:
    """`choice` is None where no model can be asked. `explainer` writes to reviewers later. `clock` counts seconds and only grows."""

    def __init__(
        self,
        rules: RulesClassifier,
        statistics: LinearModel,
        combination: Combination,
        choice: LabelChoice | None,
        *,
        request: Request,
        turns: Turns,
        clock: Clock,
        explainer: Explainer | None = None,
    ) -> None:
        self._rules, self._statistics, self._combination, self._choice = rules, statistics, combination, choice
        self._request, self._turns, self._clock = request, turns, clock
        self._explainer, self._slot = explainer, asyncio.Semaphore(1)

    @property
    def name(self) -> str:
        return NAME

    @property
    def fingerprint(self) -> str:
        asked = None if self._choice is None else [self._choice.model, self._choice.prompt.sha256]
        return sha256_of({"asked": asked, "statistics": self._statistics.sha256, "combination": self._combination.sha256})

    @property
    def explainer(self) -> Explains | None:
        return self._explainer

    async def warm(self) -> None:
        """Lets the endpoint read the beginnings that prompts share. Raises EndpointFailed."""
        if self._choice is not None:
            async with self._turns.first(), self._slot:
                await self._choice.choose(self._choice.messages("", ""), Tally(), self._clock() + self._request.deadline_s)
                if self._explainer is not None:
                    await self._explainer.warm()

    async def aclose(self) -> None:
        for asks in (self._choice, self._explainer):
            if asks is not None:
                await asks.aclose()

    async def classify(self, question: Question) -> Diagnosis:
        by_rules = self._rules.diagnose(question)
        seen = compact(question)
        asking = _Asking(self._clock())
        rules = of_rules(question, by_rules)
        by_facts = await self._view("facts", rules, seen.facts, "", asking)
        by_text = by_facts
        if seen.texts and not by_rules.untrusted_instructions:
            by_text = await self._view("text", rules, seen.facts, seen.texts, asking)
        category, confidence, steered = weighed(by_facts.opinion, by_text.opinion, rules_spoke=rules is not None)
        if question.detections.found and by_rules.confidence is not None and by_rules.confidence < _SYMPTOM_ONLY:
            confidence = min(confidence, by_rules.confidence)
        diagnosis = self._diagnosis(question, by_rules, category, confidence)
        return replace(
            diagnosis,
            classifier=NAME,
            untrusted_instructions=by_rules.untrusted_instructions or steered,
            failure=by_facts.failure or by_text.failure,
            call=self._call(asking),
        )

    async def _view(self, view: str, rules: Opinion | None, facts: str, texts: str, asking: _Asking) -> _View:
        shown = "\n".join(part for part in (facts, texts) if part)
        statistics = of_statistics(self._statistics, shown)
        unasked = self._combination.pooled(rules, statistics)
        if self._choice is None or settled_without(self._combination, rules, statistics):
            return _View(unasked)
        try:
            said = await self._chosen(self._choice, view, facts, texts, asking)
        except EndpointFailed as error:
            return _View(unasked, str(error))
        return _View(self._combination.pooled(rules, statistics, self._combination.unbiased(said)))

    async def _chosen(self, choice: LabelChoice, view: str, facts: str, texts: str, asking: _Asking) -> Opinion:
        """One at a time: a model with one slot answers no sooner for being asked early. Raises EndpointFailed."""
        messages = choice.messages(facts, texts)
        asking.messages += [{**message, "view": view} for message in messages]
        try:
            async with self._turns.first(), self._slot, asyncio.timeout(self._request.deadline_s):
                opinion = await choice.choose(messages, asking.tally, self._clock() + self._request.deadline_s)
        except TimeoutError:
            raise EndpointFailed(f"the model took longer than {self._request.deadline_s:g} s") from None
        except EndpointFailed:
            raise
        except Exception as error:  # the promise of Classifier: whatever breaks here must not stop the case
            raise EndpointFailed(f"{type(error).__name__} while asking the model") from None
        asking.said[view] = plain_opinion(opinion)
        return opinion

    def _diagnosis(self, question: Question, by_rules: Diagnosis, category: Category, confidence: int) -> Diagnosis:
        """What the rules say of it where they hold the same. Of a category that no rule established little can be said, and nothing is
        proposed, however sure the rest is: so a person looks."""
        established = bool(question.detections.found) or question.detections.benign is not None
        if category is by_rules.category:
            return replace(by_rules, confidence=confidence, actions=by_rules.actions if established else ())
        owner = self._rules.owners.owner_of(category)
        told = f" The rules say: {by_rules.summary}" if question.detections.found else ""
        summary = f"Order {question.context.order_ref}: looks like {category}, which no rule established.{told}"
        return replace(
            by_rules,
            summary=summary,
            category=category,
            owner=owner,
            confidence=confidence,
            evidence=evidence_of(question, category),
            actions=(),
        )

    def _call(self, asking: _Asking) -> ModelCall | None:
        """None when nothing was asked at all."""
        if self._choice is None or not asking.messages:
            return None
        tally, prompt = asking.tally, self._choice.prompt
        return ModelCall(
            model=self._choice.model,
            prompt_name=prompt.name,
            prompt_version=prompt.version,
            prompt_sha256=prompt.sha256,
            messages=tuple(asking.messages),
            raw_answer=json.dumps(asking.said, sort_keys=True) if asking.said else None,
            prompt_tokens=tally.prompt_tokens,
            cached_tokens=tally.cached_tokens,
            completion_tokens=tally.completion_tokens,
            attempts=tally.attempts,
            latency_ms=round((self._clock() - asking.started) * 1000),
            reused=tally.reused,
            cost_micros=self._choice.settings.cost(tally),
        )


def weighed(by_facts: Opinion, by_text: Opinion, *, rules_spoke: bool) -> tuple[Category, int, bool]:
    """Category, confidence in basis points, and whether outside text tried to steer."""
    (category, sure), (told, told_sure) = best(by_facts), best(by_text)
    if told is category:
        return category, _points(min(sure, told_sure)), False
    if rules_spoke or sure >= _FACTS_SPEAK:
        return category, _points(sure), told_sure >= _SURE_OF_TEXT
    return told, min(_points(told_sure), basis_points(TEXT_ONLY_CEILING)), False


def _points(share: float) -> int:
    return round(share * 10_000)


def settled_without(combination: Combination, rules: Opinion | None, statistics: Opinion) -> bool:
    """True where the model need not be asked: rules spoke, and the statistics leave them as sure as that takes."""
    if rules is None:
        return False
    category, sure = best(combination.pooled(rules, statistics))
    return category is best(rules)[0] and sure >= combination.settled
