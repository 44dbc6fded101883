"""What holds for every case: drawn near the clean one, a few things disturbed, and each verdict really reached."""

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guardrails.gate
from guardrails.facts import COMPUTED, UNKNOWN, Fact, Facts
from guardrails.gate import guard
from guardrails.money import Money
from guardrails.policy.language import Condition
from guardrails.policy.tables import LEAST_CLASS, Policy
from guardrails.proposal import AGENT, Actor, Evidence, Proposal, ProposedAction
from guardrails.ruling import Ruling
from guardrails.standing import NOTHING_SPENT
from guardrails.taxonomy import Action, Category, PrincipalKind, RiskClass, Team, Truth, Verdict
from tests.guardrails.clean_case import (
    EVIDENCE,
    LEAD,
    NOW,
    REVIEWER,
    SENIOR,
    asking,
    clean_facts,
    clean_proposal,
    fact,
    policy,
    snapshot_of,
)

EXAMPLES = settings(max_examples=100, deadline=None)

DISTURBANCES: list[dict[str, Any]] = [
    {"order__total": Money(50_000, "USD")},
    {"order__total": Money(49_999, "USD")},
    {"order__total": Money(100, "CHF")},
    {"order__total": None},
    {"order__total": UNKNOWN},
    {"risk__level": "high"},
    {"risk__level": UNKNOWN},
    {"payment__status": None},
    {"payment__status": fact("payment.status", "succeeded", minutes_old=60 * 40)},
    {"hold__ours": fact("hold.ours", True, conflict=True)},
    {"fulfilment__attempts": 4},
    {"check__source_conflict": True},
    {"check__carrier_conflict": UNKNOWN},
    {"case__detected": frozenset(["payment_dispute"])},
    {"case__detected": UNKNOWN},
    {"tracking__status": fact("tracking.status", "in_transit", minutes_old=60 * 60)},
    {"order__fulfillment_status": UNKNOWN, "fulfilment__state": None},
]
# Most draws stay near what runs by itself: only then is anything at all said about `automate`.
ACTIONS = [*[action for action in Action if LEAST_CLASS[action] < RiskClass.R2] * 2, Action.MESSAGE_CUSTOMER, Action.RETRY_CAPTURE]

Case = tuple[Facts, Proposal]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    blocking = st.sampled_from([[change] for change in DISTURBANCES if change.get("order__total", 0) in (None, UNKNOWN)])
    disturbed = draw(st.one_of(st.just([]), blocking, st.lists(st.sampled_from(DISTURBANCES), min_size=1, max_size=2)))
    facts = clean_facts(**{key: value for change in disturbed for key, value in change.items()})
    actions = draw(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=2))
    proposal = clean_proposal(
        *actions,
        confidence=draw(st.sampled_from([9_700] * 8 + [7_500, 5_000, None])),
        evidence=draw(st.sampled_from([EVIDENCE] * 6 + [EVIDENCE[:1], ()])),
        category=draw(st.sampled_from([Category.WAREHOUSE_EXCEPTION] * 6 + [Category.UNKNOWN, Category.FRAUD_RISK])),
    )
    return facts, proposal


def ruled(case: Case, actor: Actor = AGENT, approvals: tuple[Actor, ...] = (), by: Policy | None = None) -> Ruling:
    return guard(case[0], case[1], by or policy(), actor, snapshot_of(clean_facts()), NOTHING_SPENT, approvals)


def assert_no_looser(before: Ruling, after: Ruling) -> None:
    assert after.verdict.strictness >= before.verdict.strictness, (before.sentence, after.sentence)
    for old, new in zip(before.actions, after.actions, strict=True):
        assert new.verdict.strictness >= old.verdict.strictness, (old.action.action, before.sentence, after.sentence)


def test_the_cases_drawn_here_reach_every_verdict_in_a_fifth_of_the_examples() -> None:
    reached: Counter[Verdict] = Counter()

    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    @given(cases())
    def draw(case: Case) -> None:
        reached[ruled(case).verdict] += 1

    draw()
    assert set(reached) == set(Verdict)
    assert min(reached.values()) >= 0.2 * sum(reached.values()), reached


@EXAMPLES
@given(cases())
def test_the_same_case_always_has_the_same_ruling(case: Case) -> None:
    shuffled = list(case[0].by_name.items())
    Random(len(shuffled)).shuffle(shuffled)
    assert ruled(case) == ruled((Facts(case[0].order_ref, case[0].as_of, dict(shuffled)), case[1]))


@EXAMPLES
@given(cases(), st.integers(0, 9_700))
def test_less_confidence_is_never_more_permissive(case: Case, lower: int) -> None:
    facts, proposal = case
    before = proposal.confidence if proposal.confidence is not None else lower
    assert_no_looser(
        ruled((facts, replace(proposal, confidence=max(before, lower)))), ruled((facts, replace(proposal, confidence=lower)))
    )
    assert_no_looser(ruled(case), ruled((facts, replace(proposal, confidence=None))))


@EXAMPLES
@given(cases(), st.data())
def test_a_fact_that_becomes_unreadable_is_never_more_permissive(case: Case, data: st.DataObject) -> None:
    """A check that could not be computed is left out: what it is computed from is a fact of its own."""
    facts, proposal = case
    names = [name for name in facts.by_name if not name.startswith("check.")]
    name = data.draw(st.sampled_from(sorted(names)))
    blurred = {**facts.by_name, name: replace(facts.by_name[name], value=UNKNOWN)}
    assert_no_looser(ruled(case), ruled((Facts(facts.order_ref, facts.as_of, blurred), proposal)))


LOUD = ["order.total", "order.fulfillment_status", "hold.ours", "tracking.status", "label.purchased_at", "case.detected"]


@EXAMPLES
@given(cases(), st.sampled_from(LOUD))
def test_a_needed_fact_that_nobody_states_is_never_more_permissive(case: Case, name: str) -> None:
    facts, proposal = case
    forgotten = {key: value for key, value in facts.by_name.items() if key != name}
    assert_no_looser(ruled(case), ruled((Facts(facts.order_ref, facts.as_of, forgotten), proposal)))


@EXAMPLES
@given(cases(), st.data())
def test_an_older_or_disputed_fact_is_never_more_permissive(case: Case, data: st.DataObject) -> None:
    facts, proposal = case
    name = data.draw(st.sampled_from(sorted(facts.by_name)))
    old = facts.by_name[name]
    for worse in (replace(old, stale=True), replace(old, conflict=True), replace(old, observed_at=None)):
        assert_no_looser(ruled(case), ruled((Facts(facts.order_ref, facts.as_of, {**facts.by_name, name: worse}), proposal)))


@EXAMPLES
@given(cases(), st.sampled_from([c for c in Category]), st.integers(0, 10_000), st.sampled_from([EVIDENCE, ()]))
def test_nothing_that_the_model_says_lifts_a_reason_that_the_facts_bring(
    case: Case, category: Category, confidence: int, evidence: tuple[Evidence, ...]
) -> None:
    facts, proposal = case
    neutral = replace(proposal, category=Category.UNKNOWN)
    by_facts = {item.reason for item in ruled((facts, neutral)).findings if item.fired and item.rule.startswith("mandatory.")}
    said = replace(proposal, category=category, confidence=confidence, evidence=evidence)
    assert by_facts <= set(ruled((facts, said)).mandatory)


@EXAMPLES
@given(cases(), st.sampled_from([AGENT, Actor(PrincipalKind.PERSON, "n"), REVIEWER, SENIOR]))
def test_no_principal_gets_more_from_a_smaller_permission(case: Case, actor: Actor) -> None:
    permissions = policy().permissions
    none = replace(policy(), permissions=replace(permissions, actions={}, classes={}))
    assert_no_looser(ruled(case, actor), ruled(case, actor, by=none))
    assert all(item.verdict is Verdict.BLOCK for item in ruled(case, actor, by=none).actions)


@EXAMPLES
@given(cases())
def test_the_agent_never_runs_r2_or_r3_by_itself(case: Case) -> None:
    for item in ruled(case, approvals=(LEAD, SENIOR)).actions:
        assert item.verdict is not Verdict.AUTOMATE or LEAST_CLASS[item.action.action] in (RiskClass.R0, RiskClass.R1)


@EXAMPLES
@given(cases())
def test_the_agent_may_always_read_and_annotate(case: Case) -> None:
    noted = replace(case[1], actions=(*case[1].actions, asking(Action.ADD_NOTE)))
    assert ruled((case[0], noted)).actions[-1].verdict is Verdict.AUTOMATE


@EXAMPLES
@given(cases())
def test_whatever_is_held_or_blocked_says_why_and_what_would_lift_it(case: Case) -> None:
    ruling = ruled(case)
    if ruling.verdict is not Verdict.AUTOMATE:
        assert ruling.sentence.startswith(("Held for a person: ", "Blocked: "))
        assert ruling.lift


# --- totality ---

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.binary(max_size=3),
)


@EXAMPLES
@given(st.dictionaries(st.sampled_from(sorted(clean_facts().by_name)), odd, max_size=4), odd, odd)
def test_any_facts_object_however_odd_gives_a_ruling(values: dict[str, Any], observed_at: Any, source: Any) -> None:
    strange = {name: Fact(name, value, source, observed_at) for name, value in values.items()}
    facts = Facts("#1001", NOW, {**clean_facts().by_name, **strange})
    ruling = guard(
        facts, clean_proposal(Action.RETRY_CAPTURE, Action.ADD_NOTE), policy(), AGENT, snapshot_of(clean_facts()), NOTHING_SPENT
    )
    assert ruling.actions[0].verdict is not Verdict.AUTOMATE
    assert ruling.verdict is not Verdict.AUTOMATE


@EXAMPLES
@given(odd, odd, odd, odd)
def test_what_is_no_question_at_all_is_a_block_with_its_error(facts: Any, proposal: Any, actor: Any, snapshot: Any) -> None:
    for ruling in (
        guard(facts, clean_proposal(Action.ADD_NOTE), policy(), AGENT, snapshot, NOTHING_SPENT),
        guard(clean_facts(), proposal, policy(), AGENT, snapshot, NOTHING_SPENT),
        guard(clean_facts(), clean_proposal(Action.ADD_NOTE), policy(), actor, {}, NOTHING_SPENT),
        guard(clean_facts(), clean_proposal(Action.ADD_NOTE), facts, AGENT, {}, NOTHING_SPENT),
    ):
        assert ruling.verdict is Verdict.BLOCK
        assert ruling.error is not None
        assert not any(item.verdict is Verdict.AUTOMATE for item in ruling.actions)


@pytest.mark.parametrize("snapshot", [None, [], "x", 5, {"fields": None}, {"fields": {"order.total": 5}}])
def test_a_snapshot_that_is_none_leaves_nothing_grounded(snapshot: Any) -> None:
    ruling = guard(clean_facts(), clean_proposal(Action.HOLD_FULFILMENT), policy(), AGENT, snapshot, NOTHING_SPENT)
    assert ruling.verdict is Verdict.REVIEW
    assert all(item.struck for item in ruling.evidence)


class Panic(BaseException):
    """Like a native library's panic: no Exception."""


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even its text works")


@pytest.mark.parametrize("error", [RuntimeError("boom"), Panic("panicked"), RecursionError(), MemoryError(), Unspeakable()])
def test_a_failing_evaluator_blocks_everything_that_was_asked(error: BaseException) -> None:
    def fail(_facts: Facts) -> Truth:
        raise error

    reason, entry = next(iter(policy().mandatory.items()))
    broken_line = replace(entry.lines[0], condition=Condition("true", fail, frozenset(), frozenset()))
    broken = replace(policy(), mandatory={**policy().mandatory, reason: replace(entry, lines=(broken_line,))})
    proposal = clean_proposal(Action.ADD_NOTE, Action.HOLD_FULFILMENT)
    for actor in (AGENT, LEAD):
        ruling = guard(clean_facts(), proposal, broken, actor, snapshot_of(clean_facts()), NOTHING_SPENT)
        assert ruling.verdict is Verdict.BLOCK
        assert [item.verdict for item in ruling.actions] == [Verdict.BLOCK, Verdict.BLOCK]
        assert not any(ruling.allows(item) for item in proposal.actions)
        assert ruling.error is not None
        assert type(error).__name__ in ruling.error
        assert ruling.policy_sha256 == policy().sha256
        assert ruling.facts_sha256 == clean_facts().digest()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_stopping_the_process_still_stops_the_process(stop: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise stop

    monkeypatch.setattr(guardrails.gate, "weigh_case", fail)
    with pytest.raises(stop):
        guard(clean_facts(), clean_proposal(Action.ADD_NOTE), policy(), AGENT, {}, NOTHING_SPENT)


def test_an_action_that_no_taxonomy_knows_is_blocked() -> None:
    invented: Any = "delete_everything"
    proposal = Proposal(Category.UNKNOWN, Team.OPERATIONS, 9_900, EVIDENCE, (ProposedAction(invented),), "llm")
    assert guard(clean_facts(), proposal, policy(), LEAD, snapshot_of(clean_facts()), NOTHING_SPENT).verdict is Verdict.BLOCK


def test_computed_facts_are_not_mistaken_for_records() -> None:
    assert all(item.source == COMPUTED for name, item in clean_facts().by_name.items() if name.startswith("check."))
