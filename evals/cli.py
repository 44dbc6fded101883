"""`ordermend eval run`: reads the configuration and the dataset, judges every case and prints the figures."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, TextIO

from app.classify import Classifier
from app.config_files import ConfigInvalid, load_detectors, load_owners, load_sources
from app.models.rules import RulesClassifier
from evals.dataset import DatasetInvalid, read_dataset
from evals.report import confusions, report
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


def main_run(
    dataset_path: str,
    classifier_name: str,
    as_json: bool,
    *,
    classifier: Classifier | None = None,
    config: Path = CONFIG,
    out: TextIO | None = None,
) -> int:
    """Exit code 0 ok, 1 the configuration or dataset is wrong, 2 no such classifier, 3 no such file. Any classifier but `rules` is
    handed in by who can build it."""
    out = out or sys.stdout
    if classifier is None and classifier_name != "rules":
        return _say(f"the classifier {classifier_name!r} is not available here; use rules", USAGE)
    try:
        bench = bench_from(config, classifier)
        cases = read_dataset(Path(dataset_path))
    except (ConfigInvalid, DatasetInvalid) as error:
        return _say(str(error), FAILED)
    except OSError as error:
        return _say(f"{error.filename}: {error.strerror}; give the path of a dataset", NOT_FOUND)
    results = asyncio.run(run(cases, bench))
    figures = report(results, classifier_name)
    out.write(json.dumps(figures, ensure_ascii=False) + "\n" if as_json else as_text(figures, results))
    return OK


def _say(problem: str, code: int) -> int:
    sys.stderr.write(problem + "\n")
    return code


def as_text(figures: dict[str, Any], results: list[Result]) -> str:
    """The figures for a person to read, and what was taken for what."""
    lines = [f"{'classifier':32} {figures['classifier']}", f"{'cases':32} {figures['n']}"]
    for name, value in figures.items():
        if name not in ("classifier", "n", "failures"):
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
            return ", ".join(f"{key}: {item}" for key, item in value.items())
        case None:
            return "none"
        case _:
            return str(value)
