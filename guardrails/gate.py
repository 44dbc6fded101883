"""The only door: facts, a proposal, the policy and who asks go in; a ruling comes out. Whatever goes wrong inside is a block."""

from collections.abc import Iterable, Mapping
from typing import Any

from guardrails.augment import with_case
from guardrails.facts import Facts
from guardrails.grounding import ground, justifying
from guardrails.permitting import FOUR_EYES, weigh_action
from guardrails.policy.tables import Policy
from guardrails.proposal import Actor, Proposal, ProposedAction
from guardrails.ruling import ActionRuling, Finding, GroundedEvidence, Outcome, Ruling
from guardrails.taxonomy import PrincipalKind, Reason, RiskClass, Verdict, strictest
from guardrails.weighing import NO_ACTION, Matter, Reach, Weighed, weigh_case

_BEYOND_APPROVAL = frozenset([FOUR_EYES, NO_ACTION])
"""Review findings that one person's approval does not answer."""


def guard(
    facts: Facts,
    proposal: Proposal,
    policy: Policy,
    actor: Actor,
    snapshot: Mapping[str, Any],
    approvals: tuple[Actor, ...] = (),
) -> Ruling:
    """Rule on every action proposed and on the case. A person as actor approves by asking: review findings stay listed and are
    answered, a block never is. Never raises: a failure inside is a block whose `error` says what failed."""
    try:
        return _rule(facts, proposal, policy, actor, snapshot, approvals)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        # Not only Exception: a panic of a native library (pyo3) is a BaseException, and must not get past the gate either.
        return _failed(facts, proposal, policy, error)


def _rule(
    facts: Facts, proposal: Proposal, policy: Policy, actor: Actor, snapshot: Mapping[str, Any], approvals: tuple[Actor, ...]
) -> Ruling:
    evidence = ground(proposal.evidence, snapshot)
    grounded = justifying(evidence)
    matter = Matter(with_case(facts, proposal, grounded), proposal, policy, actor, approvals, grounded)
    about_case = weigh_case(matter)
    about_actions = [(asked, _with_case_findings(matter, asked, about_case)) for asked in proposal.actions]
    actions = tuple(_action_ruling(asked, weighed, actor) for asked, weighed in about_actions)
    verdict = strictest([*(item.verdict for item in actions), _verdict(about_case, actor)])
    everything = _without_repeats([*about_case, *(item for _, weighed in about_actions for item in weighed)])
    return Ruling(
        verdict=verdict,
        findings=tuple(item.finding for item in about_case),
        actions=actions,
        evidence=evidence,
        mandatory=_reasons(everything),
        sentence=_sentence(verdict, everything, actions, actor),
        lift=tuple(dict.fromkeys(item.lift for item in everything if item.finding.fired and item.lift)),
        policy_version=policy.version,
        policy_sha256=policy.sha256,
        facts_sha256=facts.digest(),
    )


def _with_case_findings(matter: Matter, asked: ProposedAction, about_case: tuple[Weighed, ...]) -> tuple[Weighed, ...]:
    """The action's own findings and those of the case's that reach it."""
    own = weigh_action(matter, asked)
    entry = matter.policy.actions.get(asked.action)
    if entry is not None and entry.risk_class is RiskClass.R0:
        return own
    spared = {Reach.CASE, Reach.PAUSE} if entry is not None and entry.protective else {Reach.CASE}
    return (*own, *(item for item in about_case if item.reach not in spared))


def _action_ruling(asked: ProposedAction, weighed: tuple[Weighed, ...], actor: Actor) -> ActionRuling:
    return ActionRuling(asked, _verdict(weighed, actor), tuple(item.finding for item in weighed))


def _verdict(weighed: Iterable[Weighed], actor: Actor) -> Verdict:
    """The strictest effect of the findings that nobody has answered."""
    return strictest([Verdict.AUTOMATE, *(item.finding.effect for item in weighed if _stands(item.finding, actor))])


def _stands(finding: Finding, actor: Actor) -> bool:
    if not finding.fired:
        return False
    answered = actor.kind is PrincipalKind.PERSON and finding.effect is Verdict.REVIEW and finding.rule not in _BEYOND_APPROVAL
    return not answered


def _without_repeats(weighed: list[Weighed]) -> list[Weighed]:
    """The same finding about several actions is one for the reader."""
    return list({(item.finding.rule, item.clause): item for item in weighed}.values())


def _reasons(weighed: list[Weighed]) -> tuple[Reason, ...]:
    """Every reason that fired, in the taxonomy's order."""
    fired = {item.finding.reason for item in weighed if item.finding.fired}
    return tuple(reason for reason in Reason if reason in fired)


def _sentence(verdict: Verdict, weighed: list[Weighed], actions: tuple[ActionRuling, ...], actor: Actor) -> str:
    names = ", ".join(dict.fromkeys(str(item.action.action) for item in actions))
    if verdict is Verdict.AUTOMATE:
        if actor.kind is PrincipalKind.PERSON:
            return f"Approved by {actor.id}: {names}."
        return f"May run without a person: {names}."
    standing = [item for item in weighed if _stands(item.finding, actor) and item.finding.effect is verdict]
    # What is certainly so tells a person more than what could not be seen, and a value more than the name of a category.
    standing.sort(key=lambda item: (item.finding.outcome is not Outcome.FIRED, item.finding.rule.endswith(".category")))
    opening = "Blocked" if verdict is Verdict.BLOCK else "Held for a person"
    further = len(standing) - 1
    more = f" (and {further} more finding{'s' if further > 1 else ''})" if further else ""
    return f"{opening}: {standing[0].clause}{more}."


# --- failure ---


def _failed(facts: object, proposal: object, policy: object, error: BaseException) -> Ruling:
    """A block of everything that was asked. It relies on nothing that may itself be broken."""
    what = _safely_named(error)
    finding = Finding("gate.evaluator", Outcome.FIRED, Verdict.BLOCK, f"The guard itself failed: {what}.")
    asked = proposal.actions if isinstance(proposal, Proposal) and isinstance(proposal.actions, tuple) else ()
    evidence = proposal.evidence if isinstance(proposal, Proposal) and isinstance(proposal.evidence, tuple) else ()
    return Ruling(
        verdict=Verdict.BLOCK,
        findings=(finding,),
        actions=tuple(ActionRuling(item, Verdict.BLOCK, (finding,)) for item in asked),
        evidence=tuple(GroundedEvidence(item, None, True, "the guard failed before it was checked") for item in evidence),
        mandatory=(),
        sentence="Blocked: the guard itself failed, so nothing may run until it is mended.",
        lift=("mend the failure of the guard and judge the case again",),
        policy_version=policy.version if isinstance(policy, Policy) else "",
        policy_sha256=policy.sha256 if isinstance(policy, Policy) else "",
        facts_sha256=_digest_or_nothing(facts),
        error=what,
    )


def _safely_named(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:300]
    except BaseException:  # the exception's own text may fail; that is still only a failure
        return type(error).__name__


def _digest_or_nothing(facts: object) -> str:
    try:
        return facts.digest() if isinstance(facts, Facts) else ""
    except BaseException:  # the odd facts that made the guard fail may fail here too
        return ""
