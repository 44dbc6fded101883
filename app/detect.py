"""Detectors: conditions over facts that say whether an exception exists, and which of several is the cause."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from guardrails.facts import Facts, FactValue, Unknown, rfc3339
from guardrails.policy.language import Condition
from guardrails.taxonomy import Action, Category, Truth

_SLOT = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Detector:
    """One line of `config/detectors.yaml`. Lower `rank` is the more specific cause. `absence` marks detectors that time
    alone can set off, so that the sweep asks them again. `because` holds `{field}` slots for the values seen."""

    id: str
    category: Category
    rank: int
    when: Condition
    because: str
    absence: bool = False
    urgent: bool = False
    confidence: int = 0
    """How sure the rules classifier is when this one decides, in basis points."""
    clears: bool = False
    """The case heals by itself once the condition is certainly false on fresh facts. Otherwise somebody must close it."""
    then: tuple[Action, ...] = ()
    """The sensible next steps, as the rules classifier proposes them."""


@dataclass(frozen=True, slots=True)
class Detection:
    """An exception that certainly exists, by facts alone. `fields` are the facts that set it off."""

    detector: str
    category: Category
    rank: int
    sentence: str
    fields: tuple[str, ...]
    urgent: bool
    confidence: int
    then: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Benign:
    """A condition under which nothing is wrong, as long as no detector fires."""

    id: str
    when: Condition
    because: str


@dataclass(frozen=True, slots=True)
class Detections:
    """What fired, the most specific cause first, and which detectors could not see their inputs. `benign` is the sentence of
    the condition under which all is well, set only when nothing fired."""

    found: tuple[Detection, ...]
    unknown: tuple[str, ...]
    benign: str | None = None

    @property
    def categories(self) -> frozenset[Category]:
        return frozenset(d.category for d in self.found)


@dataclass(frozen=True, slots=True)
class DetectorRules:
    """`explains` lists, per cause, the symptoms that join its case instead of opening their own. `reopen_within` says, per
    category, for how long a recurrence re-opens the resolved case; afterwards it opens a new case that is linked to it."""

    detectors: tuple[Detector, ...]
    explains: Mapping[Category, frozenset[Category]]
    reopen_within: Mapping[Category, timedelta] = field(default_factory=dict)
    benign: tuple[Benign, ...] = ()
    look_every: timedelta = timedelta(hours=1)
    """How often the sweep looks again at an order that time alone may set off."""
    duplicate_window: timedelta = timedelta(hours=24)
    """How far apart two orders may have been placed and still be looked at together."""

    def reopens(self, category: Category, resolved_at: datetime, now: datetime) -> bool:
        """True: the resolved case opens again. False: a new linked case."""
        return now - resolved_at <= self.reopen_within.get(category, timedelta(0))


def detect(facts: Facts, rules: DetectorRules) -> Detections:
    """Ask every detector. A missing input makes a detector unknown, never false."""
    found, unknown = [], []
    for detector in rules.detectors:
        match detector.when.evaluate(facts):
            case Truth.TRUE:
                found.append(_detection(detector, facts))
            case Truth.UNKNOWN:
                unknown.append(detector.id)
            case Truth.FALSE:
                pass
    ranked = tuple(sorted(found, key=lambda d: (d.rank, d.detector)))
    return Detections(ranked, tuple(unknown), None if ranked else _benign(facts, rules))


def cleared(facts: Facts, rules: DetectorRules, detector_ids: frozenset[str]) -> bool:
    """True when a case that these detectors opened has healed: each may clear itself, and each is certainly false, on facts
    of which none is stale. Of no detectors, and of one that is not known any more, nothing is certain."""
    asked = [detector for detector in rules.detectors if detector.id in detector_ids]
    if not asked or len(asked) < len(detector_ids):
        return False
    return all(detector.clears and detector.when.evaluate(facts) is Truth.FALSE and _fresh(detector, facts) for detector in asked)


def explained(rules: DetectorRules, cause: Category, symptom: Category) -> bool:
    """The symptom belongs into the cause's case."""
    return symptom == cause or symptom in rules.explains.get(cause, frozenset())


def _fresh(detector: Detector, facts: Facts) -> bool:
    return not any(facts.by_name[name].stale for name in detector.when.fields if name in facts.by_name)


def _benign(facts: Facts, rules: DetectorRules) -> str | None:
    return next((render(b.because, facts) for b in rules.benign if b.when.evaluate(facts) is Truth.TRUE), None)


def _detection(detector: Detector, facts: Facts) -> Detection:
    fields = tuple(sorted(name for name in detector.when.fields if name in facts.by_name))
    sentence = render(detector.because, facts)
    return Detection(
        detector.id, detector.category, detector.rank, sentence, fields, detector.urgent, detector.confidence, detector.then
    )


def render(because: str, facts: Facts) -> str:
    """The sentence with the values seen in its `{field}` slots."""
    return _SLOT.sub(lambda slot: _shown(facts.get(slot[1])), because)


def _shown(value: FactValue | Unknown) -> str:
    match value:
        case Unknown():
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return rfc3339(value)
        case frozenset():
            return ", ".join(sorted(value))
        case _:
            return str(value)
