"""From a context to a ruling, with the configuration as it is shipped."""

from app.context import OrderContext
from app.judge import Judgement, about, judge, look
from app.models.rules import RulesClassifier
from guardrails.policy.load import load_policy
from guardrails.standing import NOTHING_SPENT
from guardrails.taxonomy import Action, Category, Reason, Verdict
from tests.app.pictures import CONFIG, DETECTORS, OWNERS, eur, picture, placed, read, said, when

POLICY = load_policy((CONFIG / "policy.yaml").read_text(), "policy.yaml")


async def ruled(context: OrderContext) -> Judgement:
    return await judge(look(context, DETECTORS), RulesClassifier(OWNERS), POLICY, NOTHING_SPENT)


async def test_what_detectors_saw_is_a_fact() -> None:
    sighting = look(picture(placed(), said("stripe", {"fraud_warning.type": "misc"}, entity="issfr_1")), DETECTORS)
    assert sighting.facts.get("case.detected") == frozenset(["payment_dispute"])


async def test_a_stalled_order_is_nudged_without_a_person() -> None:
    found = await ruled(picture(placed(), said("wms", {"fulfilment.state": "received"}, 1), now=60))
    assert (found.diagnosis.category, found.ruling.verdict) == (Category.FULFILMENT_STALLED, Verdict.AUTOMATE)


async def test_a_failed_payment_waits_for_a_person_whatever_the_confidence() -> None:
    failed = said("stripe", {"payment.status": "failed", "payment.decline_code": "do_not_honor"}, 0.5, entity="pi_1")
    found = await ruled(picture(placed(financial_status="pending"), failed))
    assert found.ruling.verdict is Verdict.REVIEW
    assert Reason.FAILED_PAYMENT_CAPTURE in found.ruling.mandatory


async def test_at_the_limit_a_person_looks_and_a_cent_below_nobody_must() -> None:
    def stalled(cents: int) -> OrderContext:
        return picture(placed(total=eur(cents)), said("wms", {"fulfilment.state": "received"}, 1), now=60)

    assert (await ruled(stalled(45_000))).ruling.mandatory == (Reason.HIGH_VALUE_ORDER,)
    assert (await ruled(stalled(44_999))).ruling.verdict is Verdict.AUTOMATE


async def test_without_the_order_total_nothing_runs() -> None:
    found = await ruled(picture(said("wms", {"item.damaged": 1})))
    assert found.ruling.verdict is Verdict.BLOCK


async def test_a_cause_known_only_from_an_old_reading_is_blocked_until_it_is_read_again() -> None:
    def late(read_at: float) -> OrderContext:
        promise = said("shopify", {"promise.deliver_by": when(40)})
        return picture(placed(), promise, read("easypost", {"tracking.status": "in_transit"}, read_at, 99, entity="1Z"), now=100)

    assert (await ruled(late(70))).ruling.verdict is Verdict.BLOCK
    assert (await ruled(late(90))).ruling.verdict is Verdict.AUTOMATE


async def test_a_reading_from_before_our_connection_failed_is_not_trusted() -> None:
    failure = said("outbox", {"integration.system": "stripe", "integration.operation": "payment_intents.capture"}, 2, entity="e1")
    before = picture(placed(), read("stripe", {"payment.status": "requires_capture"}, 1, 3), failure, now=3)
    after = picture(placed(), read("stripe", {"payment.status": "requires_capture"}, 2.5, 3), failure, now=3)
    assert look(before, DETECTORS).facts.get("basis.outdated") is True
    assert look(after, DETECTORS).facts.get("basis.outdated") is False


def test_a_case_is_only_asked_about_its_cause_and_what_that_explains() -> None:
    twice = [
        said("stripe", {"payment.status": "succeeded", "payment.amount_received": eur(10_000)}, entity=f"pi_{n}") for n in (1, 2)
    ]
    sighting = look(picture(placed(), *twice, said("wms", {"item.damaged": 1}), now=60), DETECTORS)
    assert {d.category for d in sighting.detections.found} > {Category.PAYMENT_MISMATCH, Category.WAREHOUSE_EXCEPTION}
    mine = about(sighting, "payment_mismatch", DETECTORS)
    assert {d.category for d in mine.detections.found} == {Category.PAYMENT_MISMATCH, Category.FULFILMENT_STALLED}


def test_a_case_that_nobody_detected_is_asked_about_everything() -> None:
    sighting = look(picture(placed()), DETECTORS)
    assert about(sighting, "unknown", DETECTORS) is sighting


async def test_transient_trouble_is_resubmitted_once_and_then_a_person_decides() -> None:
    def rejected(*hours: float) -> OrderContext:
        words = [said("wms", {"fulfilment.state": "rejected", "fulfilment.reason": "timeout"}, h) for h in hours]
        return picture(placed(), *words, now=5)

    first, again = await ruled(rejected(1)), await ruled(rejected(1, 2, 4))
    assert [a.action.action for a in first.ruling.actions if a.verdict is Verdict.AUTOMATE][:1] == [Action.RESUBMIT_FULFILMENT]
    assert again.ruling.verdict is Verdict.REVIEW
