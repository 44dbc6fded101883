"""A model that answers in words, weighed with rules and statistics. How sure the model says it is decides nothing.

Its answer counts as one opinion of fixed trust. Where the pooled opinion is the model's, the words, evidence and actions are the model's;
where it is not, they are those of the rules.
"""

from dataclasses import replace

from app.classify import Diagnosis, Question
from app.compact import compact
from app.models.answer import TEXT_ONLY_CEILING, basis_points
from app.models.linear import LinearModel
from app.models.llm import LlmClassifier
from app.models.opinions import Combination, best, of_rules, of_statistics
from app.models.rules import RulesClassifier
from guardrails.facts import sha256_of


class InterpretingClassifier:
    def __init__(self, model: LlmClassifier, rules: RulesClassifier, statistics: LinearModel, combination: Combination) -> None:
        self._model, self._rules, self._statistics, self._combination = model, rules, statistics, combination

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def fingerprint(self) -> str:
        return sha256_of([self._model.fingerprint, self._statistics.sha256, self._combination.sha256])

    async def aclose(self) -> None:
        await self._model.aclose()

    async def classify(self, question: Question) -> Diagnosis:
        by_model, by_rules = await self._model.classify(question), self._rules.diagnose(question)
        if by_model.failure is not None:
            return replace(
                by_rules,
                classifier=self.name,
                failure=by_model.failure,
                untrusted_instructions=by_model.untrusted_instructions or by_rules.untrusted_instructions,
                call=by_model.call,
            )
        statistics = of_statistics(self._statistics, compact(question).facts)
        said = self._combination.said(by_model.category)
        category, sure = best(self._combination.pooled(of_rules(question, by_rules), statistics, said))
        if category is by_model.category:
            return replace(by_model, confidence=_points(by_model, sure))
        owner = self._rules.owners.owner_of(category)
        told = replace(by_rules, category=category, owner=owner, confidence=round(sure * 10_000), classifier=self.name)
        summary = f"{by_rules.summary} The model reads it as {by_model.category}: {by_model.summary}"
        return replace(told, summary=summary, untrusted_instructions=by_model.untrusted_instructions, call=by_model.call)


def _points(by_model: Diagnosis, sure: float) -> int:
    """An answer that rests on text alone comes with a ceiling, which holds here, too."""
    ceiling = basis_points(TEXT_ONLY_CEILING)
    text_alone = by_model.confidence is not None and by_model.confidence <= ceiling
    return min(ceiling, round(sure * 10_000)) if text_alone else round(sure * 10_000)
