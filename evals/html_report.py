"""One self-contained page about a run: no script, nothing fetched. Every word of a case or a model is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evals.gates import Gates, broken
from evals.metrics import Confident
from evals.plots import confusion_svg, reliability_svg, risk_coverage_svg
from evals.record import CaseOutcome, RunRecord

_TEMPLATE = "report.html.jinja"
_ELSEWHERE = ("classifier", "n", "failures", "confusion_matrix")


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of the table of figures; the interval is None for a plain number."""

    name: str
    shown: str
    value: float | None
    low: float | None
    high: float | None


def html_report(run: RunRecord, gates: Gates) -> str:
    environment = Environment(loader=FileSystemLoader(Path(__file__).resolve().parent), autoescape=True, undefined=StrictUndefined)
    answers = answers_of(run.cases)
    failed = [case for case in run.cases if not case.passed or case.repeats.agreeing < case.repeats.n or case.changed]
    return environment.get_template(_TEMPLATE).render(
        run=run,
        broken=broken(run, gates),
        figures=[line for name, value in run.figures.items() if name not in _ELSEWHERE for line in _lines(name, value)],
        confusion=confusion_svg(run.figures["confusion_matrix"]),
        reliability=reliability_svg(answers),
        risk=risk_coverage_svg(answers),
        failed=failed,
        missed={case.id: sorted({*case.expected.mandatory_review} - {*case.got.mandatory_review}) for case in failed},
    )


def answers_of(cases: Sequence[CaseOutcome]) -> list[Confident]:
    return [Confident(case.confidence, case.right) for case in cases if case.confidence is not None]


def _lines(name: str, value: Any) -> list[Shown]:
    """A figure that has parts is a line for itself, where it has a value, and one for each part."""
    match value:
        case {"value": share, "low": low, "high": high}:
            parts = (item for key, item in value.items() if key not in ("value", "low", "high"))
            return [
                _line(name, share, low, high),
                *(line for part in parts for line in _lines(name.removesuffix("_review_recall"), part)),
            ]
        case dict():
            return [line for key, item in value.items() for line in _lines(f"{name} {key}", item)]
        case _:
            return [Shown(name, "not measured" if value is None else str(value), None, None, None)]


def _line(name: str, share: float | None, low: float | None, high: float | None) -> Shown:
    if share is None or low is None or high is None:
        return Shown(name, "not measured", None, None, None)
    return Shown(name, f"{share:.3f}", share, low, high)
