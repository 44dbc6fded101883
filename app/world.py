"""What the running program has at hand. Every step is given a World and uses only the parts it needs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.assurance import Assurance
from app.classify import Classifier
from app.clients.port import Connector
from app.context import SourceRules
from app.database import Database
from app.detect import DetectorRules
from app.owners import Owners
from app.settings import Settings
from guardrails.policy.load import Policy
from guardrails.taxonomy import Action

Clock = Callable[[], datetime]
Nudge = Callable[[str, str], Awaitable[None]]
"""`await nudge(job, id)`: ask the queue to look soon. Losing one is harmless: the sweep finds the work by itself."""


@dataclass(frozen=True, slots=True)
class World:
    settings: Settings
    database: Database
    clock: Clock
    policy: Policy
    """What the policy file of this machine says. What is in force may be another: `app/governing.py` knows."""
    sources: SourceRules
    detectors: DetectorRules
    owners: Owners
    classifier: Classifier
    connectors: Mapping[Action, Connector]
    """Actions that have no connector are handed over to a person."""
    nudge: Nudge
    assurance: Assurance = field(default_factory=Assurance)
    """What is audited, and what is certified."""
    loaded: dict[str, Policy] = field(default_factory=dict)
    """Published policies that this process has read already, by the id of their row."""
    simulating: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the past is replayed: it takes all of a core, and whoever turns a switch meanwhile must still be answered."""
