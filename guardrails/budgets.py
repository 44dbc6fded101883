"""How far automation may go in one hour: what each action takes of its team's budget and of its own, and whether it is there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guardrails.augment import amount_of
from guardrails.facts import Facts, Unknown
from guardrails.money import Money
from guardrails.policy.tables import Budget, Policy
from guardrails.proposal import ProposedAction
from guardrails.ruling import Outcome
from guardrails.standing import Spent


@dataclass(frozen=True, slots=True)
class Claim:
    """One action's part of one budget. `amount` is None where the budget counts no money or the action moves none, and
    unknown where nobody can say how much it is."""

    key: str
    amount: Money | Unknown | None


_NOTHING = Spent()


def claims_of(asked: ProposedAction, policy: Policy, facts: Facts) -> tuple[Claim, ...]:
    """What the action takes when it runs; nothing where the policy counts it in no budget."""
    entry = policy.actions.get(asked.action)
    if entry is None:
        return ()
    moves = None if entry.money is None else amount_of(asked, entry, facts)
    return tuple(Claim(budget.key, moves if budget.spend else None) for budget in policy.budgets_of(entry))


def lacking_in(budget: Budget, claims: Sequence[Claim], spent: Mapping[str, Spent] | None) -> tuple[Outcome, str] | None:
    """Why not all claims together fit, certainly; None when they do."""
    if spent is None:
        return Outcome.FIRED_UNKNOWN, f"we could not see what is left of the {budget.key} budget of this hour"
    before = spent.get(budget.key, _NOTHING)
    if not _can_be_right(before):
        return Outcome.FIRED_UNKNOWN, f"what is recorded of the {budget.key} budget of this hour cannot be right"
    count = before.count + len(claims)
    if count > budget.count:
        return Outcome.FIRED, f"{before.count} of the {budget.count} actions that {budget.key} may have in an hour have run"
    return _lacking_money(budget, claims, before) if budget.spend else None


def _can_be_right(before: Spent) -> bool:
    """Nothing gives back what an hour has spent."""
    return all(type(spent) is int and spent >= 0 for spent in (before.count, *before.money.values()))


def _lacking_money(budget: Budget, claims: Sequence[Claim], before: Spent) -> tuple[Outcome, str] | None:
    asked: dict[str, int] = {}
    for claim in claims:
        if claim.amount is None:
            continue
        if isinstance(claim.amount, Unknown) or claim.amount.currency not in budget.spend:
            return Outcome.FIRED_UNKNOWN, f"we could not see how much of the {budget.key} budget it would take"
        asked[claim.amount.currency] = asked.get(claim.amount.currency, 0) + claim.amount.amount
    for currency, amount in sorted(asked.items()):
        limit, gone = budget.spend[currency], Money(before.money.get(currency, 0), currency)
        if gone.amount + amount > limit.amount:
            return (
                Outcome.FIRED,
                f"{gone} of the {limit} that {budget.key} may move in an hour is spent, and this needs {Money(amount, currency)}",
            )
    return None
