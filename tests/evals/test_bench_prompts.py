"""What a prompt costs, and that nothing is claimed which was not measured."""

import json
import re
from pathlib import Path

import pytest

from evals.bench.prompts import DATASETS, TOKENISER, plain_json, prefix_cache_hit, questions, replayed, tokeniser, tokens_vs_json


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("datasets") / "few.jsonl"
    path.write_text("\n".join(DATASETS[1].read_text(encoding="utf-8").splitlines()[:10]), encoding="utf-8")
    return path


def recorded(folder: Path, *usages: dict[str, object]) -> Path:
    lines = [json.dumps({"v": 1, "key": "0" * 64, "seq": n, "response": {"usage": usage}}) for n, usage in enumerate(usages)]
    (folder / "choices.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_the_time_is_told_for_500_cases_against_the_limit(few: Path) -> None:
    figure = replayed("rules", lambda _: None, datasets=(few,))
    assert (figure.name, figure.yardstick_value) == ("evals.replay_500_s", 20.0)
    assert figure.value == pytest.approx(figure.ratio * 20.0)
    assert figure.value > 0


async def test_the_compact_rendering_takes_far_less_than_plain_json_of_the_same_fields(few: Path) -> None:
    asked = await questions((few,))
    figure = tokens_vs_json(asked, lambda text: len(re.findall(r"\w+|[^\w\s]", text)))
    assert len(asked) == 10
    assert figure.ratio == pytest.approx(figure.value / figure.yardstick_value)
    assert figure.ratio < 0.55
    assert all('order.ship_to"' not in plain_json(question) for question in asked)


def test_without_a_tokeniser_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKENISER, raising=False)
    assert tokeniser() is None


def test_the_cached_share_is_of_all_prompt_tokens_that_were_told(tmp_path: Path) -> None:
    told: list[dict[str, object]] = [
        {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 0}},
        {"prompt_tokens": 300, "prompt_tokens_details": {"cached_tokens": 300}},
        {"prompt_tokens": 900},
    ]
    figure = prefix_cache_hit(recorded(tmp_path, *told))
    assert figure is not None
    assert figure.value == 0.75


def test_without_recorded_counts_there_is_no_figure(tmp_path: Path) -> None:
    assert prefix_cache_hit(tmp_path) is None
    assert prefix_cache_hit(recorded(tmp_path, {"prompt_tokens": 5})) is None
