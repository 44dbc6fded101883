"""The findings about one action: may this principal ask for it, is it sure and grounded enough, are its facts there and fresh,
and have enough people agreed."""

from collections.abc import Iterator
from datetime import datetime

from guardrails.augment import amount_of, with_action
from guardrails.facts import UNKNOWN, Fact, Facts, Unknown
from guardrails.money import Money
from guardrails.policy.tables import ActionPolicy, Freshness
from guardrails.proposal import Actor, ProposedAction
from guardrails.ruling import Finding, Outcome
from guardrails.taxonomy import PrincipalKind, Reason, RiskClass, Verdict
from guardrails.weighing import Matter, Weighed, against_confidence, facts_in_words, weigh_rule
from guardrails.wording import confidence_in_words, duration_in_words, in_words, seen, sentence, unseen

FOUR_EYES = "action.four-eyes"

_MAKES = {
    RiskClass.R0: "only reads or annotates",
    RiskClass.R1: "can be undone at no cost",
    RiskClass.R2: "is seen by the customer, or can be undone only for a while",
    RiskClass.R3: "moves money, or cannot be undone",
}


def weigh_action(matter: Matter, asked: ProposedAction) -> tuple[Weighed, ...]:
    """Every rule about this action with its outcome."""
    entry = matter.policy.actions.get(asked.action)
    if entry is None:
        clause = f"no line of the policy allows {asked.action}"
        return (_weighed("action.permission", Outcome.FIRED, Verdict.BLOCK, clause, lift="an action that the policy knows"),)
    facts = with_action(matter.facts, asked, entry, matter.actor)
    rules = (rule for rule in matter.policy.rules if not rule.about_case and entry.risk_class in rule.classes)
    return (
        _permission(matter, entry),
        _default(entry),
        *(weigh_rule(rule, facts, matter.policy) for rule in rules),
        *(_above_r0(matter, asked, entry, facts) if entry.risk_class is not RiskClass.R0 else ()),
    )


def _above_r0(matter: Matter, asked: ProposedAction, entry: ActionPolicy, facts: Facts) -> Iterator[Weighed]:
    yield _confidence(entry, facts)
    yield _evidence(entry, matter.grounded)
    for kind in entry.facts:
        yield _freshness(entry, matter.policy.freshness[kind], facts)
        yield _conflict(entry, matter.policy.freshness[kind], facts)
    yield _approvers(matter)
    if entry.four_eyes_above is not None:
        yield _four_eyes(matter, asked, entry, entry.four_eyes_above)


def _permission(matter: Matter, entry: ActionPolicy) -> Weighed:
    actor, permissions = matter.actor, matter.policy.permissions
    who = _who(actor)
    if permissions.allows(actor.kind, actor.roles, entry.action, entry.risk_class):
        return _weighed("action.permission", Outcome.NOT_FIRED, Verdict.BLOCK, f"{who} may ask for {entry.action}")
    clause = f"the policy does not allow {who} to ask for {entry.action} ({entry.risk_class})"
    return _weighed("action.permission", Outcome.FIRED, Verdict.BLOCK, clause, lift=_whom_to_ask(matter, entry))


def _whom_to_ask(matter: Matter, entry: ActionPolicy) -> str:
    roles = [role for role, classes in matter.policy.permissions.classes.items() if entry.risk_class in classes]
    return f"ask a {' or '.join(roles).replace('_', ' ')}" if roles else "nobody's role allows it"


def _who(actor: Actor) -> str:
    if actor.kind is not PrincipalKind.PERSON:
        return f"the {actor.kind}"
    return f"{in_words(actor.id)} ({in_words(frozenset(actor.roles))})"


def _default(entry: ActionPolicy) -> Weighed:
    if entry.default is Verdict.AUTOMATE:
        return _weighed("action.default", Outcome.NOT_FIRED, Verdict.REVIEW, f"{entry.action} {_MAKES[entry.risk_class]}")
    reason = Reason.IRREVERSIBLE_ACTION if entry.risk_class is RiskClass.R3 else None
    clause = f"{entry.action} {_MAKES[entry.risk_class]}, so a person decides"
    return _weighed("action.default", Outcome.FIRED, entry.default, clause, reason, f"a person decides about {entry.action}")


def _confidence(entry: ActionPolicy, facts: Facts) -> Weighed:
    outcome, clause = against_confidence(facts, entry.min_confidence, entry.action)
    lift = f"a confidence of at least {confidence_in_words(entry.min_confidence)} for {entry.action}"
    names = ("case.confidence",)
    return _weighed("action.confidence", outcome, Verdict.REVIEW, clause, Reason.LOW_CONFIDENCE, lift, names)


def _evidence(entry: ActionPolicy, held: int) -> Weighed:
    outcome = Outcome.NOT_FIRED if held >= entry.evidence else Outcome.FIRED
    clause = f"{entry.action} rests on {facts_in_words(held)} and needs {entry.evidence}"
    lift = f"cite at least {facts_in_words(entry.evidence)} for {entry.action}"
    return _weighed("action.evidence", outcome, Verdict.REVIEW, clause, Reason.UNGROUNDED_EVIDENCE, lift)


def _freshness(entry: ActionPolicy, kind: Freshness, facts: Facts) -> Weighed:
    """Facts that an R2 or R3 action needs and that are missing or old block it: no person can judge what nobody can see."""
    effect = Verdict.REVIEW if entry.risk_class is RiskClass.R1 else Verdict.BLOCK
    outcome, clause = _state_of(kind, facts)
    rule = f"action.facts.{kind.kind}"
    if outcome is not Outcome.NOT_FIRED:
        clause = f"{entry.action} needs {kind.kind} facts: {clause}"
    lift = f"refresh the {kind.kind} facts ({' or '.join(kind.one_of)})"
    return _weighed(rule, outcome, effect, clause, Reason.STALE_FACTS, lift, kind.one_of, seen(facts, kind.one_of))


def _state_of(kind: Freshness, facts: Facts) -> tuple[Outcome, str]:
    stated = [facts.by_name[name] for name in kind.one_of if name in facts.by_name]
    known = [fact for fact in stated if not isinstance(fact.value, Unknown)]
    if not known:
        return Outcome.FIRED_UNKNOWN, unseen(facts, kind.one_of)
    newest = max(stated, key=_when)
    if isinstance(newest.value, Unknown):
        return Outcome.FIRED_UNKNOWN, unseen(facts, [newest.name])
    age = facts.age(newest.name)
    if isinstance(age, Unknown):
        return Outcome.FIRED_UNKNOWN, f"we could not see how old {newest.name} is"
    if age > kind.max_age:
        allowed = duration_in_words(kind.max_age)
        return Outcome.FIRED, f"{newest.name} is {duration_in_words(age)} old and may be {allowed} at most"
    if all(fact.stale for fact in known):
        return Outcome.FIRED, f"{newest.name} is {duration_in_words(age)} old, longer than its source may be trusted for"
    return Outcome.NOT_FIRED, f"{kind.kind} facts are {duration_in_words(age)} old"


def _when(fact: Fact) -> float:
    """Seconds since the epoch; a statement without a usable time counts as the newest, since nobody can say it is not."""
    moment = fact.observed_at
    return moment.timestamp() if isinstance(moment, datetime) and moment.tzinfo is not None else float("inf")


def _conflict(entry: ActionPolicy, kind: Freshness, facts: Facts) -> Weighed:
    disputed = tuple(sorted(name for name, fact in facts.by_name.items() if kind.covers_field(name) and fact.conflict))
    rule = f"action.conflict.{kind.kind}"
    if not disputed:
        clause = f"systems agree about the {kind.kind} facts"
        return _weighed(rule, Outcome.NOT_FIRED, Verdict.REVIEW, clause, Reason.SOURCE_CONFLICT)
    clause = f"{entry.action} rests on {', '.join(disputed)}, about which systems disagree"
    lift = f"settle which system is right about {', '.join(disputed)}"
    return _weighed(rule, Outcome.FIRED, Verdict.REVIEW, clause, Reason.SOURCE_CONFLICT, lift, disputed, seen(facts, disputed))


# --- people ---


def _approvers(matter: Matter) -> Weighed:
    """Only people approve. A machine among the approvers means that somebody forged an approval."""
    machines = sorted({str(approver.kind) for approver in matter.approvals if approver.kind is not PrincipalKind.PERSON})
    if not machines:
        return _weighed("action.approvers", Outcome.NOT_FIRED, Verdict.BLOCK, "no machine is among the approvers")
    clause = f"{', '.join(machines)} cannot approve: only people can"
    return _weighed("action.approvers", Outcome.FIRED, Verdict.BLOCK, clause, lift="an approval by a person")


def _four_eyes(matter: Matter, asked: ProposedAction, entry: ActionPolicy, name: str) -> Weighed:
    """Above the limit, or where the amount cannot be compared with one, two people with permission must agree."""
    amount = _at_stake(matter, asked, entry)
    limit = matter.policy.limits[name].get(amount.currency) if isinstance(amount, Money) else None
    if isinstance(amount, Money) and limit is not None and amount.amount <= limit.amount:
        clause = f"{entry.action} is about {amount}, within what one person may decide ({limit})"
        return _weighed(FOUR_EYES, Outcome.NOT_FIRED, Verdict.REVIEW, clause)
    people = _people(matter, entry)
    if isinstance(amount, Money) and limit is not None:
        outcome, clause = Outcome.FIRED, f"{entry.action} is about {amount}, above the {limit} that one person may decide"
    elif isinstance(amount, Money):
        outcome, clause = (
            Outcome.FIRED_UNKNOWN,
            f"{entry.action} is about {amount}, and there is no {name} limit in {amount.currency}",
        )
    else:
        outcome, clause = Outcome.FIRED_UNKNOWN, f"we could not see how much money {entry.action} is about"
    if len(people) >= 2:
        clause = f"{clause}; {' and '.join(in_words(person) for person in people)} agreed"
        return _weighed(FOUR_EYES, Outcome.NOT_FIRED, Verdict.REVIEW, clause)
    clause = f"{clause}: two people must agree, and {len(people) or 'nobody'} {'has' if len(people) < 2 else 'have'}"
    return _weighed(FOUR_EYES, outcome, Verdict.REVIEW, clause, Reason.IRREVERSIBLE_ACTION, "the approval of a second person")


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


def _weighed(
    rule: str,
    outcome: Outcome,
    effect: Verdict,
    clause: str,
    reason: Reason | None = None,
    lift: str | None = None,
    facts: tuple[str, ...] = (),
    shown: str = "",
) -> Weighed:
    return Weighed(Finding(rule, outcome, effect, sentence(clause, shown), reason, facts), clause, lift)
