"""What was learned from recorded attacks: whether a text reads like an order to a machine.

A small linear model (`app/models/linear.py`) over words and groups of letters, trained by `python -m evals.train instructions`.
A text is judged whole, by sentence and by pairs of sentences, so that one order inside a long friendly letter is not drowned.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import ConfigurationInvalid
from app.models.linear import LinearModel
from app.unmasking import Reading, readings

LEARNED = "reads like an order to a machine (learned"
"""Completes "the text …"; the score and a bracket follow."""
ATTACK, BENIGN = "attack", "benign"
FOLDER = Path(__file__).resolve().parent.parent / "config" / "learned"
MODEL, SETTINGS = "instructions.json", "instructions.settings.json"

_ONLY_FOR_PATTERNS = frozenset(["reversed letters", "rot13"])
"""Every text has these readings, and of most of them they make nonsense, of which nothing was learned."""
_MOST_READINGS = 4
_LONGEST = 1_500
_LONGEST_PIECE = 200
_OVERLAP = 50
_SENTENCE = re.compile(r"(?<=[.!?。！？\n])\s*")


class Settings(BaseModel):
    """From which score on a text is suspected, and what that was chosen on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    document_schema: Literal["ordermend/learned-instructions/v1"] = Field(alias="schema")
    threshold: float = Field(gt=0, lt=1)
    model_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    measured: dict[str, float]


@dataclass(frozen=True, slots=True)
class Opinion:
    """`score` is a share of 1, `quote` the piece that reads most like an order, `disguise` how it was hidden, if it was."""

    score: float
    quote: str
    disguise: str


@dataclass(frozen=True, slots=True)
class LearnedInstructions:
    model: LinearModel
    threshold: float

    def opinion(self, text: str) -> Opinion | None:
        """None below the threshold."""
        found = strongest(self.model, text)
        return found if found.score >= self.threshold else None


def strongest(model: LinearModel, text: str) -> Opinion:
    """The piece of any reading that reads most like an order."""
    scored = (
        Opinion(math.exp(model.log_probabilities(piece)[ATTACK]), piece, reading.disguise)
        for reading in readings_of(text)
        for piece in pieces(reading.text)
    )
    return max(scored, key=lambda opinion: opinion.score)


def readings_of(text: str) -> list[Reading]:
    return list(islice((r for r in readings(text) if r.disguise not in _ONLY_FOR_PATTERNS), _MOST_READINGS))


def pieces(text: str) -> list[str]:
    """The text, its sentences, and neighbouring sentences together; never none."""
    shown = text[:_LONGEST]
    sentences = [part for sentence in _SENTENCE.split(shown) if sentence.strip() for part in _parts(sentence)]
    return list(dict.fromkeys([shown, *sentences, *(f"{left} {right}" for left, right in pairwise(sentences))]))


def _parts(sentence: str) -> Iterator[str]:
    while len(sentence) > _LONGEST_PIECE:
        yield sentence[:_LONGEST_PIECE]
        sentence = sentence[_LONGEST_PIECE - _OVERLAP :]
    yield sentence


def load(folder: Path) -> LearnedInstructions:
    """Raises ConfigurationInvalid where the model or its settings are missing, wrong, or not made for each other."""
    path = folder / SETTINGS
    try:
        settings = Settings.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path}: cannot be read: {error.strerror}; `python -m evals.train instructions` writes it"
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise ConfigurationInvalid(
            f"{path}: not as it was written; `python -m evals.train instructions` writes it\n{error}"
        ) from error
    model = LinearModel.load(folder / MODEL)
    if set(model.classes) != {ATTACK, BENIGN} or model.sha256 != settings.model_sha256:
        raise ConfigurationInvalid(
            f"{path}: belongs to another model than {MODEL}; `python -m evals.train instructions` writes both"
        )
    return LearnedInstructions(model, settings.threshold)


@cache
def shipped() -> LearnedInstructions:
    """The one that comes with the program, read once."""
    return load(FOLDER)
