"""A small linear text classifier: TF-IDF rows, multinomial logistic regression. It answers in a millisecond without numpy.

The file holds all of it: tokens with their weights, rounded, and what it was trained on. `app/models/linear_training.py` makes one.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import ConfigurationInvalid
from app.models.tokens import Ngrams, tokens

SCHEMA: Literal["ordermend/linear/v1"] = "ordermend/linear/v1"


class TrainedOn(BaseModel):
    """One dataset that a model has seen: its file name, the sha256 of its bytes, and how many texts were taken from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    n: int = Field(ge=0)


class _File(BaseModel):
    """`features`: token to its idf followed by one weight for every class but the last, whose weights make each sum zero."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    document_schema: Literal["ordermend/linear/v1"] = Field(alias="schema")
    classes: tuple[str, ...] = Field(min_length=2)
    ngrams: Ngrams
    trained_on: tuple[TrainedOn, ...]
    bias: tuple[float, ...]
    features: dict[str, tuple[float, ...]] = Field(min_length=1)

    @model_validator(mode="after")
    def _shapes_agree(self) -> "_File":
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        if len(self.bias) != len(self.classes) - 1:
            raise ValueError(f"{len(self.classes)} classes need {len(self.classes) - 1} biases, found {len(self.bias)}")
        wrong = next((token for token, row in self.features.items() if len(row) != len(self.classes)), None)
        if wrong is not None:
            raise ValueError(f"the token {wrong!r} needs {len(self.classes)} numbers, found {len(self.features[wrong])}")
        return self


@dataclass(frozen=True)
class LinearModel:
    """`bias` has one number for every class but the last; `features` maps a token to its idf and as many weights."""

    classes: tuple[str, ...]
    ngrams: Ngrams
    bias: tuple[float, ...]
    features: Mapping[str, tuple[float, ...]] = field(repr=False)
    trained_on: tuple[TrainedOn, ...] = ()

    def log_probabilities(self, text: str) -> dict[str, float]:
        """Natural logarithms by class. A text of which nothing is known gets what the biases say."""
        sums = [0.0] * len(self.bias)
        square = 0.0
        for token, count in Counter(tokens(text, self.ngrams)).items():
            row = self.features.get(token)
            if row is None:
                continue
            weight = (1.0 + math.log(count)) * row[0]
            square += weight * weight
            for position, share in enumerate(row[1:]):
                sums[position] += weight * share
        length = math.sqrt(square) or 1.0
        return self._spread([bias + total / length for bias, total in zip(self.bias, sums, strict=True)])

    def _spread(self, scores: list[float]) -> dict[str, float]:
        full = [*scores, -math.fsum(scores)]
        highest = max(full)
        total = highest + math.log(math.fsum(math.exp(score - highest) for score in full))
        return {name: score - total for name, score in zip(self.classes, full, strict=True)}

    @cached_property
    def sha256(self) -> str:
        """Of the file's bytes: stands for the model in keys."""
        return hashlib.sha256(self.dumps().encode()).hexdigest()

    def dumps(self) -> str:
        """The file: one token a line, so that two versions can be compared."""
        head: dict[str, Any] = {
            "schema": SCHEMA,
            "classes": self.classes,
            "ngrams": self.ngrams,
            "trained_on": [item.model_dump() for item in self.trained_on],
            "bias": self.bias,
        }
        lines = [f"{json.dumps(key)}:{_compact(value)}" for key, value in head.items()]
        rows = ",\n".join(f"{json.dumps(t, ensure_ascii=False)}:{_compact(row)}" for t, row in sorted(self.features.items()))
        return "{\n" + ",\n".join(lines) + ',\n"features":{\n' + rows + "\n}}\n"

    def dump(self, path: Path) -> None:
        path.write_text(self.dumps(), encoding="utf-8")

    @staticmethod
    def load(path: Path) -> "LinearModel":
        """Raises ConfigurationInvalid with every mistake."""
        try:
            stored = _File.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationInvalid(f"{path}: cannot be read: {error.strerror}; `python -m evals.learning` writes it") from error
        except (ValidationError, UnicodeDecodeError) as error:
            raise ConfigurationInvalid(f"{path}: no linear model; `python -m evals.learning` writes it anew\n{error}") from error
        return LinearModel(stored.classes, stored.ngrams, stored.bias, stored.features, stored.trained_on)


def _compact(value: Any) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], float):
        return "[" + ",".join(f"{number:g}" for number in value) + "]"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
