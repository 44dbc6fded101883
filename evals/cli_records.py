"""`ordermend eval compare|bless|report|export`: what can be done with run records, without judging anything again."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from evals.bless import SCHEMA as BASELINE
from evals.bless import BlessedCase, baseline_of, baseline_path, outcomes, read_baseline
from evals.cli import FAILED, OK, say, write
from evals.compare import Comparison, NothingInCommon, compare
from evals.export import inspect_log, junit, promptfoo
from evals.gates import broken, load_gates
from evals.html_report import html_report
from evals.record import RecordInvalid, RunRecord, read_record

EXPORTS: Mapping[str, Callable[[RunRecord, datetime], str]] = {
    "junit": lambda run, at: junit(run),
    "inspect": inspect_log,
    "promptfoo": promptfoo,
}


def main_compare(before: Path, after: Path, gates_file: Path, as_json: bool) -> int:
    """1 when the later run breaks a hard gate or is significantly worse. Either file may be a blessed baseline."""
    gates = load_gates(gates_file)
    later = None if _is_baseline(after) else read_record(after)
    (earlier_sha, earlier_cases), (later_sha, later_cases) = _outcomes(before), _outcomes(after)
    try:
        found = compare(earlier_cases, later_cases)
    except NothingInCommon as error:
        return say(str(error), FAILED)
    hard = broken(later, gates) if later is not None else []
    soft = found.dropped(gates.soft)
    if as_json:
        told = {"same_dataset": earlier_sha == later_sha, **found.plain(), "broken": hard, "dropped": soft}
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    else:
        note = "" if earlier_sha == later_sha else "the dataset has changed in between\n"
        sys.stdout.write(note + comparison_text(found, hard, soft))
    return FAILED if hard or soft else OK


def _is_baseline(path: Path) -> bool:
    try:
        read = json.loads(path.read_bytes())
    except ValueError as error:
        raise RecordInvalid(f"{path.name}: not JSON; give a file of `ordermend eval run --out` or a baseline") from error
    return isinstance(read, dict) and read.get("schema") == BASELINE


def _outcomes(path: Path) -> tuple[str, Sequence[BlessedCase]]:
    """The hash of the dataset, and its cases."""
    if _is_baseline(path):
        baseline = read_baseline(path)
        return baseline.dataset_sha256, baseline.cases
    run = read_record(path)
    return run.origin.dataset_sha256, outcomes(run)


def comparison_text(found: Comparison, hard: Sequence[str], soft: Sequence[str]) -> str:
    lines = [f"{found.common} cases in common, {len(found.only_before)} only before, {len(found.only_after)} only after"]
    for m in found.measures:
        lines.append(f"{m.name:10} {m.before} -> {m.after} right ({m.points:+.1f} points), p = {m.p:.4f}")
        lines += [f"  worse:  {' '.join(m.worse)}"] if m.worse else []
        lines += [f"  better: {' '.join(m.better)}"] if m.better else []
    moved = [c for c in found.categories if c.before != c.after]
    lines += [f"  {c.category:24} {c.before} -> {c.after} of {c.n}" for c in moved]
    lines += [f"  {flip.id}: {flip.before} -> {flip.after} ({flip.became}; expected {flip.expected})" for flip in found.flips]
    lines += [f"BROKEN  {told}" for told in hard] + [f"DROPPED {told}" for told in soft]
    return "\n".join(lines) + "\n"


def main_bless(run_file: Path, folder: Path, gates_file: Path, who: str, when: datetime, why: str) -> int:
    """1 for a run that breaks a hard gate: nothing may be measured against that."""
    run = read_record(run_file)
    hard = broken(run, load_gates(gates_file))
    if hard:
        return say("\n".join(["a run that breaks a hard gate cannot be blessed:", *hard]), FAILED)
    path = baseline_path(folder, run.origin.dataset, run.origin.classifier)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(baseline_of(run, who, when, why).text(), encoding="utf-8")
    sys.stdout.write(f"blessed {path.name}: {len(run.cases)} cases\n")
    return OK


def main_report(run_file: Path, gates_file: Path, html: Path) -> int:
    run = read_record(run_file)
    write(html, html_report(run, load_gates(gates_file)))
    sys.stdout.write(f"{html}: {len(run.cases)} cases\n")
    return OK


def main_export(run_file: Path, form: str, at: datetime, to: Path | None) -> int:
    text = EXPORTS[form](read_record(run_file), at)
    if to is None:
        sys.stdout.write(text)
    write(to, text)
    return OK
