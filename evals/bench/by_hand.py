"""The shipped policy's lines as a careful developer would write them: one plain function per line, in the policy's order.

The yardstick for the guard's speed. Each function says whether its line fires; the benchmark holds them to the same answers.
They rely on values of the declared kinds and on nothing else that the guard can do.
"""

from collections.abc import Callable

from guardrails.facts import UNKNOWN, Facts
from guardrails.money import Money

HIGH_VALUE = {"USD": 50_000, "EUR": 45_000, "GBP": 40_000, "JPY": 70_000, "KWD": 150_000}


def high_value(facts: Facts) -> bool:
    fact = facts.by_name.get("order.total")
    if fact is None or not isinstance(fact.value, Money):
        return True
    limit = HIGH_VALUE.get(fact.value.currency)
    return limit is None or fact.value.amount >= limit


def advised_against(facts: Facts) -> bool:
    fact = facts.by_name.get("risk.recommendation")
    return fact is not None and (fact.value is UNKNOWN or fact.value in ("investigate", "cancel"))


def risk_is_high(facts: Facts) -> bool:
    fact = facts.by_name.get("risk.level")
    return fact is not None and (fact.value is UNKNOWN or fact.value == "high")


def review_is_open(facts: Facts) -> bool:
    fact = facts.by_name.get("payment.review")
    return fact is not None and (fact.value is UNKNOWN or fact.value == "open")


def set_aside(facts: Facts) -> bool:
    fact = facts.by_name.get("payment.outcome")
    return fact is not None and (fact.value is UNKNOWN or fact.value == "manual_review")


def payment_is_risky(facts: Facts) -> bool:
    fact = facts.by_name.get("payment.risk_level")
    return fact is not None and (fact.value is UNKNOWN or fact.value in ("elevated", "highest"))


def assessed_as_risky(facts: Facts) -> bool:
    fact = facts.by_name.get("check.high_risk")
    return fact is not None and fact.value is True


def held_for_fraud(facts: Facts) -> bool:
    fact = facts.by_name.get("hold.reason")
    return fact is not None and (fact.value is UNKNOWN or fact.value == "high_risk_of_fraud")


def payment_failed(facts: Facts) -> bool:
    fact = facts.by_name.get("payment.status")
    return fact is not None and (fact.value is UNKNOWN or fact.value in ("failed", "expired"))


def declined(facts: Facts) -> bool:
    status, code = facts.by_name.get("payment.status"), facts.by_name.get("payment.decline_code")
    if code is None or (status is not None and status.value not in (UNKNOWN, "requires_payment_method")):
        return False
    if status is None:
        return code.value is UNKNOWN
    return True


def capture_failed(facts: Facts) -> bool:
    fact = facts.by_name.get("check.capture_failed")
    return fact is not None and fact.value is True


def authorisation_expired(facts: Facts) -> bool:
    fact = facts.by_name.get("order.financial_status")
    return fact is not None and (fact.value is UNKNOWN or fact.value == "expired")


def awaiting_payment(facts: Facts) -> bool:
    fact = facts.by_name.get("hold.reason")
    return fact is not None and (fact.value is UNKNOWN or fact.value == "awaiting_payment")


def oversold(facts: Facts) -> bool:
    fact = facts.by_name.get("check.oversold")
    return fact is not None and fact.value is True


def stock_below_zero(facts: Facts) -> bool:
    fact = facts.by_name.get("inventory.available")
    return fact is not None and (not isinstance(fact.value, int) or fact.value < 0)


def picked_short(facts: Facts) -> bool:
    fact = facts.by_name.get("check.picked_short")
    return fact is not None and fact.value is True


def stopped_for_stock(facts: Facts) -> bool:
    fact = facts.by_name.get("check.work_reason")
    return fact is not None and fact.value == "stock"


def stopped_without_code(facts: Facts) -> bool:
    fact = facts.by_name.get("check.work_reason")
    return fact is not None and fact.value == "uncoded"


def held_for_stock(facts: Facts) -> bool:
    fact = facts.by_name.get("hold.reason")
    return fact is not None and (fact.value is UNKNOWN or fact.value == "inventory_out_of_stock")


def undeliverable(facts: Facts) -> bool:
    fact = facts.by_name.get("address.deliverable")
    return fact is not None and fact.value is not True


def address_changed(facts: Facts) -> bool:
    fact = facts.by_name.get("check.address_changed_after_payment")
    return fact is not None and fact.value is True


def label_differs(facts: Facts) -> bool:
    fact = facts.by_name.get("check.label_address_differs")
    return fact is not None and fact.value is True


def stopped_for_address(facts: Facts) -> bool:
    fact = facts.by_name.get("check.work_reason")
    return fact is not None and fact.value == "address"


def held_for_address(facts: Facts) -> bool:
    fact = facts.by_name.get("hold.reason")
    return fact is not None and (fact.value is UNKNOWN or fact.value == "incorrect_address")


def carriers_contradict(facts: Facts) -> bool:
    fact = facts.by_name.get("check.carrier_conflict")
    return fact is not None and fact.value is True


def disputed(facts: Facts) -> bool:
    fact = facts.by_name.get("dispute.status")
    return fact is not None and fact.value not in ("won", "warning_closed", "prevented")


def fraud_warned(facts: Facts) -> bool:
    return facts.by_name.get("fraud_warning.type") is not None


def sources_differ(facts: Facts) -> bool:
    fact = facts.by_name.get("check.source_conflict")
    return fact is not None and fact.value is True


def payments_differ(facts: Facts) -> bool:
    fact = facts.by_name.get("check.payment_conflict")
    return fact is not None and fact.value is True


def refunds_differ(facts: Facts) -> bool:
    fact = facts.by_name.get("check.refund_conflict")
    return fact is not None and fact.value is True


def stocks_differ(facts: Facts) -> bool:
    fact = facts.by_name.get("check.stock_conflict")
    return fact is not None and fact.value is True


def risks_differ(facts: Facts) -> bool:
    fact = facts.by_name.get("check.risk_conflict")
    return fact is not None and fact.value is True


def instructed(facts: Facts) -> bool:
    fact = facts.by_name.get("case.untrusted_instructions")
    return fact is None or fact.value is not False


def unclassified(facts: Facts) -> bool:
    fact = facts.by_name.get("case.classifier_failed")
    return fact is None or fact.value is not False


def no_total(facts: Facts) -> bool:
    fact = facts.by_name.get("order.total")
    return fact is None or fact.value is UNKNOWN


def outdated(facts: Facts) -> bool:
    fact = facts.by_name.get("basis.outdated")
    return fact is not None and fact.value is True


def resubmitted_before(facts: Facts) -> bool:
    action, attempts = facts.by_name.get("action.name"), facts.by_name.get("fulfilment.attempts")
    if action is not None and action.value not in (UNKNOWN, "resubmit_fulfilment"):
        return False
    if attempts is None:
        return action is not None and action.value is UNKNOWN
    if not isinstance(attempts.value, int):
        return True
    return attempts.value >= 2 and action is not None


BY_HAND: tuple[Callable[[Facts], bool], ...] = (
    *(high_value, advised_against, risk_is_high, review_is_open, set_aside, payment_is_risky, assessed_as_risky, held_for_fraud),
    *(payment_failed, declined, capture_failed, authorisation_expired, awaiting_payment),
    *(oversold, stock_below_zero, picked_short, stopped_for_stock, stopped_without_code, held_for_stock),
    *(undeliverable, address_changed, label_differs, stopped_for_address, stopped_without_code, held_for_address),
    *(carriers_contradict, disputed, fraud_warned),
    *(sources_differ, payments_differ, refunds_differ, stocks_differ, risks_differ, instructed, unclassified),
    *(no_total, outdated, resubmitted_before),
)
