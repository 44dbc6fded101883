"""How fast the guard is, as ratios to functions written by hand, all in one run on the same cases.

Every case is timed by itself; a round's figure is the ratio of the two medians, and the run's is the median round.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter_ns
from typing import Any

from evals.bench.by_hand import BY_HAND
from evals.bench.figures import Figure
from guardrails.facts import UNKNOWN, Fact, Facts, FactValue, to_plain
from guardrails.gate import guard
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE, Field
from guardrails.policy.generated import generate_outcomes
from guardrails.policy.language import ValueType
from guardrails.policy.load import load_policy
from guardrails.policy.outcomes import outcome_of
from guardrails.policy.tables import Line, Policy
from guardrails.proposal import AGENT, Evidence, Proposal, ProposedAction
from guardrails.record import sealed
from guardrails.ruling import Outcome
from guardrails.standing import NOTHING_SPENT
from guardrails.taxonomy import Action, Category, Team, Verdict

POLICY = Path(__file__).parents[2] / "config" / "policy.yaml"
AS_OF = datetime(2026, 11, 23, 10, tzinfo=UTC)
CASES, ROUNDS = 2_000, 15
YARDSTICK = "one function written by hand per line, mask and verdict"
CALM = 0.95
"""How often a field's value sets off no line: most orders of a shop are in order in most respects."""

Judge = Callable[[Facts], tuple[int, Verdict]]
Round = Mapping[str, float]


class Disagreement(RuntimeError):
    """The functions written by hand do not say what the policy says; a ratio between them would mean nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One case for the whole guard."""

    facts: Facts
    proposal: Proposal
    snapshot: dict[str, Any]


def measure(policy: Policy | None = None) -> list[Figure]:
    """The figures of the shipped policy, or of another that says the same. Raises Disagreement."""
    policy = policy or load_policy(POLICY.read_text(), POLICY.name)
    lines = lines_of(policy)
    block = sum(
        1 << at for at, line in enumerate(lines) if line in [rule.line for rule in policy.rules if rule.effect is Verdict.BLOCK]
    )
    judges = {"generated": _by_generated(lines, block), "closures": _by_closures(lines, block), "by_hand": _by_hand(block)}
    cases = draw_cases(lines, CASES)
    _compare(judges, cases)
    asked = [_asked(facts, number) for number, facts in enumerate(cases)]
    rounds = [_round(judges, cases, asked, policy) for _ in range(ROUNDS)]
    return [
        _figure("guard.mask_p50", "generated", rounds),
        _figure("guard.closures_p50", "closures", rounds),
        _figure("guard.full_record", "record", rounds),
    ]


def verdict_shares(cases: Sequence[Facts], policy: Policy) -> dict[str, float]:
    """How the cases that are measured on are ruled by the lines alone."""
    lines = lines_of(policy)
    block = [line for rule in policy.rules if rule.effect is Verdict.BLOCK for line in [rule.line]]
    judge = _by_generated(lines, sum(1 << at for at, line in enumerate(lines) if line in block))
    counts = Counter(judge(facts)[1] for facts in cases)
    return {verdict.value: counts[verdict] / len(cases) for verdict in Verdict}


def _figure(name: str, what: str, rounds: Sequence[Round]) -> Figure:
    ratio = median(item[what] / item["by_hand"] for item in rounds)
    ours, theirs = median(item[what] for item in rounds), median(item["by_hand"] for item in rounds)
    return Figure(name, round(ours / 1_000, 3), "us, median of cases", YARDSTICK, round(theirs / 1_000, 3), round(ratio, 3))


def lines_of(policy: Policy) -> tuple[Line, ...]:
    """The review and block lines: mandatory reasons, then rules."""
    rules = (rule.line for rule in policy.rules if rule.effect is not Verdict.AUTOMATE)
    return (*(line for entry in policy.mandatory.values() for line in entry.lines), *rules)


# --- three ways to judge ---


def _by_generated(lines: Sequence[Line], block: int) -> Judge:
    outcomes = generate_outcomes(lines)

    def judge(facts: Facts) -> tuple[int, Verdict]:
        fired, _ = outcomes(facts)
        return fired, (Verdict.BLOCK if fired & block else Verdict.REVIEW if fired else Verdict.AUTOMATE)

    return judge


def _by_closures(lines: Sequence[Line], block: int) -> Judge:
    def judge(facts: Facts) -> tuple[int, Verdict]:
        fired = 0
        for at, line in enumerate(lines):
            if outcome_of(line, facts) is not Outcome.NOT_FIRED:
                fired |= 1 << at
        return fired, (Verdict.BLOCK if fired & block else Verdict.REVIEW if fired else Verdict.AUTOMATE)

    return judge


def _by_hand(block: int) -> Judge:
    bits = [(function, 1 << at) for at, function in enumerate(BY_HAND)]

    def judge(facts: Facts) -> tuple[int, Verdict]:
        fired = 0
        for function, bit in bits:
            if function(facts):
                fired |= bit
        return fired, (Verdict.BLOCK if fired & block else Verdict.REVIEW if fired else Verdict.AUTOMATE)

    return judge


# --- measuring ---


def _compare(judges: dict[str, Judge], cases: Sequence[Facts]) -> None:
    for facts in cases:
        said = {name: judge(facts) for name, judge in judges.items()}
        if len(set(said.values())) > 1:
            raise Disagreement(f"{said} about {facts}")


def _round(judges: dict[str, Judge], cases: Sequence[Facts], asked: Sequence[Asked], policy: Policy) -> Round:
    """Each goes through all the cases by itself: whoever came first to a case would fetch it into the cache for the others."""

    def record(case: Asked) -> None:
        sealed(guard(case.facts, case.proposal, policy, AGENT, case.snapshot, NOTHING_SPENT))

    return {**{name: _median_of(judge, cases) for name, judge in judges.items()}, "record": _median_of(record, asked)}


def _median_of(judge: Callable[[Any], Any], cases: Sequence[Any]) -> float:
    """Each case is asked once before it is timed: whoever rules has just gathered the facts, and holds them in hand."""
    took: list[int] = []
    for case in cases:
        judge(case)
        start = perf_counter_ns()
        judge(case)
        took.append(perf_counter_ns() - start)
    return median(took)


# --- cases ---


def draw_cases(lines: Sequence[Line], count: int) -> list[Facts]:
    """Facts as they come: most fields that the lines read are stated, a few answers are empty, and few values set off a line."""
    draw = Random(20261123)
    fields = [CATALOGUE[name] for name in sorted({name for line in lines for name in line.condition.fields})]
    alone = {field.name: [line for line in lines if line.condition.fields == {field.name}] for field in fields}
    return [_facts(draw, fields, alone) for _ in range(count)]


def _facts(draw: Random, fields: Sequence[Field], alone: Mapping[str, Sequence[Line]]) -> Facts:
    stated: dict[str, Fact] = {}
    for field in fields:
        calm = draw.random() < CALM
        fact = _fact(draw, field)
        for _ in range(20 if calm else 0):
            if not _sets_off(fact, alone[field.name]):
                break
            fact = _fact(draw, field)
        if fact is not None:
            stated[field.name] = fact
    return Facts("#1", AS_OF, {**_USUAL, **stated})


_USUAL_VALUES: Mapping[str, FactValue] = {
    "case.detected": frozenset([Category.FULFILMENT_STALLED.value]),
    "order.fulfillment_status": "unfulfilled",
    "fulfilment.state": "accepted",
    "fulfilment.attempts": 1,
    "order.total": Money(8_950, "USD"),
}
_USUAL = {name: Fact(name, value, "shopify", AS_OF) for name, value in _USUAL_VALUES.items()}
"""What is known of every order that is looked at at all, if nothing else was drawn."""


def _fact(draw: Random, field: Field) -> Fact | None:
    chance = draw.random()
    if chance > 0.7:
        return None
    return Fact(field.name, UNKNOWN if chance < 0.02 else _value(draw, field), "shopify", AS_OF)


def _sets_off(fact: Fact | None, lines: Sequence[Line]) -> bool:
    facts = Facts("#1", AS_OF, {} if fact is None else {fact.name: fact})
    return any(outcome_of(line, facts) is not Outcome.NOT_FIRED for line in lines)


def _asked(facts: Facts, number: int) -> Asked:
    """The case as the guard gets it: an interpretation that cites two facts, and one or two actions."""
    fields = {name: {"value": to_plain(fact.value), "source": fact.source} for name, fact in facts.by_name.items()}
    cited = [name for name, fact in facts.by_name.items() if isinstance(fact.value, str)][:2]
    evidence = tuple(Evidence(f"/fields/{name}/value", str(facts.get(name))) for name in cited)
    actions = ((Action.RESUBMIT_FULFILMENT,), (Action.ADD_NOTE, Action.SNOOZE_CASE), (Action.HOLD_FULFILMENT,))[number % 3]
    asked = tuple(ProposedAction(action) for action in actions)
    proposal = Proposal(Category.FULFILMENT_STALLED, Team.FULFILMENT, 9_500, evidence, asked, "rules")
    return Asked(facts, proposal, {"fields": fields})


def _value(draw: Random, field: Field) -> Any:
    match field.type:
        case ValueType.BOOL:
            return draw.random() < 0.5
        case ValueType.INT:
            return draw.randint(-1, 6)
        case ValueType.MONEY:
            return Money(draw.randint(100, 60_000), draw.choice(("USD", "USD", "EUR", "CHF")))
    return draw.choice(sorted(field.values) or ["won", "high_risk_of_fraud", "other"])
