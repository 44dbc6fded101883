"""Which team owns an exception, and by when it should have taken the first action."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from guardrails.facts import Facts
from guardrails.taxonomy import Category, Team


@dataclass(frozen=True, slots=True)
class Due:
    """`after` counts from the opening of the case. With `before_fact` set, the first action is due `by` before that fact's
    time, and `after` counts only where the fact is not known."""

    after: timedelta
    before_fact: str | None = None
    by: timedelta = timedelta(0)

    def at(self, opened_at: datetime, facts: Facts | None) -> datetime:
        """Never before the opening: what is due in the past is due at once."""
        moment = facts.get(self.before_fact) if facts is not None and self.before_fact else None
        due = moment - self.by if isinstance(moment, datetime) else opened_at + self.after
        return max(due, opened_at)


@dataclass(frozen=True, slots=True)
class Ownership:
    owner: Team
    urgent: Due
    normal: Due


@dataclass(frozen=True, slots=True)
class Owners:
    """`default` takes what no line gives away."""

    default: Team
    by_category: Mapping[Category, Ownership]

    def owner_of(self, category: Category) -> Team:
        found = self.by_category.get(category)
        return self.default if found is None else found.owner

    def due_at(self, category: Category, urgent: bool, opened_at: datetime, facts: Facts | None = None) -> datetime:
        """Without facts, what is due before a fact's time is due as if that were not known. No line: due at once."""
        found = self.by_category.get(category)
        if found is None:
            return opened_at
        return (found.urgent if urgent else found.normal).at(opened_at, facts)
