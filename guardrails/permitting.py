"""The findings about one action: may this principal ask for it, is it sure and grounded enough, are its facts there and fresh,
and have enough people agreed."""

from datetime import datetime

from guardrails.augment import amount_of, with_action
from guardrails.budgets import claims_of, lacking_in
from guardrails.facts import UNKNOWN, Fact, Facts, Unknown
from guardrails.money import Money
from guardrails.policy.tables import ActionPolicy, Freshness, Mode, Policy
from guardrails.proposal import Actor, ProposedAction
from guardrails.ready import FOUR_EYES, ReadyRule
from guardrails.ruling import Finding, Outcome
from guardrails.standing import EVERYTHING
from guardrails.taxonomy import PrincipalKind, Reason, RiskClass, Truth, Verdict
from guardrails.weighing import Matter, Weighed, facts_in_words, lacking_confidence, weigh_rule
from guardrails.wording import confidence_in_words, duration_in_words, fill, in_words, seen, sentence, unseen

_MAKES = {
    RiskClass.R0: "only reads or annotates",
    RiskClass.R1: "can be undone at no cost",
    RiskClass.R2: "is seen by the customer, or can be undone only for a while",
    RiskClass.R3: "moves money, or cannot be undone",
}


def weigh_action(matter: Matter, asked: ProposedAction) -> list[Weighed]:
    """The rules about this action that fired, also in shadow."""
    entry = matter.policy.actions.get(asked.action)
    if entry is None:
        clause = f"no line of the policy allows {asked.action}"
        return [_fired("action.permission", Verdict.BLOCK, clause, lift="an action that the policy knows")]
    found = [_switch(matter, entry), _permission(matter, entry), *_rules(matter, asked, entry)]
    if entry.risk_class is not RiskClass.R0:
        found += _above_r0(matter, asked, entry)
    return [item for item in found if item is not None]


def _rules(matter: Matter, asked: ProposedAction, entry: ActionPolicy) -> list[Weighed | None]:
    """The policy's own rules about actions of this class, permits among them, and what the class itself says."""
    lines, permits = matter.ready.actions[entry.risk_class], matter.ready.permits[entry.risk_class]
    if not lines.rules and not permits:
        return [_default(entry, permitted=False)]
    facts = with_action(matter.facts, asked, entry, matter.actor, lines.wanted)
    fired, unknown = lines.outcomes(facts)
    held = [weigh_rule(rule, unknown, facts, matter.policy) for rule in lines.rules if fired & rule.bit]
    given = [permit for rule in permits if (permit := _permit(rule, facts, matter.policy)) is not None]
    permitted = any(permit.finding.outcome is Outcome.FIRED for permit in given)
    return [*held, *given, _default(entry, permitted=permitted)]


def _permit(ready: ReadyRule, facts: Facts, policy: Policy) -> Weighed | None:
    """A permit counts only when it is certainly true."""
    rule = ready.rule
    if rule.line.condition.evaluate(facts) is not Truth.TRUE:
        return None
    clause = fill(rule.line.because, facts, policy.limits, ready.fields)
    outcome = Outcome.SHADOW if rule.mode is Mode.SHADOW else Outcome.FIRED
    return Weighed(Finding(rule.id, outcome, rule.effect, sentence(clause, seen(facts, ready.fields)), None, ready.fields), clause)


def _above_r0(matter: Matter, asked: ProposedAction, entry: ActionPolicy) -> list[Weighed | None]:
    found = [_confidence(entry, matter.facts), _evidence(entry, matter.grounded)]
    for kind in entry.facts:
        freshness = matter.policy.freshness[kind]
        found += [_freshness(entry, freshness, matter.facts), _conflict(entry, freshness, matter)]
    found += [_budget(matter, entry), _approvers(matter)]
    if entry.four_eyes_above is not None:
        found.append(_four_eyes(matter, asked, entry, entry.four_eyes_above))
    return found


def _permission(matter: Matter, entry: ActionPolicy) -> Weighed | None:
    actor, permissions = matter.actor, matter.policy.permissions
    if permissions.allows(actor.kind, actor.roles, entry.action, entry.risk_class):
        return None
    clause = f"the policy does not allow {_who(actor)} to ask for {entry.action} ({entry.risk_class})"
    return _fired("action.permission", Verdict.BLOCK, clause, lift=_whom_to_ask(matter, entry))


def _whom_to_ask(matter: Matter, entry: ActionPolicy) -> str:
    roles = [role for role, classes in matter.policy.permissions.classes.items() if entry.risk_class in classes]
    return f"ask a {' or '.join(roles).replace('_', ' ')}" if roles else "nobody's role allows it"


def _who(actor: Actor) -> str:
    if actor.kind is not PrincipalKind.PERSON:
        return f"the {actor.kind}"
    return f"{in_words(actor.id)} ({in_words(frozenset(actor.roles))})"


def _switch(matter: Matter, entry: ActionPolicy) -> Weighed | None:
    stopped_by = matter.standing.stops(entry.action)
    if stopped_by is None:
        return None
    clause = f"{'every action' if stopped_by == EVERYTHING else entry.action} is switched off"
    return _fired("action.switch", Verdict.BLOCK, clause, lift=f"switch {stopped_by} on again")


def _default(entry: ActionPolicy, *, permitted: bool) -> Weighed | None:
    """What the action's class makes of it. A permit lifts a review, and only that."""
    if entry.default is Verdict.AUTOMATE or (
        permitted and entry.default is Verdict.REVIEW and entry.risk_class is not RiskClass.R3
    ):
        return None
    reason = Reason.IRREVERSIBLE_ACTION if entry.risk_class is RiskClass.R3 else None
    clause = f"{entry.action} {_MAKES[entry.risk_class]}, so a person decides"
    return _fired("action.default", entry.default, clause, reason, f"a person decides about {entry.action}")


def _budget(matter: Matter, entry: ActionPolicy) -> Weighed | None:
    """Budgets bound what happens without a person; one who asks has answered for it."""
    if matter.actor.kind is PrincipalKind.PERSON:
        return None
    budgets = matter.ready.budgets[entry.action]
    if not budgets:
        return None
    proposed = matter.proposal.actions
    claims = [claim for asked in proposed for claim in claims_of(asked, matter.policy, matter.facts)]
    for budget in budgets:
        lacking = lacking_in(budget, [claim for claim in claims if claim.key == budget.key], matter.standing.spent)
        if lacking is not None:
            outcome, clause = lacking
            lift = f"a person decides about {entry.action}, or the next hour begins"
            return _fired("action.budget", Verdict.REVIEW, clause, Reason.BUDGET_EXHAUSTED, lift, outcome=outcome)
    return None


def _confidence(entry: ActionPolicy, facts: Facts) -> Weighed | None:
    lacking = lacking_confidence(facts, entry.min_confidence, entry.action)
    if lacking is None:
        return None
    outcome, clause = lacking
    lift = f"a confidence of at least {confidence_in_words(entry.min_confidence)} for {entry.action}"
    names = ("case.confidence",)
    return _fired("action.confidence", Verdict.REVIEW, clause, Reason.LOW_CONFIDENCE, lift, names, outcome=outcome)


def _evidence(entry: ActionPolicy, held: int) -> Weighed | None:
    if held >= entry.evidence:
        return None
    clause = f"{entry.action} rests on {facts_in_words(held)} and needs {entry.evidence}"
    lift = f"cite at least {facts_in_words(entry.evidence)} for {entry.action}"
    return _fired("action.evidence", Verdict.REVIEW, clause, Reason.UNGROUNDED_EVIDENCE, lift)


def _freshness(entry: ActionPolicy, kind: Freshness, facts: Facts) -> Weighed | None:
    """Facts that an R2 or R3 action needs and that are missing or old block it: no person can judge what nobody can see."""
    lacking = _lacking_freshness(kind, facts)
    if lacking is None:
        return None
    outcome, clause = lacking
    effect = Verdict.REVIEW if entry.risk_class is RiskClass.R1 else Verdict.BLOCK
    clause = f"{entry.action} needs {kind.kind} facts: {clause}"
    lift = f"refresh the {kind.kind} facts ({' or '.join(kind.one_of)})"
    names, rule = kind.one_of, f"action.facts.{kind.kind}"
    return _fired(rule, effect, clause, Reason.STALE_FACTS, lift, names, seen(facts, names), outcome=outcome)


def _lacking_freshness(kind: Freshness, facts: Facts) -> tuple[Outcome, str] | None:
    """What is wrong with this kind of facts; None when one of them is known, and the newest statement young enough."""
    stated = [facts.by_name[name] for name in kind.one_of if name in facts.by_name]
    known = [fact for fact in stated if fact.value is not UNKNOWN]
    if not known:
        return Outcome.FIRED_UNKNOWN, unseen(facts, kind.one_of)
    newest = max(stated, key=_when) if len(stated) > 1 else stated[0]
    if newest.value is UNKNOWN:
        return Outcome.FIRED_UNKNOWN, unseen(facts, [newest.name])
    age = facts.age(newest.name)
    if isinstance(age, Unknown):
        return Outcome.FIRED_UNKNOWN, f"we could not see how old {newest.name} is"
    if age > kind.max_age:
        allowed = duration_in_words(kind.max_age)
        return Outcome.FIRED, f"{newest.name} is {duration_in_words(age)} old and may be {allowed} at most"
    if all(fact.stale for fact in known):
        return Outcome.FIRED, f"{newest.name} is {duration_in_words(age)} old, longer than its source may be trusted for"
    return None


def _when(fact: Fact) -> float:
    """Seconds since the epoch; a statement without a usable time counts as the newest, since nobody can say it is not."""
    moment = fact.observed_at
    return moment.timestamp() if isinstance(moment, datetime) and moment.tzinfo is not None else float("inf")


def _conflict(entry: ActionPolicy, kind: Freshness, matter: Matter) -> Weighed | None:
    disputed = tuple(name for name in matter.disputed if kind.covers_field(name))
    if not disputed:
        return None
    clause = f"{entry.action} rests on {', '.join(disputed)}, about which systems disagree"
    lift = f"settle which system is right about {', '.join(disputed)}"
    rule = f"action.conflict.{kind.kind}"
    return _fired(rule, Verdict.REVIEW, clause, Reason.SOURCE_CONFLICT, lift, disputed, seen(matter.facts, disputed))


# --- people ---


def _approvers(matter: Matter) -> Weighed | None:
    """Only people approve. A machine among the approvers means that somebody forged an approval."""
    if not matter.approvals:
        return None
    machines = sorted({str(approver.kind) for approver in matter.approvals if approver.kind is not PrincipalKind.PERSON})
    if not machines:
        return None
    clause = f"{', '.join(machines)} cannot approve: only people can"
    return _fired("action.approvers", Verdict.BLOCK, clause, lift="an approval by a person")


def _four_eyes(matter: Matter, asked: ProposedAction, entry: ActionPolicy, name: str) -> Weighed | None:
    """Above the limit, or where the amount cannot be compared with one, two people with permission must agree."""
    amount = _at_stake(matter, asked, entry)
    limit = matter.policy.limits[name].get(amount.currency) if isinstance(amount, Money) else None
    if isinstance(amount, Money) and limit is not None and amount.amount <= limit.amount:
        return None
    people = _people(matter, entry)
    if len(people) >= 2:
        return None
    outcome = Outcome.FIRED_UNKNOWN
    if isinstance(amount, Money) and limit is not None:
        outcome, clause = Outcome.FIRED, f"{entry.action} is about {amount}, above the {limit} that one person may decide"
    elif isinstance(amount, Money):
        clause = f"{entry.action} is about {amount}, and there is no {name} limit in {amount.currency}"
    else:
        clause = f"we could not see how much money {entry.action} is about"
    clause = f"{clause}: two people must agree, and {len(people) or 'nobody'} has"
    second = "the approval of a second person"
    return _fired(FOUR_EYES, Verdict.REVIEW, clause, Reason.IRREVERSIBLE_ACTION, second, outcome=outcome)


def _at_stake(matter: Matter, asked: ProposedAction, entry: ActionPolicy) -> Money | Unknown:
    """What all actions of this kind in the proposal are about together: a refund in parts is no smaller refund."""
    parts = [amount_of(one, entry, matter.facts) for one in matter.proposal.actions if one.action == asked.action]
    known = [part for part in parts if isinstance(part, Money)]
    if not known or len(known) < len(parts) or len({part.currency for part in known}) > 1:
        return UNKNOWN
    return Money(sum(part.amount for part in known), known[0].currency)


def _people(matter: Matter, entry: ActionPolicy) -> list[str]:
    """The ids of the different people who agreed and may decide about this class."""
    allowed = matter.policy.permissions.allows
    return sorted(
        {
            someone.id
            for someone in (matter.actor, *matter.approvals)
            if someone.kind is PrincipalKind.PERSON and allowed(someone.kind, someone.roles, entry.action, entry.risk_class)
        }
    )


def _fired(
    rule: str,
    effect: Verdict,
    clause: str,
    reason: Reason | None = None,
    lift: str | None = None,
    facts: tuple[str, ...] = (),
    shown: str = "",
    *,
    outcome: Outcome = Outcome.FIRED,
) -> Weighed:
    return Weighed(Finding(rule, outcome, effect, sentence(clause, shown), reason, facts), clause, lift)
