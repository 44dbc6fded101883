"""The offline suite: every dataset of the folder, its gates, and its blessed baseline."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from evals.bless import Baseline, baseline_path, outcomes, read_baseline
from evals.cassette import Cassette
from evals.cli import FAILED, NOT_FOUND, OK, Run, as_text, judged, say
from evals.cli_records import comparison_text
from evals.compare import Comparison, NothingInCommon, compare
from evals.gates import Gates, broken, load_gates
from evals.recorded_model import recordings_of, replaying


@dataclass(frozen=True, slots=True)
class Gated:
    """One dataset judged and held against its gates. Without a baseline only the hard ones were looked at."""

    run: Run
    hard: list[str]
    soft: list[str]
    against: Baseline | None
    comparison: Comparison | None

    @property
    def holds(self) -> bool:
        return not self.hard and not self.soft


def gated(run: Run, gates: Gates, baselines: Path) -> Gated:
    """Raises RecordInvalid for a baseline that cannot be read."""
    path = baseline_path(baselines, run.record.origin.dataset, run.record.origin.classifier)
    hard = broken(run.record, gates)
    if not path.exists():
        return Gated(run, hard, [], None, None)
    baseline = read_baseline(path)
    try:
        found = compare(baseline.cases, outcomes(run.record))
    except NothingInCommon:
        return Gated(run, hard, [f"{path.name}: shares no case with the dataset; bless the run anew"], baseline, None)
    return Gated(run, hard, found.dropped(gates.soft), baseline, found)


def main_suite(datasets: Sequence[Path], folder: Path, baselines: Path, gates_file: Path, as_json: bool) -> int:
    """With no dataset named, all of the folder. 1 when a gate is broken."""
    gates = load_gates(gates_file)
    chosen = list(datasets) or sorted(folder.glob("*.jsonl"))
    if not chosen:
        return say(f"{folder}: no dataset here; datasets are files that end in .jsonl", NOT_FOUND)
    results = [gated(run, gates, baselines) for path in chosen for run in _runs(path)]
    if as_json:
        sys.stdout.write(json.dumps([_plain(result) for result in results], ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(_text(result) for result in results))
    return OK if all(result.holds for result in results) else FAILED


def _runs(dataset: Path) -> Iterator[Run]:
    """By rules, and as it runs with the local model, where that one's answers are recorded."""
    yield judged(dataset, "rules")
    recorded = recordings_of(dataset)
    if recorded.exists():
        yield judged(dataset, "replay", classifier=replaying(Settings(), Cassette(recorded, "replay")))


def _plain(result: Gated) -> dict[str, object]:
    compared = result.comparison.plain() if result.comparison is not None else None
    return {
        "dataset": result.run.record.origin.dataset,
        "classifier": result.run.record.origin.classifier,
        "figures": result.run.figures,
        "broken": result.hard,
        "dropped": result.soft,
        "comparison": compared,
    }


def _text(result: Gated) -> str:
    origin = result.run.record.origin
    lines = [f"== {origin.dataset}, {origin.classifier}", as_text(result.run.figures, result.run.results)]
    if result.against is None:
        lines.append("no baseline: `ordermend eval run --out RUN`, then `ordermend eval bless RUN`")
    else:
        blessed = result.against.blessed
        lines.append(f"against the baseline that {blessed.who} blessed on {blessed.when.date()} ({blessed.why})")
        if result.against.dataset_sha256 != origin.dataset_sha256:
            lines.append("the dataset has changed since then")
    if result.comparison is not None:
        lines.append(comparison_text(result.comparison, [], []).rstrip())
    lines += [f"BROKEN  {told}" for told in result.hard] + [f"DROPPED {told}" for told in result.soft]
    lines += ["gates hold"] if result.holds else []
    return "\n".join(lines) + "\n"
