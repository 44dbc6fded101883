"""Whatever is changed in the shipped policy is noticed: the changed text is refused, or some case comes out differently.

The cases are those on both sides of every number and condition of the policy as it is, clean ones for everyone and every action, and
a drawn corpus; what they come to was settled before anything was changed. The policy's own examples are left out, so that they do
not do this test's work. ORDERMEND_MUTANTS=all takes every mutant instead of a part of them.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from random import Random

import pytest

from guardrails.facts import Facts
from guardrails.gate import guard
from guardrails.money import Money
from guardrails.policy.catalogue import FIELD_TYPES
from guardrails.policy.load import PolicyInvalid, load_policy
from guardrails.policy.tables import Policy
from guardrails.proposal import AGENT, Actor
from guardrails.ruling import Ruling
from guardrails.taxonomy import Action, PrincipalKind
from tests.guardrails.boundary_cases import Boundary, boundaries
from tests.guardrails.clean_case import (
    LEAD,
    NOW,
    REVIEWER,
    SENIOR,
    SERVICE,
    clean_facts,
    clean_proposal,
    fact,
    fired,
    policy_text,
    snapshot_of,
)
from tests.guardrails.condition_boundaries import condition_boundaries
from tests.guardrails.generated_cases import decisive_values, random_facts, types_of
from tests.guardrails.policy_mutants import Mutant, direction_mutants, permission_mutants, taint_mutants, threshold_mutants

ALL = os.environ.get("ORDERMEND_MUTANTS") == "all"
OPERATOR = Actor(PrincipalKind.PERSON, "otto", frozenset(["operations"]))
ADMIN = Actor(PrincipalKind.PERSON, "ada", frozenset(["admin"]))
Outcome = tuple[object, ...]


@cache
def text() -> str:
    return policy_text().partition("\ncases:\n")[0] + "\n"


@cache
def original() -> Policy:
    return load_policy(text(), "policy.yaml")


class Golden:
    """Every case with what it comes to. Asked about one mutant after the other it begins where the one before was noticed: what
    stands together in the file is noticed by cases that stand together here."""

    def __init__(self) -> None:
        cases = [*clean(), *drawn(), *boundaries(original()), *condition_boundaries(original())]
        self.expected = [(case, outcome(case, original())) for case in cases]
        self._begin = 0

    def notices(self, changed: Policy) -> bool:
        for at in range(len(self.expected)):
            case, expected = self.expected[(self._begin + at) % len(self.expected)]
            if outcome(case, changed) != expected:
                self._begin = max(0, self._begin + at - 20) % len(self.expected)
                return True
        return False


@cache
def golden() -> Golden:
    return Golden()


def clean() -> Iterator[Boundary]:
    """Everyone asks for everything, with the case clean and with one finding that protective actions may ignore."""
    held = clean_facts(order__total=Money(90_000, "USD"))
    for action in Action:
        for actor in (AGENT, SERVICE, REVIEWER, SENIOR, LEAD, OPERATOR, ADMIN):
            yield Boundary(f"{actor.id} asks for {action}", clean_facts(), clean_proposal(action), "", False, actor=actor)
        yield Boundary(f"{action} of a held case", held, clean_proposal(action), "", False)
        for name in sorted(clean_facts().by_name):
            disputed = {**clean_facts().by_name, name: replace(fact(name, clean_facts().get(name)), conflict=True)}
            yield Boundary(f"{action}, {name} disputed", Facts("#1001", NOW, disputed), clean_proposal(action), "", False)


def drawn() -> Iterator[Boundary]:
    draw = Random(20261125)
    conditions = [line.condition for entry in original().mandatory.values() for line in entry.lines]
    conditions += [rule.line.condition for rule in original().rules]
    types, near = types_of(conditions, FIELD_TYPES), decisive_values(conditions)
    for number in range(200):
        wild = random_facts(draw, dict(draw.sample(sorted(types.items()), 2)), near, unknown=0.2)
        facts = Facts("#1001", NOW, {**clean_facts().by_name, **wild.by_name})
        yield Boundary(f"drawn {number}", facts, clean_proposal(draw.choice(list(Action))), "", False)


def outcome(case: Boundary, by: Policy) -> Outcome:
    ruling: Ruling = guard(case.facts, case.proposal, by, case.actor, snapshot_of(clean_facts()), case.standing)
    return ruling.verdict, fired(ruling), *((item.verdict, fired(item)) for item in ruling.actions)


def is_killed(mutant: Mutant) -> bool:
    try:
        changed = load_policy(mutant.text, "mutant.yaml")
    except PolicyInvalid:
        return True
    return golden().notices(changed)


def survivors(mutants: Sequence[Mutant]) -> list[str]:
    return [mutant.change for mutant in mutants if not is_killed(mutant)]


def part_of(mutants: Iterator[Mutant], every: int) -> list[Mutant]:
    """All of them, or each `every`-th."""
    taken = list(mutants)
    assert len({mutant.text for mutant in taken} - {text()}) == len(taken), "a mutant changes nothing, or stands there twice"
    return taken if ALL else taken[::every]


@pytest.mark.parametrize(("kind", "every"), [(direction_mutants, 1), (taint_mutants, 23), (permission_mutants, 3)])
def test_every_turned_tainted_or_widened_policy_is_noticed(kind: Callable[[str], Iterator[Mutant]], every: int) -> None:
    mutants = part_of(kind(text()), every)
    alive = survivors(mutants)
    assert len(mutants) >= 20
    assert not alive, f"{len(alive)} of {len(mutants)} unnoticed:\n" + "\n".join(alive)


def test_nineteen_of_twenty_changed_numbers_are_noticed() -> None:
    mutants = part_of(threshold_mutants(text()), 3)
    alive = survivors(mutants)
    assert len(mutants) >= 20
    assert len(alive) <= 0.05 * len(mutants), f"{len(alive)} of {len(mutants)} unnoticed:\n" + "\n".join(alive)


def test_the_policy_as_it_is_changes_nothing() -> None:
    assert not is_killed(Mutant("nothing", text()))
