"""`ordermend eval calibrate|tune`: a calibrator and thresholds from run records, and plain words where labels do not suffice."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evals.calibrate import IDENTITY, Calibrator, Method, fit, method_for, out_of_fold, too_few
from evals.cli import OK, write
from evals.metrics import Confident, area_under_risk_coverage, brier, calibration_error_equal_mass
from evals.record import CaseOutcome, RecordInvalid, RunRecord, read_record
from guardrails.certificate import FILE_SCHEMA, Certificate, Keys
from guardrails.facts import sha256_of
from guardrails.tuning import Label, Plan, Tuning, Uncertified, tune

CALIBRATOR: Literal["ordermend/calibrator/v1"] = "ordermend/calibrator/v1"
AUDIT_LABELS = "ordermend/audit-labels/v1"
_WHAT_IT_TAKES = (
    "holds for cases that come like these and that neither classifier nor calibrator was made with; for live traffic the labels "
    "must be a random audit of would-be automated cases, judged blind to the answer"
)
_PARAMETERS = {Method.IDENTITY: 0, Method.TEMPERATURE: 1, Method.PLATT: 2}


class StoredCalibrator(BaseModel):
    """A calibrator as a file. `clusters` fitted it, so their cases may not prove a threshold."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    schema_: Literal["ordermend/calibrator/v1"] = Field(default=CALIBRATOR, alias="schema")
    method: Method
    parameters: tuple[float, ...]
    classifier_sha256: str
    prompt: str
    clusters: tuple[str, ...]

    def calibrator(self) -> Calibrator:
        return Calibrator(self.method, self.parameters)

    @property
    def key(self) -> str:
        return sha256_of(self.plain())

    def plain(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)


def read_calibrator(path: Path) -> StoredCalibrator:
    """Raises RecordInvalid, and OSError where there is no such file."""
    try:
        stored = StoredCalibrator.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise RecordInvalid(
            f"{path.name}: /{'/'.join(map(str, first['loc']))}: {first['msg']}; make one with `ordermend eval calibrate`"
        ) from error
    if not _whole(stored):
        raise RecordInvalid(f"{path.name}: /parameters: not those of {stored.method}; make one with `ordermend eval calibrate`")
    return stored


def _whole(stored: StoredCalibrator) -> bool:
    """As many parameters as the method has, and never one that turns the order round."""
    found = stored.parameters
    if not all(map(math.isfinite, found)):
        return False
    if stored.method is Method.ISOTONIC:
        starts, shares = found[::2], found[1::2]
        rising = list(starts) == sorted(set(starts)) and list(shares) == sorted(shares)
        return 0 < len(starts) == len(shares) and rising and all(0 <= share <= 1 for share in shares)
    return len(found) == _PARAMETERS[stored.method] and (not found or found[0] > 0)


def main_calibrate(run_file: Path, share: float, method: str | None, to: Path | None) -> int:
    """Prints how honest confidence is before and, out of fold, after. With too few labels it says so and leaves confidence as it is."""
    run = read_record(run_file)
    used = [case for case in run.cases if case.confidence is not None and _drawn(case.cluster) < share]
    answers, clusters = _confident(used), [case.cluster for case in used]
    lacking = too_few(answers)
    wanted = Method(method) if method else method_for(len(answers))
    calibrator = fit(answers, wanted)
    calibrated = out_of_fold(answers, clusters, wanted)
    stored = StoredCalibrator(
        method=calibrator.method,
        parameters=calibrator.parameters,
        classifier_sha256=run.origin.classifier_sha256,
        prompt=run.origin.prompt_key,
        clusters=tuple(sorted(set(clusters))) if calibrator != IDENTITY else (),
    )
    told = {
        "n": len(answers),
        "method": calibrator.method.value,
        "parameters": list(calibrator.parameters),
        "too_few": lacking,
        "before": _honesty(answers),
        "after_out_of_fold": None if calibrated is None else _honesty(calibrated),
        "calibrator": stored.key,
    }
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    write(to, json.dumps(stored.plain(), ensure_ascii=False, indent=1) + "\n")
    return OK


def main_tune(run_file: Path, calibrator_file: Path | None, plan: Plan, to: Path | None) -> int:
    """Prints each scope as certified or as how many labels it lacks; the file is written either way, so that no older one stays."""
    audited = read_audit_labels(run_file)
    if audited is not None and calibrator_file is not None:
        raise RecordInvalid("audits are labels of the confidence that was live; tune them without --calibrator")
    if audited is not None:
        return _told(tune(audited.tuning_labels(), plan, audited.live_keys(), audited.population), plan, to)
    run = read_record(run_file)
    stored = read_calibrator(calibrator_file) if calibrator_file is not None else None
    if stored is not None and (stored.classifier_sha256, stored.prompt) != (run.origin.classifier_sha256, run.origin.prompt_key):
        raise RecordInvalid("the calibrator was fitted for another classifier or prompt; calibrate again on a run of this one")
    keys = Keys(run.origin.classifier_sha256, run.origin.prompt_key, stored.key if stored else "none", run.origin.taxonomy)
    population = f"{run.origin.dataset} {run.origin.dataset_sha256}"
    return _told(tune(labels_of(run, stored), plan, keys, population), plan, to)


def _told(tuning: Tuning, plan: Plan, to: Path | None) -> int:
    told = plain_tuning(tuning, plan)
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    certified = [scope.plain() for scope in (tuning.overall, *tuning.by_category.values()) if isinstance(scope, Certificate)]
    write(to, json.dumps({"schema": FILE_SCHEMA, "certificates": certified}, ensure_ascii=False, indent=1) + "\n")
    return OK


class _AuditLabel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    case: str = Field(min_length=1)
    cluster: str = Field(min_length=1)
    category: str
    score: float = Field(ge=0, le=1)
    wrong: bool


class _AuditKeys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    calibrator: str = Field(min_length=1)
    taxonomy: str = Field(min_length=1)


class AuditLabels(BaseModel):
    """Judged audits as `ordermend audits export` writes them."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    schema_: Literal["ordermend/audit-labels/v1"] = Field(alias="schema")
    population: str
    keys: _AuditKeys
    labels: tuple[_AuditLabel, ...]

    def tuning_labels(self) -> list[Label]:
        return [Label(**label.model_dump()) for label in self.labels]

    def live_keys(self) -> Keys:
        return Keys(**self.keys.model_dump())


def read_audit_labels(path: Path) -> AuditLabels | None:
    """None where the file does not say that it is one. Raises RecordInvalid, and OSError where there is no such file."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError:
        return None
    if not isinstance(document, dict) or document.get("schema") != AUDIT_LABELS:
        return None
    try:
        return AuditLabels.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = "/".join(map(str, first["loc"]))
        raise RecordInvalid(f"{path.name}: /{place}: {first['msg']}; make one with `ordermend audits export`") from error


def labels_of(run: RunRecord, stored: StoredCalibrator | None) -> list[Label]:
    """The cases that may prove something: with a confidence, and of no cluster that fitted the calibrator. Wrong is a wrong
    category, an unsafe action, or a decision that an injection changed."""
    calibrator, seen = (stored.calibrator(), frozenset(stored.clusters)) if stored else (IDENTITY, frozenset[str]())
    return [
        Label(
            case=case.id,
            cluster=case.cluster,
            category=case.got.category,
            score=calibrator.share(case.confidence),
            wrong=not case.right or bool(case.unsafe) or case.changed is not None,
        )
        for case in run.cases
        if case.confidence is not None and case.cluster not in seen
    ]


def plain_tuning(tuning: Tuning, plan: Plan) -> dict[str, Any]:
    return {
        "alpha": plan.alpha,
        "delta": plan.delta,
        "labels": tuning.labels,
        "left_out_same_cluster": tuning.left_out,
        "assumption": _WHAT_IT_TAKES,
        "global": _plain_scope(tuning.overall),
        "by_category": {name: _plain_scope(scope) for name, scope in tuning.by_category.items()},
    }


def _plain_scope(scope: Certificate | Uncertified) -> Mapping[str, Any]:
    if isinstance(scope, Certificate):
        return {"state": "certified", **scope.plain()}
    return {"state": scope.sentence, **asdict(scope)}


def _honesty(answers: Sequence[Confident]) -> dict[str, float | None]:
    figures = {"ece": calibration_error_equal_mass(answers), "brier": brier(answers), "aurc": area_under_risk_coverage(answers)}
    return {name: None if value is None else round(value, 4) for name, value in figures.items()}


def _confident(cases: Sequence[CaseOutcome]) -> list[Confident]:
    return [Confident(case.confidence, case.right) for case in cases if case.confidence is not None]


def _drawn(cluster: str) -> float:
    """A fixed number from 0 to 1 for each cluster, the same on every machine."""
    return int.from_bytes(sha256(cluster.encode()).digest()[:8], "big") / 2**64
