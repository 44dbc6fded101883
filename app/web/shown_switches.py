"""How switches and budgets are shown to programs."""

from datetime import datetime

from app.budgets import Left
from app.switches import Switch
from app.web.shown import Moment, Shown
from guardrails.standing import hour_of


class SwitchShown(Shown):
    """`by`, `at` and `why` are of a switch that is off, and null of one that is on."""

    name: str
    state: str
    by: str | None
    at: Moment | None
    why: str | None


class BudgetShown(Shown):
    """One unit of one budget: `actions` are counted, a currency is in minor units. `left` is what the hour still holds."""

    key: str
    unit: str
    hour: Moment
    limit: int
    spent: int
    left: int


def switch_shown(switch: Switch) -> SwitchShown:
    return SwitchShown(name=switch.name, state="off" if switch.off else "on", by=switch.by, at=switch.at, why=switch.why)


def budget_shown(line: Left, now: datetime) -> BudgetShown:
    return BudgetShown(key=line.key, unit=line.unit, hour=hour_of(now), limit=line.limit, spent=line.spent, left=line.left)
