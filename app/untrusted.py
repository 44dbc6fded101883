"""Text that somebody outside wrote: which texts those are, and whether one of them tries to give a model orders.

A finding only ever makes Ordermend more careful: it never changes a category, and a text without one is still data.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.instruction_families import FAMILIES
from app.learned_instructions import LEARNED, shipped
from app.unmasking import hidden_characters, readings
from guardrails.policy.catalogue import CATALOGUE
from guardrails.policy.language import ValueType

_CODE = re.compile(r"[\w:+./#@%=?&,-]{0,80}", re.ASCII)
_WORD = re.compile(r"[A-Za-z]{2,}")
_QUOTE = 160


@dataclass(frozen=True, slots=True)
class Suspicion:
    """`pointer` names the text, `why` completes "the text …", `quote` is what gave it away, as read once undisguised."""

    pointer: str
    why: str
    quote: str


def find_instructions(texts: Mapping[str, str]) -> tuple[Suspicion, ...]:
    """Attempts to give a model orders in texts by pointer, at most one per text and family. Where no pattern finds any, what was
    learned from attacks is asked."""
    return tuple(suspicion for pointer, text in texts.items() for suspicion in _in_text(pointer, text) or _learned(pointer, text))


def in_patterns(texts: Mapping[str, str]) -> tuple[Suspicion, ...]:
    """What the patterns alone find. They leave codes alone, which a learned opinion might not."""
    return tuple(suspicion for pointer, text in texts.items() for suspicion in _in_text(pointer, text))


def texts_of(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """Every text of a context snapshot that somebody outside wrote, by its pointer (RFC 6901).

    Codes, ids and times are left out unless they read like an order; field names come along where they carry free words
    (an attribute's name is a text too; its pointer is that of the field).
    """
    found = {pointer: text for pointer, text in _names(snapshot) if reads_as_text(text)}
    for number, signal in enumerate(snapshot.get("signals", ())):
        if reads_as_text(signal["topic"]):
            found[f"/signals/{number}/topic"] = signal["topic"]
    for key, field in snapshot.get("fields", {}).items():
        base = f"/fields/{escape(key)}"
        name, _, entity = key.partition("[")
        if reads_as_text(entity.rstrip("]")):
            found[base] = entity.rstrip("]")
        if _is_closed(name):
            continue
        stated = {f"{base}/value": field.get("value")}
        stated |= {f"{base}/others/{n}/value": other.get("value") for n, other in enumerate(field.get("others", ()))}
        free = _is_free(name)
        for pointer, value in stated.items():
            found |= {at: text for at, text in _strings(pointer, value) if text.strip() and (free or reads_as_text(text))}
    return found


def _names(snapshot: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What senders call orders and systems. A payment's metadata may hold any words where an order's name belongs."""
    yield "/order_ref", snapshot.get("order_ref") or ""
    for number, related in enumerate(snapshot.get("related", ())):
        yield f"/related/{number}/order_ref", related["order_ref"]
    for key, field in snapshot.get("fields", {}).items():
        base = f"/fields/{escape(key)}"
        yield f"{base}/source", field.get("source") or ""
        for number, other in enumerate(field.get("others", ())):
            yield f"{base}/others/{number}/source", other.get("source") or ""


def escape(part: str) -> str:
    """One step of an RFC 6901 pointer."""
    return part.replace("~", "~0").replace("/", "~1")


def _in_text(pointer: str, text: str) -> list[Suspicion]:
    hidden = hidden_characters(text)
    found = [] if hidden is None else [Suspicion(pointer, f"holds {hidden}", text[:_QUOTE])]
    seen: set[str] = set()
    for reading in readings(text):
        for family in FAMILIES:
            match = None if family.name in seen else family.pattern.search(reading.text)
            if match is None:
                continue
            seen.add(family.name)
            found.append(Suspicion(pointer, family.why + _disguised(reading.disguise), match[0].strip()[:_QUOTE]))
    return found


def _learned(pointer: str, text: str) -> list[Suspicion]:
    """At most one, and none for what is a code."""
    if _CODE.fullmatch(text):
        return []
    opinion = shipped().opinion(text)
    if opinion is None:
        return []
    why = f"{LEARNED}, score {opinion.score:.2f})"
    return [Suspicion(pointer, why + _disguised(opinion.disguise), opinion.quote.strip()[:_QUOTE])]


def _disguised(how: str) -> str:
    return f" (disguised: {how})" if how else ""


def _strings(pointer: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield pointer, value
        case Mapping():
            for key, item in value.items():
                yield from _strings(f"{pointer}/{escape(str(key))}", item)
        case list() | tuple():
            for index, item in enumerate(value):
                yield from _strings(f"{pointer}/{index}", item)


def _is_free(name: str) -> bool:
    declared = CATALOGUE.get(name)
    return declared is not None and declared.untrusted


def _is_closed(name: str) -> bool:
    """Fields whose value reaches nobody unless it is one of a known few, or a time."""
    declared = CATALOGUE.get(name)
    return declared is not None and (bool(declared.values) or declared.type is ValueType.TIME)


def reads_as_text(text: str) -> bool:
    """False for codes, ids, addresses of machines and times; a code that reads like an order is text after all."""
    if not _CODE.fullmatch(text):
        return True
    return len(_WORD.findall(text)) >= 3 and bool(in_patterns({"": text}))
