"""`ordermend eval run`: reads the configuration and the dataset, judges every case and prints the figures."""

import asyncio
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from app.assurance import classifier_key, judging_files
from app.classify import Classifier
from app.config_files import ConfigInvalid, load_detectors, load_owners, load_sources
from app.models.rules import RulesClassifier
from evals.dataset import DatasetInvalid, LabelledCase, parse_dataset
from evals.export import junit
from evals.injection import Effects, attack_texts, effects_of
from evals.record import RunRecord, figures_of, record_of
from evals.report import confusions
from evals.run import Bench, Result, run
from guardrails.policy.load import load_policy

OK, FAILED, USAGE, NOT_FOUND = 0, 1, 2, 3
CONFIG = Path(__file__).resolve().parent.parent / "config"


def bench_from(config: Path, classifier: Classifier | None = None) -> Bench:
    """The bench with the files of a configuration folder; the rules classifier unless another is given.

    Raises ConfigInvalid with every mistake of the first file that has any."""
    texts = {name: (config / f"{name}.yaml").read_text(encoding="utf-8") for name in ("policy", "sources", "detectors", "owners")}
    owners = load_owners(texts["owners"], "owners.yaml")
    return Bench(
        classifier=classifier or RulesClassifier(owners),
        policy=load_policy(texts["policy"], "policy.yaml"),
        sources=load_sources(texts["sources"], "sources.yaml"),
        detectors=load_detectors(texts["detectors"], "detectors.yaml"),
    )


@dataclass(frozen=True, slots=True)
class Run:
    """A dataset judged: the figures with the times it took, and the record, which has none."""

    figures: dict[str, Any]
    results: list[Result]
    record: RunRecord


def judged(
    dataset: Path, classifier_name: str, *, classifier: Classifier | None = None, config: Path = CONFIG, repeats: int = 1
) -> Run:
    """Raises ConfigInvalid, DatasetInvalid, and OSError where a file is missing."""
    bench = bench_from(config, classifier)
    body = dataset.read_bytes()
    cases = parse_dataset(body.decode("utf-8", errors="replace"), dataset.name)
    runs, effects = asyncio.run(_repeated(cases, bench, repeats, attack_texts(dataset)))
    figures = figures_of(runs, classifier_name, effects)
    origin = {
        "dataset": dataset.name,
        "dataset_sha256": hashlib.sha256(body).hexdigest(),
        "classifier": classifier_name,
        "classifier_sha256": classifier_key(bench.classifier.fingerprint, judging_files(config)),
        "policy_version": bench.policy.version,
        "policy_sha256": bench.policy.sha256,
    }
    return Run(figures, runs[0], record_of(runs, figures, origin, effects))


async def _repeated(
    cases: Sequence[LabelledCase], bench: Bench, repeats: int, attacks: Mapping[str, str]
) -> tuple[list[list[Result]], Effects]:
    runs = [await run(cases, bench) for _ in range(repeats)]
    return runs, await effects_of(runs[0], bench, attacks)


def main_run(
    dataset_path: str,
    classifier_name: str,
    as_json: bool,
    *,
    classifier: Classifier | None = None,
    config: Path = CONFIG,
    out: TextIO | None = None,
    repeats: int = 1,
    record_to: Path | None = None,
    junit_to: Path | None = None,
) -> int:
    """Exit code 0 ok, 1 the configuration or dataset is wrong, 2 no such classifier, 3 no such file. Any classifier but `rules` is
    handed in by who can build it."""
    out = out or sys.stdout
    if classifier is None and classifier_name != "rules":
        return say(f"the classifier {classifier_name!r} is not available here; use rules", USAGE)
    if repeats < 1:
        return say("--repeats asks for at least 1", USAGE)
    try:
        found = judged(Path(dataset_path), classifier_name, classifier=classifier, config=config, repeats=repeats)
    except (ConfigInvalid, DatasetInvalid) as error:
        return say(str(error), FAILED)
    except OSError as error:
        return say(f"{error.filename}: {error.strerror}; give the path of a dataset", NOT_FOUND)
    try:
        write(record_to, found.record.text())
        if junit_to is not None:
            write(junit_to, junit(found.record))
    except OSError as error:
        return say(f"{error.filename}: {error.strerror}; give a path that can be written", FAILED)
    out.write(json.dumps(found.figures, ensure_ascii=False) + "\n" if as_json else as_text(found.figures, found.results))
    return OK


def write(path: Path | None, text: str) -> None:
    """Nothing where no file was asked for."""
    if path is not None:
        path.write_text(text, encoding="utf-8")


def say(problem: str, code: int) -> int:
    sys.stderr.write(problem + "\n")
    return code


def as_text(figures: dict[str, Any], results: list[Result]) -> str:
    """The figures for a person to read, and what was taken for what."""
    lines = [f"{'classifier':32} {figures['classifier']}", f"{'cases':32} {figures['n']}"]
    for name, value in figures.items():
        if name not in ("classifier", "n", "failures", "confusion_matrix"):
            lines.append(f"{name:32} {_shown(value)}")
    for reason, value in figures["mandatory_review_recall"]["by_reason"].items():
        lines.append(f"  {reason:30} {_shown(value)}")
    lines += ["", "expected -> got"]
    lines += [f"  {expected} -> {got}: {' '.join(ids)}" for expected, got, ids in confusions(results)]
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    match value:
        case {"value": None}:
            return "not measured"
        case {"value": float() | int() as share, "low": low, "high": high}:
            return f"{share:.3f}  [{low:.3f}, {high:.3f}]"
        case dict():
            return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items())
        case None:
            return "none"
        case _:
            return str(value)
