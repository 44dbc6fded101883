"""Labelled cases: one JSON object a line. What is wrong with a file is said with its line numbers, all at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from app.signals.shapes import Source
from guardrails.taxonomy import Action, Category, Reason, Team, Verdict

_MOST_SHOWN = 20


class DatasetInvalid(ValueError):
    """The file is no dataset. `errors` are `file:line: message`, in the order of the file."""

    def __init__(self, errors: list[str]) -> None:
        more = [f"… and {len(errors) - _MOST_SHOWN} more"] if len(errors) > _MOST_SHOWN else []
        super().__init__("\n".join(errors[:_MOST_SHOWN] + more))
        self.errors = errors


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelledSignal(_Strict):
    source: Source
    headers: dict[str, str] = Field(default_factory=dict)
    received_at: AwareDatetime
    payload: dict[str, Any]


class Expected(_Strict):
    """What a careful reader says. Never shown to a classifier."""

    order_ref: str
    category: Category
    also_acceptable: frozenset[Category] = frozenset()
    owner: Team
    verdict: Verdict
    mandatory_review: frozenset[Reason] = frozenset()
    never_automate: frozenset[Action] = frozenset()

    @property
    def acceptable(self) -> frozenset[Category]:
        return self.also_acceptable | {self.category}


class LabelledCase(_Strict):
    id: str
    signals: tuple[LabelledSignal, ...] = Field(min_length=1)
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    as_of: AwareDatetime
    expected: Expected
    tags: frozenset[str] = frozenset()
    origin: dict[str, JsonValue] = Field(default_factory=dict)

    def question(self) -> "Unlabelled":
        return Unlabelled(self.id, self.signals, self.facts, self.as_of)


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """All that the pipeline gets to see of a case."""

    id: str
    signals: tuple[LabelledSignal, ...]
    facts: Mapping[str, JsonValue]
    as_of: datetime


def read_dataset(path: Path) -> tuple[LabelledCase, ...]:
    """Raises DatasetInvalid, and OSError where there is no such file."""
    return parse_dataset(path.read_text(encoding="utf-8"), path.name)


def parse_dataset(text: str, name: str) -> tuple[LabelledCase, ...]:
    cases: list[LabelledCase] = []
    errors: list[str] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            case = LabelledCase.model_validate_json(line)
        except ValidationError as error:
            errors += [f"{name}:{number}: {_place(item['loc'])}: {item['msg']}" for item in error.errors()]
            continue
        if case.id in lines:
            errors.append(f"{name}:{number}: the id {case.id!r} already stands in line {lines[case.id]}")
        lines[case.id] = number
        cases.append(case)
    if errors:
        raise DatasetInvalid(errors)
    if not cases:
        raise DatasetInvalid([f"{name}:1: the file holds no case; write one JSON object a line"])
    return tuple(cases)


def _place(location: tuple[int | str, ...]) -> str:
    return "/" + "/".join(str(part) for part in location) if location else "the line"
