"""What is weighed in one ruling, and the findings about the case as a whole: policy lines, mandatory reasons, the interpretation."""

from dataclasses import dataclass
from enum import Enum

from guardrails.augment import DETECTED
from guardrails.facts import Facts, FactValue, Unknown
from guardrails.policy.tables import Line, Mode, Policy, Protective
from guardrails.proposal import Actor, Proposal
from guardrails.ready import NO_ACTION, MandatoryLine, ReadyPolicy, ReadyReason, ReadyRule
from guardrails.ruling import Finding, Outcome
from guardrails.standing import Standing
from guardrails.taxonomy import Category, Reason, Verdict
from guardrails.wording import confidence_in_words, fill, in_words, seen, sentence, unseen


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
    ready: ReadyPolicy
    actor: Actor
    approvals: tuple[Actor, ...]
    standing: Standing
    grounded: int
    """Cited items that hold and are not free text."""
    disputed: tuple[str, ...]
    """Fields about which systems disagree."""
    speaking: frozenset[str]
    """Systems that say something about the order; asked for only while something is switched off."""


def weigh_case(matter: Matter) -> list[Weighed]:
    """The rules about the case that fired, also in shadow. The order is that of importance to a reader, and means nothing else."""
    fired, unknown = matter.ready.case.outcomes(matter.facts)
    detected = matter.facts.get(DETECTED)
    found: list[Weighed | None] = []
    for item in matter.ready.mandatory:
        reach = Reach.PAUSE if item.entry.protective is Protective.RUN else Reach.STOP
        if item.categories:
            found.append(_by_category(item, detected, matter.proposal.category, reach))
        if fired & item.bits:
            found += [_mandatory(line, item.reason, reach, unknown, matter) for line in item.lines if fired & line.bit]
    rules = matter.ready.case.rules
    found += [weigh_rule(rule, unknown, matter.facts, matter.policy) for rule in rules if fired & rule.bit]
    found += [_sources(matter), _detectors(detected), _confidence(matter), _evidence(matter), _actions(matter)]
    return [item for item in found if item is not None]


def weigh_rule(ready: ReadyRule, unknown: int, facts: Facts, policy: Policy) -> Weighed:
    """A review or block rule that fired. `unknown` has its bit set where it fired because something could not be seen."""
    rule = ready.rule
    outcome, clause = _said(rule.line, ready.fields, bool(unknown & ready.bit), facts, policy)
    if rule.mode is Mode.SHADOW:
        outcome = Outcome.SHADOW
    finding = Finding(rule.id, outcome, rule.effect, sentence(clause, seen(facts, ready.fields)), rule.reason, ready.fields)
    return Weighed(finding, clause, rule.until)


def _mandatory(ready: MandatoryLine, reason: Reason, reach: Reach, unknown: int, matter: Matter) -> Weighed:
    outcome, clause = _said(ready.line, ready.fields, bool(unknown & ready.bit), matter.facts, matter.policy)
    text = sentence(clause, seen(matter.facts, ready.fields))
    finding = Finding(ready.name, outcome, Verdict.REVIEW, text, reason, ready.fields)
    return Weighed(finding, clause, _lift_of(outcome, reason, clause), reach)


def _said(line: Line, fields: tuple[str, ...], unknown: bool, facts: Facts, policy: Policy) -> tuple[Outcome, str]:
    if not unknown:
        return Outcome.FIRED, fill(line.because, facts, policy.limits, fields)
    return Outcome.FIRED_UNKNOWN, unseen(facts, fields) or _incomparable(line, facts)


def _incomparable(line: Line, facts: Facts) -> str:
    values = ", ".join(f"{name} is {in_words(facts.get(name))}" for name in sorted(line.condition.fields))
    limits = " or ".join(sorted(line.condition.limits))
    return f"we could not compare {values} with the {limits} limit" if limits else f"we could not compare: {values}"


def _by_category(item: ReadyReason, detected: FactValue | Unknown, classified: Category, reach: Reach) -> Weighed | None:
    """The classified category brings the reason, and so does one that detectors found by facts alone."""
    if isinstance(detected, frozenset) and not item.categories.isdisjoint(detected):
        clause = f"the facts show {', '.join(sorted(item.categories & detected))}"
    elif classified in item.categories:
        clause = f"the case is classified as {classified}"
    else:
        return None
    fields = ("case.category", DETECTED)
    finding = Finding(item.category, Outcome.FIRED, Verdict.REVIEW, sentence(clause), item.reason, fields)
    return Weighed(finding, clause, _lift_of(Outcome.FIRED, item.reason, clause), reach)


def _lift_of(outcome: Outcome, reason: Reason, clause: str) -> str:
    if outcome is Outcome.FIRED_UNKNOWN:
        return f"refresh the facts for {reason}: {clause}"
    return f"a person decides about {reason}"


def _detectors(detected: FactValue | Unknown) -> Weighed | None:
    """Without the detectors' word, the model's category alone would say whether a mandatory reason holds."""
    if not isinstance(detected, Unknown):
        return None
    clause = "we could not see what the detectors found"
    return _case_finding("case.detectors", Outcome.FIRED_UNKNOWN, clause, None, "run the detectors")


def _sources(matter: Matter) -> Weighed | None:
    """What rests on a source that is switched off waits for a person, who may have looked elsewhere."""
    if not matter.standing.off:
        return None
    sources = {fact.source for fact in matter.facts.by_name.values()} | matter.speaking
    off = sorted(source for source in sources if matter.standing.distrusts(source))
    if not off:
        return None
    names = " and ".join(in_words(name) for name in off)
    clause = f"{names} is switched off, and facts of this order come from there"
    return _case_finding("switch.source", Outcome.FIRED, clause, None, f"switch {names} on again")


def _confidence(matter: Matter) -> Weighed | None:
    needed = matter.policy.case.min_confidence
    lacking = lacking_confidence(matter.facts, needed, "the interpretation")
    if lacking is None:
        return None
    lift = f"a confidence of at least {confidence_in_words(needed)}"
    return _case_finding("case.confidence", *lacking, Reason.LOW_CONFIDENCE, lift, Reach.CASE)


def _evidence(matter: Matter) -> Weighed | None:
    needed, held = matter.policy.case.evidence, matter.grounded
    if held >= needed:
        return None
    clause = f"the interpretation cites {facts_in_words(held)} and needs {needed}"
    lift = f"cite at least {facts_in_words(needed)}"
    return _case_finding("case.evidence", Outcome.FIRED, clause, Reason.UNGROUNDED_EVIDENCE, lift, Reach.CASE)


def _actions(matter: Matter) -> Weighed | None:
    if matter.proposal.actions:
        return None
    clause = "nothing was proposed, so a person must say what is to be done"
    return _case_finding(NO_ACTION, Outcome.FIRED, clause, None, "propose an action", Reach.CASE)


def lacking_confidence(facts: Facts, needed: int, who: str) -> tuple[Outcome, str] | None:
    """Confidence counts only when it is certainly enough; None when it is."""
    confidence = facts.get("case.confidence")
    if type(confidence) is not int:
        return Outcome.FIRED_UNKNOWN, f"we could not see how sure the classifier is; {who} needs {confidence_in_words(needed)}"
    if confidence >= needed:
        return None
    return Outcome.FIRED, f"the confidence is {confidence_in_words(confidence)}, and {who} needs {confidence_in_words(needed)}"


def facts_in_words(count: int) -> str:
    return f"{count or 'no'} structured fact{'' if count == 1 else 's'} that hold{'s' if count == 1 else ''}"


def _case_finding(
    rule: str, outcome: Outcome, clause: str, reason: Reason | None, lift: str | None, reach: Reach = Reach.STOP
) -> Weighed:
    return Weighed(Finding(rule, outcome, Verdict.REVIEW, sentence(clause), reason), clause, lift, reach)
