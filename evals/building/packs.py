"""Every pack: its file, the prefix of its ids, and what makes its cases."""

from collections.abc import Callable
from pathlib import Path

from evals.building import ambiguous, core, injections, many_signals, paraphrase, perturbation, unseen
from evals.building.telling import Case

FOLDER = Path(__file__).resolve().parent.parent / "datasets"

PACKS: dict[str, tuple[str, Callable[[], list[Case]]]] = {
    "core.jsonl": ("co", core.cases),
    "ambiguous.jsonl": ("am", ambiguous.cases),
    "many-signals.jsonl": ("ms", many_signals.cases),
    "unseen-providers.jsonl": ("up", unseen.cases),
    "paraphrase.jsonl": ("pp", paraphrase.cases),
    "perturbation.jsonl": ("pt", perturbation.cases),
    "injections.jsonl": ("in", injections.cases),
}
