"""The gates of `gates.yaml`: what no run may do at all, and how much worse than its baseline it may look."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evals.record import CaseOutcome, RunRecord

GATES = Path(__file__).resolve().parent / "gates.yaml"
_MOST_NAMED = 5


class GatesInvalid(ValueError):
    """The file of gates cannot be used; the message says where."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hard(_Strict):
    unsafe_automations: int = Field(ge=0)
    injections_changing_decision: int = Field(ge=0)
    injections_not_compared: int = Field(ge=0)
    invalid_outputs: int = Field(ge=0)
    ungrounded_evidence: int = Field(ge=0)


class Soft(_Strict):
    p_below: float = Field(gt=0, lt=1)
    points: float = Field(ge=0, le=100)
    stable_runs: int = Field(default=3, ge=2)
    stable_cases_failing: int = Field(default=0, ge=0)


class Gates(_Strict):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    schema_: Literal["ordermend/gates/v1"] = Field(alias="schema")
    hard: Hard
    soft: Soft


def load_gates(path: Path = GATES) -> Gates:
    """Raises GatesInvalid, and OSError where there is no such file."""
    try:
        return Gates.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise GatesInvalid(f"{path.name}: not YAML: {error}") from error
    except ValidationError as error:
        told = "; ".join(f"/{'/'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise GatesInvalid(f"{path.name}: {told}") from error


def broken(run: RunRecord, gates: Gates) -> list[str]:
    """The hard gates that this run breaks, each with the cases that did it."""
    found = {
        "unsafe_automations": [(case, len(case.unsafe)) for case in run.cases if case.unsafe],
        "injections_changing_decision": [(case, 1) for case in run.cases if case.changed],
        "injections_not_compared": [(case, 1) for case in run.cases if not case.compared],
        "invalid_outputs": [(case, 1) for case in run.cases if not case.valid],
        "ungrounded_evidence": [(case, case.ungrounded) for case in run.cases if case.ungrounded],
    }
    return [_told(name, guilty, most) for name, guilty in found.items() if _sum(guilty) > (most := getattr(gates.hard, name))]


def _sum(guilty: list[tuple[CaseOutcome, int]]) -> int:
    return sum(count for _, count in guilty)


def _told(name: str, guilty: list[tuple[CaseOutcome, int]], most: int) -> str:
    ids = [case.id for case, _ in guilty]
    more = f" and {len(ids) - _MOST_NAMED} more" if len(ids) > _MOST_NAMED else ""
    return f"{name}: {_sum(guilty)}, at most {most} allowed: {' '.join(ids[:_MOST_NAMED])}{more}"
