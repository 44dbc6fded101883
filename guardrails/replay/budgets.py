"""Budgets counted again: what each hour would have spent had this policy ruled, instead of what it had spent when it was recorded.

Of every ruling the actions that nothing but a budget holds are taken in the order of time; each that fits runs and is counted, as
the gate does it: a ruling is judged with all that its proposal claims, and what it may not do takes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guardrails.policy.tables import ActionPolicy, Budget, Policy
from guardrails.replay.columns import State
from guardrails.replay.comparison import Result
from guardrails.replay.gate import amounts_of
from guardrails.replay.view import Flags
from guardrails.taxonomy import Action, Team

_HOUR = 3_600_000_000
_ACTIONS = tuple(Action)

Array = NDArray[Any]
_Asked = tuple[tuple[Budget, ...], bool, int, int]
"""The budgets of an action, whether only they could hold it, its amount and currency."""


@dataclass(frozen=True, slots=True)
class _Claims:
    """Actions that take of a team's budgets. `amount` is -1 where it is unknown, and `currency` -1 where none moves."""

    ruling: Array
    at: Array
    action: Array
    free: Array
    """Nothing but a budget holds it."""
    amount: Array
    currency: Array


@dataclass(slots=True)
class Recount:
    """`shift` is the policy's side. Results are added in any order; `held` answers for all of them together."""

    policy: Policy
    shift: int
    _claims: dict[Team, list[_Claims]] = field(default_factory=dict)
    _currencies: dict[str, int] = field(default_factory=dict)
    _by_action: dict[int, tuple[Budget, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_action = {_ACTIONS.index(action): self.policy.budgets_of(entry) for action, entry in self.policy.actions.items()}

    def add(self, result: Result, first: int) -> None:
        """The actions of a segment; `first` is the number of its first row among all rows."""
        for item in result.actions:
            entry = self.policy.actions.get(item.group.action)
            if entry is None or entry.team is None or not self.policy.budgets_of(entry):
                continue
            amount, currency = self._amounts(result, item.group, item.chosen, entry)
            claims = _Claims(
                (item.rows + first).astype(np.int64),
                result.segment.at[item.rows],
                np.full(len(item.rows), _ACTIONS.index(item.group.action), np.int8),
                (item.free >> np.uint8(self.shift)) & np.uint8(15) == 0,
                amount,
                currency,
            )
            self._claims.setdefault(entry.team, []).append(claims)

    def _amounts(self, result: Result, group: Any, chosen: Array, entry: ActionPolicy) -> tuple[Array, Array]:
        amounts = amounts_of(result.segment, group, entry.money)
        if amounts is None:
            none = np.broadcast_to(np.int64(-1), (len(chosen),))
            return none, none
        codes = [self._currencies.setdefault(code, len(self._currencies)) for code in amounts.listed] or [0]
        known = amounts.states == State.USABLE
        return np.where(known, amounts.numbers, -1)[chosen], np.array(codes, np.int64)[amounts.currencies][chosen]

    def held(self, size: int) -> Flags:
        """Which of `size` rulings have an action that only a budget holds."""
        held = np.zeros(size, bool)
        for team, parts in self._claims.items():
            claims = _of_free_rulings(_joined(parts), size)
            for hour in self._full_hours(team, claims):
                held[list(self._held_in(hour))] = True
        return held

    def _full_hours(self, team: Team, claims: _Claims) -> Iterator[_Claims]:
        """The claims of each hour in which they could be too many, or move money; in all other hours everything fits."""
        order = np.lexsort((claims.ruling, claims.at))
        hours = claims.at[order] // _HOUR
        starts = np.flatnonzero(np.diff(hours, prepend=-1)) if len(hours) else np.zeros(0, np.intp)
        ends = np.append(starts[1:], len(hours))
        full = np.zeros(len(starts), bool)
        of_hour = np.repeat(np.arange(len(starts)), ends - starts)
        for budget in self._of_team(team):
            takes = np.array([budget in self._by_action.get(number, ()) for number in range(len(_ACTIONS))])[claims.action[order]]
            full |= np.bincount(of_hour[takes], minlength=len(starts)) > budget.count
            if budget.spend:
                full[of_hour[takes & (claims.currency[order] >= 0)]] = True
        for start, end in zip(starts[full].tolist(), ends[full].tolist(), strict=True):
            yield _at(claims, order[start:end])

    def _of_team(self, team: Team) -> list[Budget]:
        return [budget for key, budget in self.policy.budgets.items() if key.split("/")[0] == team]

    def _held_in(self, claims: _Claims) -> Iterator[int]:
        """One hour from its beginning, ruling by ruling."""
        spent: dict[tuple[str, int], int] = {}
        rows = list(
            zip(
                claims.ruling.tolist(),
                claims.action.tolist(),
                claims.free.tolist(),
                claims.amount.tolist(),
                claims.currency.tolist(),
                strict=True,
            )
        )
        start = 0
        while start < len(rows):
            end = start
            while end < len(rows) and rows[end][0] == rows[start][0]:
                end += 1
            if self._holds(rows[start:end], spent):
                yield rows[start][0]
            start = end

    def _holds(self, rows: Sequence[tuple[int, int, bool, int, int]], spent: dict[tuple[str, int], int]) -> bool:
        """Whether a budget holds one of a ruling's actions; what it does not hold is spent."""
        asked = [(self._by_action[action], free, amount, currency) for _, action, free, amount, currency in rows]
        touched = {budget.key: budget for budgets, *_ in asked for budget in budgets}
        full = {key for key, budget in touched.items() if self._is_full(budget, asked, spent)}
        held = False
        for budgets, free, amount, currency in asked:
            if not free:
                continue
            if full and any(budget.key in full for budget in budgets):
                held = True
                continue
            for budget in budgets:
                spent[budget.key, -1] = spent.get((budget.key, -1), 0) + 1
                if budget.spend and currency >= 0:
                    spent[budget.key, currency] = spent.get((budget.key, currency), 0) + amount
        return held

    def _is_full(self, budget: Budget, asked: Sequence[_Asked], spent: Mapping[tuple[str, int], int]) -> bool:
        claims = asked if len(asked) == 1 else [item for item in asked if budget in item[0]]
        if spent.get((budget.key, -1), 0) + len(claims) > budget.count:
            return True
        moved: dict[int, int] = {}
        for _, _, amount, currency in claims if budget.spend else ():
            if currency >= 0:
                moved[currency] = -1 if amount < 0 or moved.get(currency, 0) < 0 else moved.get(currency, 0) + amount
        return any(not self._fits(budget, currency, amount, spent) for currency, amount in moved.items())

    def _fits(self, budget: Budget, currency: int, amount: int, spent: Mapping[tuple[str, int], int]) -> bool:
        code = next(code for code, number in self._currencies.items() if number == currency)
        limit = budget.spend.get(code)
        return amount >= 0 and limit is not None and spent.get((budget.key, currency), 0) + amount <= limit.amount


def _joined(parts: Sequence[_Claims]) -> _Claims:
    names = ("ruling", "at", "action", "free", "amount", "currency")
    return _Claims(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _of_free_rulings(claims: _Claims, size: int) -> _Claims:
    """Only rulings in which something of the team would run take from its budgets."""
    running = np.zeros(size, bool)
    running[claims.ruling[claims.free]] = True
    return _at(claims, np.flatnonzero(running[claims.ruling]))


def _at(claims: _Claims, places: Array) -> _Claims:
    return _Claims(
        claims.ruling[places],
        claims.at[places],
        claims.action[places],
        claims.free[places],
        claims.amount[places],
        claims.currency[places],
    )
