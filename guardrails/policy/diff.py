"""What one policy says otherwise than another, value by value, and whether that tightens or loosens what may happen.

It compares what the files mean: layout, comments, order and examples count for nothing.
"""

from collections.abc import Iterator, Mapping

from guardrails.policy.catalogue import FIELD_TYPES
from guardrails.policy.changes import Change, Effect, amounts, fallen, listed, reworded, risen
from guardrails.policy.diff_of_rules import mandatory_changes, rule_changes
from guardrails.policy.language import Scope, compile_condition
from guardrails.policy.tables import ActionPolicy, Budget, Freshness, Line, Policy
from guardrails.policy.tightening import only_tightens
from guardrails.taxonomy import Action, Verdict
from guardrails.wording import confidence_in_words, duration_in_words

__all__ = ["Change", "Effect", "diff_of"]


def diff_of(old: Policy, new: Policy) -> tuple[Change, ...]:
    """Every difference, in the order of the file's tables. The versions are no difference."""
    return (
        *_limits(old, new),
        *_freshness(old.freshness, new.freshness),
        *_confidence("case", old.case.min_confidence, new.case.min_confidence),
        *risen("case.evidence.count", old.case.evidence, new.case.evidence),
        *_budgets(old.budgets, new.budgets),
        *_actions(old.actions, new.actions),
        *_permissions(old, new),
        *mandatory_changes(old.mandatory, new.mandatory),
        *rule_changes(old.rules, new.rules),
    )


def _confidence(path: str, was: int, now: int) -> Iterator[Change]:
    yield from risen(f"{path}.min_confidence", was, now, (confidence_in_words(was), confidence_in_words(now)))


def _limits(old: Policy, new: Policy) -> Iterator[Change]:
    for name in sorted(old.limits.keys() | new.limits.keys()):
        path = f"limits.{name}"
        if name not in old.limits or name not in new.limits:
            there = [", ".join(map(str, table[name].values())) if name in table else None for table in (old.limits, new.limits)]
            yield Change(path, there[0], there[1], Effect.NEITHER)  # what reads it is told where it is read
            continue
        found = list(amounts(path, old.limits[name], new.limits[name]))
        certain = not found or _is_an_upper_bound(old, name)
        yield from (item if certain else Change(item.path, item.was, item.now, Effect.EITHER) for item in found)


def _is_an_upper_bound(policy: Policy, name: str) -> bool:
    """Whether a lower amount could only tighten every condition that reads the limit."""
    lower = {code: type(money)(money.amount - 1, code) for code, money in policy.limits[name].items()}
    ages = {kind: item.max_age for kind, item in policy.freshness.items()}
    scope = Scope(FIELD_TYPES, {**policy.limits, name: lower}, ages)
    held = [(line, True) for entry in policy.mandatory.values() for line in entry.lines]
    held += [(rule.line, rule.effect is not Verdict.AUTOMATE) for rule in policy.rules]
    return all(_tightened(line, scope, fires) for line, fires in held if name in line.condition.limits)


def _tightened(line: Line, scope: Scope, fires: bool) -> bool:
    return only_tightens(line.condition.tree, compile_condition(line.condition.text, scope).tree, fires)


def _freshness(was: Mapping[str, Freshness], now: Mapping[str, Freshness]) -> Iterator[Change]:
    for kind in sorted(was.keys() | now.keys()):
        before, after, path = was.get(kind), now.get(kind), f"freshness.{kind}"
        if before is None or after is None:
            yield Change(path, _age(before), _age(after), Effect.NEITHER)  # the actions that name it tell what it means
            continue
        seconds = int(before.max_age.total_seconds()), int(after.max_age.total_seconds())
        yield from fallen(f"{path}.max_age", *seconds, (duration_in_words(before.max_age), duration_in_words(after.max_age)))
        yield from listed(f"{path}.covers", before.covers, after.covers, Effect.TIGHTENS, Effect.LOOSENS)
        yield from listed(f"{path}.one_of", before.one_of, after.one_of, Effect.EITHER, Effect.EITHER)


def _age(kind: Freshness | None) -> str | None:
    return None if kind is None else duration_in_words(kind.max_age)


def _budgets(was: Mapping[str, Budget], now: Mapping[str, Budget]) -> Iterator[Change]:
    for key in sorted(was.keys() | now.keys()):
        before, after, path = was.get(key), now.get(key), f"budgets.{key}"
        if before is None and after is not None:
            yield Change(path, None, f"{after.count} actions", Effect.TIGHTENS)
        elif before is not None and after is None:
            yield Change(path, f"{before.count} actions", None, Effect.LOOSENS)
        elif before is not None and after is not None:
            yield from fallen(f"{path}.count", before.count, after.count)
            yield from _spend(f"{path}.spend", before, after)


def _spend(path: str, before: Budget, after: Budget) -> Iterator[Change]:
    """Without any amount a budget counts no money at all."""
    if bool(before.spend) == bool(after.spend):
        yield from amounts(path, before.spend, after.spend)
        return
    said = [", ".join(map(str, item.spend.values())) or None for item in (before, after)]
    yield Change(path, said[0], said[1], Effect.TIGHTENS if after.spend else Effect.LOOSENS)


def _actions(was: Mapping[Action, ActionPolicy], now: Mapping[Action, ActionPolicy]) -> Iterator[Change]:
    for action, before in was.items():
        if action in now and before != now[action]:
            yield from _action(f"actions.{action}", before, now[action])


def _action(path: str, was: ActionPolicy, now: ActionPolicy) -> Iterator[Change]:
    raised = Effect.EITHER if now.risk_class > was.risk_class else Effect.LOOSENS  # rules of the old class lose it
    yield from reworded(f"{path}.class", was.risk_class, now.risk_class, raised)
    stricter = Effect.TIGHTENS if now.default.strictness > was.default.strictness else Effect.LOOSENS
    yield from reworded(f"{path}.default", was.default, now.default, stricter)
    yield from _confidence(path, was.min_confidence, now.min_confidence)
    yield from risen(f"{path}.evidence.count", was.evidence, now.evidence)
    yield from listed(f"{path}.facts", was.facts, now.facts, Effect.TIGHTENS, Effect.LOOSENS)
    protected = Effect.LOOSENS if now.protective else Effect.TIGHTENS
    yield from reworded(f"{path}.protective", _yes(was.protective), _yes(now.protective), protected)
    eyes = Effect.TIGHTENS if was.four_eyes_above is None else Effect.LOOSENS if now.four_eyes_above is None else Effect.EITHER
    yield from reworded(f"{path}.four_eyes_above", was.four_eyes_above, now.four_eyes_above, eyes)
    yield from reworded(f"{path}.money", was.money, now.money, Effect.EITHER)
    yield from reworded(f"{path}.team", was.team, now.team, Effect.EITHER)
    yield from reworded(f"{path}.reversible", _yes(was.reversible), _yes(now.reversible))
    yield from reworded(f"{path}.undo", was.undo, now.undo)
    yield from reworded(f"{path}.expected_outcome", was.expected_outcome, now.expected_outcome)
    yield from listed(f"{path}.scopes", was.scopes, now.scopes, Effect.NEITHER, Effect.NEITHER)


def _yes(flag: bool) -> str:
    return "true" if flag else "false"


def _permissions(old: Policy, new: Policy) -> Iterator[Change]:
    before, after = old.permissions, new.permissions
    for kind, allowed in before.actions.items():
        now = after.actions.get(kind, frozenset())
        yield from listed(f"permissions.{kind}.actions", allowed, now, Effect.LOOSENS, Effect.TIGHTENS)
    for role, classes in before.classes.items():
        now_classes = after.classes.get(role, frozenset())
        yield from listed(f"permissions.{role}.classes", classes, now_classes, Effect.LOOSENS, Effect.TIGHTENS)
