"""`python -m evals.train instructions`: learns from recorded attacks and ordinary texts, and writes what `app/learned_instructions.py` reads.

The same corpora give the same bytes. The threshold is chosen on texts of families that the model under trial never saw: one
source of attacks or look-alikes is left out at a time.
"""

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.learned_instructions import (
    ATTACK,
    BENIGN,
    FOLDER,
    MODEL,
    SETTINGS,
    pieces,
    readings_of,
    strongest,
)
from app.models.linear import LinearModel, TrainedOn
from app.models.linear_training import train
from app.untrusted import in_patterns

CORPORA = Path(__file__).resolve().parent / "datasets" / "injections"
FILES = {
    "attacks.jsonl": ATTACK,
    "written_attacks.jsonl": ATTACK,
    "taught_attacks.jsonl": ATTACK,
    "benign_lookalikes.jsonl": BENIGN,
    "written_lookalikes.jsonl": BENIGN,
    "taught_lookalikes.jsonl": BENIGN,
    "ordinary_texts.jsonl": BENIGN,
}
"""By what they hold. The `fresh_` texts stay out: they tell what the model is worth on texts that nobody tuned anything to."""
FALSE_ALARMS = 0.03
"""Of look-alikes whose whole source was left out."""
_HARMLESS = "clean_baseline"
_SHORT = 300
_ROUNDS = 2
_FEWEST = 13
"""Sources with fewer attacks are left out together."""


@dataclass(frozen=True, slots=True)
class Sample:
    text: str
    label: str
    family: str


def samples(folder: Path = CORPORA) -> list[Sample]:
    """Every text with the source it comes from: a repository, or who wrote it for what."""
    found = []
    for name, label in FILES.items():
        for row in _rows(folder / name):
            source = row.get("source", {}).get("repo") or f"{name.removesuffix('.jsonl')}:{row.get('pack', '')}"
            found.append(Sample(row["text"], BENIGN if _HARMLESS in row.get("category", "") else label, source))
    return found


def trained_on(folder: Path = CORPORA) -> tuple[TrainedOn, ...]:
    """The corpora as they are now."""
    bodies = {name: (folder / name).read_bytes() for name in FILES}
    return tuple(
        TrainedOn(name=name, sha256=hashlib.sha256(body).hexdigest(), n=len(body.splitlines())) for name, body in bodies.items()
    )


def fit(known: Sequence[Sample], corpora: Sequence[TrainedOn] = ()) -> LinearModel:
    """A first model says which piece of a long attack is the attack; the second learns from those pieces."""
    model: LinearModel | None = None
    for _ in range(_ROUNDS):
        rows = [(text, sample.label) for sample in known for text in _lessons(sample, model)]
        texts, labels = [text for text, _ in rows], [label for _, label in rows]
        model = train(texts, labels, ngrams="mixed", l2=0.1, min_count=2, trained_on=corpora)
    assert model is not None
    return model


def _lessons(sample: Sample, model: LinearModel | None) -> list[str]:
    plain = readings_of(sample.text)[0].text
    if sample.label == BENIGN:
        return pieces(plain)
    if model is None or len(pieces(plain)) == 1:
        return [reading.text for reading in readings_of(sample.text)]
    worst = max(pieces(plain), key=lambda piece: model.log_probabilities(piece)[ATTACK])
    return [worst, plain] if len(sample.text) <= _SHORT else [worst]


@dataclass(frozen=True, slots=True)
class Scored:
    sample: Sample
    score: float


def held_out(known: Sequence[Sample]) -> list[Scored]:
    """Each text's score by a model that saw nothing of its family."""
    found = []
    for group in _groups(known):
        model = fit([sample for sample in known if sample.family not in group])
        found += [Scored(s, strongest(model, s.text).score) for s in known if s.family in group]
    return found


def _groups(known: Sequence[Sample]) -> list[set[str]]:
    """Families to leave out together: the small ones, and of what was written here the attacks with the look-alikes. Ordinary texts
    are spread over them."""
    attacks = [sample.family for sample in known if sample.label == ATTACK]
    ours = [{f"{word}_attacks:", f"{word}_lookalikes:"} for word in ("written", "taught")]
    public = [family for family in dict.fromkeys(attacks) if family not in ours[0] | ours[1]]
    groups = [{family} for family in public if attacks.count(family) >= _FEWEST]
    groups += [{family for family in public if attacks.count(family) < _FEWEST}, *ours]
    rest = sorted({sample.family for sample in known} - set().union(*groups))
    for place, family in enumerate(rest):
        groups[place % len(groups)].add(family)
    return [group for group in groups if group]


def threshold_for(scored: Sequence[Scored], share: float) -> float:
    """The lowest score, in steps of 0.01, that at most this share of the look-alikes reaches."""
    lookalikes = sorted((s.score for s in scored if _is_lookalike(s.sample)), reverse=True)
    highest_allowed = lookalikes[math.floor(share * len(lookalikes))]
    return min(0.99, math.floor(highest_allowed * 100 + 1) / 100)


def figures(scored: Sequence[Scored], threshold: float) -> dict[str, float]:
    """Shares: of left-out attacks found by patterns, by what was learned and by either, and of innocent texts suspected."""
    attacks = [s for s in scored if s.sample.label == ATTACK]
    lookalikes = [s for s in scored if _is_lookalike(s.sample)]
    ordinary = [s for s in scored if s.sample.label == BENIGN and not _is_lookalike(s.sample)]
    patterns = [bool(in_patterns({"": s.sample.text})) for s in attacks]
    learned = [s.score >= threshold for s in attacks]
    return {
        "attacks": float(len(attacks)),
        "recall_patterns": _share(patterns),
        "recall_learned": _share(learned),
        "recall_either": _share([p or n for p, n in zip(patterns, learned, strict=True)]),
        "false_alarms_lookalikes": _share([s.score >= threshold for s in lookalikes]),
        "false_alarms_ordinary": _share([s.score >= threshold for s in ordinary]),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m evals.train", description="Learn anew from the corpora in evals/datasets/injections."
    )
    parser.add_argument("what", choices=["instructions"], help="which model")
    parser.add_argument("--into", type=Path, default=FOLDER, help="the folder to write to")
    asked = parser.parse_args(arguments)
    known = samples()
    scored = held_out(known)
    threshold = threshold_for(scored, FALSE_ALARMS)
    model = fit(known, trained_on())
    model.dump(asked.into / MODEL)
    measured = figures(scored, threshold)
    settings = {
        "schema": "ordermend/learned-instructions/v1",
        "threshold": threshold,
        "model_sha256": model.sha256,
        "measured": measured,
    }
    (asked.into / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    _say(scored, threshold, settings)
    return 0


def _say(scored: Sequence[Scored], threshold: float, settings: dict[str, Any]) -> None:
    """The figures, and those of each family that was left out."""
    lines = [json.dumps(settings, indent=2)]
    for family in sorted({s.sample.family for s in scored}):
        of_it = [s for s in scored if s.sample.family == family]
        attacks = [s for s in of_it if s.sample.label == ATTACK] or of_it
        found = _share([s.score >= threshold for s in attacks])
        by_patterns = _share([bool(in_patterns({"": s.sample.text})) for s in attacks])
        lines.append(f"{family}: {len(attacks)} {attacks[0].sample.label}, learned {found:.3f}, patterns {by_patterns:.3f}")
    sys.stdout.write("\n".join(lines) + "\n")


def _is_lookalike(sample: Sample) -> bool:
    return sample.label == BENIGN and not sample.family.startswith("ordinary_texts:")


def _share(found: Sequence[bool]) -> float:
    return round(sum(found) / len(found), 4) if found else 0.0


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield json.loads(line)


if __name__ == "__main__":
    sys.exit(main())
