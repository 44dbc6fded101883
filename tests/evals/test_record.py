"""Run records: what repeats say, and what a file has to be."""

from dataclasses import replace
from pathlib import Path

import pytest

from evals.cli import CONFIG, bench_from
from evals.dataset import read_dataset
from evals.injection import Effects
from evals.record import RecordInvalid, figures_of, read_record, record_of
from evals.run import Result, run
from guardrails.ruling import GroundedEvidence
from guardrails.taxonomy import Category
from tests.evals.records import outcome, record

DEV = Path(__file__).resolve().parents[2] / "evals" / "datasets" / "dev.jsonl"
ORIGIN = {
    "dataset": "dev.jsonl",
    "dataset_sha256": "d",
    "classifier": "rules",
    "classifier_sha256": "c",
    "policy_version": "1",
    "policy_sha256": "p",
}


@pytest.fixture(scope="module")
async def results() -> list[Result]:
    return await run(read_dataset(DEV)[:6], bench_from(CONFIG))


def answering(result: Result, category: Category) -> Result:
    assert result.judgement is not None
    return replace(result, judgement=replace(result.judgement, diagnosis=replace(result.judgement.diagnosis, category=category)))


def test_a_case_that_wavers_is_counted_and_shown(results: list[Result]) -> None:
    wavering = [answering(results[0], Category.UNKNOWN), *results[1:]]
    runs = [results, results, wavering]
    figures = figures_of(runs, "rules", Effects())
    cases = record_of(runs, figures, ORIGIN, Effects()).cases
    assert (cases[0].repeats.n, cases[0].repeats.agreeing, cases[0].repeats.right) == (3, 2, 2)
    assert [case.repeats.agreeing for case in cases[1:]] == [3] * 5
    assert figures["stability"]["value"] == round(5 / 6, 4)


def test_gates_see_the_worst_of_all_repeats(results: list[Result]) -> None:
    first = results[0]
    assert first.judgement is not None
    items = first.judgement.ruling.evidence
    struck = [GroundedEvidence(item.evidence, item.source, item.untrusted, "not there") for item in items]
    ungrounded = replace(first, judgement=replace(first.judgement, ruling=replace(first.judgement.ruling, evidence=tuple(struck))))
    failed = replace(first, judgement=None, problem="no answer")
    for worse, valid, count in ((ungrounded, True, len(items)), (failed, False, 0)):
        runs = [[first], [worse]]
        case = record_of(runs, figures_of(runs, "rules", Effects()), ORIGIN, Effects()).cases[0]
        assert (case.valid, case.ungrounded) == (valid, count)
        assert case.right


def test_a_case_without_an_answer_is_recorded_with_its_problem(results: list[Result]) -> None:
    runs = [[replace(results[0], judgement=None, problem="no signal named an order")]]
    case = record_of(runs, figures_of(runs, "rules", Effects()), ORIGIN, Effects()).cases[0]
    assert (case.right, case.valid, case.passed, case.confidence, case.got.verdict) == (False, False, False, None, None)
    assert case.problem == "no signal named an order"


def test_half_a_character_does_not_keep_a_run_from_being_written(results: list[Result], tmp_path: Path) -> None:
    judged = results[0].judgement
    assert judged is not None
    odd = replace(results[0], judgement=replace(judged, diagnosis=replace(judged.diagnosis, summary="half \ud83d of it")))
    path = tmp_path / "run.json"
    path.write_text(record_of([[odd]], figures_of([[odd]], "rules", Effects()), ORIGIN, Effects()).text(), encoding="utf-8")
    assert read_record(path).cases[0].summary == "half ? of it"


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(record(outcome("ä✓")).text(), encoding="utf-8")
    assert read_record(path) == record(outcome("ä✓"))


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff\xfe", b'{"schema": "ordermend/eval-run/v2"}', b'{"cases": [{"id": 7}]}'])
def test_what_is_no_record_is_refused_with_what_to_do(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(body)
    with pytest.raises(RecordInvalid, match=r"run\.json: .*ordermend eval run --out FILE"):
        read_record(path)
