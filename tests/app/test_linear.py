"""A small text model: what it learns, that it learns the same every time, and what a broken file is told."""

import json
import math
from pathlib import Path

import pytest

from app.errors import ConfigurationInvalid
from app.models.linear import LinearModel, TrainedOn
from app.models.linear_training import train
from app.models.tokens import tokens

TEXTS = [
    "payment.status=failed (stripe, 3m)\npayment.decline_code=card_declined (stripe, 3m)",
    "payment.status=failed (stripe, 9m)\npayment.decline_code=insufficient_funds (stripe, 1h)",
    "tracking.status=in_transit (easypost, 3m)\ncheck.late_by_promise=true",
    "tracking.status=in_transit (aftership, 2d, STALE)\ncheck.late_by_promise=true",
    "pick.available[sku:A]=1 (wms, 5m)\npick.requested[sku:A]=2 (wms, 5m)",
    "pick.available[sku:B]=0 (wms, 5m)\npick.requested[sku:B]=3 (wms, 5m)",
]
LABELS = ["payment_failed", "payment_failed", "delivery_late", "delivery_late", "inventory", "inventory"]


@pytest.fixture(scope="module")
def model() -> LinearModel:
    return train(TEXTS, LABELS, trained_on=[TrainedOn(name="here", sha256="0" * 64, n=6)])


def likeliest(model: LinearModel, text: str) -> str:
    said = model.log_probabilities(text)
    return max(said, key=lambda name: said[name])


def test_it_recognises_what_it_was_taught(model: LinearModel) -> None:
    assert [likeliest(model, text) for text in TEXTS] == LABELS


def test_other_ids_and_ages_do_not_change_the_answer(model: LinearModel) -> None:
    assert likeliest(model, "pick.available[sku:ZZ-9]=4 (wms, 3d)\npick.requested[sku:ZZ-9]=9 (wms, 3d)") == "inventory"


def test_the_probabilities_of_a_text_sum_to_one(model: LinearModel) -> None:
    for text in (*TEXTS, "", "nothing of this was ever seen"):
        assert math.isclose(sum(math.exp(value) for value in model.log_probabilities(text).values()), 1.0)


def test_the_same_texts_give_the_same_bytes(model: LinearModel) -> None:
    again = train(TEXTS, LABELS, trained_on=[TrainedOn(name="here", sha256="0" * 64, n=6)])
    assert (again.dumps(), again.sha256) == (model.dumps(), model.sha256)


def test_a_file_read_back_is_the_same_model(model: LinearModel, tmp_path: Path) -> None:
    model.dump(tmp_path / "model.json")
    again = LinearModel.load(tmp_path / "model.json")
    assert again.sha256 == model.sha256
    assert [again.log_probabilities(text) for text in TEXTS] == [model.log_probabilities(text) for text in TEXTS]
    assert again.trained_on[0].name == "here"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema": "ordermend/linear/v2"}, "schema"),
        ({"classes": ["one"]}, "classes"),
        ({"classes": ["a", "a", "b"]}, "named twice"),
        ({"bias": [0.5]}, "biases"),
        ({"features": {"token": [1.0]}}, "token"),
        ({"features": {}}, "features"),
        ({"trained_on": [{"name": "x", "sha256": "short", "n": 1}]}, "sha256"),
        ({"more": 1}, "more"),
    ],
)
def test_a_file_that_was_changed_by_hand_is_refused_with_the_reason(
    model: LinearModel, tmp_path: Path, change: dict[str, object], told: str
) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps({**json.loads(model.dumps()), **change}))
    with pytest.raises(ConfigurationInvalid, match=told):
        LinearModel.load(path)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"python -m evals\.learning"):
        LinearModel.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("texts", "labels", "told"),
    [(["a"], ["x", "y"], "as many labels"), (["a b", "a b"], ["x", "x"], "two labels"), (["a", "b"], ["x", "y"], "no token")],
)
def test_what_cannot_be_learned_from_is_refused(texts: list[str], labels: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        train(texts, labels)


def test_a_fact_line_gives_its_path_its_value_and_both_together() -> None:
    assert tokens("tracking.status[1Z999]=in_transit (easypost, 3m, STALE)", "word12") == [
        "tracking.status",
        "tracking.status=in transit",
        "in",
        "transit",
        "in transit",
        "tracking.status!stale",
    ]


def test_times_and_long_numbers_are_no_words() -> None:
    assert tokens("2026-10-01T11:07:21Z shopify 5482945059775 paid", "word12") == ["shopify", "paid", "shopify paid"]


def test_groups_of_letters_keep_to_their_word() -> None:
    assert tokens("Hi you", "char35") == [" hi", "hi ", " hi ", " yo", "you", "ou ", " you", "you ", " you "]
