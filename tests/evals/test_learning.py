"""What was learned from labelled cases: that it belongs to the datasets and prompts that are here, and that fitting does what it says."""

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest

from app.errors import ConfigurationInvalid
from app.models.label_choice import PROMPT
from app.models.learned import CATEGORIES, COMBINATION, learned, learned_folder
from app.models.opinions import load_combination
from app.prompts import load_prompts
from app.settings import Settings
from evals.cassette import Cassette
from evals.cli import CONFIG, judged
from evals.learning import DATASETS, fitted, taught_by
from evals.recorded_model import recordings_of, replaying
from guardrails.taxonomy import Category

LEARNED = CONFIG / "learned"
ROOT = CONFIG.parent


def test_the_shipped_files_belong_together_and_to_the_prompt() -> None:
    statistics, combination = learned(LEARNED)
    assert combination.prompt_sha256 == load_prompts(ROOT / "prompts")[PROMPT].sha256
    assert set(statistics.classes) <= {category.value for category in Category}
    assert set(combination.label_bias) == set(Category)


def test_what_taught_them_is_what_is_here() -> None:
    statistics, combination = learned(LEARNED)
    for taught in (*statistics.trained_on, *combination.fitted_on):
        body = (DATASETS / taught.name).read_bytes()
        assert hashlib.sha256(body).hexdigest() == taught.sha256, f"{taught.name} changed: `python -m evals.learning` learns anew"
    assert statistics.trained_on == taught_by(("dev.jsonl", "core.jsonl"))


def test_the_unseen_providers_taught_the_statistics_nothing() -> None:
    assert "unseen-providers.jsonl" not in {taught.name for taught in learned(LEARNED)[0].trained_on}


def test_statistics_of_another_training_are_refused(tmp_path: Path) -> None:
    (tmp_path / CATEGORIES).write_bytes((LEARNED / CATEGORIES).read_bytes())
    other = load_combination(LEARNED / COMBINATION).model_copy(update={"statistics_sha256": "0" * 64})
    (tmp_path / COMBINATION).write_text(other.model_dump_json(by_alias=True), encoding="utf-8")
    with pytest.raises(ConfigurationInvalid, match="other statistics"):
        learned(tmp_path)


@pytest.mark.parametrize("body", ["", "{}", '{"schema":"ordermend/combination/v2"}'])
def test_a_damaged_combination_is_refused_with_what_to_do(tmp_path: Path, body: str) -> None:
    (tmp_path / COMBINATION).write_text(body, encoding="utf-8")
    with pytest.raises(ConfigurationInvalid, match=r"evals\.learning combination"):
        load_combination(tmp_path / COMBINATION)


def test_a_configuration_of_ones_own_need_not_hold_what_was_learned(tmp_path: Path) -> None:
    assert learned_folder(tmp_path) == LEARNED
    (tmp_path / "learned").mkdir()
    assert learned_folder(tmp_path) == tmp_path / "learned"


def test_evidence_that_tells_nothing_gets_no_weight_and_evidence_that_tells_all_gets_much() -> None:
    random = np.random.default_rng(7)
    labels = random.integers(0, 4, size=400)
    telling = np.full((400, 4), math.log(0.1))
    telling[np.arange(400), labels] = math.log(0.7)
    noise = np.log(random.dirichlet(np.ones(4), size=400))
    weights = fitted([telling, noise], labels)
    assert weights[0] >= 1.5
    assert weights[1] <= 0.1


def test_overconfident_evidence_is_cooled() -> None:
    """Right in seven of ten, sure to 99 percent: its weight is what makes it say 70."""
    labels = np.zeros(1000, dtype=np.int64)
    said = np.full((1000, 2), math.log(0.01))
    said[:700, 0], said[700:, 1] = math.log(0.99), math.log(0.99)
    (weight,) = fitted([said], labels)
    sure = 1 / (1 + (0.01 / 0.99) ** weight)
    assert sure == pytest.approx(0.7, abs=0.02)


def test_recorded_answers_give_the_same_run_byte_for_byte() -> None:
    dataset = DATASETS / "ambiguous.jsonl"

    def once() -> str:
        cassette = Cassette(recordings_of(dataset), "replay")
        run = judged(dataset, "replay", classifier=replaying(Settings(), cassette))
        cassette.require_complete()
        return run.record.text()

    first = once()
    assert first == once()
    assert '"models": [\n   "qwen2.5-coder-1.5b-instruct-q4_k_m"' in first
