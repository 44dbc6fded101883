"""What automation may spend in an hour, counted where two workers cannot both take the last of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import OrdermendError
from app.tables import BudgetHour
from guardrails.budgets import Claim, claims_of, lacking_in
from guardrails.facts import Facts, Unknown
from guardrails.money import Money, MoneyError
from guardrails.policy.tables import Budget, Policy
from guardrails.proposal import ProposedAction
from guardrails.standing import Spent, hour_of
from guardrails.taxonomy import Action

COUNT = "actions"
"""The unit of a row that counts actions; every other unit is a currency."""
KEPT = timedelta(days=30)
"""How long the hours that are over can still be looked up."""


class UncountableClaim(OrdermendError):
    """Nobody can say how much of a budget an action would take, so it must not run without a person."""


@dataclass(frozen=True, slots=True)
class Left:
    """One unit of one budget in one hour: `actions`, or a currency in minor units."""

    key: str
    unit: str
    limit: int
    spent: int

    @property
    def left(self) -> int:
        return max(0, self.limit - self.spent)


async def spent_in(session: AsyncSession, hour: datetime) -> dict[str, Spent] | None:
    """What this hour has spent so far, by budget key; None where the figures cannot be right."""
    rows = (await session.execute(select(BudgetHour).where(BudgetHour.hour == hour))).scalars().all()
    if any(row.spent < 0 for row in rows):
        return None
    return {
        key: Spent(
            sum(row.spent for row in rows if row.key == key and row.unit == COUNT),
            {row.unit: row.spent for row in rows if row.key == key and row.unit != COUNT},
        )
        for key in {row.key for row in rows}
    }


async def left_in(session: AsyncSession, policy: Policy, now: datetime) -> list[Left]:
    """Every budget of the policy with what the present hour has spent of it. Raises UncountableClaim when that cannot be seen."""
    spent = await spent_in(session, hour_of(now))
    if spent is None:
        raise UncountableClaim("The figures of this hour's budgets cannot be right; mend the table budget_hours.")
    return [line for budget in policy.budgets.values() for line in _lines(budget, spent.get(budget.key, Spent()))]


def _lines(budget: Budget, spent: Spent) -> Iterator[Left]:
    yield Left(budget.key, COUNT, budget.count, spent.count)
    for currency, limit in sorted(budget.spend.items()):
        yield Left(budget.key, currency, limit.amount, spent.money.get(currency, 0))


# --- claims, as they are kept with an intent ---


def plain_claims(asked: ProposedAction, policy: Policy, facts: Facts) -> list[dict[str, Any]]:
    """What the action takes of budgets when it runs, as JSON. Raises UncountableClaim for an amount that nobody knows."""
    return [{"key": claim.key, "amount": _plain_amount(asked, claim)} for claim in claims_of(asked, policy, facts)]


def _plain_amount(asked: ProposedAction, claim: Claim) -> dict[str, Any] | None:
    if isinstance(claim.amount, Unknown):
        raise UncountableClaim(f"Nobody can say how much of the {claim.key} budget {asked.action} would take; a person decides.")
    return None if claim.amount is None else {"amount": claim.amount.amount, "currency": claim.amount.currency}


def read_claims(stored: object) -> tuple[Claim, ...] | None:
    """The claims of an intent; None where they are not what `plain_claims` writes."""
    if not isinstance(stored, list):
        return None
    try:
        return tuple(_read_claim(item) for item in stored)
    except (KeyError, TypeError, ValueError, MoneyError):
        return None


def _read_claim(item: Mapping[str, Any]) -> Claim:
    key, amount = item["key"], item["amount"]
    if not isinstance(key, str):
        raise TypeError("a budget's key is text")
    if amount is None:
        return Claim(key, None)
    if type(amount["amount"]) is not int or amount["amount"] < 0:
        raise ValueError("an amount is a whole number of minor units, and not below 0")
    return Claim(key, Money(amount["amount"], amount["currency"]))


# --- reserving ---


async def reserve(
    session: AsyncSession, hour: datetime, action: str, stored: object, policy: Policy, counted: datetime | None
) -> str | None:
    """Take what the action claims from the budgets of this hour: all of it, or nothing and the reason why.

    `counted` is the hour in which it was counted before; in the same one it takes nothing more. Two transactions that want the
    last of a budget wait for each other; rows are taken in one order, so that they never wait in a circle."""
    entry = policy.actions[Action(action)] if action in set(Action) and Action(action) in policy.actions else None
    claims = read_claims(stored)
    if entry is None or claims is None:
        return f"What {action} would take of the budgets cannot be read."
    if {claim.key for claim in claims} != {budget.key for budget in policy.budgets_of(entry)}:
        return f"The policy counts {action} in other budgets than those it was allowed under."
    if counted == hour:
        return None
    savepoint = await session.begin_nested()
    for budget, claim, unit, amount in _wanted(claims, policy):
        if not await _take(session, hour, claim.key, unit, amount, _limit(budget, unit)):
            await savepoint.rollback()
            return await _why_not(session, hour, budget, claim)
    await savepoint.commit()
    return None


def _wanted(claims: Sequence[Claim], policy: Policy) -> list[tuple[Budget, Claim, str, int]]:
    found: list[tuple[Budget, Claim, str, int]] = []
    for claim in claims:
        budget = policy.budgets[claim.key]
        found.append((budget, claim, COUNT, 1))
        if isinstance(claim.amount, Money):
            found.append((budget, claim, claim.amount.currency, claim.amount.amount))
    return sorted(found, key=lambda item: (item[1].key, item[2]))


def _limit(budget: Budget, unit: str) -> int | None:
    """None where the budget has no limit for this currency: then nobody can say that anything fits."""
    if unit == COUNT:
        return budget.count
    return budget.spend[unit].amount if unit in budget.spend else None


async def _take(session: AsyncSession, hour: datetime, key: str, unit: str, amount: int, limit: int | None) -> bool:
    if limit is None or amount > limit:
        return False
    row = insert(BudgetHour).values(key=key, hour=hour, unit=unit, spent=amount)
    more = row.on_conflict_do_update(
        index_elements=["key", "hour", "unit"],
        set_={"spent": BudgetHour.spent + amount},
        where=(BudgetHour.spent >= 0) & (BudgetHour.spent + amount <= limit),
    )
    return (await session.execute(more.returning(BudgetHour.spent))).scalar_one_or_none() is not None


async def _why_not(session: AsyncSession, hour: datetime, budget: Budget, claim: Claim) -> str:
    lacking = lacking_in(budget, [claim], await spent_in(session, hour))
    # none is lacking any more where somebody's reservation was taken back meanwhile
    clause = f"the {budget.key} budget of this hour did not hold it" if lacking is None else lacking[1]
    return f"Held for a person: {clause}."


async def drop_old(session: AsyncSession, now: datetime) -> None:
    """Forget the hours that nobody asks about any more."""
    await session.execute(delete(BudgetHour).where(BudgetHour.hour < hour_of(now) - KEPT))
