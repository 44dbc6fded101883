"""What can only tighten: less known, less sure, less allowed, more spent, more rules. Each family says which verdicts it really reached.

The policy has permits here, and where facts are forgotten none of its lines is quiet: of a quiet line silence is no finding, which is
what it is for. A fact is forgotten only where it is readable and undisputed, and is not bad news by being stated at all.
"""

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from guardrails.facts import UNKNOWN, Facts, canonical_json, sha256_of_text
from guardrails.policy.risks import RISKS
from guardrails.policy.tables import Mode, Policy
from guardrails.record import plain_ruling, sealed
from guardrails.standing import Spent, Standing
from guardrails.taxonomy import Action, Category, PrincipalKind, Team, Verdict
from tests.guardrails.clean_case import EVIDENCE, asking
from tests.guardrails.near_clean import (
    ABOUT_RECORDS,
    CONDITIONS,
    Asked,
    assert_no_looser,
    changed,
    line_of,
    loud,
    permitting,
    questions,
    rule_of,
    ruled,
)

EXAMPLES = int(os.environ.get("ORDERMEND_EXAMPLES", "50"))
FEWER = EXAMPLES // 2
"""Where each question needs a policy of its own."""


def holds(check: Callable[[Asked, st.DataObject], None], by: Policy | None = None, examples: int = EXAMPLES) -> None:
    """The property for every question drawn; each verdict is that of at least a fifth of them, and they are not always the same."""
    reached: Counter[Verdict] = Counter()
    different: set[int] = set()

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(questions(), st.data())
    def drawn(several: tuple[Asked, ...], data: st.DataObject) -> None:
        for asked in several:
            reached[ruled(asked, by or permitting()).verdict] += 1
            different.add(id(asked))
            check(asked, data)

    drawn()
    assert set(reached) == set(Verdict)
    assert min(reached.values()) >= 0.2 * sum(reached.values()), reached
    assert len(different) >= 20, len(different)


def pick(data: st.DataObject, items: Any) -> Any:
    return data.draw(st.sampled_from(sorted(items)))


def put(asked: Asked, facts: Facts) -> Asked:
    return replace(asked, facts=facts)


def with_one(asked: Asked, name: str, **changes: Any) -> Asked:
    facts = asked.facts
    return put(asked, replace(facts, by_name={**facts.by_name, name: replace(facts.by_name[name], **changes)}))


# --- the gate itself ---


def test_every_question_has_one_ruling_and_no_error() -> None:
    def check(asked: Asked, _: st.DataObject) -> None:
        first = ruled(asked, permitting())
        assert first.error is None
        assert first == ruled(
            replace(asked, facts=replace(asked.facts, by_name=dict(sorted(asked.facts.by_name.items(), reverse=True)))),
            permitting(),
        )
        assert [item.action for item in first.actions] == list(asked.proposal.actions)

    holds(check)


def test_a_permit_is_what_lifts_the_review_of_an_action() -> None:
    """Else nothing here would say anything about permits."""
    lifted: Counter[Action] = Counter()
    bare = changed(permitting(), rules=tuple(rule for rule in permitting().rules if rule.effect is not Verdict.AUTOMATE))

    def check(asked: Asked, _: st.DataObject) -> None:
        before, after = ruled(asked, permitting()), ruled(asked, bare)
        assert_no_looser(before, after)
        lifted.update(
            old.action.action for old, new in zip(before.actions, after.actions, strict=True) if old.verdict is not new.verdict
        )

    holds(check)
    assert set(lifted) == {Action.MESSAGE_CUSTOMER, Action.NORMALISE_ADDRESS}


def test_the_kept_ruling_reads_back_as_it_was() -> None:
    def check(asked: Asked, _: st.DataObject) -> None:
        ruling = ruled(asked, permitting())
        text, digest = sealed(ruling)
        assert json.loads(text) == plain_ruling(ruling)
        assert canonical_json(json.loads(text)) == text
        assert sha256_of_text(text) == digest

    holds(check)


# --- less known, less sure ---


def test_less_confidence_or_evidence_only_tightens() -> None:
    def check(asked: Asked, data: st.DataObject) -> None:
        before = ruled(asked, permitting())
        lower = data.draw(st.one_of(st.none(), st.integers(0, asked.proposal.confidence or 0)))
        assert_no_looser(before, ruled(replace(asked, proposal=replace(asked.proposal, confidence=lower)), permitting()))
        fewer = asked.proposal.evidence[: data.draw(st.integers(0, len(asked.proposal.evidence)))]
        assert_no_looser(before, ruled(replace(asked, proposal=replace(asked.proposal, evidence=fewer)), permitting()))

    holds(check)


def test_a_forgotten_or_unreadable_fact_only_tightens() -> None:
    def check(asked: Asked, data: st.DataObject) -> None:
        before, by_name = ruled(asked, loud()), asked.facts.by_name
        name = pick(data, [name for name in by_name if not (name in RISKS and RISKS[name].bad_news)])
        fewer = {key: item for key, item in by_name.items() if key != name}
        assert_no_looser(before, ruled(put(asked, replace(asked.facts, by_name=fewer)), loud()))
        assert_no_looser(before, ruled(with_one(asked, pick(data, by_name), value=UNKNOWN), loud()))

    holds(check, loud())


def test_staler_facts_only_tighten() -> None:
    def check(asked: Asked, data: st.DataObject) -> None:
        before, hours = ruled(asked, permitting()), data.draw(st.sampled_from([0, 1, 3, 5, 7, 25, 24 * 31]))
        older = timedelta(hours=hours, seconds=data.draw(st.integers(0, 3_600)))
        assert_no_looser(before, ruled(put(asked, replace(asked.facts, as_of=asked.facts.as_of + older)), permitting()))
        name = pick(data, asked.facts.by_name)
        seen = asked.facts.by_name[name].observed_at
        assert seen is not None
        assert_no_looser(before, ruled(with_one(asked, name, observed_at=seen - older), permitting()))
        worse = pick(data, ["stale", "conflict"])
        assert_no_looser(before, ruled(with_one(asked, name, **{worse: True}), permitting()))

    holds(check)


# --- less allowed, more spent ---


def test_less_permission_only_tightens() -> None:
    def check(asked: Asked, data: st.DataObject) -> None:
        before, tables = ruled(asked, permitting()), permitting().permissions
        if asked.actor.roles:
            assert_no_looser(before, ruled(replace(asked, actor=replace(asked.actor, roles=frozenset())), permitting()))
        assert_no_looser(before, ruled(replace(asked, approvals=()), permitting()))
        kind, role = data.draw(st.sampled_from([*tables.actions])), pick(data, tables.classes)
        actions = {**tables.actions, kind: tables.actions[kind] - {data.draw(st.sampled_from([*Action]))}}
        classes = {**tables.classes, role: tables.classes[role] - {pick(data, tables.classes[role])}}
        smaller = changed(permitting(), permissions=replace(tables, actions=actions, classes=classes))
        assert_no_looser(before, ruled(asked, smaller))

    holds(check)


def test_more_spent_smaller_budgets_and_more_switches_only_tighten() -> None:
    def check(asked: Asked, data: st.DataObject) -> None:
        before, budgets = ruled(asked, permitting()), permitting().budgets
        key, spent = pick(data, budgets), dict(asked.standing.spent or {})
        gone = spent.get(key, Spent())
        currency = data.draw(st.sampled_from(["USD", "EUR"]))
        more = Spent(gone.count + data.draw(st.integers(0, 600)), {currency: data.draw(st.integers(0, 600_000))})
        assert_no_looser(before, ruled(replace(asked, standing=replace(asked.standing, spent={**spent, key: more})), permitting()))
        assert_no_looser(before, ruled(replace(asked, standing=replace(asked.standing, spent=None)), permitting()))
        lower = replace(budgets[key], count=data.draw(st.integers(0, budgets[key].count)))
        assert_no_looser(before, ruled(asked, changed(permitting(), budgets={**budgets, key: lower})))
        switch = data.draw(
            st.sampled_from(["everything", "source:shopify", "source:stripe", *(f"action:{name}" for name in Action)])
        )
        off = Standing(asked.standing.spent, asked.standing.off | {switch})
        assert_no_looser(before, ruled(replace(asked, standing=off), permitting()))

    holds(check)


# --- what the model says ---


def test_nothing_that_the_model_says_lifts_a_reason_that_the_records_bring() -> None:
    """Nor does it let the case, or any action that was asked for before, through where the records hold it."""

    def check(asked: Asked, data: st.DataObject) -> None:
        neutral = replace(asked.proposal, category=Category.UNKNOWN, untrusted_instructions=False, failure=None)
        brought = {item.rule: item for item in ruled(replace(asked, proposal=neutral), permitting()).findings if item.fired}
        said = replace(
            asked.proposal,
            category=data.draw(st.sampled_from([*Category])),
            owner=data.draw(st.sampled_from([*Team])),
            confidence=data.draw(st.one_of(st.none(), st.integers(0, 10_000))),
            evidence=data.draw(st.sampled_from([EVIDENCE, EVIDENCE[:1], ()])),
            actions=(*asked.proposal.actions, asking(data.draw(st.sampled_from([*Action])))),
            untrusted_instructions=data.draw(st.booleans()),
            failure=data.draw(st.sampled_from([None, "no answer"])),
        )
        after = ruled(replace(asked, proposal=said), permitting())
        kept = {name for name in brought if name.startswith(("mandatory.", "block.", "switch."))}
        assert kept <= {item.rule for item in after.findings if item.fired}
        assert {brought[name].reason for name in kept} - {None} <= set(after.mandatory)
        if kept and asked.actor.kind is not PrincipalKind.PERSON:
            assert after.verdict is not Verdict.AUTOMATE

    holds(check)


# --- more rules ---


def test_a_rule_or_mandatory_line_more_only_tightens() -> None:
    def check(asked: Asked, data: st.DataObject) -> None:
        by = permitting()
        before = ruled(asked, by)
        effect = data.draw(st.sampled_from([Verdict.REVIEW, Verdict.BLOCK]))
        added = rule_of(f"{effect}.added", effect, data.draw(st.sampled_from(CONDITIONS)))
        assert_no_looser(before, ruled(asked, changed(by, rules=(*by.rules, added))))
        reason, text = data.draw(st.sampled_from([*by.mandatory])), data.draw(st.sampled_from(ABOUT_RECORDS))
        entry = by.mandatory[reason]
        longer = {**by.mandatory, reason: replace(entry, lines=(*entry.lines, line_of(text)))}
        assert_no_looser(before, ruled(asked, changed(by, mandatory=longer)))

    holds(check, examples=FEWER)


def test_a_permit_less_only_tightens_and_a_permit_more_lifts_no_block() -> None:
    def check(asked: Asked, data: st.DataObject) -> None:
        by = permitting()
        before = ruled(asked, by)
        permits = [rule for rule in by.rules if rule.effect is Verdict.AUTOMATE]
        gone = data.draw(st.sampled_from(permits))
        assert_no_looser(before, ruled(asked, changed(by, rules=tuple(rule for rule in by.rules if rule is not gone))))
        named = f"action.name == '{data.draw(st.sampled_from([*Action]))}' and {data.draw(st.sampled_from(ABOUT_RECORDS))}"
        added = rule_of("permit.added", Verdict.AUTOMATE, named)
        after = ruled(asked, changed(by, rules=(*by.rules, added)))
        assert [item.verdict is Verdict.BLOCK for item in after.actions] == [
            item.verdict is Verdict.BLOCK for item in before.actions
        ]
        assert set(after.mandatory) <= set(before.mandatory)
        assert [item.rule for item in after.findings] == [item.rule for item in before.findings]

    holds(check, examples=FEWER)


def test_the_order_of_rules_means_nothing() -> None:
    everything = [rule_of(f"review.number-{at}", Verdict.REVIEW, text) for at, text in enumerate(CONDITIONS[:4])]
    orders = [order for pair in combinations(everything, 2) for order in (pair, pair[::-1])]

    def check(asked: Asked, data: st.DataObject) -> None:
        added = data.draw(st.sampled_from(orders))
        rules = (*permitting().rules, *added)
        forth = ruled(asked, changed(permitting(), rules=rules))
        back = ruled(asked, changed(permitting(), rules=rules[::-1]))
        assert forth.verdict is back.verdict
        assert set(forth.findings) == set(back.findings)
        assert set(forth.passed) == set(back.passed)
        assert set(forth.mandatory) == set(back.mandatory)
        for one, other in zip(forth.actions, back.actions, strict=True):
            assert (one.verdict, set(one.findings), set(one.held_by)) == (other.verdict, set(other.findings), set(other.held_by))

    holds(check, examples=FEWER)


def test_a_rule_in_shadow_changes_nothing_but_what_is_noted() -> None:
    def check(asked: Asked, data: st.DataObject) -> None:
        by = permitting()
        effect = data.draw(st.sampled_from([*Verdict]))
        shadow = rule_of("block.shadow", effect, data.draw(st.sampled_from(CONDITIONS)), Mode.SHADOW)
        before, after = ruled(asked, by), ruled(asked, changed(by, rules=(*by.rules, shadow)))
        assert (after.verdict, after.mandatory, after.lift, after.sentence) == (
            before.verdict,
            before.mandatory,
            before.lift,
            before.sentence,
        )
        assert [item.verdict for item in after.actions] == [item.verdict for item in before.actions]
        assert [item.held_by for item in after.actions] == [item.held_by for item in before.actions]
        noted = [item for item in after.findings if item.rule != "block.shadow"]
        assert noted == list(before.findings)

    holds(check, examples=FEWER)
