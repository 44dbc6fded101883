"""Detectors: conditions over facts that say whether an exception exists, and which of several is the cause."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from guardrails.facts import Facts
from guardrails.policy.language import Condition
from guardrails.taxonomy import Category, Truth


@dataclass(frozen=True, slots=True)
class Detector:
    """One line of `config/detectors.yaml`. Lower `rank` is the more specific cause. `absence` marks detectors that time
    alone can set off, so that the sweep asks them again."""

    id: str
    category: Category
    rank: int
    when: Condition
    because: str
    absence: bool = False
    clears: bool = True
    """The case heals by itself when this is certainly false again."""
    urgent: bool = False
    confidence: int = 0
    """How sure the rules classifier is when this one decides, in basis points."""


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


@dataclass(frozen=True, slots=True)
class Detections:
    """What fired, the most specific cause first, and which detectors could not see their inputs."""

    found: tuple[Detection, ...]
    unknown: tuple[str, ...]

    @property
    def categories(self) -> frozenset[Category]:
        return frozenset(d.category for d in self.found)


@dataclass(frozen=True, slots=True)
class DetectorRules:
    """`explains` lists, per cause, the symptoms that join its case instead of opening their own."""

    detectors: tuple[Detector, ...]
    explains: Mapping[Category, frozenset[Category]]
    reopen_within: Mapping[Category, timedelta]
    """A closed case that recurs within this time is re-opened; later, a new linked case opens. None listed: always new."""
    duplicate_window: timedelta
    """How far apart two orders may be placed and still be looked at as the same purchase."""
    look_every: timedelta
    """How often an order on which an absence may still show is looked at though nothing arrives."""


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
    return Detections(tuple(sorted(found, key=lambda d: (d.rank, d.detector))), tuple(unknown))


def _detection(detector: Detector, facts: Facts) -> Detection:
    fields = tuple(sorted(name for name in detector.when.fields if name in facts.by_name))
    return Detection(detector.id, detector.category, detector.rank, detector.because, fields, detector.urgent, detector.confidence)
