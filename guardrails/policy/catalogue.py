"""Every field that a ruling or a detector may read: its type, its closed values, and who writes it.

Field names are flat and dotted. A field may exist once per entity (a payment, a parcel, a SKU): the bare name then means
the entity that changed last, and code in `app/checks.py` derives what needs more than one of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from guardrails.policy.language import FieldType, ValueType
from guardrails.taxonomy import Action, Category, PrincipalKind, RiskClass


class Writer(StrEnum):
    RECORD = "record"
    """A system of record said it."""
    DERIVED = "derived"
    """Code computed it from values of systems of record."""
    CLOCK = "clock"
    """Code computed it from the time that has passed; it changes though nothing happened."""
    MODEL = "model"
    """The classifier said it: never the ground of a mandatory rule."""
    ACTOR = "actor"
    """It describes who asks and for what."""


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: ValueType
    writer: Writer
    meaning: str
    values: frozenset[str] = frozenset()
    untrusted: bool = False

    @property
    def field_type(self) -> FieldType:
        return FieldType(self.type, self.values)


def _text(name: str, meaning: str, values: Iterable[str] = (), writer: Writer = Writer.RECORD) -> Field:
    return Field(name, ValueType.TEXT, writer, meaning, frozenset(values))


def _free(name: str, meaning: str) -> Field:
    return Field(name, ValueType.TEXT, Writer.RECORD, meaning, untrusted=True)


def _of(kind: ValueType, name: str, meaning: str, writer: Writer = Writer.RECORD) -> Field:
    return Field(name, kind, writer, meaning)


def _money(name: str, meaning: str) -> Field:
    return _of(ValueType.MONEY, name, meaning)


def _time(name: str, meaning: str) -> Field:
    return _of(ValueType.TIME, name, meaning)


def _int(name: str, meaning: str) -> Field:
    return _of(ValueType.INT, name, meaning)


def _check(name: str, meaning: str) -> Field:
    return _of(ValueType.BOOL, f"check.{name}", meaning, Writer.DERIVED)


def _hours(name: str, meaning: str) -> Field:
    return _of(ValueType.INT, f"check.hours_since_{name}", meaning, Writer.CLOCK)


FINANCIAL = ["pending", "authorized", "partially_paid", "paid", "partially_refunded", "refunded", "voided", "expired"]
FULFILLMENT = ["unfulfilled", "partial", "fulfilled", "restocked"]
PAYMENT = [
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "processing",
    "requires_capture",
    "succeeded",
    "failed",
    "canceled",
    "expired",
]
REFUND = ["pending", "requires_action", "succeeded", "failed", "canceled"]
WORK = ["received", "accepted", "in_progress", "held", "rejected", "packed", "shipped", "delivered", "cancelled", "incomplete"]
REQUEST = [
    "unsubmitted",
    "submitted",
    "accepted",
    "rejected",
    "cancellation_requested",
    "cancellation_accepted",
    "cancellation_rejected",
    "closed",
]
TRACKING = [
    "unknown",
    "pre_transit",
    "in_transit",
    "out_for_delivery",
    "delivered",
    "available_for_pickup",
    "return_to_sender",
    "failure",
    "cancelled",
    "error",
]
WORK_REASON = [
    "none",
    "address",
    "stock",
    "contact",
    "amounts",
    "order_data",
    "fraud",
    "payment",
    "account",
    "seller",
    "warehouse",
    "transient",
    "uncoded",
]
RISK = ["none", "low", "medium", "high", "pending"]

RECORDED: tuple[Field, ...] = (
    _text("order.ref", "the name the storefront gives the order"),
    _text("order.id", "the storefront's own id"),
    _text("order.channel", "where it was bought"),
    _money("order.total", "what the buyer owes for this order, as ordered now"),
    _text("order.currency", "ISO 4217 code of the order"),
    _money("order.outstanding", "what is still to be paid, by the storefront"),
    _time("order.placed_at", "when it was placed"),
    _time("order.cancelled_at", "when it was cancelled"),
    _text("order.cancel_reason", "why it was cancelled, by code"),
    _time("order.edited_at", "when its lines were last edited after placing"),
    _free("order.edit_note", "the staff's note on an edit"),
    _time("order.imported_at", "when a sales channel handed it over"),
    _text("order.financial_status", "payment state as the storefront mirrors it", FINANCIAL),
    _text("order.fulfillment_status", "fulfilment state as the storefront sees it", FULFILLMENT),
    _free("order.note", "the buyer's note"),
    _text("order.customer", "one-way hash of the buyer's e-mail, lower-cased"),
    _text("order.lines_fingerprint", "one-way hash of SKUs and quantities"),
    _text("order.ship_to_fingerprint", "one-way hash of the normalised ship-to"),
    _text("order.ship_to_country", "ISO 3166 alpha-2"),
    _text("order.billing_country", "ISO 3166 alpha-2"),
    _int("order.line_count", "how many different lines"),
    _int("order.unshipped_quantity", "items still to be shipped, by the storefront"),
    _text("payment.status", "state of the payment at the provider", PAYMENT),
    _money("payment.amount", "what was asked for"),
    _money("payment.amount_received", "what was taken"),
    _money("payment.amount_capturable", "what is authorised and not yet captured"),
    _money("payment.amount_captured", "what was captured"),
    _money("payment.amount_refunded", "what went back"),
    _text("payment.decline_code", "the provider's decline or failure code"),
    _text("payment.advice_code", "the network's advice: try_again_later, do_not_try_again, confirm_card_data"),
    _free("payment.failure_message", "the provider's words"),
    _time("payment.authorized_at", "when the authorisation was given"),
    _time("payment.capture_before", "when the authorisation lapses"),
    _text(
        "payment.outcome", "the provider's outcome type", ["authorized", "manual_review", "issuer_declined", "blocked", "invalid"]
    ),
    _text("payment.review", "the provider's manual review", ("open", "approved", "refunded", "disputed", "closed")),
    _text("payment.risk_level", "the provider's risk level", ["normal", "elevated", "highest", "not_assessed", "unknown"]),
    _int("payment.risk_score", "the provider's risk score, 0 to 100"),
    _text("payment.network_status", "what the card network did, by code"),
    _text("payment.capture_method", "whether it is captured by itself or on request", ["automatic", "automatic_async", "manual"]),
    _text("payment.review_reason", "why the provider's review was opened or closed, by code"),
    _text(
        "transaction.kind",
        "a transaction as the storefront records it",
        ["authorization", "capture", "sale", "void", "refund", "change"],
    ),
    _text(
        "transaction.status",
        "how that transaction ended",
        ["pending", "success", "failure", "error", "awaiting_response", "unknown"],
    ),
    _money("transaction.amount", "what that transaction was to move"),
    _text("transaction.error_code", "why that transaction failed, by code"),
    _free("transaction.message", "the storefront's words on that transaction"),
    _text("dispute.status", "state of the chargeback or inquiry"),
    _text("dispute.reason", "the issuer's reason code"),
    _money("dispute.amount", "what is disputed"),
    _time("dispute.due_by", "when evidence is due"),
    _text("fraud_warning.type", "early fraud warning, by type"),
    _of(ValueType.BOOL, "fraud_warning.actionable", "a refund can still prevent a dispute"),
    _text("refund.status", "state of the refund at the provider", REFUND),
    _money("refund.amount", "what is to go back"),
    _text("refund.failure_reason", "why the refund failed, by code"),
    _text("refund.status_detail", "the provider's own word for the refund's state, lower-cased"),
    _free("refund.message", "the provider's words"),
    _free("refund.note", "the note on the refund at the storefront"),
    _money("refund.storefront_amount", "what the storefront says went back"),
    _text("return.status", "state of the return", ["requested", "approved", "declined", "open", "closed", "cancelled"]),
    _time("return.processed_at", "when the storefront processed the return"),
    _time("return.received_at", "when goods came back to the warehouse"),
    _text("return.reason", "why they came back, by code, lower-cased"),
    _free("return.message", "the warehouse's words on goods that came back"),
    _free("return.note", "the note on the return"),
    _text("risk.recommendation", "the storefront's advice", ["accept", "investigate", "cancel", "none"]),
    _text("risk.level", "the storefront's risk level", RISK),
    _text("fulfilment.state", "what the warehouse has done", WORK),
    _text("fulfilment.request", "where the fulfilment request stands", REQUEST),
    _text("fulfilment.reason", "rejection, hold or exception code, lower-cased"),
    _free("fulfilment.message", "the warehouse's words"),
    _free("fulfilment.request_message", "what was written to the warehouse with a request"),
    _free("fulfilment.note", "the warehouse's words where nothing is wrong"),
    _text("fulfilment.detail", "the warehouse's own word for the state, lower-cased"),
    _text("fulfilment_order.status", "state of the storefront's fulfilment order, lower-cased"),
    _int("fulfilment.attempts", "how often the request was submitted"),
    _text("hold.reason", "why the storefront holds it, by code, lower-cased; none after release"),
    _free("hold.message", "the note on the hold"),
    _text("hold.handle", "the handle of the hold"),
    _time("hold.placed_at", "when the latest hold was placed"),
    _time("hold.released_at", "when the last hold was released"),
    _of(ValueType.BOOL, "hold.ours", "the hold was placed by this application"),
    _of(ValueType.BOOL, "hold.case_closed", "the case for which this application placed the hold is closed"),
    _int("pick.requested", "items asked of the pick"),
    _int("pick.available", "items that the pick found"),
    _int("item.damaged", "items found damaged"),
    _int("item.mispicked", "wrong items picked"),
    _free("item.message", "the warehouse's words on the item"),
    _int("inventory.on_hand", "counted stock of one SKU"),
    _int("inventory.allocated", "stock promised to orders"),
    _int("inventory.available", "sellable stock, negative when oversold"),
    _int("inventory.other_locations", "stock of the SKU elsewhere"),
    _text("product.sku", "a SKU of the product master"),
    _time("label.purchased_at", "when a label was bought"),
    _time("label.voided_at", "when it was voided"),
    _text("label.ship_to_fingerprint", "one-way hash of the normalised ship-to on the label"),
    _text("parcel.carrier", "the carrier that the seller's systems name"),
    _time("parcel.shipped_at", "when the seller's systems say it left"),
    _text("parcel.delivery_status", "where the parcel is, as the storefront shows it", TRACKING),
    _text("tracking.status", "where the parcel is, by the carrier", TRACKING),
    _text("tracking.status_detail", "the carrier's detail code"),
    _text("tracking.subtag", "AfterShip's own subtag"),
    _text("tracking.carrier", "the carrier whose scans these are"),
    _free("tracking.message", "the carrier's words"),
    _time("tracking.first_scan_at", "the first physical scan"),
    _time("tracking.last_scan_at", "the latest physical scan"),
    _time("tracking.delivered_at", "the delivery scan"),
    _time("tracking.eta", "the carrier's promise"),
    _text("tracking.zip", "postal code of the latest scan"),
    _text("tracking.signed_by", "who signed"),
    _of(ValueType.BOOL, "address.deliverable", "a verifier's answer"),
    _text("address.code", "the verifier's first error code, lower-cased"),
    _time("promise.ship_by", "the promise to ship"),
    _time("promise.deliver_by", "the promise to deliver"),
    _free("customer.message", "what the customer wrote"),
    _int("customer.orders_last_24h", "orders of the same buyer in a day"),
    _int("customer.distinct_cards", "cards of the same buyer in a day"),
    _text("integration.system", "whose plumbing failed"),
    _text("integration.operation", "what it was doing"),
    _free("integration.message", "the failure's words"),
    _time("integration.failed_at", "when it failed"),
    _free("report.description", "what a person or script wrote when reporting"),
)

CHECKS: tuple[Field, ...] = (
    _check("paid", "the money for the order is taken or securely authorised"),
    _check("payment_conflict", "amounts, currency or state disagree between storefront and payment provider"),
    _check("paid_twice", "two payments succeeded for this order"),
    _check("refund_conflict", "storefront and provider disagree about a refund, or it failed"),
    _check("scanned", "a carrier has physically scanned a parcel of this order"),
    _check("shipped", "the seller's systems say that it left"),
    _check("delivered", "a carrier says that it was delivered"),
    _check("carrier_conflict", "systems contradict each other about a parcel"),
    _check("address_changed_after_payment", "the ship-to was replaced after payment"),
    _check("label_address_differs", "the label's ship-to is not the order's"),
    _check("duplicate", "another order has the same buyer, lines and ship-to within the window"),
    _check("partly_shipped", "a part left and a part did not"),
    _check("changed_after_work_began", "an edit, cancellation or address change came after the warehouse had accepted"),
    _check("oversold", "promised stock exceeds what is on hand"),
    _hours("paid", "whole hours since the money was there"),
    _hours("label", "whole hours since the label was bought"),
    _hours("scan", "whole hours since the last physical scan"),
    _check("source_conflict", "two systems of record differ on some field"),
    _check("underpaid", "less money is secured than the order costs"),
    _check("capture_failed", "the last attempt to take the money failed"),
    _of(ValueType.INT, "check.hours_to_lapse", "whole hours until the authorisation lapses, below zero afterwards", Writer.CLOCK),
    _check("lapses_before_shipment", "the authorisation lapses before the planned shipment"),
    _check("can_ship_before_lapse", "the warehouse could ship before the authorisation lapses"),
    _check("refund_failed", "the provider could not send the money back"),
    _hours("refund_asked", "whole hours since the oldest pending refund was asked for"),
    _check("return_without_refund", "goods came back and the provider has no refund"),
    _check("damaged_on_the_way", "a carrier's scan says that a parcel was damaged"),
    _check("late_by_promise", "the promised day of delivery has passed"),
    _check("still_promised", "the carrier names a day of delivery yet to come"),
    _hours("at_pickup", "whole hours since a parcel has waited for its recipient to fetch it"),
    _text("check.work_reason", "what the warehouse's rejection, hold or exception code is about", WORK_REASON, Writer.DERIVED),
    _check("held", "the storefront or the warehouse holds it"),
    _check("cancelled", "the order was cancelled"),
    _check("submitted_often", "the warehouse turned the request down more than once"),
    _hours("placed", "whole hours since the order was placed"),
    _hours("held", "whole hours since the storefront's hold was placed"),
    _hours("progress", "whole hours since the last step towards the carrier"),
    _check("promised_ship_passed", "the promised time of shipment has passed"),
    _check("stock_conflict", "storefront and warehouse disagree whether there is stock"),
    _check("picked_short", "a pick found less than it was asked for"),
    _check("verified_address_differs", "the verifier judged another address than the order now has"),
    _check("address_corrected", "the verifier proposes another address than the one given"),
    _check("high_risk", "a risk assessment asks for a person"),
    _check("risk_conflict", "the storefront sees no risk and the payment provider does"),
    _check("many_cards", "the buyer used several cards within a day"),
    _check("price_off", "a line's price is far from its list price"),
    _check("message_unread", "a customer wrote, or somebody reported in free text"),
)

CASE: tuple[Field, ...] = (
    _text("case.category", "the classified category", (c.value for c in Category), Writer.MODEL),
    _of(ValueType.INT, "case.confidence", "the classifier's confidence in basis points, 0 to 10000", Writer.MODEL),
    _of(ValueType.INT, "case.grounded_evidence", "cited items that hold and are not free text", Writer.MODEL),
    _of(ValueType.BOOL, "case.untrusted_instructions", "an attempt to give the model orders was found", Writer.DERIVED),
    _of(ValueType.BOOL, "case.classifier_failed", "the classifier could not answer", Writer.DERIVED),
    _of(ValueType.SET, "case.detected", "categories that detectors found by facts alone", Writer.DERIVED),
    _of(ValueType.BOOL, "basis.outdated", "what is known of its cause was read too long ago, or has changed since", Writer.CLOCK),
    _text("action.name", "the action asked for", (a.value for a in Action), Writer.ACTOR),
    _text("action.class", "risk class of the action asked for", (c.value for c in RiskClass), Writer.ACTOR),
    _money("action.amount", "the money it would move"),
    _text("actor.kind", "who asks", (k.value for k in PrincipalKind), Writer.ACTOR),
    _of(ValueType.SET, "actor.roles", "the person's roles", Writer.ACTOR),
)

CATALOGUE: Mapping[str, Field] = {field.name: field for field in RECORDED + CHECKS + CASE}
FIELD_TYPES: Mapping[str, FieldType] = {name: field.field_type for name, field in CATALOGUE.items()}
