"""How long a policy of 200 rules takes to load with its proofs, beside composing the same text with PyYAML alone."""

from pathlib import Path
from statistics import median
from time import perf_counter

import yaml

from evals.bench.figures import Figure
from guardrails.policy.load import load_policy

POLICY = Path(__file__).parents[2] / "config" / "policy.yaml"
RULES, ROUNDS = 200, 9
_EXAMPLES = "\n# Cases that"

_HOLDS = (
    "action.name == 'resubmit_fulfilment' and fulfilment.attempts >= {n}",
    "order.total >= limit(high_value) and customer.orders_last_24h > {n}",
    "age(payment.status) > {n}h or not known(payment.status)",
    "risk.level not in ['none', 'low'] and check.paid == false and order.line_count > {n}",
)
_PERMIT = "action.name == 'message_customer' and check.still_promised == true and order.total < {n}.00 USD"


def measure_all() -> list[Figure]:
    return [measure(), measure_with_examples()]


def measure() -> Figure:
    """Reading, conditions and proofs; the yardstick is `yaml.compose` with the loader it has by default. The median round, in ms."""
    return _measured("policy.load_200_rules_ms", text_of(RULES).split(_EXAMPLES)[0])


def measure_with_examples() -> Figure:
    """The same with the examples put to the gate, which compiles the policy for ruling on the way."""
    return _measured("policy.load_200_rules_and_examples_ms", text_of(RULES))


def _measured(name: str, text: str) -> Figure:
    load_policy(text, "policy.yaml")
    ours, yardstick = [], []
    for _ in range(ROUNDS):
        started = perf_counter()
        load_policy(text, "policy.yaml")
        loaded = perf_counter()
        yaml.compose(text, Loader=yaml.SafeLoader)
        ours.append((loaded - started) * 1_000)
        yardstick.append((perf_counter() - loaded) * 1_000)
    value, compared = median(ours), median(yardstick)
    return Figure(name, value, "ms", "yaml.compose of the same text", compared, value / compared)


def text_of(rules: int) -> str:
    """The shipped policy, its examples included, with so many free rules in all."""
    head, tail = POLICY.read_text().split("\nrules:\n")
    own = tail.split("\n\n#")[0].count("  - id: ")
    added = "".join(_rule(number) for number in range(1, rules - own + 1))
    return f"{head}\nrules:\n{added}{tail}"


def _rule(number: int) -> str:
    permit = number % 10 == 0
    effect = "automate" if permit else "review"
    condition = (_PERMIT if permit else _HOLDS[number % len(_HOLDS)]).format(n=1_000 + number)
    name = f"{'permit' if permit else 'review'}.made-{number}"
    quiet = "" if permit or number % len(_HOLDS) != 3 else "    when_unknown: quiet\n"
    return f'  - id: {name}\n    effect: {effect}\n    when: "{condition}"\n    because: made to measure\n{quiet}    owner: operations\n'
