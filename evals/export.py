"""A run in the forms of other programs: JUnit XML, an inspect log, and promptfoo results.

The last two follow the shapes that inspect_ai 0.3 (log version 2) and promptfoo (results version 3) write."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from evals.record import CaseOutcome, RunRecord


def reasons(case: CaseOutcome) -> list[str]:
    """Everything that is wrong with a case, one sentence each."""
    wrong = [] if case.right else [f"category {case.got.category} instead of {case.expected.category}"]
    wrong += [] if case.got.owner == case.expected.owner else [f"owner {case.got.owner} instead of {case.expected.owner}"]
    wrong += [] if case.verdict_right else [f"verdict {case.got.verdict} instead of {case.expected.verdict}"]
    missed = sorted({*case.expected.mandatory_review} - {*case.got.mandatory_review})
    wrong += [f"missed {reason}" for reason in missed] + [f"unsafe: {action}" for action in case.unsafe]
    wrong += [f"an injection changed the decision: {case.changed}"] if case.changed else []
    return wrong + ([case.problem] if case.problem else [])


def junit(run: RunRecord) -> str:
    """A test a case; one without an answer is an error, one that is wrong a failure."""
    failed = [case for case in run.cases if case.valid and _wrong(case)]
    errors = [case for case in run.cases if not case.valid]
    name = quoteattr(f"{run.origin.dataset} {run.origin.classifier}")
    head = f'<testsuite name={name} tests="{len(run.cases)}" failures="{len(failed)}" errors="{len(errors)}">'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", head]
    lines += [_testcase(case, run.origin.dataset) for case in run.cases]
    return "\n".join([*lines, "</testsuite>", "</testsuites>"]) + "\n"


def _wrong(case: CaseOutcome) -> bool:
    return not case.passed or case.changed is not None


def _testcase(case: CaseOutcome, dataset: str) -> str:
    opened = f"<testcase classname={quoteattr(_printable(dataset))} name={quoteattr(_printable(case.id))}"
    if case.valid and not _wrong(case):
        return f"{opened}/>"
    kind = "failure" if case.valid else "error"
    told = "; ".join(reasons(case))
    return f"{opened}><{kind} message={quoteattr(_printable(told))}>{escape(_printable(case.summary))}</{kind}></testcase>"


def _printable(text: str) -> str:
    """XML 1.0 has no way to write most control characters, nor halves of a pair."""
    kept = (
        char if char in "\t\n" or (char >= " " and not "\ud800" <= char <= "\udfff" and char not in "\ufffe\uffff") else "�"
        for char in text
    )
    return "".join(kept)


def inspect_log(run: RunRecord, at: datetime) -> str:
    """`at` is when the log was made: its form asks for it, and a run record holds no time."""
    scorers = {"category": lambda case: case.right, "verdict": lambda case: case.verdict_right}
    when = at.isoformat(timespec="seconds")
    return _json(
        {
            "version": 2,
            "status": "success",
            "eval": {
                "eval_id": run.sha256[:22],
                "run_id": run.sha256[:22],
                "created": when,
                "task": "ordermend",
                "task_id": run.origin.dataset_sha256[:22],
                "task_version": 0,
                "dataset": {"name": run.origin.dataset, "samples": len(run.cases), "sample_ids": [case.id for case in run.cases]},
                "model": f"ordermend/{run.origin.classifier}",
                "config": {"epochs": 1},
                "metadata": run.origin.model_dump(mode="json"),
            },
            "results": {
                "total_samples": len(run.cases),
                "completed_samples": sum(case.valid for case in run.cases),
                "scores": [_score(name, run, holds) for name, holds in scorers.items()],
            },
            "stats": {"started_at": when, "completed_at": when, "model_usage": {}},
            "samples": [_sample(case, scorers, run.origin.classifier) for case in run.cases],
        }
    )


def _score(name: str, run: RunRecord, holds: Callable[[CaseOutcome], bool]) -> dict[str, Any]:
    share = sum(map(holds, run.cases)) / len(run.cases)
    return {"name": name, "scorer": name, "params": {}, "metrics": {"accuracy": {"name": "accuracy", "value": share, "params": {}}}}


def _sample(case: CaseOutcome, scorers: Mapping[str, Callable[[CaseOutcome], bool]], model: str) -> dict[str, Any]:
    answers = {"category": case.got.category, "verdict": case.got.verdict or ""}
    message = {"role": "assistant", "content": case.summary, "source": "generate"}
    return {
        "id": case.id,
        "epoch": 1,
        "input": case.id,
        "target": case.expected.category,
        "messages": [message],
        "output": {
            "model": f"ordermend/{model}",
            "choices": [{"message": message, "stop_reason": "stop"}],
            "completion": case.summary,
        },
        "scores": {
            name: {"value": "C" if holds(case) else "I", "answer": answers[name], "explanation": "; ".join(reasons(case)) or None}
            for name, holds in scorers.items()
        },
        "metadata": {"tags": list(case.tags), "cluster": case.cluster, "confidence": case.confidence},
        "store": {},
        "events": [],
        "model_usage": {},
        "attachments": {},
    }


def promptfoo(run: RunRecord, at: datetime) -> str:
    """`at` is when the export was made."""
    provider = {"id": f"ordermend:{run.origin.classifier}", "label": run.origin.classifier}
    passed = sum(not _wrong(case) for case in run.cases)
    errors = sum(not case.valid for case in run.cases)
    prompt = {"raw": "{{case}}", "label": run.origin.dataset}
    metrics = {
        "score": passed,
        "testPassCount": passed,
        "testFailCount": len(run.cases) - passed - errors,
        "testErrorCount": errors,
    }
    return _json(
        {
            "evalId": f"ordermend-{run.sha256[:12]}",
            "results": {
                "version": 3,
                "timestamp": at.isoformat(timespec="seconds"),
                "prompts": [{**prompt, "provider": provider["id"], "metrics": metrics}],
                "results": [_promptfoo_case(place, case, provider, prompt) for place, case in enumerate(run.cases)],
                "stats": {"successes": passed, "failures": metrics["testFailCount"], "errors": errors, "tokenUsage": {}},
            },
            "config": {"description": f"{run.origin.dataset} judged by {run.origin.classifier}"},
            "shareableUrl": None,
        }
    )


def _promptfoo_case(place: int, case: CaseOutcome, provider: Mapping[str, str], prompt: Mapping[str, str]) -> dict[str, Any]:
    fine, told = not _wrong(case), "; ".join(reasons(case))
    return {
        "id": case.id,
        "testIdx": place,
        "promptIdx": 0,
        "provider": dict(provider),
        "prompt": dict(prompt),
        "vars": {"case": case.id, "expected": case.expected.category},
        "response": {"output": case.summary},
        "success": fine,
        "score": float(fine),
        "gradingResult": {"pass": fine, "score": float(fine), "reason": told or "as expected"},
        "failureReason": 0 if fine else (1 if case.valid else 2),
        "error": None if fine else told,
        "namedScores": {"category": float(case.right), "verdict": float(case.verdict_right)},
        "metadata": {"tags": list(case.tags)},
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
