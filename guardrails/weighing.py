"""What is weighed in one ruling, and the findings about the case as a whole: policy lines, mandatory reasons, the interpretation."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from guardrails.augment import DETECTED
from guardrails.facts import Facts, Unknown
from guardrails.policy.catalogue import CATALOGUE, Writer
from guardrails.policy.tables import Line, MandatoryPolicy, Mode, Policy, Protective, Rule, WhenUnknown
from guardrails.proposal import Actor, Proposal
from guardrails.ruling import Finding, Outcome
from guardrails.taxonomy import Reason, Truth, Verdict
from guardrails.wording import confidence_in_words, fill, in_words, seen, sentence, unseen

NO_ACTION = "case.action-proposed"


class Reach(Enum):
    """Which actions a finding about the case applies to. R0 actions only read or annotate and always go on."""

    CASE = "the case's own verdict"
    PAUSE = "every action above R0 except protective ones"
    STOP = "every action above R0"


@dataclass(frozen=True, slots=True)
class Weighed:
    """A finding with its clause (a sentence without brackets or full stop) and what would lift it."""

    finding: Finding
    clause: str
    lift: str | None = None
    reach: Reach = Reach.STOP


@dataclass(frozen=True, slots=True)
class Matter:
    """Everything that one ruling weighs. `facts` include what the proposal says as `case.*`."""

    facts: Facts
    proposal: Proposal
    policy: Policy
    actor: Actor
    approvals: tuple[Actor, ...]
    grounded: int
    """Cited items that hold and are not free text."""


def outcome_of(line: Line, facts: Facts) -> Outcome:
    """The outcome of a review or block condition, which fires unless it is certainly false."""
    truth = line.condition.evaluate(facts)
    if truth is Truth.TRUE:
        return Outcome.FIRED
    quiet = line.when_unknown is WhenUnknown.QUIET
    return Outcome.NOT_FIRED if truth is Truth.FALSE or (quiet and _is_silence(line, facts)) else Outcome.FIRED_UNKNOWN


def weigh_line(line: Line, facts: Facts, policy: Policy) -> tuple[Outcome, str]:
    """The line's outcome, and the clause that says it."""
    outcome = outcome_of(line, facts)
    if outcome is Outcome.FIRED:
        return outcome, fill(line.because, facts, policy.limits, line.condition.fields)
    if outcome is Outcome.NOT_FIRED:
        said = line.condition.evaluate(facts) is Truth.FALSE
        return outcome, f"{'not so' if said else 'nobody has said, which is no finding here'}: {line.condition.text}"
    return outcome, unseen(facts, line.condition.fields) or _incomparable(line, facts)


def _is_silence(line: Line, facts: Facts) -> bool:
    """The condition is unknown only because nobody ever mentioned a field, or a check had nothing to compute from."""
    unknown = [name for name in line.condition.fields if isinstance(facts.get(name), Unknown)]
    computed = (Writer.DERIVED, Writer.CLOCK)
    return bool(unknown) and all(name not in facts.by_name or CATALOGUE[name].writer in computed for name in unknown)


def _incomparable(line: Line, facts: Facts) -> str:
    values = ", ".join(f"{name} is {in_words(facts.get(name))}" for name in sorted(line.condition.fields))
    limits = " or ".join(sorted(line.condition.limits))
    return f"we could not compare {values} with the {limits} limit" if limits else f"we could not compare: {values}"


# --- findings about the case ---


def weigh_case(matter: Matter) -> tuple[Weighed, ...]:
    """Every case-level rule with its outcome. The order is that of importance to a reader, and means nothing else."""
    return (
        *_mandatory(matter),
        *(weigh_rule(rule, matter.facts, matter.policy) for rule in matter.policy.rules if rule.about_case),
        _detectors(matter),
        _confidence(matter),
        _evidence(matter),
        _actions(matter),
    )


def weigh_rule(rule: Rule, facts: Facts, policy: Policy) -> Weighed:
    outcome, clause = weigh_line(rule.line, facts, policy)
    if rule.mode is Mode.SHADOW and outcome is not Outcome.NOT_FIRED:
        outcome = Outcome.SHADOW
    names = tuple(sorted(rule.line.condition.fields))
    finding = Finding(rule.id, outcome, rule.effect, sentence(clause, seen(facts, names)), rule.reason, names)
    return Weighed(finding, clause, rule.until)


def _mandatory(matter: Matter) -> Iterator[Weighed]:
    for reason, entry in matter.policy.mandatory.items():
        reach = Reach.PAUSE if entry.protective is Protective.RUN else Reach.STOP
        if entry.categories:
            yield _by_category(reason, entry, matter, reach)
        for number, line in enumerate(entry.lines, start=1):
            outcome, clause = weigh_line(line, matter.facts, matter.policy)
            names = tuple(sorted(line.condition.fields))
            text = sentence(clause, seen(matter.facts, names))
            finding = Finding(f"mandatory.{reason}.{number}", outcome, Verdict.REVIEW, text, reason, names)
            yield Weighed(finding, clause, _lift_of(outcome, reason, clause), reach)


def _by_category(reason: Reason, entry: MandatoryPolicy, matter: Matter, reach: Reach) -> Weighed:
    """The classified category brings the reason, and so does one that detectors found by facts alone."""
    names = sorted(category.value for category in entry.categories)
    detected = matter.facts.get(DETECTED)
    found = sorted(detected & set(names)) if isinstance(detected, frozenset) else []
    if found:
        outcome, clause = Outcome.FIRED, f"the facts show {', '.join(found)}"
    elif str(matter.proposal.category) in names:
        outcome, clause = Outcome.FIRED, f"the case is classified as {matter.proposal.category}"
    else:
        outcome, clause = Outcome.NOT_FIRED, f"neither classified nor detected: {', '.join(names)}"
    finding = Finding(
        f"mandatory.{reason}.category", outcome, Verdict.REVIEW, sentence(clause), reason, ("case.category", DETECTED)
    )
    return Weighed(finding, clause, _lift_of(outcome, reason, clause), reach)


def _lift_of(outcome: Outcome, reason: Reason, clause: str) -> str | None:
    if outcome is Outcome.FIRED_UNKNOWN:
        return f"refresh the facts for {reason}: {clause}"
    return f"a person decides about {reason}" if outcome is Outcome.FIRED else None


def _detectors(matter: Matter) -> Weighed:
    """Without the detectors' word, the model's category alone would say whether a mandatory reason holds."""
    if isinstance(matter.facts.get(DETECTED), Unknown):
        return _case_finding(
            "case.detectors", Outcome.FIRED_UNKNOWN, "we could not see what the detectors found", None, "run the detectors"
        )
    return _case_finding("case.detectors", Outcome.NOT_FIRED, "the detectors have been run", None, None)


def _confidence(matter: Matter) -> Weighed:
    needed = matter.policy.case.min_confidence
    outcome, clause = against_confidence(matter.facts, needed, "the interpretation")
    lift = f"a confidence of at least {confidence_in_words(needed)}"
    return _case_finding("case.confidence", outcome, clause, Reason.LOW_CONFIDENCE, lift, Reach.CASE)


def _evidence(matter: Matter) -> Weighed:
    needed, held = matter.policy.case.evidence, matter.grounded
    outcome = Outcome.NOT_FIRED if held >= needed else Outcome.FIRED
    clause = f"the interpretation cites {facts_in_words(held)} and needs {needed}"
    lift = f"cite at least {facts_in_words(needed)}"
    return _case_finding("case.evidence", outcome, clause, Reason.UNGROUNDED_EVIDENCE, lift, Reach.CASE)


def _actions(matter: Matter) -> Weighed:
    proposed = len(matter.proposal.actions)
    outcome = Outcome.NOT_FIRED if proposed else Outcome.FIRED
    clause = "an action is proposed" if proposed else "nothing was proposed, so a person must say what is to be done"
    return _case_finding(NO_ACTION, outcome, clause, None, "propose an action", Reach.CASE)


def against_confidence(facts: Facts, needed: int, who: str) -> tuple[Outcome, str]:
    """Confidence counts only when it is certainly enough."""
    confidence = facts.get("case.confidence")
    if type(confidence) is not int:
        return Outcome.FIRED_UNKNOWN, f"we could not see how sure the classifier is; {who} needs {confidence_in_words(needed)}"
    outcome = Outcome.NOT_FIRED if confidence >= needed else Outcome.FIRED
    return outcome, f"the confidence is {confidence_in_words(confidence)}, and {who} needs {confidence_in_words(needed)}"


def facts_in_words(count: int) -> str:
    return f"{count or 'no'} structured fact{'' if count == 1 else 's'} that hold{'s' if count == 1 else ''}"


def _case_finding(
    rule: str, outcome: Outcome, clause: str, reason: Reason | None, lift: str | None, reach: Reach = Reach.STOP
) -> Weighed:
    return Weighed(Finding(rule, outcome, Verdict.REVIEW, sentence(clause), reason), clause, lift, reach)
