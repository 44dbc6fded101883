"""What the classifier or a person asks for. It is a wish: only the gate turns it into permission."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from guardrails.facts import sha256_of
from guardrails.taxonomy import Action, Category, PrincipalKind, Team


@dataclass(frozen=True, slots=True)
class Evidence:
    """A cited fact: where it stands in the context snapshot (RFC 6901) and the exact words or value found there."""

    pointer: str
    quote: str


@dataclass(frozen=True, slots=True)
class ProposedAction:
    """An action and its arguments. The classifier names the action; code computes amounts and targets."""

    action: Action
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        return sha256_of({"action": self.action, "arguments": self.arguments}) if self.arguments else _digest_of_bare(self.action)


@lru_cache(maxsize=64)
def _digest_of_bare(action: Action) -> str:
    return sha256_of({"action": action, "arguments": {}})


@dataclass(frozen=True, slots=True)
class Actor:
    """On whose authority. `roles` of a person are names from the policy's permission table."""

    kind: PrincipalKind
    id: str
    roles: frozenset[str] = frozenset()


AGENT = Actor(PrincipalKind.AGENT, "agent")


@dataclass(frozen=True, slots=True)
class Proposal:
    """One interpretation of a case with the actions it suggests.

    `confidence` is in basis points, 0..10000, or None where the classifier gave none. `failure` is None, or why the
    classifier could not answer (then category is `unknown` and the gate sends the case to a person).
    """

    category: Category
    owner: Team
    confidence: int | None
    evidence: tuple[Evidence, ...]
    actions: tuple[ProposedAction, ...]
    classifier: str
    failure: str | None = None
    untrusted_instructions: bool = False
