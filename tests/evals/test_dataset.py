"""Labelled cases: what is read, and what is said of lines that are none."""

import json
from pathlib import Path
from typing import Any

import pytest

from evals.dataset import DatasetInvalid, parse_dataset, read_dataset
from guardrails.taxonomy import Action, Category, Reason, Team, Verdict

DEV = Path(__file__).resolve().parents[2] / "evals" / "datasets" / "dev.jsonl"


def line(**changes: Any) -> str:
    case: dict[str, Any] = {
        "id": "oc-1",
        "signals": [{"source": "stripe", "headers": {}, "received_at": "2026-11-02T10:00:00Z", "payload": {}}],
        "as_of": "2026-11-02T10:05:00Z",
        "expected": {
            "order_ref": "#1001",
            "category": "payment_failed",
            "also_acceptable": ["unknown"],
            "owner": "finance",
            "verdict": "review",
            "mandatory_review": ["failed_payment_capture"],
            "never_automate": ["retry_capture"],
        },
        "tags": ["single-signal"],
        "origin": {"source": "…", "licence": "MIT"},
    }
    return json.dumps({**case, **changes})


def errors(text: str) -> list[str]:
    with pytest.raises(DatasetInvalid) as caught:
        parse_dataset(text, "d.jsonl")
    return caught.value.errors


def test_a_case_is_read_as_what_it_is() -> None:
    (case,) = parse_dataset(line(), "d.jsonl")
    assert (case.expected.owner, case.expected.verdict) == (Team.FINANCE, Verdict.REVIEW)
    assert case.expected.acceptable == {Category.PAYMENT_FAILED, Category.UNKNOWN}
    assert case.expected.mandatory_review == {Reason.FAILED_PAYMENT_CAPTURE}
    assert case.expected.never_automate == {Action.RETRY_CAPTURE}


def test_the_pipeline_is_never_shown_the_answer() -> None:
    (case,) = parse_dataset(line(), "d.jsonl")
    question = case.question()
    assert not {"expected", "tags", "origin"} & set(question.__slots__)


def test_the_whole_development_set_is_valid() -> None:
    assert len(read_dataset(DEV)) == 220


def test_every_wrong_line_is_named_with_its_number() -> None:
    found = errors("\n".join([line(), "{nonsense", line(id="oc-2", as_of="2026-11-02T10:05:00"), line(id="oc-3", extra=1)]))
    assert [error.split(": ")[0] for error in found] == ["d.jsonl:2", "d.jsonl:3", "d.jsonl:4"]
    assert "/as_of" in found[1]
    assert "/extra" in found[2]


def test_a_category_that_does_not_exist_is_refused() -> None:
    expected = {**json.loads(line())["expected"], "category": "gremlins"}
    (found,) = errors(line(expected=expected))
    assert found.startswith("d.jsonl:1: /expected/category: ")


def test_an_id_stands_once() -> None:
    assert errors(line() + "\n" + line()) == ["d.jsonl:2: the id 'oc-1' already stands in line 1"]


def test_a_case_without_signals_is_none() -> None:
    assert errors(line(signals=[]))[0].startswith("d.jsonl:1: /signals: ")


def test_an_empty_file_is_no_dataset() -> None:
    assert errors("\n\n") == ["d.jsonl:1: the file holds no case; write one JSON object a line"]
