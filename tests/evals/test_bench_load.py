"""The policy that loading is measured with is a real one, of the size that its figure names."""

from evals.bench import load
from guardrails.policy.load import load_policy
from guardrails.taxonomy import Verdict


def test_the_measured_policy_has_as_many_rules_as_its_figure_says() -> None:
    policy = load_policy(load.text_of(load.RULES), "policy.yaml")
    assert len(policy.rules) == 200
    assert {rule.effect for rule in policy.rules} == set(Verdict)


def test_the_figure_compares_loading_with_composing_in_the_same_run() -> None:
    figure = load.measure()
    assert figure.name == "policy.load_200_rules_ms"
    assert figure.ratio == figure.value / figure.yardstick_value
