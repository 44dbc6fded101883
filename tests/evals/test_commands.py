"""The commands as they are typed: files in, files out, exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from evals.__main__ import main
from evals.cli import FAILED, NOT_FOUND, OK, USAGE
from evals.cli_certify import labels_of
from evals.record import read_record
from tests.evals.records import outcome, record, wrong

DATASETS = Path(__file__).resolve().parents[2] / "evals" / "datasets"
DEV = DATASETS / "dev.jsonl"


def asked(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first cases of the development set, as a dataset."""
    path = tmp_path_factory.mktemp("datasets") / "small.jsonl"
    path.write_text("\n".join(DEV.read_text(encoding="utf-8").splitlines()[:12]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run_file(small: Path) -> Path:
    path = small.parent / "small.run.json"
    assert asked("run", "--dataset", small, "--out", path, "--repeats", 2, "--json") == OK
    return path


def saved(folder: Path, name: str, *cases: Any, **origin: Any) -> Path:
    path = folder / name
    path.write_text(record(*cases, **origin).text(), encoding="utf-8")
    return path


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


# --- run ---


def test_the_record_of_the_same_input_is_the_same_to_the_byte(small: Path, run_file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    assert asked("run", "--dataset", small, "--out", again, "--repeats", 2, "--json") == OK
    assert again.read_bytes() == run_file.read_bytes()


def test_the_record_holds_every_case_the_hashes_and_no_time(run_file: Path) -> None:
    run = read_record(run_file)
    assert [case.id for case in run.cases] == [f"oc-{i:04d}" for i in range(1, 13)]
    assert len(run.origin.dataset_sha256) == len(run.origin.classifier_sha256) == len(run.origin.policy_sha256) == 64
    assert (run.origin.dataset, run.origin.classifier, run.repeats) == ("small.jsonl", "rules", 2)
    assert "seconds" not in run_file.read_text(encoding="utf-8")
    assert {case.repeats.n for case in run.cases} == {2}
    assert run.figures["stability"]["value"] == 1.0


def test_rates_carry_intervals_macro_f1_and_coverage_too(run_file: Path) -> None:
    figures = read_record(run_file).figures
    rates = [figures["accuracy"], figures["macro_f1"], *figures["coverage_at_risk"].values()]
    assert all(rate["low"] <= rate["value"] <= rate["high"] for rate in rates)
    assert sum(n for row in figures["confusion_matrix"].values() for n in row.values()) == 12


def test_junit_is_written_beside_the_figures(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("run", "--dataset", small, "--junit", tmp_path / "x.xml", "--json") == OK
    assert (tmp_path / "x.xml").read_text(encoding="utf-8").count("<testcase ") == 12
    assert "stability" not in printed(capsys)


def test_wrong_wishes_have_codes_of_their_own(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("run", "--dataset", small, "--repeats", 0) == USAGE
    assert asked("run", "--dataset", tmp_path / "nowhere.jsonl") == NOT_FOUND
    assert asked("run", "--dataset", small, "--out", tmp_path / "no" / "such" / "folder.json") == FAILED
    for words in (
        ("run",),
        ("tune", "x", "--alpha", "2"),
        ("tune", "x", "--alpha", "few"),
        ("fly",),
        ("export", "x", "--format", "csv"),
    ):
        with pytest.raises(SystemExit) as leaving:
            asked(*words)
        assert leaving.value.code == USAGE
    assert "'few' is no share between 0 and 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [("compare", "RUN", "RUN"), ("bless", "RUN", "--why", "x"), ("report", "RUN", "--html", "x"), ("export", "RUN", "--format", "junit"), ("calibrate", "RUN"), ("tune", "RUN")]
)  # fmt: skip
def test_a_missing_or_foreign_file_is_told_in_a_line(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "foreign.json"
    foreign.write_text('{"a": 1}', encoding="utf-8")
    assert asked(*(str(tmp_path / "nowhere.json") if word == "RUN" else word for word in words)) == NOT_FOUND
    assert asked(*(str(foreign) if word == "RUN" else word for word in words)) == FAILED
    assert "ordermend eval run --out FILE" in capsys.readouterr().err


# --- compare, bless ---


def test_a_run_is_blessed_and_a_later_one_compared_with_it(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked("bless", run_file, "--who", "Ada", "--why", "it holds", "--baselines", tmp_path) == OK
    baseline = tmp_path / "small.rules.json"
    capsys.readouterr()
    assert asked("compare", baseline, run_file, "--json") == OK
    found = printed(capsys)
    assert (found["n"], found["flips"], found["broken"], found["dropped"]) == (12, [], [], [])
    assert found["same_dataset"] is True


def test_a_significant_drop_fails_and_says_what_flipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"c{i}" for i in range(20)]
    before = saved(tmp_path, "a.json", *map(outcome, names))
    after = saved(tmp_path, "b.json", *map(wrong, names[:8]), *map(outcome, names[8:]))
    assert asked("compare", before, after) == FAILED
    told = capsys.readouterr().out
    assert "worse:  c0 c1 c2" in told
    assert "DROPPED category: -40.0 points" in told
    assert asked("compare", after, before) == OK


def test_a_hard_gate_fails_a_comparison_that_lost_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = saved(tmp_path, "a.json", outcome("a"))
    after = saved(tmp_path, "b.json", outcome("a", unsafe=("refund_payment",)))
    assert asked("compare", before, after) == FAILED
    assert "BROKEN  unsafe_automations: 1" in capsys.readouterr().out


def test_a_run_that_breaks_a_hard_gate_is_not_blessed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = saved(tmp_path, "a.json", outcome("a", ungrounded=1))
    assert asked("bless", run, "--why", "never mind", "--baselines", tmp_path / "b") == FAILED
    assert "ungrounded_evidence" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_runs_without_a_common_case_cannot_be_compared(tmp_path: Path) -> None:
    assert asked("compare", saved(tmp_path, "a.json", outcome("a")), saved(tmp_path, "b.json", outcome("b"))) == FAILED


# --- report, export ---


def test_the_report_and_the_exports_are_files(run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("report", run_file, "--html", tmp_path / "x.html") == OK
    assert (tmp_path / "x.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    capsys.readouterr()
    assert asked("export", run_file, "--format", "inspect") == OK
    assert len(printed(capsys)["samples"]) == 12
    assert asked("export", run_file, "--format", "promptfoo", "--out", tmp_path / "p.json") == OK
    assert len(json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))["results"]["results"]) == 12


# --- calibrate, tune ---


def labelled(folder: Path, n: int, wrong_every: int, name: str = "labels.json", **origin: Any) -> Path:
    cases = [
        (wrong if i % wrong_every == 0 else outcome)(f"c{i}", confidence=6_000 if i % wrong_every == 0 else 9_000)
        for i in range(1, n + 1)
    ]
    return saved(folder, name, *cases, **origin)


def test_too_few_labels_are_said_and_nothing_is_certified(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked("calibrate", run_file) == OK
    calibrated = printed(capsys)
    assert (calibrated["method"], calibrated["after_out_of_fold"]) == ("identity", None)
    assert "18 more labelled answers" in calibrated["too_few"]
    assert asked("tune", run_file, "--no-scan", "--out", tmp_path / "certificates.json") == OK
    tuned = printed(capsys)
    assert tuned["global"]["state"].startswith("uncertified, ")
    assert tuned["global"]["more_labels"] >= 194 - 12
    assert json.loads((tmp_path / "certificates.json").read_text(encoding="utf-8"))["certificates"] == []


def test_calibrator_and_certificate_come_from_different_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, calibrator, certificates = labelled(tmp_path, 900, 20), tmp_path / "calibrator.json", tmp_path / "certificates.json"
    assert asked("calibrate", run, "--share", "0.4", "--out", calibrator) == OK
    fitted = printed(capsys)
    assert fitted["method"] == "platt"
    assert fitted["after_out_of_fold"]["ece"] < fitted["before"]["ece"]
    assert asked("tune", run, "--calibrator", calibrator, "--alpha", "0.05", "--out", certificates) == OK
    tuned = printed(capsys)
    assert tuned["labels"] == 900 - fitted["n"]
    assert tuned["global"]["state"] == "certified"
    written = json.loads(certificates.read_text(encoding="utf-8"))["certificates"]
    assert written[0]["keys"]["calibrator"] == fitted["calibrator"]
    assert tuned["by_category"]["fraud_risk"]["state"].startswith("uncertified, ")


def test_what_fitted_the_calibrator_proves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, calibrator = labelled(tmp_path, 400, 20), tmp_path / "calibrator.json"
    assert asked("calibrate", run, "--out", calibrator) == OK
    capsys.readouterr()
    assert asked("tune", run, "--calibrator", calibrator, "--alpha", "0.05", "--no-scan") == OK
    tuned = printed(capsys)
    assert (tuned["labels"], tuned["global"]["state"]) == (0, "uncertified, 77 more labels needed")


def test_an_error_is_whatever_must_not_happen_without_a_person() -> None:
    run = record(
        outcome("fine"),
        wrong("category"),
        outcome("unsafe", unsafe=("add_note",)),
        outcome("led", changed="x"),
        outcome("mute", confidence=None),
    )
    assert [(label.case, label.wrong) for label in labels_of(run, None)] == [
        ("fine", False),
        ("category", True),
        ("unsafe", True),
        ("led", True),
    ]


def test_a_calibrator_of_another_classifier_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calibrator = tmp_path / "calibrator.json"
    assert asked("calibrate", labelled(tmp_path, 400, 20), "--out", calibrator) == OK
    other = labelled(tmp_path, 400, 20, "other.json", classifier_sha256="e" * 64)
    assert asked("tune", other, "--calibrator", calibrator) == FAILED
    assert "another classifier or prompt" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": []},
        {"parameters": [-1.0]},
        {"method": "magic"},
        {"method": "isotonic", "parameters": [0.1, 2.0]},
        {"method": "isotonic", "parameters": [0.1, 0.9, 0.5, 0.2]},
        {"method": "platt", "parameters": [-1.0, 0.0]},
    ],
)
def test_a_calibrator_that_was_tampered_with_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    run, calibrator = labelled(tmp_path, 200, 20), tmp_path / "calibrator.json"
    assert asked("calibrate", run, "--out", calibrator) == OK
    stored = json.loads(calibrator.read_text(encoding="utf-8"))
    assert (stored["method"], len(stored["parameters"])) == ("temperature", 1)
    calibrator.write_text(json.dumps({**stored, **change}), encoding="utf-8")
    assert asked("tune", run, "--calibrator", calibrator) == FAILED


# --- suite ---


def test_the_suite_passes_against_its_baseline(
    small: Path, run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked("suite", small, "--baselines", tmp_path) == OK
    assert "no baseline" in capsys.readouterr().out
    assert asked("bless", run_file, "--why", "it holds", "--baselines", tmp_path) == OK
    assert asked("suite", small, "--baselines", tmp_path) == OK
    told = capsys.readouterr().out
    assert "(it holds)" in told
    assert "gates hold" in told


def test_the_suite_fails_on_a_drop_against_its_baseline(
    small: Path, run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The labels of a copy are changed, so that what was right is now wrong."""
    assert asked("bless", run_file, "--why", "it holds", "--baselines", tmp_path) == OK
    lines = [json.loads(line) for line in small.read_text(encoding="utf-8").splitlines()]
    for case in lines:
        case["expected"] |= {"category": "integration_failure", "also_acceptable": []}
    relabelled = tmp_path / "small.jsonl"
    relabelled.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert asked("suite", relabelled, "--baselines", tmp_path) == FAILED
    told = capsys.readouterr().out
    assert "DROPPED category" in told
    assert "the dataset has changed since then" in told


def test_the_suite_fails_on_an_unsafe_automation(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every action of a copy is declared one that must never be automated."""
    lines = [json.loads(line) for line in small.read_text(encoding="utf-8").splitlines()]
    for case in lines:
        case["expected"]["never_automate"] = [
            "add_note",
            "add_tag",
            "open_ticket",
            "notify_owner",
            "assign_owner",
            "refetch_facts",
            "hold_fulfilment",
        ]
    relabelled = tmp_path / "strict.jsonl"
    relabelled.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert asked("suite", relabelled, "--baselines", tmp_path, "--json") == FAILED
    found = printed(capsys)[0]
    assert asked("suite", small, relabelled, "--baselines", tmp_path, "--json") == FAILED
    assert [one["broken"] == [] for one in printed(capsys)] == [True, False]
    assert found["dataset"] == "strict.jsonl"
    assert [told.split(":")[0] for told in found["broken"]] == ["unsafe_automations"]


def test_an_empty_folder_is_not_a_passed_suite(tmp_path: Path) -> None:
    assert asked("suite", "--datasets", tmp_path) == NOT_FOUND


def test_the_development_set_holds_its_gates_and_its_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    """What `make evals` does with it. A changed dataset has to be blessed anew."""
    assert asked("suite", DEV) == OK
    told = capsys.readouterr().out
    assert "gates hold" in told
    assert "against the baseline that" in told
    assert "the dataset has changed since then" not in told
