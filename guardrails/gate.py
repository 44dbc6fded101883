"""The only door: facts, a proposal, the policy and who asks go in; a ruling comes out. Whatever goes wrong inside is a block."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from guardrails.augment import with_case
from guardrails.facts import Facts
from guardrails.grounding import ground, justifying, speaking_in
from guardrails.permitting import weigh_action
from guardrails.policy.tables import ActionPolicy, Policy
from guardrails.proposal import Actor, Proposal, ProposedAction
from guardrails.ready import FOUR_EYES, NO_ACTION, ready
from guardrails.ruling import ActionRuling, Finding, GroundedEvidence, Outcome, Ruling
from guardrails.standing import Standing
from guardrails.taxonomy import PrincipalKind, Reason, RiskClass, Verdict, strictest
from guardrails.weighing import Matter, Reach, Weighed, weigh_case

_BEYOND_APPROVAL = frozenset([FOUR_EYES, NO_ACTION])
"""Review findings that one person's approval does not answer."""
_RANK = {reason: rank for rank, reason in enumerate(Reason)}


def guard(
    facts: Facts,
    proposal: Proposal,
    policy: Policy,
    actor: Actor,
    snapshot: Mapping[str, Any],
    standing: Standing,
    approvals: tuple[Actor, ...] = (),
) -> Ruling:
    """Rule on every action proposed and on the case. A person as actor approves by asking: review findings stay listed and are
    answered, a block never is. Never raises: a failure inside is a block whose `error` says what failed."""
    try:
        return _rule(facts, proposal, policy, actor, snapshot, standing, approvals)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        # Not only Exception: a panic of a native library (pyo3) is a BaseException, and must not get past the gate either.
        return _failed(facts, proposal, policy, error)


def _rule(
    facts: Facts,
    proposal: Proposal,
    policy: Policy,
    actor: Actor,
    snapshot: Mapping[str, Any],
    standing: Standing,
    approvals: tuple[Actor, ...],
) -> Ruling:
    evidence = ground(proposal.evidence, snapshot)
    grounded = justifying(evidence)
    seen = with_case(facts, proposal, grounded)
    disputed = tuple(sorted(name for name, fact in seen.by_name.items() if fact.conflict))
    speaking = speaking_in(snapshot) if standing.off else frozenset[str]()
    matter = Matter(seen, proposal, policy, ready(policy), actor, approvals, standing, grounded, disputed, speaking)
    about_case = weigh_case(matter)
    own = [weigh_action(matter, asked) for asked in proposal.actions]
    actions = tuple(
        _action_ruling(matter, asked, weighed, about_case) for asked, weighed in zip(proposal.actions, own, strict=True)
    )
    verdict = strictest([_verdict(about_case, actor), *[item.verdict for item in actions]])
    everything = _without_repeats([*about_case, *(item for weighed in own for item in weighed)])
    effective = [item for item in everything if item.finding.fired]
    return Ruling(
        verdict=verdict,
        findings=tuple(item.finding for item in about_case),
        actions=actions,
        evidence=evidence,
        mandatory=_reasons(effective),
        sentence=_sentence(verdict, effective, actions, actor),
        lift=tuple(dict.fromkeys(item.lift for item in effective if item.lift)),
        policy_version=policy.version,
        policy_sha256=policy.sha256,
        facts_sha256=facts.digest(),
        passed=_passed(matter.ready.about_case, about_case),
    )


def _action_ruling(matter: Matter, asked: ProposedAction, own: Sequence[Weighed], about_case: Sequence[Weighed]) -> ActionRuling:
    reaching = _reaching(matter.policy.actions.get(asked.action), about_case)
    return ActionRuling(
        action=asked,
        verdict=_verdict([*own, *reaching], matter.actor),
        findings=tuple(item.finding for item in own),
        passed=_passed(matter.ready.about_action.get(asked.action, ()), own),
        held_by=tuple(item.finding.rule for item in reaching if _stands(item.finding, matter.actor)),
    )


def _passed(looked_at: tuple[str, ...], weighed: Sequence[Weighed]) -> tuple[str, ...]:
    fired = {item.finding.rule for item in weighed}
    return tuple(name for name in looked_at if name not in fired) if fired else looked_at


def _reaching(entry: ActionPolicy | None, about_case: Sequence[Weighed]) -> Sequence[Weighed]:
    """The findings about the case that stop this action too."""
    if entry is not None and entry.risk_class is RiskClass.R0:
        return ()
    spared = (Reach.CASE, Reach.PAUSE) if entry is not None and entry.protective else (Reach.CASE,)
    return [item for item in about_case if item.reach not in spared]


def _verdict(weighed: Iterable[Weighed], actor: Actor) -> Verdict:
    """The strictest effect of the findings that nobody has answered."""
    verdict = Verdict.AUTOMATE
    for item in weighed:
        if item.finding.effect is not Verdict.AUTOMATE and _stands(item.finding, actor):
            if item.finding.effect is Verdict.BLOCK:
                return Verdict.BLOCK
            verdict = Verdict.REVIEW
    return verdict


def _stands(finding: Finding, actor: Actor) -> bool:
    if not finding.fired:
        return False
    if actor.kind is not PrincipalKind.PERSON:
        return True
    return finding.effect is not Verdict.REVIEW or finding.rule in _BEYOND_APPROVAL


def _without_repeats(weighed: list[Weighed]) -> list[Weighed]:
    """The same finding about several actions is one for the reader."""
    return list({(item.finding.rule, item.clause): item for item in weighed}.values()) if len(weighed) > 1 else weighed


def _reasons(weighed: list[Weighed]) -> tuple[Reason, ...]:
    """Every reason that fired, in the taxonomy's order."""
    fired = {item.finding.reason for item in weighed if item.finding.reason is not None}
    return tuple(sorted(fired, key=_RANK.__getitem__)) if fired else ()


def _sentence(verdict: Verdict, weighed: list[Weighed], actions: tuple[ActionRuling, ...], actor: Actor) -> str:
    if verdict is Verdict.AUTOMATE:
        names = ", ".join(dict.fromkeys(str(item.action.action) for item in actions))
        if actor.kind is PrincipalKind.PERSON:
            return f"Approved by {actor.id}: {names}."
        return f"May run without a person: {names}."
    standing = [item for item in weighed if _stands(item.finding, actor) and item.finding.effect is verdict]
    # What is certainly so tells a person more than what could not be seen, and a value more than the name of a category.
    first = min(standing, key=lambda item: (item.finding.outcome is not Outcome.FIRED, item.finding.rule.endswith(".category")))
    opening = "Blocked" if verdict is Verdict.BLOCK else "Held for a person"
    further = len(standing) - 1
    more = f" (and {further} more finding{'s' if further > 1 else ''})" if further else ""
    return f"{opening}: {first.clause}{more}."


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
