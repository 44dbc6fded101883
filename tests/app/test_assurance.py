"""The rules of assurance and the stored certificates as files, and the one key that evals and the live program share."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from app.assurance import (
    CERTIFICATES_FILE,
    IN_MODEL,
    RULES_FILE,
    UNCALIBRATED,
    Assurance,
    AssuranceRules,
    classifier_key,
    judging_files,
    load_assurance,
    read_rules,
)
from app.classify import Diagnosis
from app.errors import ConfigurationInvalid
from app.models.rules import RulesClassifier
from app.settings import PROJECT_ROOT
from app.wiring import load_configuration
from evals.cli import judged
from guardrails.certificate import FILE_SCHEMA, GLOBAL, Certificate, CertificateInvalid, Keys, certificates_from, taxonomy_version
from guardrails.policy.reader import PolicyInvalid
from guardrails.taxonomy import Category, Team

CONFIG = PROJECT_ROOT / "config"
SHIPPED = (CONFIG / RULES_FILE).read_text(encoding="utf-8")
DATASET = PROJECT_ROOT / "evals" / "datasets" / "dev.jsonl"


def certificate(keys: Keys, **changed: object) -> Certificate:
    proved = Certificate(GLOBAL, 0.02, 0.1, 0.05, 0.9, 400, 400, 0, 0.0075, keys, "audits", "0" * 64)
    return replace(proved, **changed)  # type: ignore[arg-type]  # each test names fields of the dataclass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped configuration."""
    return Path(shutil.copytree(CONFIG, tmp_path / "config"))


def test_the_shipped_file_says_what_the_program_takes_without_one(folder: Path) -> None:
    assert load_assurance(folder).rules == AssuranceRules()
    (folder / RULES_FILE).unlink()
    assert load_assurance(folder).rules == AssuranceRules()


@pytest.mark.parametrize(
    ("shipped", "instead", "message"),
    [
        ("audit_share: 0.10", "audit_share: 1.5", ":12:14: "),
        ("audit_share: 0.10", "audit_share: all", "from 0 to 1"),
        ("feared: 0.06", "feared: 0.02", "feared must be above alpha"),
        ("alpha: 0.02", "alpha: 0", "alpha above 0"),
        ("delta: 0.10", "delta: 0.00", "delta must be above 0"),
        ("alarm_delta: 0.05", "alarm_delta: 1", "alarm_delta must be above 0 and below 1"),
        ("salt: ordermend-audit-1", "slat: x", "slat"),
        ("assurance/v1", "assurance/v2", "this program reads ordermend/assurance/v1"),
    ],
)
def test_a_mistake_in_the_rules_is_named_with_its_line(shipped: str, instead: str, message: str) -> None:
    assert shipped in SHIPPED
    with pytest.raises(PolicyInvalid) as caught:
        read_rules(SHIPPED.replace(shipped, instead), RULES_FILE)
    told = "\n".join(str(problem) for problem in caught.value.errors)
    assert told.startswith(f"{RULES_FILE}:")
    assert message in told


def test_the_program_does_not_start_on_rules_that_it_cannot_read(folder: Path) -> None:
    (folder / RULES_FILE).write_text(SHIPPED.replace("feared: 0.06", "feared: 0.01"), encoding="utf-8")
    with pytest.raises(ConfigurationInvalid, match="feared must be above alpha"):
        load_configuration(folder)


def test_stored_certificates_are_read(folder: Path) -> None:
    proved = certificate(Keys("m", "p", UNCALIBRATED, taxonomy_version()))
    stored = {"schema": FILE_SCHEMA, "certificates": [proved.plain()]}
    (folder / CERTIFICATES_FILE).write_text(json.dumps(stored), encoding="utf-8")
    assert load_assurance(folder).certificates == (proved,)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"schema": "ordermend/certificates/v1"}',
        '{"schema": "ordermend/certificates/v1", "certificates": [1]}',
        '{"schema": "ordermend/certificates/v1", "certificates": [{}]}',
        '{"schema": "ordermend/certificates/v2", "certificates": []}',
    ],
)
def test_a_certificate_file_that_cannot_be_relied_on_certifies_nothing_and_says_why(folder: Path, text: str) -> None:
    (folder / CERTIFICATES_FILE).write_text(text, encoding="utf-8")
    found = load_configuration(folder).assurance
    assert found.certificates == ()
    assert str(found.problem).startswith(f"{CERTIFICATES_FILE}: ")


def test_one_bad_certificate_spoils_its_file() -> None:
    good = certificate(Keys("m", "p", "none", taxonomy_version())).plain()
    with pytest.raises(CertificateInvalid, match="proves less than it claims"):
        certificates_from({"schema": FILE_SCHEMA, "certificates": [good, good | {"bound": 0.5}]})


def test_a_run_of_the_suite_and_the_live_program_have_one_key() -> None:
    files = load_configuration(CONFIG)
    live = files.assurance.keys(RulesClassifier(files.owners).fingerprint)
    assert judged(DATASET, "rules").record.origin.classifier_sha256 == live.model


@pytest.mark.parametrize("changed", ["sources", "detectors", "owners"])
def test_the_key_changes_with_every_file_that_judges_and_with_the_classifier(changed: str) -> None:
    files = judging_files(CONFIG)
    key = classifier_key("llm-1", files)
    assert key == classifier_key("llm-1", judging_files(CONFIG))
    assert key != classifier_key("llm-2", files)
    assert key != classifier_key("llm-1", files | {changed: files[changed] + "\n"})


@pytest.mark.parametrize(
    ("key", "value", "dead"),
    [("model", "another", ("model",)), ("calibrator", "another", ("calibrator",)), ("taxonomy", "another", ("taxonomy",))],
)
def test_a_certificate_dies_with_any_of_its_keys(key: str, value: str, dead: tuple[str, ...]) -> None:
    own = Assurance().keys("llm-1")
    proved = certificate(replace(own, prompt="of the run"))
    held = Assurance(certificates=(proved,))
    assert held.certificate_of(GLOBAL, own) == proved
    assert held.dead_for(GLOBAL, own) == ()
    died = Assurance(certificates=(replace(proved, keys=replace(proved.keys, **{key: value})),))
    assert died.certificate_of(GLOBAL, own) is None
    assert died.dead_for(GLOBAL, own) == dead


def test_live_the_prompt_stands_in_the_models_key_and_a_certificate_of_one_scope_says_nothing_of_another() -> None:
    own = Assurance().keys("llm-1")
    assert own.prompt == IN_MODEL
    held = Assurance(certificates=(certificate(own),))
    assert held.certificate_of("fraud_risk", own) is None
    assert held.dead_for("fraud_risk", own) == ()


def diagnosis(confidence: int | None = 9_500) -> Diagnosis:
    return Diagnosis("Order #1: a decline.", Category.PAYMENT_FAILED, Team.FINANCE, confidence, (), (), "rules")


def strict(*certificates: Certificate) -> Assurance:
    return Assurance(AssuranceRules(certified_only=True), certificates=certificates)


def test_by_default_confidence_counts_without_a_certificate() -> None:
    assert Assurance().counted(diagnosis(), "f") == diagnosis()


def test_where_only_certified_confidence_counts_any_other_is_unknown() -> None:
    found = strict().counted(diagnosis(), "f")
    assert found.confidence is None
    assert "No certificate stands for its confidence of 95%" in found.summary


@pytest.mark.parametrize(("confidence", "counts"), [(8_999, False), (9_000, True), (9_500, True)])
def test_a_certificate_lets_confidence_count_from_its_threshold(confidence: int, counts: bool) -> None:
    assurance = strict(certificate(strict().keys("f")))
    assert (assurance.counted(diagnosis(confidence), "f").confidence == confidence) is counts


def test_a_certificate_of_another_classifier_lets_nothing_count() -> None:
    assert strict(certificate(strict().keys("other"))).counted(diagnosis(), "f").confidence is None


def test_the_certificate_of_a_category_goes_before_the_one_for_all() -> None:
    keys = strict().keys("f")
    own = certificate(keys, scope="payment_failed", threshold=0.99)
    assert strict(certificate(keys), own).counted(diagnosis(), "f").confidence is None


@pytest.mark.parametrize(("word", "strictly"), [("all", False), ("certified", True)])
def test_the_file_says_what_may_be_automated(word: str, strictly: bool) -> None:
    assert read_rules(SHIPPED.replace("automate: all", f"automate: {word}"), RULES_FILE).certified_only is strictly


def test_any_other_word_is_refused_with_its_line() -> None:
    with pytest.raises(PolicyInvalid, match="automate is all or certified"):
        read_rules(SHIPPED.replace("automate: all", "automate: most"), RULES_FILE)
