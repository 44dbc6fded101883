"""What a review or block line comes to, by its closures: the reference for every faster way of asking."""

from guardrails.facts import Facts, Unknown
from guardrails.policy.catalogue import CATALOGUE, Writer
from guardrails.policy.tables import Line, WhenUnknown
from guardrails.ruling import Outcome
from guardrails.taxonomy import Truth


def outcome_of(line: Line, facts: Facts) -> Outcome:
    """The outcome of a review or block condition, which fires unless it is certainly false."""
    truth = line.condition.evaluate(facts)
    if truth is Truth.TRUE:
        return Outcome.FIRED
    quiet = line.when_unknown is WhenUnknown.QUIET
    return Outcome.NOT_FIRED if truth is Truth.FALSE or (quiet and _is_silence(line, facts)) else Outcome.FIRED_UNKNOWN


def _is_silence(line: Line, facts: Facts) -> bool:
    """The condition is unknown only because nobody ever mentioned a field, or a check had nothing to compute from."""
    unknown = [name for name in line.condition.fields if isinstance(facts.get(name), Unknown)]
    computed = (Writer.DERIVED, Writer.CLOCK)
    return bool(unknown) and all(name not in facts.by_name or CATALOGUE[name].writer in computed for name in unknown)
