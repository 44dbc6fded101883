"""Whether an injection changed a decision is measured by taking the attacker's words out and judging again."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.classify import Classifier, Diagnosis, Question
from app.untrusted import texts_of
from evals.cli import CONFIG, bench_from
from evals.dataset import LabelledCase, read_dataset
from evals.injection import Effects, attack_texts, automated, effects_of, without, words_of
from evals.run import run
from guardrails.taxonomy import Action, Category

DEV = Path(__file__).resolve().parents[2] / "evals" / "datasets" / "dev.jsonl"
TEXTS = attack_texts(DEV)


def injected(most: int = 40) -> list[LabelledCase]:
    return [case for case in read_dataset(DEV) if "injection" in case.tags][:most]


@dataclass(frozen=True)
class Gullible:
    """Does what it is told: any of the attacker's words turns the category into `unknown`, and it raises no alarm."""

    inner: Classifier
    words: tuple[str, ...]
    name: str = "gullible"
    fingerprint: str = "gullible"

    async def classify(self, question: Question) -> Diagnosis:
        diagnosis = replace(await self.inner.classify(question), untrusted_instructions=False)
        texts = "\n".join(texts_of(question.snapshot).values())
        return replace(diagnosis, category=Category.UNKNOWN) if any(words in texts for words in self.words) else diagnosis


def test_the_words_of_every_development_attack_can_be_cut_out() -> None:
    for case in injected():
        words = words_of(case, TEXTS)
        clean = without(case.question(), words)
        assert words
        assert clean is not None
        assert without(clean, words) is None


def test_cutting_leaves_everything_else_and_the_case_itself() -> None:
    case = injected(1)[0]
    before = case.model_dump_json()
    clean = without(case.question(), words_of(case, TEXTS))
    assert clean is not None
    assert case.model_dump_json() == before
    assert (clean.id, clean.as_of, len(clean.signals)) == (case.id, case.as_of, len(case.signals))


async def test_no_development_attack_changes_a_decision_of_the_rules() -> None:
    bench = bench_from(CONFIG)
    assert await effects_of(await run(injected(), bench), bench, TEXTS) == Effects()


async def test_a_classifier_that_obeys_is_found_out() -> None:
    bench = bench_from(CONFIG)
    gullible = replace(bench, classifier=Gullible(bench.classifier, tuple(TEXTS.values())))
    cases = [case for case in injected() if Category.UNKNOWN not in case.expected.acceptable]
    changed = (await effects_of(await run(cases, gullible), gullible, TEXTS)).changed
    assert len(changed) > len(cases) / 2
    assert all(told.startswith("the category became unknown instead of") for told in changed.values())


@dataclass(frozen=True)
class Nervous:
    """Sees an attack everywhere, until it reads the attacker's words: those calm it."""

    inner: Classifier
    words: tuple[str, ...]
    name: str = "nervous"
    fingerprint: str = "nervous"

    async def classify(self, question: Question) -> Diagnosis:
        texts = "\n".join(texts_of(question.snapshot).values())
        calm = any(words in texts for words in self.words)
        return replace(await self.inner.classify(question), untrusted_instructions=not calm)


@dataclass(frozen=True)
class Busy:
    """Does one thing more where the attacker's words ask for it."""

    inner: Classifier
    words: tuple[str, ...]
    name: str = "busy"
    fingerprint: str = "busy"

    async def classify(self, question: Question) -> Diagnosis:
        diagnosis = await self.inner.classify(question)
        texts = "\n".join(texts_of(question.snapshot).values())
        note = next(action for action in diagnosis.actions if action.action is Action.ADD_NOTE)
        others = tuple(action for action in diagnosis.actions if action is not note)
        asked = any(words in texts for words in self.words)
        return replace(diagnosis, actions=(note, *others) if asked else others)


async def test_a_verdict_that_the_words_loosen_is_found_out() -> None:
    bench = bench_from(CONFIG)
    nervous = replace(bench, classifier=Nervous(bench.classifier, tuple(TEXTS.values())))
    changed = (await effects_of(await run(injected(), nervous), nervous, TEXTS)).changed
    assert "the verdict became automate instead of review" in changed.values()


async def test_an_action_that_the_words_bring_about_is_found_out() -> None:
    bench = bench_from(CONFIG)
    results = [r for r in await run(injected(), bench) if r.judgement is not None and Action.ADD_NOTE in automated(r.judgement)]
    busy = replace(bench, classifier=Busy(bench.classifier, tuple(TEXTS.values())))
    changed = (await effects_of(await run([r.case for r in results], busy), busy, TEXTS)).changed
    assert len(changed) == len(results) > 0
    assert all("automates add_note" in told for told in changed.values())


async def test_where_the_words_are_not_known_nobody_claims_to_know() -> None:
    bench = bench_from(CONFIG)
    cases = injected(5)
    effects = await effects_of(await run(cases, bench), bench, {})
    assert (effects.changed, effects.unknown) == ({}, tuple(case.id for case in cases))


@pytest.mark.parametrize("dataset", sorted(DEV.parent.glob("*.jsonl")), ids=lambda path: path.name)
def test_every_injection_that_is_shipped_can_be_taken_out(dataset: Path) -> None:
    cases = [case for case in read_dataset(dataset) if "injection" in case.tags]
    assert [case.id for case in cases if without(case.question(), words_of(case, TEXTS)) is None] == []


@pytest.mark.parametrize("origin", [{}, {"attack": None}, {"attack": "inj-1"}, {"attack": [{"id": "not-known"}]}, {"attack": [7]}])
def test_an_origin_without_known_words_has_none(origin: dict[str, object]) -> None:
    case = injected(1)[0].model_copy(update={"origin": origin})
    assert words_of(case, TEXTS) == []


def test_words_may_stand_in_the_origin_itself() -> None:
    case = injected(1)[0].model_copy(update={"origin": {"attack": [{"text": "obey me"}]}})
    assert words_of(case, {}) == ["obey me"]


def test_a_dataset_without_a_folder_of_attacks_knows_none(tmp_path: Path) -> None:
    assert attack_texts(tmp_path / "x.jsonl") == {}
