"""Texts of a signal that no reader takes up, kept only where one of them tries to give a model orders.

They reach no model and justify nothing. Kept, they tell a person that somebody tried.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from app.signals.shapes import Observation
from app.untrusted import escape, in_patterns, reads_as_text

FIELD = "signal.unread_text"
_MOST = 400
"""Texts of one signal that are looked at: far more than any vendor's body has."""
_LONGEST = 2_000
_FEWEST_LETTERS = 12


def unread_instructions(
    payload: Mapping[str, Any], read: Iterable[Observation], system: str, occurred_at: datetime
) -> tuple[Observation, ...]:
    """One observation for every such text, by its place in the payload; `read` is what the reader took up."""
    known = {text for observation in read for _, text in _texts(observation.value, "")}
    looked_at = 0
    found = []
    for pointer, text in _texts(payload, ""):
        if len(text) < _FEWEST_LETTERS or text in known or not reads_as_text(text):
            continue
        known.add(text)
        looked_at += 1
        if looked_at > _MOST:
            break
        if in_patterns({pointer: text}):
            found.append(Observation(FIELD, text[:_LONGEST], system, occurred_at, f"text:{pointer}"[:120], pointer))
    return tuple(found)


def _texts(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield pointer, value
        case Mapping():
            for key, item in value.items():
                yield from _texts(item, f"{pointer}/{escape(str(key))}")
        case list() | tuple():
            for index, item in enumerate(value):
                yield from _texts(item, f"{pointer}/{index}")
