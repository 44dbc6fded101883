"""A run as a file: every case with what was expected and what came, the figures, and the hashes of all that decided them.

The same input gives the same bytes: no time stands in it, neither of day nor taken."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evals.injection import Effects
from evals.metrics import rate
from evals.report import alarmed, all_right, cluster_of, is_right, owner_of, reasons_of, report, unsafe_actions, verdict_of
from evals.run import Result
from guardrails.certificate import taxonomy_version
from guardrails.facts import sha256_of

SCHEMA: Literal["ordermend/eval-run/v1"] = "ordermend/eval-run/v1"
_TIMES = ("seconds_per_case",)


class RecordInvalid(ValueError):
    """The file is no run record; the message says where and what to do."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Judged(_Strict):
    """What was expected of a case, or what came. Category and the rest are names of the taxonomy; None where nothing was judged."""

    category: str
    owner: str | None
    verdict: str | None
    mandatory_review: tuple[str, ...]


class Repeats(_Strict):
    """Of `n` runs: `agreeing` gave the most frequent category and verdict, `right` were right in both."""

    n: int = Field(ge=1)
    agreeing: int = Field(ge=1)
    right: int = Field(ge=0)


class CaseOutcome(_Strict):
    """`right` is the category, `passed` everything. What gates look at (`valid`, `ungrounded`, `unsafe`) is the worst of all repeats,
    the rest is the first. `changed` says what an injection changed; `compared` is False where nobody
    knows. `summary` holds untrusted words."""

    id: str
    cluster: str
    tags: tuple[str, ...]
    expected: Judged
    got: Judged
    right: bool
    verdict_right: bool
    passed: bool
    confidence: int | None
    valid: bool
    cited: int
    ungrounded: int
    alarmed: bool
    unsafe: tuple[str, ...]
    changed: str | None
    compared: bool
    problem: str | None
    summary: str
    repeats: Repeats


class Origin(_Strict):
    """What decided this run. `prompts` are those that were sent, by name and version; `models` those that answered."""

    dataset: str
    dataset_sha256: str
    classifier: str
    classifier_sha256: str
    policy_version: str
    policy_sha256: str
    taxonomy: str
    prompts: dict[str, str]
    models: tuple[str, ...]

    @property
    def prompt_key(self) -> str:
        return sha256_of(self.prompts) if self.prompts else "none"


class RunRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    schema_: Literal["ordermend/eval-run/v1"] = Field(default=SCHEMA, alias="schema")
    origin: Origin
    repeats: int
    figures: dict[str, Any]
    cases: tuple[CaseOutcome, ...]

    def text(self) -> str:
        return json.dumps(self.model_dump(mode="json", by_alias=True), ensure_ascii=False, indent=1, sort_keys=True) + "\n"

    @property
    def sha256(self) -> str:
        return sha256_of(self.model_dump(mode="json", by_alias=True))


def figures_of(runs: Sequence[Sequence[Result]], classifier: str, effects: Effects) -> dict[str, Any]:
    """The figures of the first run; of several also the share of cases in which all gave one category and verdict."""
    figures = report(runs[0], classifier, effects=effects)
    if len(runs) > 1:
        figures["stability"] = rate((r := _repeats(repeated)).agreeing == r.n for repeated in zip(*runs, strict=True)).plain()
    return figures


def record_of(
    runs: Sequence[Sequence[Result]], figures: Mapping[str, Any], origin: Mapping[str, str], effects: Effects
) -> RunRecord:
    """`runs` are the repeats of one dataset; `origin` says what the results cannot: dataset, classifier, policy and their hashes."""
    first = runs[0]
    calls = [r.judgement.diagnosis.call for r in first if r.judgement is not None]
    sent = [call for call in calls if call is not None]
    prompts = {f"{call.prompt_name} {call.prompt_version}": call.prompt_sha256 for call in sent}
    return RunRecord(
        origin=Origin(
            **origin,
            taxonomy=taxonomy_version(),
            prompts=dict(sorted(prompts.items())),
            models=tuple(sorted({call.model for call in sent})),
        ),
        repeats=len(runs),
        figures={name: value for name, value in figures.items() if name not in _TIMES},
        cases=tuple(_outcome(repeated, effects) for repeated in zip(*runs, strict=True)),
    )


def _outcome(repeated: Sequence[Result], effects: Effects) -> CaseOutcome:
    result = repeated[0]
    expected, judged = result.case.expected, result.judgement
    evidence = judged.ruling.evidence if judged is not None else ()
    answers = [one.judgement for one in repeated if one.judgement is not None]
    owner, verdict = owner_of(result), verdict_of(result)
    return CaseOutcome(
        id=result.case.id,
        cluster=cluster_of(result),
        tags=tuple(sorted(result.case.tags)),
        expected=Judged(
            category=expected.category.value,
            owner=expected.owner.value,
            verdict=expected.verdict.value,
            mandatory_review=tuple(sorted(expected.mandatory_review)),
        ),
        got=Judged(
            category=result.category.value,
            owner=owner,
            verdict=verdict.value if verdict is not None else None,
            mandatory_review=tuple(sorted(reasons_of(result))),
        ),
        right=is_right(result),
        verdict_right=verdict is expected.verdict,
        passed=all_right(result),
        confidence=judged.diagnosis.confidence if judged is not None else None,
        valid=len(answers) == len(repeated) and all(answer.diagnosis.failure is None for answer in answers),
        cited=len(evidence),
        ungrounded=max((sum(item.struck is not None for item in answer.ruling.evidence) for answer in answers), default=0),
        alarmed=alarmed(result),
        unsafe=tuple(sorted({action.value for one in repeated for action in unsafe_actions(one)})),
        changed=effects.changed.get(result.case.id),
        compared=result.case.id not in effects.unknown,
        problem=_writable(result.problem or (judged.diagnosis.failure if judged is not None else None) or "") or None,
        summary=_writable(judged.diagnosis.summary if judged is not None else ""),
        repeats=_repeats(repeated),
    )


def _writable(text: str) -> str:
    """A model may answer half of a surrogate pair, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def _repeats(repeated: Sequence[Result]) -> Repeats:
    answers = Counter((result.category, verdict_of(result)) for result in repeated)
    right = sum(is_right(result) and verdict_of(result) is result.case.expected.verdict for result in repeated)
    return Repeats(n=len(repeated), agreeing=max(answers.values()), right=right)


def read_record(path: Path) -> RunRecord:
    """Raises RecordInvalid, and OSError where there is no such file."""
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = "/" + "/".join(map(str, first["loc"]))
        raise RecordInvalid(f"{path.name}: {place}: {first['msg']}; make one with `ordermend eval run --out FILE`") from error
