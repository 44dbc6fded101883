"""`eval tune` on judged audits: the labels count as they are, and a file that is broken is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from evals.__main__ import main
from guardrails.certificate import certificates_from, taxonomy_version

FAILED, OK = 1, 0


def audits(n: int, wrong: int, **changed: Any) -> dict[str, Any]:
    labels = [{"case": f"c{i}", "cluster": f"o{i}", "category": "fraud_risk", "score": 0.9, "wrong": i < wrong} for i in range(n)]
    keys = {"model": "m", "prompt": "in-model", "calibrator": "none", "taxonomy": taxonomy_version()}
    return {"schema": "ordermend/audit-labels/v1", "population": "audits", "keys": keys, "labels": labels} | changed


def tuned(tmp_path: Path, document: dict[str, Any], *words: str) -> tuple[int, list[Any]]:
    exported, written = tmp_path / "labels.json", tmp_path / "certificates.json"
    exported.write_text(json.dumps(document), encoding="utf-8")
    code = main(["tune", str(exported), "--out", str(written), *words])
    return code, list(certificates_from(json.loads(written.read_bytes()))) if written.exists() else []


def test_enough_right_ones_certify_and_the_keys_are_those_of_the_audits(tmp_path: Path) -> None:
    code, (certificate,) = tuned(tmp_path, audits(300, 0), "--no-scan")
    assert (code, certificate.scope, certificate.keys.model, certificate.population) == (OK, "global", "m", "audits")
    assert (certificate.accepted, certificate.errors, certificate.threshold) == (300, 0, 0.9)


@pytest.mark.parametrize(("n", "wrong"), [(193, 0), (300, 9)])
def test_too_few_or_too_many_wrong_ones_certify_nothing(tmp_path: Path, n: int, wrong: int) -> None:
    assert tuned(tmp_path, audits(n, wrong), "--no-scan") == (OK, [])


def test_audits_of_one_order_count_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = audits(300, 0)
    for label in document["labels"]:
        label["cluster"] = "o1"
    assert tuned(tmp_path, document) == (OK, [])
    assert json.loads(capsys.readouterr().out)["labels"] == 1


@pytest.mark.parametrize(
    "changed",
    [{"keys": {"model": "m"}}, {"labels": [{"case": "c"}]}, {"more": 1}, {"labels": audits(1, 0)["labels"] + [{"score": 2}]}],
)
def test_a_broken_file_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any]) -> None:
    assert tuned(tmp_path, audits(300, 0) | changed) == (FAILED, [])
    assert "labels.json: /" in capsys.readouterr().err


def test_a_calibrator_does_not_go_with_audits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuned(tmp_path, audits(300, 0), "--calibrator", "any.json") == (FAILED, [])
    assert "without --calibrator" in capsys.readouterr().err
