"""A decided case as the model that explains it reads it: few lines, exact values to quote, short names to cite.

The fields behind what was detected come first. A thing that stands alone is cited without its id, because every character that
the model has to repeat costs time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from app.checks import CHECKS, inputs_of
from app.classify import Question
from app.rendering import Line, Rendering, facts_of, outside_of, shown
from app.untrusted import reads_as_text
from guardrails.policy.catalogue import CATALOGUE
from guardrails.policy.language import ValueType

_MOST_FACTS = 9
_MOST_SENTENCES = 2
_MOST_TEXTS = 3
_LONGEST_TEXT = 200
_NAMES_ONLY = frozenset(
    ["order.ref", "order.channel", "order.currency", "order.line_count", "order.billing_country", "order.ship_to_country"]
)
"""What tells nobody why the case is there."""
_MOMENTS = frozenset(name for name, declared in CATALOGUE.items() if declared.type is ValueType.TIME)


def gist(question: Question) -> Rendering:
    """The same question always gives the same bytes."""
    outside = outside_of(question)
    facts = _most_telling(question, [line for line in facts_of(question) if line.name not in _NAMES_ONLY])
    texts = outside.texts[:_MOST_TEXTS]
    names = _short_names([*facts, *(line for line, _ in texts)])
    return Rendering(
        facts="\n".join([*(f"{names[line.pointer]}={shown(line.value)}{_mark(line)}" for line in facts), *_seen(question)]),
        texts="\n".join(f"{names[line.pointer]}: {_clipped(text)}" for line, text in texts),
        pointers={name: pointer for pointer, name in names.items()},
        masked=outside.masked,
    )


def _most_telling(question: Question, lines: list[Line]) -> list[Line]:
    """Those behind the detections, what systems disagree about, then the rest in the order of the catalogue. A moment is long and
    seldom tells why: only one behind a detection is shown."""
    behind = frozenset(_behind(name for found in question.detections.found[:2] for name in found.fields))

    def weight(line: Line) -> int:
        return 0 if line.name in behind else 1 if _mark(line) else 2

    return sorted((line for line in lines if line.name in behind or line.name not in _MOMENTS), key=weight)[:_MOST_FACTS]


def _behind(names: Iterable[str]) -> Iterator[str]:
    """The recorded fields: a check stands for those that it is worked out of."""
    for name in names:
        yield from inputs_of(name) if name in CHECKS else (name,)


def _short_names(lines: list[Line]) -> dict[str, str]:
    """By pointer: the field's name where it stands once, else with a number behind it."""
    many = Counter({line.pointer: line.name for line in lines}.values())
    seen: Counter[str] = Counter()
    names: dict[str, str] = {}
    for line in lines:
        if line.pointer in names:
            continue
        seen[line.name] += 1
        names[line.pointer] = line.name if many[line.name] == 1 else f"{line.name}#{seen[line.name]}"
    return names


def _mark(line: Line) -> str:
    if "CONFLICT" in line.note:
        return " (disputed)"
    return line.note if "@" in line.path else ""


def _seen(question: Question) -> Iterator[str]:
    """What code found out, unless its sentence would hold somebody's words. It has no name to cite: nothing stands there in the
    snapshot."""
    for found in question.detections.found[:_MOST_SENTENCES]:
        values = [question.facts.get(name) for name in found.fields]
        if not any(isinstance(value, str) and reads_as_text(value) for value in values):
            yield f"found: {found.sentence}"


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f'{text[:_LONGEST_TEXT]}…"'
