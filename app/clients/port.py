"""What an action's connector must offer, and the three ways a call can end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from guardrails.taxonomy import Action


@dataclass(frozen=True, slots=True)
class Task:
    """One allowed action, ready to be carried out. `idempotency_key` is the same on every attempt at it."""

    action_id: str
    action: Action
    arguments: Mapping[str, Any]
    case_id: str
    order_id: str
    order_ref: str
    snapshot: Mapping[str, Any]
    idempotency_key: str
    requested_by: str


@dataclass(frozen=True, slots=True)
class Done:
    """It happened, once. `receipt` is what the other system answered."""

    receipt: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """It certainly did not happen. `why` is for the reviewer."""

    why: str


@dataclass(frozen=True, slots=True)
class UnknownOutcome:
    """No telling whether it happened (a lost reply). Never repeated blindly."""

    why: str


Ending = Done | Failed | UnknownOutcome


class Connector(Protocol):
    @property
    def repeatable(self) -> bool:
        """True when the same idempotency key can be sent again without a second effect."""
        ...

    async def carry_out(self, task: Task) -> Ending:
        """Never raises for anything the other system does."""
        ...
