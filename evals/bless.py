"""A blessed baseline: which cases were right, so that a later run can be compared with it; with who blessed it, when and why."""

import json
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from evals.record import RecordInvalid, RunRecord

SCHEMA: Literal["ordermend/eval-baseline/v1"] = "ordermend/eval-baseline/v1"
BASELINES = Path(__file__).resolve().parent / "baselines"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class BlessedCase(_Strict):
    id: str
    expected_category: str
    got_category: str
    got_verdict: str | None
    right: bool
    verdict_right: bool
    runs: int = Field(default=1, ge=1)
    """How often the case was judged, and in how many of these runs category and verdict were both right."""
    runs_right: int = Field(default=0, ge=0)


class Blessing(_Strict):
    who: str = Field(min_length=1)
    when: AwareDatetime
    why: str = Field(min_length=1)


class Baseline(_Strict):
    schema_: Literal["ordermend/eval-baseline/v1"] = Field(default=SCHEMA, alias="schema")
    dataset: str
    dataset_sha256: str
    classifier: str
    classifier_sha256: str
    blessed: Blessing
    cases: tuple[BlessedCase, ...] = Field(min_length=1)

    def text(self) -> str:
        """A line a case: a diff of two baselines shows what flipped."""
        plain = self.model_dump(mode="json", by_alias=True)
        head = "".join(f" {json.dumps(key)}: {json.dumps(plain[key], ensure_ascii=False)},\n" for key in plain if key != "cases")
        lines = ",\n".join(f"  {json.dumps(case, ensure_ascii=False)}" for case in plain["cases"])
        return f'{{\n{head} "cases": [\n{lines}\n ]\n}}\n'


def outcomes(run: RunRecord) -> list[BlessedCase]:
    """A run in the form that comparisons take."""
    return [
        BlessedCase(
            id=case.id,
            expected_category=case.expected.category,
            got_category=case.got.category,
            got_verdict=case.got.verdict,
            right=case.right,
            verdict_right=case.verdict_right,
            runs=case.repeats.n,
            runs_right=case.repeats.right,
        )
        for case in run.cases
    ]


def baseline_of(run: RunRecord, who: str, when: datetime, why: str) -> Baseline:
    return Baseline(
        dataset=run.origin.dataset,
        dataset_sha256=run.origin.dataset_sha256,
        classifier=run.origin.classifier,
        classifier_sha256=run.origin.classifier_sha256,
        blessed=Blessing(who=who, when=when, why=why),
        cases=tuple(outcomes(run)),
    )


def baseline_path(folder: Path, dataset: str, classifier: str) -> Path:
    """`dev.rules.json` for the dataset `dev.jsonl` judged by `rules`."""
    return folder / f"{Path(dataset).name.removesuffix('.jsonl')}.{Path(classifier).name}.json"


def read_baseline(path: Path) -> Baseline:
    """Raises RecordInvalid, and OSError where there is no such file."""
    try:
        return Baseline.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = "/" + "/".join(map(str, first["loc"]))
        raise RecordInvalid(f"{path.name}: {place}: {first['msg']}; make one with `ordermend eval bless RUN`") from error
