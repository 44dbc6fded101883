"""The packs beside the development set: readable, distinct, large enough, and exactly what the builder writes."""

import json
from collections import Counter
from pathlib import Path

import pytest

from evals.building import perturbation
from evals.building.injections import texts
from evals.building.labels import LIMITS, RISK, TEMPTING, Label, Worth, mandatory, never_automate, verdict
from evals.building.packs import FOLDER, PACKS
from evals.building.telling import pack
from evals.dataset import LabelledCase, read_dataset
from guardrails.taxonomy import Action, Category, Reason, Verdict

LEAST = {
    "core.jsonl": 280,
    "ambiguous.jsonl": 40,
    "many-signals.jsonl": 40,
    "unseen-providers.jsonl": 60,
    "paraphrase.jsonl": 100,
    "perturbation.jsonl": 200,
    "injections.jsonl": 360,
}
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def packs() -> dict[str, tuple[LabelledCase, ...]]:
    return {name: read_dataset(FOLDER / name) for name in PACKS}


@pytest.fixture(scope="module")
def dev() -> tuple[LabelledCase, ...]:
    return read_dataset(FOLDER / "dev.jsonl")


def everything(packs: dict[str, tuple[LabelledCase, ...]]) -> list[LabelledCase]:
    return [case for cases in packs.values() for case in cases]


def tagged(cases: tuple[LabelledCase, ...], tag: str) -> list[LabelledCase]:
    return [case for case in cases if tag in case.tags]


@pytest.mark.parametrize("name", PACKS)
def test_the_builder_writes_the_committed_bytes(name: str) -> None:
    prefix, cases = PACKS[name]
    assert pack(prefix, cases()).encode() == (FOLDER / name).read_bytes()


def test_every_pack_is_large_enough(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    assert set(LEAST) == set(PACKS)
    assert {name: len(cases) for name, cases in packs.items() if len(cases) < LEAST[name]} == {}


def test_ids_are_unique_across_all_packs(packs: dict[str, tuple[LabelledCase, ...]], dev: tuple[LabelledCase, ...]) -> None:
    ids = Counter(case.id for case in [*dev, *everything(packs)])
    assert [case_id for case_id, times in ids.items() if times > 1] == []


def test_every_category_has_twenty_five_cases(packs: dict[str, tuple[LabelledCase, ...]], dev: tuple[LabelledCase, ...]) -> None:
    counted = Counter(case.expected.category for case in [*dev, *packs["core.jsonl"]])
    assert {category: counted[category] for category in Category if counted[category] < 25} == {}
    assert counted.total() >= 500


def test_every_core_category_is_told_by_several_stories(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    stories = {(case.expected.category, case.origin["cluster"]) for case in packs["core.jsonl"]}
    counted = Counter(category for category, _ in stories)
    assert min(counted[category] for category in Category) >= 4


def test_no_case_of_the_development_set_is_repeated(
    packs: dict[str, tuple[LabelledCase, ...]], dev: tuple[LabelledCase, ...]
) -> None:
    known = {_content(case) for case in dev}
    refs = {case.expected.order_ref for case in dev}
    assert [case.id for case in everything(packs) if _content(case) in known or case.expected.order_ref in refs] == []


def test_no_case_stands_twice(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    counted = Counter(json.dumps(case.model_dump(mode="json")["signals"]) + str(case.facts) for case in everything(packs))
    assert counted.most_common(1)[0][1] == 1


def _content(case: LabelledCase) -> str:
    return json.dumps([signal.payload for signal in case.signals], sort_keys=True)


def test_every_case_names_its_cluster_its_reason_and_its_licence(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    for case in everything(packs):
        assert f"cluster-{case.origin['cluster']}" in case.tags
        assert case.origin["because"]
        assert str(case.origin["licence"]).startswith("MIT")


def test_every_pack_is_named_in_the_notice() -> None:
    notice = (FOLDER / "NOTICE.md").read_text(encoding="utf-8")
    assert [name for name in PACKS if f"- `{name}`: MIT" not in notice] == []


def test_a_label_never_contradicts_itself(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    for case in everything(packs):
        expected = case.expected
        assert expected.category not in expected.also_acceptable
        assert expected.never_automate <= set(RISK), case.id
        if expected.mandatory_review:
            assert expected.verdict is not Verdict.AUTOMATE, case.id
            assert Action.MESSAGE_CUSTOMER in expected.never_automate, case.id
        assert case.as_of >= max(signal.received_at for signal in case.signals), case.id
        assert [s.received_at for s in case.signals] == sorted(s.received_at for s in case.signals), case.id


def test_many_signals_are_five_to_fifteen(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    counts = {len(case.signals) for case in packs["many-signals.jsonl"]}
    assert min(counts) >= 5
    assert max(counts) <= 15


def test_ambiguous_cases_have_another_name_or_too_little_evidence(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    for case in packs["ambiguous.jsonl"]:
        assert case.expected.also_acceptable or "insufficient" in case.tags, case.id


def test_unseen_providers_are_independent_of_each_other(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    clusters = Counter(case.origin["cluster"] for case in packs["unseen-providers.jsonl"])
    assert set(clusters.values()) == {1}


def test_wordings_and_dresses_keep_the_answer(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    for name, keeps in (("paraphrase.jsonl", "paraphrase"), ("perturbation.jsonl", "perturbation")):
        answers: dict[object, set[str]] = {}
        for case in tagged(packs[name], keeps):
            if "perturbation-currency" not in case.tags:
                answers.setdefault(case.origin["cluster"], set()).add(case.expected.model_dump_json())
        assert {cluster: len(found) for cluster, found in answers.items() if len(found) != 1} == {}


def test_every_change_of_dress_really_changes_something(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    lines = [json.loads(line) for line in (FOLDER / "perturbation.jsonl").read_text(encoding="utf-8").splitlines()]
    looks: dict[str, set[str]] = {}
    for row in lines:
        looks.setdefault(row["origin"]["perturbation"], set()).add(json.dumps([s["payload"] for s in row["signals"]]))
    names = {change.__name__.replace("_", "-") for change in perturbation.CHANGES}
    assert names | {"currency"} == set(looks)
    plain = looks["key-order"]
    assert all(looks[name] - plain for name in looks if name != "key-order")


def test_attacks_and_look_alikes_are_many_and_stand_in_many_fields(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    attacked = tagged(packs["injections.jsonl"], "injection")
    harmless = tagged(packs["injections.jsonl"], "benign-lookalike")
    assert len(attacked) >= 260
    assert len(harmless) >= 100
    assert len({tag for case in attacked for tag in case.tags if tag.startswith("field-")}) >= 12
    assert len({case.expected.category for case in attacked}) == len(Category)


def test_an_attack_adds_its_reason_and_a_look_alike_does_not(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    for case in packs["injections.jsonl"]:
        assert (Reason.UNTRUSTED_INSTRUCTIONS in case.expected.mandatory_review) == ("injection" in case.tags), case.id


def test_the_planted_text_really_stands_in_the_case(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    known = {text.id: text.text for text in texts()}
    for case in packs["injections.jsonl"]:
        (planted,) = json.loads(json.dumps(case.origin.get("attack") or case.origin["lookalike"]))
        body = json.dumps([signal.payload for signal in case.signals], ensure_ascii=False)
        assert json.dumps(known[planted["id"]], ensure_ascii=False)[1:-1] in body, case.id


def test_all_packs_together_stay_small() -> None:
    assert sum(path.stat().st_size for path in Path(FOLDER).rglob("*") if path.is_file()) <= 12 * MEBIBYTE


# --- the labels, on both sides of what decides ---


@pytest.mark.parametrize("currency", LIMITS)
def test_an_order_of_exactly_the_limit_is_of_high_value(currency: str) -> None:
    label = Label(Category.DELIVERY_LATE, "…")
    below, at = Worth(LIMITS[currency] - 1, currency), Worth(LIMITS[currency], currency)
    assert (verdict(label, below), verdict(label, at)) == (Verdict.AUTOMATE, Verdict.REVIEW)
    assert Reason.HIGH_VALUE_ORDER not in mandatory(label, below)
    assert Reason.HIGH_VALUE_ORDER in mandatory(label, at)


def test_limits_are_approached_in_every_currency(packs: dict[str, tuple[LabelledCase, ...]]) -> None:
    for tag in ("near-limit", "at-limit", "high-value"):
        found = {name for case in packs["core.jsonl"] if tag in case.tags for name in case.tags if name.startswith("currency-")}
        assert found == {f"currency-{currency.lower()}" for currency in LIMITS}, tag


def test_an_unknown_total_blocks_and_an_unlimited_currency_is_reviewed() -> None:
    label = Label(Category.DELIVERY_LATE, "…")
    assert verdict(label, Worth(None, "USD")) is Verdict.BLOCK
    assert verdict(label, Worth(100, "SEK")) is Verdict.REVIEW


def test_a_step_above_r1_is_reviewed_and_listed() -> None:
    label = Label(Category.SPLIT_SHIPMENT, "…", step=Action.VOID_LABEL)
    assert verdict(label, Worth(100, "USD")) is Verdict.REVIEW
    assert never_automate(label, Worth(100, "USD")) == {*TEMPTING[Category.SPLIT_SHIPMENT], Action.VOID_LABEL}
