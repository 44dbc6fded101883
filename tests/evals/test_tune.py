"""The guarantee, simulated where the truth is known; the walk, worked out by hand; and certificates that die with their keys."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from guardrails.binomial import binomial_cdf, binomial_quantile, clopper_pearson_upper, labels_needed
from guardrails.certificate import (
    GLOBAL,
    Certificate,
    CertificateInvalid,
    Keys,
    certificate_from,
    taxonomy_version,
)
from guardrails.tuning import Label, Plan, Uncertified, certify, independent, tune

KEYS = Keys("model-1", "prompt-1", "none", taxonomy_version())
ALPHA, DELTA, TRIALS = 0.05, 0.10, 300
TIGHT = binomial_quantile(0.999, TRIALS, DELTA) / TRIALS
"""What 300 trials of a chance of just delta may show: the flat world without a scan has no slack at all."""


def labels(*groups: tuple[float, int, int], category: str = "payment_failed") -> list[Label]:
    """(score, wrong, of), each case a cluster of its own"""
    found = []
    for score, wrong, n in groups:
        found += [Label(f"{category}-{score}-{i}", f"{category}-{score}-{i}", category, score, i < wrong) for i in range(n)]
    return found


def spread(n: int, wrong_ranks: Collection[int] = ()) -> list[Label]:
    """n cases of different scores, the surest first; the ranks (from 1) that are wrong."""
    return [Label(f"c{i}", f"c{i}", "payment_failed", 1 - i / (n + 1), i in wrong_ranks) for i in range(1, n + 1)]


# --- worlds: scores are uniform on 0..1; `errors(score)` is how likely such a decision is wrong ---


@dataclass(frozen=True)
class World:
    errors: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    n: int = 1000

    def drawn(self, generator: np.random.Generator) -> list[Label]:
        scores = generator.random(self.n)
        wrong = generator.random(self.n) < self.errors(scores)
        return [
            Label(str(i), str(i), "x", score, bad)
            for i, (score, bad) in enumerate(zip(scores.tolist(), wrong.tolist(), strict=True))
        ]

    def risk(self, threshold: float) -> float:
        return float(self.errors(np.linspace(threshold, 1.0, 4_001)).mean())


WORLDS = {
    "sharp": World(lambda c: 0.5 * (1 - c) ** 2),
    "overconfident": World(lambda c: 0.04 + 0.3 * (1 - c)),
    "flat": World(lambda c: np.full_like(c, 0.0501)),
    "non-monotone": World(lambda c: np.where(c > 0.97, 0.3, np.where(c > 0.3, 0.005, 0.3))),
}


@pytest.mark.parametrize("name", sorted(WORLDS))
@pytest.mark.parametrize("scan", [True, False])
def test_the_promise_is_broken_no_more_often_than_delta(name: str, scan: bool) -> None:
    world, generator = WORLDS[name], np.random.default_rng(20_261_123)
    plan = Plan(ALPHA, DELTA, scan=scan)
    found = [certify(GLOBAL, world.drawn(generator), plan, KEYS, "simulated") for _ in range(TRIALS)]
    violated = sum(isinstance(one, Certificate) and world.risk(one.threshold) > ALPHA for one in found)
    assert violated / TRIALS <= (DELTA if scan or name != "flat" else TIGHT)


def test_the_promise_is_tight_where_every_threshold_is_just_too_risky() -> None:
    """Without the scan the whole of delta is spent: a flat world just above alpha passes the first rank with a chance just below it."""
    first = labels_needed(1, ALPHA, DELTA)
    assert 0.09 < binomial_cdf(1, first, 0.0501) <= DELTA


def test_the_naive_threshold_would_break_the_promise() -> None:
    """The simulation can fail: taking the largest set that looks good enough is wrong about half of the time."""
    world, generator, violated = WORLDS["sharp"], np.random.default_rng(1), 0
    for _ in range(TRIALS):
        ranked = sorted(world.drawn(generator), key=lambda label: -label.score)
        wrong = np.cumsum([label.wrong for label in ranked])
        good = np.nonzero(wrong <= ALPHA * np.arange(1, len(ranked) + 1))[0]
        violated += bool(good.size) and world.risk(ranked[good[-1]].score) > ALPHA
    assert violated / TRIALS > 0.3


def coverage(world: World, plan: Plan, trials: int = 40) -> float:
    generator = np.random.default_rng(5)
    found = [certify(GLOBAL, world.drawn(generator), plan, KEYS, "simulated") for _ in range(trials)]
    return sum(one.accepted for one in found if isinstance(one, Certificate)) / (trials * world.n)


def test_a_sharp_classifier_is_let_work() -> None:
    # R(t) = (1 - t)² / 6 reaches 5 % at a coverage of 0.548
    assert 0.35 < coverage(WORLDS["sharp"], Plan(ALPHA, DELTA)) < 0.548


def test_the_scan_rescues_scores_with_errors_at_the_top() -> None:
    alone = coverage(WORLDS["non-monotone"], Plan(ALPHA, DELTA, scan=False))
    scanned = coverage(WORLDS["non-monotone"], Plan(ALPHA, DELTA))
    assert alone < 0.05
    assert scanned > 0.5


# --- the walk, by hand ---


def test_the_walk_starts_where_one_error_can_be_borne() -> None:
    # 77 labels with one error prove 5 % at delta 10 %
    plan = Plan(ALPHA, DELTA, scan=False)
    found = certify(GLOBAL, spread(77, {77}), plan, KEYS, "by hand")
    assert isinstance(found, Certificate)
    assert (found.accepted, found.errors, found.labels) == (77, 1, 77)
    assert found.threshold == spread(77)[-1].score
    assert found.bound == pytest.approx(clopper_pearson_upper(1, 77, DELTA))
    assert found.bound <= ALPHA


def test_the_walk_stops_at_its_first_failure() -> None:
    # ranks 77, 93, 112, 135, 162 ...: errors at 100..105 make 112 fail (6 errors need 208 labels); later success is not looked at
    plan = Plan(ALPHA, DELTA, scan=False)
    found = certify(GLOBAL, spread(1000, set(range(100, 106))), plan, KEYS, "by hand")
    assert isinstance(found, Certificate)
    assert (found.accepted, found.errors) == (93, 0)
    scanned = certify(GLOBAL, spread(1000, set(range(100, 106))), replace(plan, scan=True), KEYS, "by hand")
    assert isinstance(scanned, Certificate)
    assert (scanned.accepted, scanned.errors) == (1000, 6)


def test_a_threshold_never_cuts_a_tie() -> None:
    # Rank 77 lies inside the 90 cases of score 0.9, so all 90 are looked at, and with them their four errors
    found = certify(GLOBAL, labels((0.9, 4, 90)), Plan(ALPHA, DELTA, scan=False), KEYS, "by hand")
    assert isinstance(found, Uncertified)
    held = certify(GLOBAL, labels((0.9, 1, 90), (0.5, 40, 60)), Plan(ALPHA, DELTA, scan=False), KEYS, "by hand")
    assert isinstance(held, Certificate)
    assert (held.threshold, held.accepted, held.errors) == (0.9, 90, 1)


def test_the_order_of_a_tie_decides_nothing() -> None:
    mixed = labels((0.9, 2, 120), (0.4, 30, 60))
    assert certify(GLOBAL, mixed, Plan(ALPHA), KEYS, "by hand") == certify(GLOBAL, mixed[::-1], Plan(ALPHA), KEYS, "by hand")


# --- too few labels ---


@pytest.mark.parametrize(("have", "wrong", "more"), [(0, 0, 77), (40, 0, 37), (76, 1, 1), (60, 2, 45), (76, 3, 56)])
def test_uncertified_says_exactly_how_many_labels_are_missing(have: int, wrong: int, more: int) -> None:
    # 77 for up to one error, 105 for two, 132 for three (alpha 5 %, delta 10 %)
    found = certify(GLOBAL, spread(have, set(range(1, wrong + 1))), Plan(ALPHA, DELTA, scan=False), KEYS, "by hand")
    assert isinstance(found, Uncertified)
    assert found.more_labels == more
    assert (found.labels, found.errors) == (have, wrong)
    assert f"{more} more label" in found.sentence


def test_where_the_first_rank_fails_as_many_are_missing_as_its_errors_ask_for() -> None:
    # two errors among the first 77: 105 would have to be there
    found = certify(GLOBAL, spread(500, {3, 9, *range(80, 140)}), Plan(ALPHA, DELTA, scan=False), KEYS, "by hand")
    assert isinstance(found, Uncertified)
    assert (found.more_labels, found.at_score) == (105 - 77, spread(500)[76].score)


def test_an_uncertified_scope_always_lacks_something() -> None:
    generator = np.random.default_rng(11)
    for world in WORLDS.values():
        for _ in range(20):
            found = certify(GLOBAL, world.drawn(generator), Plan(0.01, DELTA), KEYS, "simulated")
            assert isinstance(found, Certificate) or found.more_labels > 0


# --- scopes and clusters ---


def test_categories_share_delta_and_a_global_certificate_bounds_none_of_them() -> None:
    plan = Plan(ALPHA, DELTA, scan=False, categories=("payment_failed", "fraud_risk"))
    mixed = labels((0.9, 0, 200)) + labels((0.8, 1, 20), category="fraud_risk")
    found = tune(mixed, plan, KEYS, "by hand")
    assert isinstance(found.overall, Certificate)
    assert isinstance(found.by_category["payment_failed"], Certificate)
    assert found.by_category["payment_failed"].delta == DELTA / 2
    risky = found.by_category["fraud_risk"]
    assert isinstance(risky, Uncertified)
    assert risky.more_labels == labels_needed(1, ALPHA, DELTA / 2) - 20


def test_a_category_may_be_held_to_a_stricter_limit() -> None:
    plan = Plan(0.10, DELTA, category_alpha={"fraud_risk": 0.01}, categories=("payment_failed", "fraud_risk"))
    found = tune(labels((0.9, 0, 100)) + labels((0.9, 0, 100), category="fraud_risk"), plan, KEYS, "by hand")
    assert isinstance(found.by_category["payment_failed"], Certificate)
    assert isinstance(found.by_category["fraud_risk"], Uncertified)


def test_many_cases_of_one_incident_prove_no_more_than_one() -> None:
    outage = [Label(f"c{i}", "outage", "x", 0.9, False) for i in range(500)]
    assert len(independent(outage)) == 1
    found = tune(outage, Plan(), KEYS, "by hand")
    assert (found.labels, found.left_out) == (1, 499)
    assert isinstance(found.overall, Uncertified)
    judged_wrong = [replace(label, wrong=True, score=0.1) for label in outage]
    assert independent(judged_wrong)[0].case == independent(outage)[0].case


# --- certificates ---


def certificate() -> Certificate:
    found = certify(GLOBAL, spread(200), Plan(ALPHA, DELTA), KEYS, "by hand")
    assert isinstance(found, Certificate)
    return found


@pytest.mark.parametrize("changed", ["model", "prompt", "calibrator", "taxonomy"])
def test_a_certificate_dies_with_any_of_its_keys(changed: str) -> None:
    held = certificate()
    other = replace(KEYS, **{changed: "another"})
    assert held.holds_for(KEYS)
    assert not held.holds_for(other)
    assert held.allows(held.threshold, KEYS)
    assert not held.allows(1.0, other)
    assert not held.allows(held.threshold - 1e-9, KEYS)


def test_a_certificate_is_read_back_as_it_was_written() -> None:
    held = certificate()
    assert certificate_from(json.loads(json.dumps(held.plain()))) == held


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "ordermend/certificate/v2"},
        {"alpha": 0.0001},
        {"spent": 0.5},
        {"errors": 500},
        {"threshold": float("nan")},
        {"threshold": "0.1"},
        {"keys": {"model": "", "prompt": "p", "calibrator": "c", "taxonomy": "t"}},
        {"keys": {"model": "m"}},
        {"more": 1},
    ],
)
def test_a_certificate_that_was_tampered_with_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(CertificateInvalid):
        certificate_from({**certificate().plain(), **change})


def test_what_is_certified_is_what_the_binomial_proves() -> None:
    held = certificate()
    assert binomial_cdf(held.errors, held.accepted, held.alpha) <= held.spent <= held.delta
