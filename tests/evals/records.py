"""Run records made for tests."""

from typing import Any

from evals.record import CaseOutcome, Judged, Origin, Repeats, RunRecord

_FINE: dict[str, Any] = {
    "cluster": "",
    "tags": (),
    "expected": Judged(category="payment_failed", owner="finance", verdict="review", mandatory_review=()),
    "got": Judged(category="payment_failed", owner="finance", verdict="review", mandatory_review=()),
    "right": True,
    "verdict_right": True,
    "passed": True,
    "confidence": 9_000,
    "valid": True,
    "cited": 2,
    "ungrounded": 0,
    "alarmed": False,
    "unsafe": (),
    "changed": None,
    "compared": True,
    "problem": None,
    "summary": "The payment failed.",
    "repeats": Repeats(n=1, agreeing=1, right=1),
}


def outcome(case_id: str, **changes: Any) -> CaseOutcome:
    """A case with nothing wrong, but for the changes."""
    return CaseOutcome(**{**_FINE, "id": case_id, "cluster": case_id, **changes})


def wrong(case_id: str, category: str = "fraud_risk", **changes: Any) -> CaseOutcome:
    """The category is wrong, so the case has not passed."""
    got = Judged(category=category, owner="risk", verdict="review", mandatory_review=())
    return outcome(case_id, **{"got": got, "right": False, "passed": False, **changes})


def record(*cases: CaseOutcome, classifier: str = "rules", **origin: Any) -> RunRecord:
    matrix: dict[str, dict[str, int]] = {}
    for case in cases:
        row = matrix.setdefault(case.expected.category, {})
        row[case.got.category] = row.get(case.got.category, 0) + 1
    known: dict[str, Any] = {
        "dataset": "made.jsonl",
        "dataset_sha256": "d" * 64,
        "classifier": classifier,
        "classifier_sha256": "c" * 64,
        "policy_version": "1",
        "policy_sha256": "p" * 64,
        "taxonomy": "t" * 64,
        "prompts": {},
        "models": (),
    }
    figures = {"n": len(cases), "ece": 0.1, "accuracy": {"value": 0.5, "low": 0.25, "high": 0.75}, "confusion_matrix": matrix}
    return RunRecord(origin=Origin(**{**known, **origin}), repeats=1, figures=figures, cases=cases)
