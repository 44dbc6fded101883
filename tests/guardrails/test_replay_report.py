"""The report of a replay says what asking the gate about every ruling by itself would have said."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import pairwise
from random import Random

import pytest

from guardrails.budgets import claims_of
from guardrails.facts import Facts
from guardrails.gate import guard
from guardrails.money import Money
from guardrails.policy.tables import Policy
from guardrails.proposal import AGENT
from guardrails.replay.columns_read import columns_read
from guardrails.replay.recorded import RecordedRuling, proposal_of, rule_again, snapshot_for
from guardrails.replay.report import Report, replay
from guardrails.replay.segment_writing import encode_segment
from guardrails.replay.segments import Segment
from guardrails.ruling import Ruling
from guardrails.standing import Spent, Standing, hour_of
from guardrails.taxonomy import Action, Verdict
from tests.guardrails.clean_case import NOW, clean_facts, clean_proposal, policy
from tests.guardrails.recorded_cases import draw_case, looser, record, stricter

RULINGS = 1_500
SECONDS_APART = 7


@cache
def history() -> tuple[RecordedRuling, ...]:
    """Three hours, recorded under the shipped policy."""
    draw = Random(17)
    return tuple(record(at * SECONDS_APART, draw_case(draw), policy()) for at in range(RULINGS))


def segments(of: Sequence[RecordedRuling]) -> list[Segment]:
    cuts = [0, len(of) // 3, len(of) // 2, len(of)]
    return [Segment(encode_segment(of[start:end])) for start, end in pairwise(cuts) if start < end]


@cache
def report() -> Report:
    return replay(segments(history()), stricter(), looser(), most_flips=RULINGS)


def fired_in(ruling: Ruling) -> set[str]:
    actions = [item.rule for action in ruling.actions for item in action.findings if item.fired]
    return {*(item.rule for item in ruling.findings if item.fired), *actions}


@cache
def asked_one_by_one() -> list[tuple[RecordedRuling, Ruling, Ruling]]:
    return [(kept, rule_again(kept, stricter()), rule_again(kept, looser())) for kept in history()]


def counted(matrix: object) -> Counter[tuple[Verdict, Verdict]]:
    assert isinstance(matrix, dict)
    return +Counter({(old, new): count for old, row in matrix.items() for new, count in row.items()})


def test_every_matrix_is_that_of_the_gate_asked_one_by_one() -> None:
    asked = asked_one_by_one()
    assert counted(report().matrix) == Counter((old.verdict, new.verdict) for _, old, new in asked)
    assert counted(report().recorded_to_new) == Counter((kept.verdict, new.verdict) for kept, _, new in asked)
    pairs = [pair for _, old, new in asked if old.error is None for pair in zip(old.actions, new.actions, strict=True)]
    assert counted(report().actions) == Counter((old.verdict, new.verdict) for old, new in pairs)
    assert report().rulings == RULINGS
    assert report().recorded_differs == sum(kept.verdict is not old.verdict for kept, old, _ in asked) > 0
    assert min(counted(report().matrix)[verdict, verdict] for verdict in Verdict) > 0


def test_every_flip_names_its_ruling_and_the_rules_that_make_the_difference() -> None:
    expected = {kept.decision: (old, new) for kept, old, new in asked_one_by_one() if old.verdict is not new.verdict}
    assert len(report().flips) == len(expected) == report().loosened + report().tightened
    read = segments(history())
    for flip in report().flips:
        old, new = expected[flip.decision]
        assert (flip.old, flip.new) == (old.verdict, new.verdict)
        assert set(flip.newly_fired) == fired_in(new) - fired_in(old), flip
        assert set(flip.no_longer_fired) == fired_in(old) - fired_in(new), flip
        kept = read[flip.segment].ruling(flip.row)
        assert kept is None or kept.decision == flip.decision


def test_each_rule_is_counted_under_both_policies_and_among_the_flips() -> None:
    flipped = [(old, new) for _, old, new in asked_one_by_one() if old.verdict is not new.verdict]
    newly = Counter(rule for old, new in flipped for rule in fired_in(new) - fired_in(old))
    no_longer = Counter(rule for old, new in flipped for rule in fired_in(old) - fired_in(new))
    assert {item.rule: item.newly_fired for item in report().rules if item.newly_fired} == newly
    assert {item.rule: item.no_longer_fired for item in report().rules if item.no_longer_fired} == no_longer
    ever = set().union(*(fired_in(new) for _, _, new in asked_one_by_one()))
    assert {item.rule for item in report().rules if item.fired_new} == ever
    assert report().never_fired
    assert not ever & set(report().never_fired)


def test_the_money_of_flipped_rulings_is_counted_by_currency() -> None:
    expected: dict[str, Counter[str]] = {"loosened": Counter(), "tightened": Counter()}
    for kept, old, new in asked_one_by_one():
        total = kept.facts.get("order.total")
        if old.verdict is not new.verdict and isinstance(total, Money):
            expected["tightened" if new.verdict.strictness > old.verdict.strictness else "loosened"][total.currency] += total.amount
    assert report().order_totals == expected
    assert any(report().action_amounts["loosened"].values())


def test_rulings_that_no_line_says_anything_about_are_counted() -> None:
    tables = ("action.", "case.", "switch.", "gate.")
    silent = [new for _, _, new in asked_one_by_one() if not any(not rule.startswith(tables) for rule in fired_in(new))]
    broken = sum(new.error is not None for new in silent)
    assert report().not_covered == len(silent) - broken > 0


def test_budgets_that_are_counted_again_are_those_of_the_gate_asked_in_order() -> None:
    kept = [ruling for ruling in history() if not Segment(encode_segment([ruling])).kinds.any()]
    modes = replay(segments(kept), stricter(), looser()).budgets
    old, new = simulated(kept, stricter()), simulated(kept, looser())
    assert counted(modes["resimulated"].matrix) == Counter(zip(old, new, strict=True))
    assert modes["resimulated"].held_old > 20
    assert counted(modes["recorded"].matrix) != counted(modes["resimulated"].matrix)


def simulated(rulings: Sequence[RecordedRuling], by: Policy) -> list[Verdict]:
    spent: dict[object, dict[str, Spent]] = {}
    verdicts = []
    for kept in rulings:
        hour = spent.setdefault(hour_of(kept.at), {})
        standing = Standing(dict(hour), kept.standing.off)
        proposal = proposal_of(kept)
        ruling = guard(kept.facts, proposal, by, AGENT, snapshot_for(kept), standing)
        for item in ruling.actions:
            for claim in claims_of(item.action, by, kept.facts) if item.verdict is Verdict.AUTOMATE else ():
                before = hour.get(claim.key, Spent())
                money = dict(before.money)
                if isinstance(claim.amount, Money):
                    money[claim.amount.currency] = money.get(claim.amount.currency, 0) + claim.amount.amount
                hour[claim.key] = Spent(before.count + 1, money)
        verdicts.append(ruling.verdict)
    return verdicts


# --- ranges, limits and form ---


def test_only_rulings_of_the_range_count() -> None:
    since, until = NOW + timedelta(seconds=700), NOW + timedelta(seconds=7_000)
    some = [item for item in asked_one_by_one() if since <= item[0].at < until]
    part = replay(segments(history()), stricter(), looser(), since, until, most_flips=3)
    assert counted(part.matrix) == Counter((old.verdict, new.verdict) for _, old, new in some)
    assert (part.first_at, part.last_at) == (some[0][0].at, some[-1][0].at)
    assert len(part.flips) == 3
    ever = set().union(*(fired_in(new) for _, _, new in some))
    assert {item.rule for item in part.rules if item.fired_new} == ever


def test_a_range_without_rulings_gives_an_empty_report() -> None:
    none = replay(segments(history()), stricter(), looser(), NOW + timedelta(days=1))
    assert (none.rulings, none.loosened, none.tightened, none.flips) == (0, 0, 0, ())
    assert none.first_at is None
    assert none.plain()["not_covered_share"] == 0.0


def test_a_policy_against_itself_flips_nothing() -> None:
    same = replay(segments(history()), policy(), policy())
    assert same.loosened == same.tightened == same.recorded_differs == 0
    assert not any(item.newly_fired or item.no_longer_fired or item.other_effect for item in same.rules)
    assert all(item.fired_old == item.fired_new for item in same.rules)


def test_a_rule_whose_effect_changes_is_named() -> None:
    rules = tuple(replace(rule, effect=Verdict.REVIEW) if rule.id == "block.no-order-total" else rule for rule in policy().rules)
    milder = replace(policy(), rules=rules)
    ruling = record(1, (clean_facts(order__total=None), clean_proposal(Action.ADD_NOTE), Standing({})), policy())
    flips = replay(segments([ruling]), policy(), milder).flips
    assert [(flip.old, flip.new, flip.other_effect) for flip in flips] == [
        (Verdict.BLOCK, Verdict.REVIEW, ("block.no-order-total",)),
    ]


def test_what_could_not_be_kept_is_counted_and_in_no_matrix() -> None:
    odd = clean_facts(hold__ours=True, inventory__available=2**70)
    moment: object = object()
    by_name = {**odd.by_name, "hold.ours": replace(odd.by_name["hold.ours"], observed_at=moment, clock=True)}  # type: ignore[arg-type]  # hostile on purpose
    lost = record(1, (Facts(odd.order_ref, odd.as_of, by_name), clean_proposal(Action.ADD_NOTE), Standing({})), policy())
    got = replay(segments([lost, *history()[:2]]), policy(), stricter())
    assert (got.not_replayed, got.rulings) == (1, 2)


def test_the_report_is_plain_json_and_says_what_it_does_not_know() -> None:
    plain = json.loads(json.dumps(report().plain(), allow_nan=False))
    assert "is not known" in plain["caution"]
    assert plain["flips_in_all"] == len(plain["flips"])
    assert set(plain["budgets"]) == {"recorded", "resimulated"}
    assert plain["matrix"]["automate"]["block"] == report().matrix[Verdict.AUTOMATE][Verdict.BLOCK]
    assert plain["seconds"] is None


def test_a_stopwatch_says_how_long_it_took() -> None:
    ticks = iter((3.0, 5.5))
    assert replay(segments(history()[:5]), policy(), policy(), stopwatch=lambda: next(ticks)).seconds == pytest.approx(2.5)


def test_only_the_columns_that_the_policies_read_are_needed() -> None:
    named = columns_read(stricter(), looser())
    columns = encode_segment(history()[:400])
    few = {name: data for name, data in columns.items() if name in named}
    assert sum(map(len, few.values())) < 0.9 * sum(map(len, columns.values()))
    assert replay([Segment(few)], stricter(), looser()) == replay([Segment(columns)], stricter(), looser())
