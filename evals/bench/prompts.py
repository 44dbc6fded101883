"""How long the suite takes, how many tokens a case costs beside plain JSON, and how much of a prompt the endpoint had read before.

A figure is measured or absent: without a tokeniser, and without recorded answers that say what was cached, there is none."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx

from app.classify import Classifier, Question
from app.compact import compact
from app.rendering import FACTS, TEXTS
from app.settings import Settings
from evals.bench.figures import Figure
from evals.cassette import Cassette
from evals.cli import CONFIG, bench_from, judged
from evals.dataset import read_dataset
from evals.recorded_model import recordings_of, replaying
from evals.run import judge_case

DATASETS = tuple(Path(__file__).parents[1] / "datasets" / f"{name}.jsonl" for name in ("core", "dev"))
RECORDINGS = Path(__file__).parents[1] / "recordings"
TOKENISER = "ORDERMEND_BENCH_TOKENISER"
"""The address of a llama.cpp server, whose `/tokenize` counts; e.g. what `ordermend model serve` prints, without `/v1`."""
TOKENISER_KEY = "ORDERMEND_BENCH_TOKENISER_KEY"
LIMIT_S, CASES, LEAST_CACHED = 20.0, 500, 0.80

Count = Callable[[str], int]


def recorded(dataset: Path) -> Classifier:
    """The local classifier, answered from its recordings."""
    return replaying(Settings(), Cassette(recordings_of(dataset), "replay"))


def replayed(
    classifier_name: str = "replay", made: Callable[[Path], Classifier | None] = recorded, datasets: Sequence[Path] = DATASETS
) -> Figure:
    """Seconds for 500 cases with all their figures; the yardstick is the limit of 20. `made` gives a classifier for each dataset, None
    for the rules."""
    started, n = perf_counter(), 0
    for path in datasets:
        n += len(judged(path, classifier_name, classifier=made(path)).results)
    seconds = (perf_counter() - started) * CASES / n
    return Figure("evals.replay_500_s", seconds, "s", f"limit; classifier {classifier_name}", LIMIT_S, seconds / LIMIT_S)


async def questions(datasets: Sequence[Path] = DATASETS) -> list[Question]:
    """What a classifier is asked about each case that can be judged."""
    bench = bench_from(CONFIG)
    found = []
    for path in datasets:
        for case in read_dataset(path):
            judgement = await judge_case(case.question(), bench)
            if judgement is not None:
                s = judgement.sighting
                found.append(Question(s.context, s.snapshot, s.facts, s.detections, bench.policy.limits))
    return found


def tokens_vs_json(asked: Iterable[Question], count: Count) -> Figure:
    """Mean tokens of the compact rendering; the yardstick is a dump of the very fields that a model may see."""
    pairs = [(count(compact(question).with_texts), count(plain_json(question))) for question in asked]
    ours, plain = (sum(side) / len(pairs) for side in zip(*pairs, strict=True))
    return Figure("prompt.tokens_vs_json", ours, "tokens a case", "json.dumps of the same fields", plain, ours / plain)


def plain_json(question: Question) -> str:
    """Names and values alone: the leanest dump that anybody would write."""
    allowed = FACTS | TEXTS
    fields = question.snapshot["fields"].items()
    return json.dumps({k: item["value"] for k, item in fields if k.partition("[")[0] in allowed}, ensure_ascii=False)


def tokeniser() -> Count | None:
    """The one whose address the environment names. Raises what httpx raises where it does not answer."""
    address = os.environ.get(TOKENISER, "").rstrip("/")
    if not address:
        return None

    key = os.environ.get(TOKENISER_KEY)
    headers = {"Authorization": f"Bearer {key}"} if key else {}

    def count(text: str) -> int:
        answer = httpx.post(f"{address}/tokenize", json={"content": text}, headers=headers, timeout=30).raise_for_status()
        return len(answer.json()["tokens"])

    return count


def prefix_cache_hit(recordings: Path = RECORDINGS) -> Figure | None:
    """The share of prompt tokens that the endpoint had in its cache, over all recorded answers that say so."""
    usages = [usage for path in sorted(recordings.glob("*.jsonl")) for usage in _usages(path)]
    prompt = sum(tokens for tokens, _ in usages)
    if not prompt:
        return None
    share = sum(cached for _, cached in usages) / prompt
    return Figure(
        "prompt.prefix_cache_hit", share, "of prompt tokens", "the least that is wanted", LEAST_CACHED, share / LEAST_CACHED
    )


def _usages(path: Path) -> Iterator[tuple[int, int]]:
    """(prompt tokens, of these cached)."""
    for line in path.read_text(encoding="utf-8").splitlines():
        usage: Any = (json.loads(line).get("response") or {}).get("usage") or {}
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        if isinstance(cached, int) and isinstance(usage.get("prompt_tokens"), int):
            yield usage["prompt_tokens"], cached
