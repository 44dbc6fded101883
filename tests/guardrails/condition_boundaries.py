"""Cases on both sides of whatever decides in a condition: numbers one below, at and above, listed values and others, and silence.

The rest of the condition is first set so that the part under test decides. What must fire follows from whole numbers and lists.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from guardrails.facts import COMPUTED, UNKNOWN, Fact, Facts
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE, Writer
from guardrails.policy.syntax import (
    AgeOf,
    Both,
    Comparison,
    Either,
    FieldValue,
    Flag,
    Known,
    LimitOf,
    Literal,
    Node,
    Not,
    OneOf,
    Operand,
    Sum,
    UntilOf,
    ValueType,
    leaves_of,
)
from guardrails.policy.tables import Line, Policy, WhenUnknown
from guardrails.proposal import Proposal
from guardrails.taxonomy import Action
from tests.guardrails.boundary_cases import COMPARE, STEPS, Boundary, sample, with_facts
from tests.guardrails.clean_case import NOW, clean_proposal

Values = dict[str, Any]
_UNIT = timedelta(microseconds=1)
_OURS = ("action.", "actor.", "case.category", "case.confidence", "case.grounded_evidence")


@dataclass(frozen=True, slots=True)
class Deciding:
    """One part of a condition. `rises`: the whole is true when the part is; `rest` are the values that make it decide."""

    part: Comparison | OneOf | Flag
    rises: bool
    rest: Values


def condition_boundaries(policy: Policy) -> list[Boundary]:
    lines = [
        (f"mandatory.{reason}.{number}", line, False)
        for reason, entry in policy.mandatory.items()
        for number, line in enumerate(entry.lines, start=1)
    ]
    lines += [(rule.id, rule.line, not rule.about_case) for rule in policy.rules if rule.effect != "automate"]
    return [case for name, line, of_action in lines for case in _of_line(name, line, of_action)]


def _of_line(rule: str, line: Line, of_action: bool) -> Iterator[Boundary]:
    if line.condition.tree is None:
        return
    for deciding in _deciding(line.condition.tree, True, {}):
        for values, truth in _sides(deciding.part):
            yield _case(rule, line, of_action, {**deciding.rest, **values}, truth is deciding.rises)
        yield from _silences(rule, line, of_action, deciding)


def _case(rule: str, line: Line, of_action: bool, values: Values, fires: bool) -> Boundary:
    proposal, facts = _asked(values)
    return Boundary(f"{line.condition.text} with {values}", facts, proposal, rule, fires, of_action)


def _asked(values: Values) -> tuple[Proposal, Facts]:
    """What the values say of the case is marked on the proposal."""
    proposal = clean_proposal(Action(values.get("action.name", Action.RESUBMIT_FULFILMENT)))
    if "case.untrusted_instructions" in values:
        proposal = replace(proposal, untrusted_instructions=values["case.untrusted_instructions"])
    if "case.classifier_failed" in values:
        proposal = replace(proposal, failure="no answer" if values["case.classifier_failed"] else None)
    own = (*_OURS, "case.untrusted_instructions", "case.classifier_failed", "age:")
    facts = with_facts({name: value for name, value in values.items() if not name.startswith(own)})
    aged = {name[4:]: age for name, age in values.items() if name.startswith("age:")}
    dated = {
        name: Fact(name, facts.by_name[name].value if name in facts.by_name else sample(name), "shopify", NOW - age)
        for name, age in aged.items()
    }
    return proposal, Facts(facts.order_ref, facts.as_of, {**facts.by_name, **dated})


# --- which part decides ---


def _deciding(node: Node, rises: bool, rest: Values) -> Iterator[Deciding]:
    match node:
        case Not(inner):
            yield from _deciding(inner, not rises, rest)
        case Both(parts) | Either(parts):
            for part in parts:
                others = _all_of([other for other in parts if other is not part], isinstance(node, Both))
                if others is not None:
                    yield from _deciding(part, rises, {**rest, **others})
        case Comparison() | OneOf() | Flag():
            yield Deciding(node, rises, rest)


def _all_of(nodes: Sequence[Node], wanted: bool) -> Values | None:
    found: Values = {}
    for node in nodes:
        values = _values_for(node, wanted)
        if values is None:
            return None
        found |= values
    return found


def _values_for(node: Node, wanted: bool) -> Values | None:
    """Values that make the node what is wanted; None where that is more than this looks for."""
    match node:
        case Known(name):
            return {name: sample(name)} if wanted else None
        case Not(inner):
            return _values_for(inner, not wanted)
        case Both(parts) | Either(parts):
            if isinstance(node, Both) is wanted:
                return _all_of(parts, wanted)
            return next((values for part in parts if (values := _values_for(part, wanted)) is not None), None)
        case Comparison() | OneOf() | Flag():
            return next((values for values, truth in _sides(node) if truth is wanted), None)
    return None


# --- both sides of one part ---


def _sides(part: Comparison | OneOf | Flag) -> Iterator[tuple[Values, bool]]:
    match part:
        case Flag(FieldValue(name)):
            yield from [({name: True}, True), ({name: False}, False)]
        case OneOf(FieldValue(name), items):
            yield from _listed(name, set(items))
        case Comparison(FieldValue(name, ValueType.TEXT | ValueType.BOOL), op, Literal(_, value)) if op in ("==", "!="):
            for values, same in _listed(name, {value}):
                yield values, same is (op == "==")
        case Comparison(left) if left.type in (ValueType.INT, ValueType.MONEY, ValueType.DURATION):
            for currency in _currencies(part):
                yield from _numbers(part, currency)


def _listed(name: str, listed: set[Any]) -> Iterator[tuple[Values, bool]]:
    if CATALOGUE[name].type is ValueType.BOOL:
        candidates: list[Any] = [True, False]
    else:
        candidates = sorted({*CATALOGUE[name].values, *map(str, listed)} | (set() if CATALOGUE[name].values else {"other"}))
    yield from (({name: value}, value in listed) for value in candidates)


def _currencies(part: Comparison) -> list[str]:
    tables = [set(item.table) for item in leaves_of(part) if isinstance(item, LimitOf)]
    named = {item.value.currency for item in leaves_of(part) if isinstance(item, Literal) and isinstance(item.value, Money)}
    return sorted(set.intersection(*tables) if tables else named or {"USD"})


def _numbers(part: Comparison, currency: str) -> Iterator[tuple[Values, bool]]:
    """Each field of the two sums in turn is what makes the left one less, the same, or more than the right by one."""
    terms = [*((1, term) for term in _terms(part.left)), *((-1, term) for term in _terms(part.right))]
    fields = [(sign, term) for sign, term in terms if isinstance(term, FieldValue | AgeOf | UntilOf)]
    for sign, free in fields:
        others = {_key(term): 11 + at for at, (_, term) in enumerate(fields) if _key(term) != _key(free)}
        if sum(_key(term) == _key(free) for _, term in fields) > 1:
            continue
        known = sum(side * _amount(term, others, currency) for side, term in terms if term is not free)
        for step in STEPS:
            number = sign * (step - known)
            if isinstance(free, AgeOf) and number < 0:
                continue
            values = {_key(term): _as_value(term, {**others, _key(free): number}[_key(term)], currency) for _, term in fields}
            yield values, COMPARE[part.op](step, 0)


def _terms(operand: Operand) -> tuple[Operand, ...]:
    return operand.terms if isinstance(operand, Sum) else (operand,)


def _key(term: Operand) -> str:
    if isinstance(term, AgeOf):
        return f"age:{term.name}"
    return term.name if isinstance(term, FieldValue | UntilOf) else ""


def _amount(term: Operand, others: Mapping[str, int], currency: str) -> int:
    match term:
        case LimitOf(_, table):
            return table[currency].amount
        case Literal(_, Money(amount)):
            return amount
        case Literal(_, timedelta() as period):
            return period // _UNIT
        case Literal(_, int() as number):
            return number
    return others[_key(term)]


def _as_value(term: Operand, number: int, currency: str) -> Any:
    match term:
        case UntilOf():
            return NOW + number * _UNIT
        case AgeOf():
            return number * _UNIT
    return Money(number, currency) if term.type is ValueType.MONEY else number


# --- silence ---


def _silences(rule: str, line: Line, of_action: bool, deciding: Deciding) -> Iterator[Boundary]:
    """Where one field of the part is not stated, or answered empty, the line fires, unless it is quiet about that."""
    names = sorted({item.name for item in leaves_of(deciding.part) if isinstance(item, FieldValue)})
    asked_after = (
        {item.name for item in leaves_of(line.condition.tree) if isinstance(item, Known)} if line.condition.tree else set()
    )
    quiet = line.when_unknown is WhenUnknown.QUIET
    for name in names:
        if name.startswith(("action.", "actor.", "case.")) or name in asked_after:
            continue
        base = _case(rule, line, of_action, deciding.rest, not quiet)
        others = {key: fact for key, fact in base.facts.by_name.items() if key != name}
        computed = CATALOGUE[name].writer in (Writer.DERIVED, Writer.CLOCK)
        empty = {**others, name: Fact(name, UNKNOWN, COMPUTED if computed else "shopify", NOW)}
        yield replace(base, about=f"{rule}: {name} not stated", facts=replace(base.facts, by_name=others))
        yield replace(
            base,
            about=f"{rule}: {name} empty",
            facts=replace(base.facts, by_name=empty),
            fires=not (quiet and computed),
        )
