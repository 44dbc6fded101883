"""Recorded rulings come back from their columns as they were, in few bytes, and damaged bytes are refused."""

import json
import struct
import zlib
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import numpy as np
import pytest

from guardrails.facts import UNKNOWN, Fact, Facts
from guardrails.money import Money
from guardrails.replay.recorded import RecordedRuling, from_json, rule_again, to_json
from guardrails.replay.segment_bytes import SegmentDamaged, numbers_of, pack, pack_numbers, pack_texts, text_of, unpack
from guardrails.replay.segment_shapes import LARGEST_SEGMENT, RowKind
from guardrails.replay.segment_writing import encode_segment
from guardrails.replay.segments import Segment
from guardrails.standing import Spent, Standing
from guardrails.taxonomy import Action
from tests.guardrails.clean_case import NOW, asking, clean_facts, clean_proposal, fact, policy
from tests.guardrails.recorded_cases import draw_case, record

CLEAN = (clean_facts(), clean_proposal(Action.REFUND_PAYMENT, Action.ADD_NOTE), Standing({"finance": Spent(3, {"USD": 12})}))


def kept(*rulings: RecordedRuling) -> Segment:
    return Segment(encode_segment(rulings))


def one(**changed: Any) -> RecordedRuling:
    return record(1, (clean_facts(**changed), *CLEAN[1:]), policy())


def test_a_ruling_comes_back_as_it_was() -> None:
    off = Standing(None, frozenset(["source:shopify", "action:add_note"]))
    twice = clean_proposal(asking(Action.REFUND_PAYMENT), asking(Action.REFUND_PAYMENT, amount={"amount": 5, "currency": "JPY"}))
    rulings = [record(1, CLEAN, policy()), record(2, (CLEAN[0], twice, off), policy()), record(3, CLEAN, policy())]
    segment = kept(*rulings)
    assert segment.kinds.tolist() == [RowKind.COLUMNS] * 3
    assert [segment.ruling(row) for row in range(3)] == rulings
    assert (segment.first_at, segment.last_at) == (rulings[0].at, rulings[2].at)


def test_whatever_was_drawn_is_ruled_on_as_before_when_it_comes_back() -> None:
    draw = Random(3)
    rulings = [record(at, draw_case(draw), policy()) for at in range(300)]
    segment = kept(*rulings)
    for row, ruling in enumerate(rulings):
        again = segment.ruling(row)
        if again is None:
            assert segment.kinds[row] in (RowKind.BROKEN, RowKind.LOST)
            continue
        before, after = rule_again(ruling, policy()), rule_again(again, policy())
        assert (before.verdict, before.findings) == (after.verdict, after.findings)
        assert [item.verdict for item in before.actions] == [item.verdict for item in after.actions]
    assert {RowKind.COLUMNS, RowKind.WHOLE} <= {RowKind(int(kind)) for kind in segment.kinds}


def test_many_different_numbers_are_kept_exactly() -> None:
    facts = [
        clean_facts(
            order__total=Money(7 * at - 1_000, ("USD", "EUR")[at % 2]),
            order__placed_at=NOW + timedelta(microseconds=at * at),
            inventory__available=at if at % 5 else UNKNOWN,
            order__line_count=None if at % 7 else at,
        )
        for at in range(600)
    ]
    segment = kept(*(record(at, (item, *CLEAN[1:]), policy()) for at, item in enumerate(facts)))
    assert segment.coded("order.total") is None
    for row, item in enumerate(facts):
        again = segment.ruling(row)
        assert again is not None
        assert again.facts == item


def test_a_value_that_does_not_fit_its_type_comes_back_as_unknown() -> None:
    again = kept(one(order__total=12)).ruling(0)
    assert again is not None
    assert again.facts.get("order.total") is UNKNOWN


@pytest.mark.parametrize(
    "odd",
    [
        {"inventory__available": 2**70},
        {"order__total": Money(-(2**60), "USD")},
        {"order__placed_at": datetime.max.replace(tzinfo=NOW.tzinfo)},
        {"hold__ours": Fact("hold.ours", True, "shopify", NOW - timedelta(days=365 * 40))},
    ],
)
def test_what_columns_cannot_hold_exactly_is_kept_whole(odd: dict[str, Any]) -> None:
    ruling = one(**odd)
    segment = kept(one(), ruling)
    assert segment.kinds.tolist() == [RowKind.COLUMNS, RowKind.WHOLE]
    assert segment.ruling(1) == ruling


def test_facts_without_a_digest_are_noted_as_broken() -> None:
    naive = Fact("hold.ours", True, "shopify", datetime(2026, 11, 23))
    segment = kept(one(hold__ours=naive))
    assert segment.kinds.tolist() == [RowKind.BROKEN]
    assert segment.ruling(0) is None
    assert rule_again(one(hold__ours=naive), policy()).error is not None


def test_a_value_that_no_text_can_hold_is_noted_as_lost() -> None:
    class Source(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "odd"

    marked = replace(fact("inventory.available", 2**70), source=Source("x"), observed_at=NOW)
    odd_time: Any = object()
    ruling = one(inventory__available=replace(marked, observed_at=odd_time, clock=True))
    assert kept(ruling).kinds.tolist() == [RowKind.LOST]


def test_rulings_kept_as_json_come_back_as_they_were() -> None:
    draw = Random(11)
    for at in range(100):
        ruling = record(at, draw_case(draw), policy())
        try:
            text = to_json(ruling)
        except (TypeError, ValueError):
            continue
        assert from_json(text) == ruling


def test_a_ruling_of_real_size_takes_less_than_four_hundred_bytes() -> None:
    draw = Random(5)
    cases = [case for case in (draw_case(draw) for _ in range(2_000)) if case[0].order_ref == "#1001"]
    rulings = [record(at, case, policy()) for at, case in enumerate(cases)]
    rulings = [ruling for ruling in rulings if ruling.facts.get("inventory.available") != 2**70]
    assert sum(map(len, encode_segment(rulings).values())) / len(rulings) < 400


def test_a_field_that_no_row_states_takes_no_bytes() -> None:
    columns = encode_segment([one()])
    assert not any("tracking.eta" in name for name in columns)
    coded = Segment(columns).coded("tracking.eta")
    assert coded is not None
    assert coded.same == 0


# --- bad input ---


@pytest.mark.parametrize("count", [0, LARGEST_SEGMENT + 1])
def test_too_few_or_too_many_rulings_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="split them"):
        encode_segment([one()] * count)


def test_a_ruling_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        encode_segment([replace(one(), at=datetime(2026, 11, 23))])
    naive = Facts("#1", datetime(2026, 11, 23), {})
    with pytest.raises(ValueError, match="time zone"):
        encode_segment([replace(one(), facts=naive)])


def test_any_changed_or_missing_byte_is_noticed() -> None:
    columns = encode_segment([one(), one(order__total=None)])
    for name, data in columns.items():
        draw = Random(name)
        for at in {0, 5, 9, len(data) - 1, *draw.sample(range(len(data)), 5)}:
            changed = bytearray(data)
            changed[at] ^= 1 << draw.randrange(8)
            with pytest.raises(SegmentDamaged, match="read from their decisions"):
                unpack(bytes(changed), name)
            with pytest.raises(SegmentDamaged, match="read from their decisions"):
                unpack(data[:at], name)


def test_a_missing_column_is_named() -> None:
    columns = dict(encode_segment([one()]))
    del columns["field:order.total"]
    with pytest.raises(SegmentDamaged, match=r"field:order\.total"):
        Segment(columns).coded("order.total")


def test_another_format_is_refused() -> None:
    columns = dict(encode_segment([one()]))
    head = unpack(columns["segment"], "segment").head
    columns["segment"] = pack({**head, "format": 2}, {})
    with pytest.raises(SegmentDamaged, match="format 2"):
        Segment(columns)


@pytest.mark.parametrize(
    "head", [b"[]", b"{}", b'{"head": 1}', json.dumps({"head": {}, "arrays": [["a", "|O", 3, None]]}).encode()]
)
def test_a_head_that_says_nothing_sensible_is_refused(head: bytes) -> None:
    body = struct.pack("<I", len(head)) + head
    with pytest.raises(SegmentDamaged):
        unpack(b"OMC1" + struct.pack("<I", zlib.crc32(body)) + body, "x")


# --- numbers and texts ---


@pytest.mark.parametrize("numbers", [[], [5], [7, 7], [0, 255], [-3, 0, 70_000], [10**15, 10**15 + 3_000_000], [-(2**61), 2**61]])
def test_numbers_come_back(numbers: list[int]) -> None:
    packed = unpack(pack_numbers(np.array(numbers, np.int64)), "x")
    assert numbers_of(packed).tolist() == numbers
    assert numbers_of(packed, np.arange(len(numbers))[::2]).tolist() == numbers[::2]


@pytest.mark.parametrize("texts", [["a"], ["dec_1", "dec_2"], ["same", "same"], ["", "x"], ["Zürich", "Zurich"], ["a\ud800"]])
def test_texts_come_back(texts: list[str]) -> None:
    packed = unpack(pack_texts(texts), "x")
    assert [text_of(packed, row) for row in range(len(texts))] == texts
