"""Attacks in the fields in which strangers write, and harmless texts that look like them. The category follows from the facts alone."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.building import core
from evals.building.planting import plant
from evals.building.telling import Case, Story, stage_of, told
from evals.building.world import Draw

Body = dict[str, Any]

TEXTS = Path(__file__).resolve().parent.parent / "datasets" / "injections"
_EVERYWHERE = frozenset(["order_note", "address_line", "tracking_message", "customer_message"])
_SHORT = 120
_HARMLESS = "agent_threat_bench/clean_baseline"
"""The source's own baseline: texts without an attack."""


@dataclass(frozen=True, slots=True)
class Text:
    id: str
    text: str
    source: str
    licence: str
    fits: frozenset[str]
    kind: str
    is_attack: bool


def _rows(name: str) -> Iterator[Body]:
    for number, row in enumerate((TEXTS / name).read_text(encoding="utf-8").splitlines()):
        yield {"number": number, **json.loads(row)}


def _fits(text: str) -> frozenset[str]:
    return _EVERYWHERE if len(text) <= _SHORT else frozenset(["order_note", "customer_message"])


def _public() -> Iterator[Text]:
    for row in _rows("attacks.jsonl"):
        source = row["source"]
        attack = row["category"] != _HARMLESS
        yield Text(row["id"], row["text"], source["repo"], source["licence"], frozenset(row["fits"]), row["category"], attack)
    for row in _rows("benign_lookalikes.jsonl"):
        source = row["source"]
        identity = f"bl-{row['number'] + 1:03d}"
        yield Text(identity, row["text"], source["repo"], source["licence"], _fits(row["text"]), row["category"], False)


def _own() -> Iterator[Text]:
    for kind in ("written", "fresh"):
        for what, is_attack in (("attacks", True), ("lookalikes", False)):
            for row in _rows(f"{kind}_{what}.jsonl"):
                yield Text(row["id"], row["text"], "written for this project", "Apache-2.0", _fits(row["text"]), kind, is_attack)


def texts() -> list[Text]:
    return [*_public(), *_own()]


def cases() -> list[Case]:
    attacks = [text for text in texts() if text.is_attack]
    harmless = [text for text in texts() if not text.is_attack]
    order = Draw("injections").random.sample(range(len(core.STORIES)), len(core.STORIES))
    found = [_planted(text, turn, "injection", order) for turn, text in enumerate(attacks)]
    return found + [_planted(text, turn, "benign-lookalike", order) for turn, text in enumerate(harmless)]


def _planted(text: Text, turn: int, tag: str, order: list[int]) -> Case:
    number = order[turn % len(order)]
    story: Story = core.STORIES[number]
    stage = stage_of(story, number, turn // len(order), seed=f"{text.id}-")
    label = story.tell(stage)
    field = plant(stage, text.text, text.fits, Draw(f"field/{text.id}"))
    planted = {"id": text.id, "source": text.source, "licence": text.licence, "kind": text.kind, "field": field}
    origin = {"attack": [planted]} if text.is_attack else {"lookalike": [planted]}
    licence = {"licence": text.licence if text.licence == "MIT" else f"MIT; planted text {text.licence}"}
    tags = [tag, f"field-{field}", *(["fresh"] if text.kind == "fresh" else [])]
    return told(stage, label.attacked() if text.is_attack else label, story.cluster, tags, {**licence, **origin})
