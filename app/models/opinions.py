"""Opinions about a category, and how they become one: weighted sums of log-probabilities, normalised.

Each kind of evidence (rules, statistics, the model's choice of a label) gives one opinion or none. The weights are fitted to labelled
cases by `python -m evals.learning combination`; together they are also the temperature, so that the result is meant to be as sure as it
is right. What a model says of its own confidence is no opinion.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.classify import Diagnosis, Question
from app.errors import ConfigurationInvalid
from app.models.linear import LinearModel, TrainedOn
from guardrails.facts import sha256_of
from guardrails.taxonomy import Category

Opinion = Mapping[Category, float]
"""Natural logarithms of probabilities that sum to 1, for every category."""

SCHEMA: Literal["ordermend/combination/v1"] = "ordermend/combination/v1"
_FLOOR = 1e-4
"""No evidence makes a category less likely than this by itself: everybody may be wrong."""


class Weights(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rules: float = Field(ge=0)
    statistics: float = Field(ge=0)
    choice: float = Field(ge=0)


class Combination(BaseModel):
    """`label_bias` is what the model says of each label on average (log-probability), to be taken off; it belongs to one prompt and
    one model. Where rules and statistics together reach `settled`, the model is not asked. `fitted_on` says which cases."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    document_schema: Literal["ordermend/combination/v1"] = Field(default=SCHEMA, alias="schema")
    prompt_sha256: str
    model: str
    statistics_sha256: str
    label_bias: dict[Category, float]
    with_choice: Weights
    without_choice: Weights
    settled: float = Field(gt=0, le=1)
    trust: float = Field(default=0.8, gt=0, lt=1)
    """How often an answer in words is taken to be right, where an endpoint gives no log-probabilities: a prior, not a measurement."""
    fitted_on: tuple[TrainedOn, ...] = ()

    @property
    def sha256(self) -> str:
        return sha256_of(self.model_dump(mode="json", by_alias=True))

    def pooled(self, rules: Opinion | None, statistics: Opinion, choice: Opinion | None = None) -> Opinion:
        weights = self.without_choice if choice is None else self.with_choice
        spoken = [(weights.rules, rules), (weights.statistics, statistics), (weights.choice, choice)]
        return normalised({c: math.fsum(w * opinion[c] for w, opinion in spoken if opinion is not None) for c in Category})

    def for_model(self, model: str) -> "Combination":
        """For another model than the one it was fitted with, nothing is known of what that one says too often."""
        return self if model == self.model else self.model_copy(update={"model": model, "label_bias": {}})

    def said(self, category: Category) -> Opinion:
        """What an answer in words is worth."""
        rest = math.log((1 - self.trust) / (len(Category) - 1))
        return normalised({c: math.log(self.trust) if c is category else rest for c in Category})

    def unbiased(self, said: Opinion) -> Opinion:
        return normalised({c: said[c] - self.label_bias.get(c, 0.0) for c in Category})


def load_combination(path: Path) -> Combination:
    """Raises ConfigurationInvalid."""
    try:
        return Combination.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path}: cannot be read: {error.strerror}; `python -m evals.learning combination` writes it"
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise ConfigurationInvalid(
            f"{path}: no combination of evidence; `python -m evals.learning combination` writes it anew\n{error}"
        ) from error


def normalised(scores: Mapping[Category, float]) -> Opinion:
    """Every category of the taxonomy; one that is missing gets the floor."""
    highest = max(scores.values())
    shares = {c: math.exp(max(scores.get(c, -math.inf) - highest, math.log(_FLOOR))) for c in Category}
    total = math.log(math.fsum(shares.values()))
    return {c: math.log(share) - total for c, share in shares.items()}


def best(opinion: Opinion) -> tuple[Category, float]:
    """The likeliest category and its probability; of equals the first of the taxonomy."""
    category = max(Category, key=lambda c: opinion[c])
    return category, math.exp(opinion[category])


def of_rules(question: Question, diagnosis: Diagnosis) -> Opinion | None:
    """What the rules hold: the confidence of the detector for its category, the other detections before the rest.

    None where they abstain: no rule matched, which is not the same as `unknown`."""
    found = question.detections.found
    if (not found and question.detections.benign is None) or diagnosis.confidence is None:
        return None
    sure = diagnosis.confidence / 10_000
    others = {d.category for d in found} - {diagnosis.category}
    shares = dict.fromkeys(Category, 1.0) | dict.fromkeys(others, float(len(Category)))
    shares[diagnosis.category] = 0.0
    rest = math.fsum(shares.values())
    return normalised({c: math.log(sure if c is diagnosis.category else (1 - sure) * share / rest) for c, share in shares.items()})


def of_statistics(model: LinearModel, shown: str) -> Opinion:
    """A category that the statistics never saw gets the floor."""
    return normalised({Category(name): value for name, value in model.log_probabilities(shown).items()})
