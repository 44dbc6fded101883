"""Whatever a system states, however wrong, the checks answer: an order must not become unreadable through one odd value."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.classify import Question
from app.context import SignalSummary
from app.judge import look
from app.models.rules import RulesClassifier
from app.signals.shapes import Observation, Source
from guardrails.grounding import ground
from guardrails.policy.catalogue import CATALOGUE
from tests.app.pictures import DETECTORS, OWNERS, at, eur, picture, when

_FIELDS = sorted({name for name in CATALOGUE if not name.startswith(("check.", "case.", "basis.", "action.", "actor."))} | {
    "tracking.scans", "order.lines", "order.ship_to", "order.gateways", "hold.reasons", "parcel.delivery_status", "parcel.carrier",
    "label.carrier", "tracking.carrier", "transaction.kind", "transaction.status", "fulfilment.planned_ship", "return.processed_at",
    "payment.card_fingerprint", "fulfilment_order.split_at", "fulfilment.detail", "product.list_price", "order.checkout_token",
})  # fmt: skip
_CODES = sorted({value for field in CATALOGUE.values() for value in field.values})
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 500),
    st.sampled_from(_CODES),
    st.sampled_from([when(-500), when(-1), when(1), when(99), "2026-11-02", "not a time", ""]),
    st.sampled_from([eur(10_000), eur(-1), {"amount": 5, "currency": "JPY"}, {"amount": "5", "currency": "EUR"}, {"zip": 12}, {}]),
    st.lists(st.sampled_from([{}, {"at": 5, "zip": None, "status": []}, {"sku": 1, "price": eur(1)}, "x", None, 3]), max_size=3),
)
_OBSERVATIONS = st.builds(
    Observation,
    field=st.sampled_from(_FIELDS),
    value=_VALUES,
    system=st.sampled_from(["shopify", "stripe", "wms", "easypost", "carrier", "labels", "pim"]),
    occurred_at=st.sampled_from([at(-200), at(0), at(0.5), at(1)]),
    entity=st.sampled_from(["", "a", "b", "sku:1"]),
)
_SIGNALS = st.builds(
    SignalSummary,
    signal_id=st.sampled_from(["s1", "s2", "s3"]),
    source=st.sampled_from([Source.EVENTS, Source.EVIDENCE]),
    topic=st.just("t"),
    occurred_at=st.just(at(0)),
    received_at=st.sampled_from([at(0), at(1)]),
    observations=st.lists(_OBSERVATIONS, max_size=12).map(tuple),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_SIGNALS, max_size=6))
async def test_no_value_makes_an_order_unreadable(signals: list[SignalSummary]) -> None:
    sighting = look(picture(*signals, now=100), DETECTORS)
    assert sighting.facts.digest()
    question = Question(sighting.context, sighting.snapshot, sighting.facts, sighting.detections, {})
    diagnosis = await RulesClassifier(OWNERS).classify(question)
    assert [item.struck for item in ground(diagnosis.evidence, sighting.snapshot) if item.struck] == []
