"""Our closures, Google's CEL and regorus mean the same by a condition, also where facts are missing or of other currencies.

Left out are values of a wrong type and numbers beyond 64 bits: what becomes of them is our own boundary's business, and the engines
have other numbers. ORDERMEND_CASES says how many cases are drawn per comparison, at least 10000.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from threading import Thread

import pytest
import regorus

from guardrails.facts import UNKNOWN, Fact, Facts
from guardrails.money import Money
from guardrails.policy.catalogue import FIELD_TYPES
from guardrails.policy.language import Condition, FieldType, Scope, compile_condition
from guardrails.policy.syntax import Node
from guardrails.taxonomy import Truth
from tests.guardrails.clean_case import NOW, policy
from tests.guardrails.generated_cases import SCOPE, decisive_values, random_condition, random_facts, types_of
from tests.guardrails.oracles.cel import CelOracle, text_of
from tests.guardrails.oracles.rego import RegoOracle
from tests.guardrails.oracles.stated import stated, usable

CASES = max(10_000, int(os.environ.get("ORDERMEND_CASES", "10000")))
CONDITIONS, PER_CONDITION = 25, 20
SMALL = Scope(SCOPE.fields, {**SCOPE.limits, "cap": {**SCOPE.limits["cap"], "JPY": Money(10**15, "JPY")}}, SCOPE.freshness)


def trees(conditions: Sequence[Condition]) -> list[Node]:
    return [condition.tree for condition in conditions if condition.tree is not None]


class Judges:
    """The same conditions as closures, in CEL and in Rego."""

    def __init__(self, conditions: Sequence[Condition], fields: Mapping[str, FieldType]) -> None:
        self.conditions = conditions
        read = {name for condition in conditions for name in condition.fields}
        self.fields = {name: declared for name, declared in fields.items() if name in read}
        self.cel, self.rego = CelOracle(trees(conditions), self.fields), RegoOracle(trees(conditions))

    def agreed(self, drawn: Facts) -> list[Truth]:
        """What all three say."""
        facts = usable(drawn, self.fields)
        given = stated(facts, self.fields)
        ours = [condition.evaluate(facts) for condition in self.conditions]
        for engine, theirs in (("CEL", self.cel.truths(given)), ("Rego", self.rego.truths(given))):
            apart = [c.text for c, our, their in zip(self.conditions, ours, theirs, strict=True) if our is not their]
            assert not apart, f"{engine} says otherwise about {apart[0]}: {facts}"
        return ours


def drawn_condition(draw: Random) -> Condition:
    """One whose numbers fit into 64 bits."""
    while True:
        text = random_condition(draw)
        if not re.search(r"\d{16}", text):
            return compile_condition(text, SMALL)


def assert_reach(reached: Counter[Truth]) -> None:
    assert set(reached) == set(Truth)
    assert min(reached.values()) >= 0.2 * sum(reached.values()), reached


def test_every_line_of_the_shipped_policy_means_the_same_to_cel_and_rego() -> None:
    held = [line.condition for entry in policy().mandatory.values() for line in entry.lines]
    conditions = [*held, *(rule.line.condition for rule in policy().rules)]
    judges, draw, reached = Judges(conditions, FIELD_TYPES), Random(20261124), Counter[Truth]()
    types, near = types_of(conditions, FIELD_TYPES), decisive_values(conditions)
    for _ in range(CASES):
        reached.update(judges.agreed(random_facts(draw, types, near, unknown=0.16)))
    assert_reach(reached)


def test_drawn_conditions_mean_the_same_to_cel_and_rego() -> None:
    draw, reached = Random(11), Counter[Truth]()
    types = {name: declared.type for name, declared in SMALL.fields.items()}
    for _ in range(0, CASES, CONDITIONS * PER_CONDITION):
        conditions = [drawn_condition(draw) for _ in range(CONDITIONS)]
        judges, near = Judges(conditions, SMALL.fields), decisive_values(conditions)
        for _ in range(PER_CONDITION):
            reached.update(judges.agreed(random_facts(draw, types, near, unknown=0.08)))
    assert_reach(reached)


def test_an_oracle_that_were_wrong_would_be_seen() -> None:
    right, wrong = (compile_condition(text, SMALL) for text in ("n >= 2", "n > 2"))
    judges = Judges([right], SMALL.fields)
    judges.conditions = [wrong]
    judges.agreed(Facts("#1", NOW, {"n": Fact("n", 3, "shopify", NOW)}))
    with pytest.raises(AssertionError, match="CEL says otherwise about n > 2"):
        judges.agreed(Facts("#1", NOW, {"n": Fact("n", 2, "shopify", NOW)}))


def test_an_error_of_cel_is_unknown_and_not_its_truthy_text() -> None:
    condition = compile_condition("p", SMALL)
    oracle = CelOracle(trees([condition]), SMALL.fields)
    assert oracle.truths(stated(Facts("#1", NOW), SMALL.fields)) == [Truth.UNKNOWN]
    assert oracle.truths(stated(Facts("#1", NOW, {"p": Fact("p", UNKNOWN, "shopify", NOW)}), SMALL.fields)) == [Truth.UNKNOWN]


def test_the_text_for_cel_names_every_currency_that_must_agree() -> None:
    tree = trees([compile_condition("x + y > 1.00 USD", SMALL)])[0]
    assert text_of(tree) == '(c_x == c_y && c_x == "USD" ? (v_x + v_y) > 100 : unseen)'


def test_a_panic_of_rego_in_another_thread_is_no_exception() -> None:
    """Why the gate catches more than Exception, shown on a real library."""
    engine, caught = regorus.Engine(), list[BaseException]()

    def ask() -> None:
        try:
            engine.set_input({})
        except BaseException as error:  # that it is no Exception is the point
            caught.append(error)

    thread = Thread(target=ask)
    thread.start()
    thread.join()
    assert [isinstance(error, Exception) for error in caught] == [False]
