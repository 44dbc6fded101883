"""The closed sets of names that every part of Ordermend uses: in columns, URLs, policy, prompts and console alike."""

from enum import IntEnum, StrEnum


class Team(StrEnum):
    FINANCE = "finance"
    FULFILMENT = "fulfilment"
    ECOMMERCE = "ecommerce"
    RISK = "risk"
    OPERATIONS = "operations"


class Category(StrEnum):
    """What kind of exception it is. The most specific cause that the evidence supports wins over its symptom."""

    PAYMENT_FAILED = "payment_failed"
    PAYMENT_MISMATCH = "payment_mismatch"
    AUTHORIZATION_EXPIRING = "authorization_expiring"
    PAYMENT_DISPUTE = "payment_dispute"
    FRAUD_RISK = "fraud_risk"
    ADDRESS_RISK = "address_risk"
    INVENTORY_UNAVAILABLE = "inventory_unavailable"
    WAREHOUSE_EXCEPTION = "warehouse_exception"
    FULFILMENT_STALLED = "fulfilment_stalled"
    DELIVERY_EXCEPTION = "delivery_exception"
    CARRIER_CONFLICT = "carrier_conflict"
    DELIVERY_LATE = "delivery_late"
    SPLIT_SHIPMENT = "split_shipment"
    DUPLICATE_ORDER = "duplicate_order"
    INVALID_ORDER_DATA = "invalid_order_data"
    CHANGE_RACE = "change_race"
    REFUND_EXCEPTION = "refund_exception"
    INTEGRATION_FAILURE = "integration_failure"
    UNKNOWN = "unknown"


class RiskClass(StrEnum):
    R0 = "R0"
    """Read or annotate."""
    R1 = "R1"
    """Reversible at no cost."""
    R2 = "R2"
    """Customer-visible, or reversible for a limited time."""
    R3 = "R3"
    """Money or irreversible."""


class Action(StrEnum):
    REFETCH_FACTS = "refetch_facts"
    ADD_NOTE = "add_note"
    ADD_TAG = "add_tag"
    LINK_CASES = "link_cases"
    ASSIGN_OWNER = "assign_owner"
    NOTIFY_OWNER = "notify_owner"
    OPEN_TICKET = "open_ticket"
    HOLD_FULFILMENT = "hold_fulfilment"
    RELEASE_OWN_HOLD = "release_own_hold"
    SNOOZE_CASE = "snooze_case"
    RESUBMIT_FULFILMENT = "resubmit_fulfilment"
    MESSAGE_CUSTOMER = "message_customer"
    SEND_PAYMENT_LINK = "send_payment_link"
    NORMALISE_ADDRESS = "normalise_address"
    REROUTE_FULFILMENT = "reroute_fulfilment"
    VOID_LABEL = "void_label"
    APPROVE_PAYMENT_REVIEW = "approve_payment_review"
    RETRY_CAPTURE = "retry_capture"
    REFUND_PAYMENT = "refund_payment"
    CANCEL_ORDER = "cancel_order"
    RESHIP = "reship"
    FILE_CARRIER_CLAIM = "file_carrier_claim"
    SUBMIT_DISPUTE_EVIDENCE = "submit_dispute_evidence"


class Verdict(StrEnum):
    """Ordered by strictness: the strictest of several verdicts is the verdict."""

    AUTOMATE = "automate"
    REVIEW = "review"
    BLOCK = "block"

    @property
    def strictness(self) -> int:
        return _STRICTNESS[self]


_STRICTNESS = {Verdict.AUTOMATE: 0, Verdict.REVIEW: 1, Verdict.BLOCK: 2}


def strictest(verdicts: "list[Verdict]") -> Verdict:
    """The strictest of the verdicts; of none at all, `block` (default deny)."""
    return max(verdicts, key=_STRICTNESS.__getitem__, default=Verdict.BLOCK)


class Reason(StrEnum):
    """Why a person must look, whatever the confidence."""

    HIGH_VALUE_ORDER = "high_value_order"
    FRAUD_REVIEW = "fraud_review"
    FAILED_PAYMENT_CAPTURE = "failed_payment_capture"
    UNAVAILABLE_INVENTORY = "unavailable_inventory"
    ADDRESS_RISK = "address_risk"
    CARRIER_CONFLICT = "carrier_conflict"
    PAYMENT_DISPUTE = "payment_dispute"
    SOURCE_CONFLICT = "source_conflict"
    STALE_FACTS = "stale_facts"
    LOW_CONFIDENCE = "low_confidence"
    UNGROUNDED_EVIDENCE = "ungrounded_evidence"
    UNTRUSTED_INSTRUCTIONS = "untrusted_instructions"
    IRREVERSIBLE_ACTION = "irreversible_action"
    BUDGET_EXHAUSTED = "budget_exhausted"
    CLASSIFIER_UNAVAILABLE = "classifier_unavailable"


class PrincipalKind(StrEnum):
    """Who asks for an action. Only a person can approve; the agent and services never can."""

    AGENT = "agent"
    SERVICE = "service"
    PERSON = "person"


class Truth(IntEnum):
    """Kleene's three values. A missing input is UNKNOWN, never FALSE."""

    FALSE = 0
    UNKNOWN = 1
    TRUE = 2
