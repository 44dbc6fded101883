"""Bodies of our own callers: strict JSON, strict types, every mistake with its place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InputInvalid
from app.web.bodies import MAX_DEPTH, read_model
from app.web.problems import BODY_NOT_JSON, Refusal
from app.web.schemas import OutcomeRequest, ReviewBody, TriageRequest

GOOD: dict[str, Any] = {"order_ref": "#1001", "reported_by": "help desk"}


def triage(**changes: Any) -> TriageRequest:
    return read_model(TriageRequest, json.dumps(GOOD | changes).encode())


def pointers(model: type[Any], body: dict[str, Any]) -> list[str]:
    with pytest.raises(InputInvalid) as caught:
        read_model(model, json.dumps(body).encode())
    return [pointer for pointer, _ in caught.value.errors]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"1",
        b"\xff",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"order_ref": "#1", "order_ref": "#2"}',
        b"[" * 200_000,
        b'{"a": ' + b"9" * 5_000 + b"}",
    ],
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_model(TriageRequest, raw)
    assert caught.value.problem is BODY_NOT_JSON


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"order_ref": 1001}, ["/order_ref"]),
        ({"order_ref": ""}, ["/order_ref"]),
        ({"order_ref": "  "}, ["/order_ref"]),
        ({"order_ref": "#1\n2"}, ["/order_ref"]),
        ({"order_ref": "x" * 201}, ["/order_ref"]),
        ({"order_ref": "#1\x00"}, ["/order_ref"]),
        ({"order_ref": "#\ud800"}, ["/order_ref"]),
        ({"order_ref": None, "extra": 1}, ["/order_ref", "/extra"]),
        ({"description": "x" * 20_001}, ["/description"]),
        ({"facts": []}, ["/facts"]),
        ({"facts": {"a/b~c": {"value": "\x00"}}}, ["/facts/a~1b~0c/value"]),
        ({"facts": {"a\x00": 1}}, ["/facts"]),
        ({"facts": {str(n): 1 for n in range(501)}}, ["/facts"]),
        ({"signals": [{"source": "paypal", "payload": {}}]}, ["/signals/0/source"]),
        ({"signals": [{"source": "triage", "payload": {}}]}, ["/signals/0/source"]),
        ({"signals": [{"source": "shopify", "payload": []}]}, ["/signals/0/payload"]),
        ({"signals": [{"source": "shopify", "payload": {}, "received_at": "2026-11-23T10:00:00"}]}, ["/signals/0/received_at"]),
        ({"signals": [{"source": "shopify", "payload": {}}] * 51}, ["/signals"]),
    ],
)
def test_each_wrong_field_is_named_by_its_pointer(changes: dict[str, Any], found: list[str]) -> None:
    assert pointers(TriageRequest, GOOD | changes) == found


def test_all_missing_fields_are_named_at_once() -> None:
    assert pointers(TriageRequest, {}) == ["/order_ref", "/reported_by"]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"decision": "maybe", "reason": "x"}, ["/decision"]),
        ({"decision": "approve", "reason": " "}, ["/reason"]),
        ({"decision": "edit", "reason": "x", "actions": []}, ["/actions"]),
        ({"decision": "edit", "reason": "x", "actions": [{"action": "burn"}]}, ["/actions/0/action"]),
        ({"decision": "edit", "reason": "x", "actions": [{"action": "add_note", "arguments": "x"}]}, ["/actions/0/arguments"]),
        ({"decision": "approve", "reason": "x", "category": "bad", "owner": "me"}, ["/category", "/owner"]),
        ({"decision": True, "reason": 1}, ["/decision", "/reason"]),
    ],
)
def test_a_review_takes_only_what_it_knows(body: dict[str, Any], found: list[str]) -> None:
    assert pointers(ReviewBody, body) == found


def test_a_time_without_a_zone_and_a_yes_that_is_no_bool_are_refused() -> None:
    assert pointers(OutcomeRequest, {"at": "2026-11-23T10:00:00", "done": "yes"}) == ["/done", "/at"]


def test_nesting_is_allowed_up_to_the_limit_and_no_further() -> None:
    assert triage(facts=nested(MAX_DEPTH - 1)).facts
    assert len(pointers(TriageRequest, GOOD | {"facts": nested(MAX_DEPTH + 5)})) == 1


def test_an_amount_with_a_point_stays_as_it_was_written() -> None:
    raw = b'{"order_ref": "#1", "reported_by": "x", "facts": {"order.total": {"value": 0.10000000000000000001}}}'
    assert read_model(TriageRequest, raw).facts["order.total"]["value"] == "0.10000000000000000001"


def test_other_scripts_are_text_like_any_other() -> None:
    assert triage(order_ref="№ 1001 – 注文", description="אבג\nשורה").order_ref == "№ 1001 – 注文"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["order_ref", "reported_by", "description", "facts", "signals", "x"]), json_values))
def test_any_object_is_read_or_refused_with_pointers_and_never_fails_otherwise(body: dict[str, Any]) -> None:
    found: list[tuple[str, str]] = []
    try:
        read_model(TriageRequest, json.dumps(body).encode())
    except InputInvalid as error:
        found = list(error.errors)
    except Refusal as refusal:
        found = [("", refusal.problem.slug)] if refusal.problem is BODY_NOT_JSON else [("wrong", refusal.problem.slug)]
    assert all(pointer == "" or pointer.startswith("/") for pointer, _ in found)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with pytest.raises((InputInvalid, Refusal)):
        read_model(TriageRequest, raw)
