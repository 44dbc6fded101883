"""What a ruling must know besides facts and policy: what this hour has spent of the budgets, and what is switched off."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from guardrails.taxonomy import Action

EVERYTHING = "everything"
"""The switch that stops every action. The others are `action:<name>` and `source:<name>`."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Of one budget in one hour: actions begun, and minor units by currency."""

    count: int = 0
    money: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """`spent` by budget key, and None where it could not be seen. `off` holds the switches that are off."""

    spent: Mapping[str, Spent] | None
    off: frozenset[str] = frozenset()

    def stops(self, action: Action) -> str | None:
        """The switch that stops this action, or None."""
        return next((name for name in (EVERYTHING, f"action:{action}") if name in self.off), None)

    def distrusts(self, source: str) -> bool:
        return f"source:{source}" in self.off


NOTHING_SPENT = Standing({})


def hour_of(moment: datetime) -> datetime:
    """The clock hour, in UTC, that a budget is counted by."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
