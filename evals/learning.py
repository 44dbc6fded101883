"""`python -m evals.learning categories|choices|combination|crossvalidate`: what the combined classifier has learned from labelled cases.

`categories` trains the statistics on the dev set and on the core pack. `choices` asks a model about every case of the datasets that the
combination is fitted on, and records its answers. `combination` fits the weights of the three kinds of evidence to them, on the cases
for which the model would be asked; the statistics of a case are then always those of a model that saw nothing of its sources.
"""

import argparse
import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.classify import Question
from app.compact import compact
from app.models.choice import key_of
from app.models.combined import settled_without
from app.models.endpoint import Endpoint, Tally
from app.models.label_choice import PROMPT, LabelChoice
from app.models.learned import CATEGORIES, COMBINATION, FOLDER
from app.models.linear import LinearModel, TrainedOn
from app.models.linear_training import train
from app.models.model_settings import LlmSettings, load_models
from app.models.opinions import Combination, Opinion, Weights, best, of_rules, of_statistics
from app.models.rules import RulesClassifier
from app.prompts import load_prompts
from app.settings import Settings
from evals.cassette import Cassette
from evals.cli import CONFIG, bench_from
from evals.dataset import LabelledCase, parse_dataset
from evals.metrics import Confident, calibration_error_equal_mass, macro_f1, rate
from evals.run import sighted
from guardrails.taxonomy import Category

DATASETS = Path(__file__).resolve().parent / "datasets"
TAUGHT = ("dev.jsonl", "core.jsonl")
CHOSEN = ("dev.jsonl", "ambiguous.jsonl", "unseen-providers.jsonl")
"""Of the last nothing is taught to the statistics, so that its cases show what the model's choice is worth where those know nothing."""
CHOICES = Path(__file__).resolve().parent / "recordings" / "fitting" / "choices.jsonl"
MODEL = "qwen2.5-coder-1.5b-instruct-q4_k_m"
SETTLED = 0.9
_EVERY = 3
"""Each third case tells what the model says on average."""
_FOLDS = 6
_STEPS = tuple(step / 20 for step in range(41))
_ROUNDS = 12
_L2 = 0.02

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """`facts` and `text` are the two views as they are shown; `group` names the sources that the case comes from."""

    case: LabelledCase
    question: Question
    facts: str
    text: str
    group: str
    rules: Opinion | None


def rows_of(names: Iterable[str]) -> list[Row]:
    """Every readable case of these datasets. What is wrong with one that is not, the suite says."""
    bench = bench_from(CONFIG)
    rules = bench.classifier
    assert isinstance(rules, RulesClassifier)
    found = []
    for name in names:
        for case in parse_dataset((DATASETS / name).read_text(encoding="utf-8"), name):
            sighting = sighted(case.question(), bench)
            if sighting is None:
                continue
            question = Question(sighting.context, sighting.snapshot, sighting.facts, sighting.detections, bench.policy.limits)
            seen = compact(question)
            opinion = of_rules(question, rules.diagnose(question))
            group = f"{name}:{'+'.join(sorted({s.source for s in case.signals}))}"
            found.append(Row(case, question, seen.facts, seen.with_texts, group, opinion))
    return found


def taught_by(names: Iterable[str]) -> tuple[TrainedOn, ...]:
    bodies = {name: (DATASETS / name).read_bytes() for name in names}
    return tuple(TrainedOn(name=n, sha256=hashlib.sha256(b).hexdigest(), n=len(b.splitlines())) for n, b in bodies.items())


def statistics_from(rows: Sequence[Row], on: tuple[TrainedOn, ...] = ()) -> LinearModel:
    """Both views of every case teach the same label."""
    labels = [row.case.expected.category.value for row in rows]
    return train([r.facts for r in rows] + [r.text for r in rows], labels * 2, l2=_L2, trained_on=on)


def held_out(rows: Sequence[Row], taught: Sequence[Row]) -> list[Opinion]:
    """Each row's statistics by a model that saw no case of the row's sources."""
    found: dict[int, Opinion] = {}
    for fold in range(_FOLDS):
        members = [place for place, row in enumerate(rows) if _drawn(row.group) == fold]
        if not members:
            continue
        groups = {rows[place].group for place in members}
        model = statistics_from([row for row in taught if row.group not in groups])
        found |= {place: of_statistics(model, rows[place].text) for place in members}
    return [found[place] for place in range(len(rows))]


def _drawn(group: str) -> int:
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") % _FOLDS


def fitted(kinds: Sequence[Matrix], labels: NDArray[np.int64]) -> tuple[float, ...]:
    """The weight of each kind of evidence that makes the labels likeliest, by turns over a fixed grid."""
    weights = [1.0] * len(kinds)

    def loss(place: int, weight: float) -> float:
        tried = [*weights[:place], weight, *weights[place + 1 :]]
        scores = sum((w * kind for w, kind in zip(tried, kinds, strict=True)), start=np.zeros_like(kinds[0]))
        spread = np.log(np.exp(scores - scores.max(axis=1, keepdims=True)).sum(axis=1)) + scores.max(axis=1)
        return float((spread - scores[np.arange(len(labels)), labels]).mean())

    for _ in range(_ROUNDS):
        for place in range(len(kinds)):
            weights[place] = min(_STEPS, key=lambda weight, at=place: loss(at, weight))  # type: ignore[misc]  # bound per turn
    return tuple(weights)


def matrix(opinions: Iterable[Opinion | None]) -> Matrix:
    """A row for each case, a column for each category; all zeros where nothing is held."""
    return np.array([[0.0 if o is None else o[c] for c in Category] for o in opinions], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the combination is fitted to. `rows` are the cases that rules and statistics leave open, `known` their statistics; `sample`
    are the cases from which it is learned what the model says too often. `first` is the combination without a model."""

    rows: tuple[Row, ...]
    known: tuple[Opinion, ...]
    sample: tuple[Row, ...]
    first: Combination

    @property
    def asked(self) -> tuple[Row, ...]:
        """Every case that the model is asked about, once."""
        return tuple({row.case.id: row for row in (*self.rows, *self.sample)}.values())

    def without(self, fold: int) -> "Plan":
        """The same plan, but nothing is fitted to the cases of this fold."""
        kept = [place for place, row in enumerate(self.rows) if _drawn(row.group) != fold]
        return replace(self, rows=tuple(self.rows[p] for p in kept), known=tuple(self.known[p] for p in kept))


def planned(statistics: LinearModel, prompt_sha256: str, model: str) -> Plan:
    taught, chosen = rows_of(TAUGHT), rows_of(CHOSEN)
    rules, statistic = fitted([matrix(r.rules for r in taught), matrix(held_out(taught, taught))], _labels(taught))
    weights = Weights(rules=rules, statistics=statistic, choice=0)
    first = Combination(
        prompt_sha256=prompt_sha256,
        model=model,
        statistics_sha256=statistics.sha256,
        label_bias={},
        with_choice=weights,
        without_choice=weights,
        settled=SETTLED,
    )
    opinions = held_out(chosen, taught)
    left = [place for place, row in enumerate(chosen) if not settled_without(first, row.rules, opinions[place])]
    sample = chosen[::_EVERY]
    return Plan(tuple(chosen[p] for p in left), tuple(opinions[p] for p in left), tuple(sample), first)


def combination_from(plan: Plan, said: Mapping[str, Opinion]) -> Combination:
    """`said` is what the model chose, by case id."""
    mean = matrix(said[row.case.id] for row in plan.sample).mean(axis=0)
    bias = dict(zip(Category, (round(float(b), 3) for b in mean), strict=True))
    unbiased = plan.first.model_copy(update={"label_bias": bias})
    chosen = matrix(unbiased.unbiased(said[row.case.id]) for row in plan.rows)
    kinds = [matrix(row.rules for row in plan.rows), matrix(plan.known), chosen]
    rules, statistic, choice = fitted(kinds, _labels(plan.rows))
    found = Weights(rules=rules, statistics=statistic, choice=choice)
    return unbiased.model_copy(update={"with_choice": found, "fitted_on": taught_by(sorted({*TAUGHT, *CHOSEN}))})


def _labels(rows: Sequence[Row]) -> NDArray[np.int64]:
    order = list(Category)
    return np.array([order.index(row.case.expected.category) for row in rows])


def crossvalidated(plan: Plan, said: Mapping[str, Opinion], dataset: str) -> dict[str, Any]:
    """How well the three kinds together judge a dataset's cases, each by statistics that saw nothing of its sources and by weights that
    were fitted without its fold; beside it what each kind is worth alone. The text may speak, so this is the view with text."""
    everyone = rows_of(CHOSEN)
    rows = [row for row in everyone if row.case.id in {r.case.id for r in rows_of((dataset,))}]
    opinions = held_out(rows, rows_of(TAUGHT))
    by_fold = {fold: combination_from(plan.without(fold), said) for fold in range(_FOLDS)}
    pooled: list[Opinion] = []
    for row, opinion in zip(rows, opinions, strict=True):
        combination = by_fold[_drawn(row.group)]
        choice = None
        if not settled_without(combination, row.rules, opinion) and row.case.id in said:
            choice = combination.unbiased(said[row.case.id])
        pooled.append(combination.pooled(row.rules, opinion, choice))
    labels = [row.case.expected.category.value for row in rows]
    ways = {
        "rules": [Category.UNKNOWN if row.rules is None else best(row.rules)[0] for row in rows],
        "statistics": [best(opinion)[0] for opinion in opinions],
        "combined": [best(opinion)[0] for opinion in pooled],
    }
    right = [c in row.case.expected.acceptable for c, row in zip(ways["combined"], rows, strict=True)]
    sure = [Confident(round(best(o)[1] * 10_000), r) for o, r in zip(pooled, right, strict=True)]
    return {
        "dataset": dataset,
        "n": len(rows),
        "macro_f1": {way: _rounded(macro_f1(list(zip(labels, map(str, got), strict=True)))) for way, got in ways.items()},
        "accuracy_combined": rate(right).plain(),
        "ece_combined": _rounded(calibration_error_equal_mass(sure)),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


async def _said(plan: Plan, settings: Settings, cassette: Cassette) -> dict[str, Opinion]:
    """What the model chooses for each case with its texts, by case id; asked where it is not recorded."""
    models = load_models(settings.config_dir / "models.yaml")
    asking = LlmSettings(settings.llm.base_url, key_of(settings), plan.first.model, models.request_local, models.breaker)
    choice = LabelChoice(
        Endpoint(asking, time.monotonic, asyncio.sleep, cassette), load_prompts(settings.prompts_dir)[PROMPT], asking
    )
    found = {}
    try:
        for row in plan.asked:
            messages = choice.messages(row.facts, row.text.removeprefix(row.facts).lstrip("\n"))
            found[row.case.id] = await choice.choose(messages, Tally(), time.monotonic() + asking.request.deadline_s)
    finally:
        await choice.aclose()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.learning", description="Learn anew from the labelled cases.")
    parser.add_argument("what", choices=["categories", "choices", "combination", "crossvalidate"])
    parser.add_argument("--into", type=Path, default=CONFIG / FOLDER, help="the folder to write to")
    parser.add_argument("--model", default=MODEL, help="the model that was, or is to be, asked")
    asked = parser.parse_args(arguments)
    if asked.what == "categories":
        statistics_from(rows_of(TAUGHT), taught_by(TAUGHT)).dump(asked.into / CATEGORIES)
        return 0
    settings = Settings()
    plan = planned(LinearModel.load(asked.into / CATEGORIES), load_prompts(settings.prompts_dir)[PROMPT].sha256, asked.model)
    sys.stdout.write(f"{len(plan.rows)} cases are left open by rules and statistics; {len(plan.asked)} questions\n")
    cassette = Cassette(CHOICES, "record" if asked.what == "choices" else "replay")
    said = asyncio.run(_said(plan, settings, cassette))
    if asked.what == "choices":
        cassette.save()
        return 0
    if asked.what == "crossvalidate":
        for dataset in CHOSEN:
            sys.stdout.write(json.dumps(crossvalidated(plan, said, dataset)) + "\n")
        return 0
    found = combination_from(plan, said)
    (asked.into / COMBINATION).write_text(found.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"without the model {found.without_choice}; with it {found.with_choice}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
