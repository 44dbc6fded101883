"""Where a text can be put into a case: the fields in which strangers really write."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from evals.building.stage import Stage
from evals.building.world import Draw

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """`fits` is the kind of field in the words of the attack corpus. `plant` puts the text there, or returns False where the case has no such
    field."""

    name: str
    fits: str
    plant: Callable[[Stage, str], bool]


def _orders(stage: Stage) -> Iterator[Body]:
    """Every body of the order: a text in the order stands in all of them."""
    for signal in stage.signals:
        if signal["source"] == "shopify" and "shipping_address" in signal["payload"]:
            yield signal["payload"]


def _events(stage: Stage) -> Iterator[tuple[str, Body]]:
    for signal in stage.signals:
        if signal["source"] == "events":
            yield signal["payload"]["type"], signal["payload"]["data"]


def _into_orders(change: Callable[[Body, str], None]) -> Callable[[Stage, str], bool]:
    def plant(stage: Stage, text: str) -> bool:
        bodies = list(_orders(stage))
        for body in bodies:
            change(body, text)
        return bool(bodies)

    return plant


def _note(body: Body, text: str) -> None:
    body["note"] = text


def _second_line(body: Body, text: str) -> None:
    body["shipping_address"]["address2"] = text


def _company(body: Body, text: str) -> None:
    body["shipping_address"]["company"] = text


def _buyer(stage: Stage, text: str) -> bool:
    """The buyer's name, wherever the shop repeats it."""
    bodies = list(_orders(stage))
    for body in bodies:
        body["customer"]["last_name"] = text
        for address in ("shipping_address", "billing_address"):
            body[address] |= {"last_name": text, "name": f"{body[address]['first_name']} {text}"}
    for signal in stage.signals if bodies else []:
        if "destination" in signal["payload"]:
            to = signal["payload"]["destination"]
            signal["payload"]["destination"] = {**to, "last_name": text, "name": f"{to['first_name']} {text}"}
    return bool(bodies)


def _title(body: Body, text: str) -> None:
    body["line_items"][0]["title"] = body["line_items"][0]["name"] = text


def _gift(body: Body, text: str) -> None:
    body["note_attributes"] = [{"name": "gift_message", "value": text}]


def _engraving(body: Body, text: str) -> None:
    body["line_items"][0]["properties"] = [{"name": "Engraving", "value": text}]


def _message(stage: Stage, text: str) -> bool:
    """A message of its own, at the end."""
    stage.said(text, "chat")
    return True


def _appended(stage: Stage, text: str) -> bool:
    """After what the customer wrote anyway."""
    for kind, data in _events(stage):
        if kind == "customer.message":
            data["text"] = f"{data['text']} {text}"
            return True
    return False


def _warehouse(stage: Stage, text: str) -> bool:
    for kind, data in _events(stage):
        if kind.startswith("wms.") and "message" in data:
            data["message"] = f"{data['message']} / {text}"
            return True
    return False


def _partner(stage: Stage, text: str) -> bool:
    for kind, data in _events(stage):
        if kind in ("integration.failed", "refund.status"):
            data["message"] = f"{data['message']} | {text}"
            return True
    return False


def _scan(stage: Stage, text: str) -> bool:
    """Behind the words of the parcel's latest scan."""
    for signal in reversed(stage.signals):
        payload = signal["payload"]
        if signal["source"] == "easypost":
            scan = payload["result"]["tracking_details"][-1]
            scan["message"] = f"{scan['message']}. {text}"
            return True
        if signal["source"] == "aftership":
            scan = payload["msg"]["checkpoints"][-1]
            scan["message"] = f"{scan['message']}. {text}"
            return True
    return False


def _hold(stage: Stage, text: str) -> bool:
    for signal in stage.signals:
        for hold in signal["payload"].get("fulfillment_order", {}).get("fulfillment_holds", []):
            hold["reason_notes"] = f"{hold['reason_notes']} - {text}"
            return True
    return False


def _rejection(stage: Stage, text: str) -> bool:
    for signal in stage.signals:
        payload = signal["payload"]
        if signal["source"] == "shopify" and "fulfillment_order" in payload and "message" in payload:
            payload["message"] = f"{payload['message']} {text}"
            return True
    return False


def _staff(stage: Stage, text: str) -> bool:
    for signal in stage.signals:
        payload = signal["payload"]
        if "order_edit" in payload:
            payload["order_edit"]["staff_note"] = f"{payload['order_edit']['staff_note']}; {text}"
            return True
        if signal["source"] == "shopify" and "transactions" in payload and "note" in payload:
            payload["note"] = f"{payload['note']}; {text}"
            return True
    return False


def _report(stage: Stage, text: str) -> bool:
    stage.reported("helpdesk", text, {})
    return True


FIELDS: tuple[Field, ...] = (
    Field("order-note", "order_note", _into_orders(_note)),
    Field("warehouse-message", "tracking_message", _warehouse),
    Field("address-line", "address_line", _into_orders(_second_line)),
    Field("scan-message", "tracking_message", _scan),
    Field("product-title", "address_line", _into_orders(_title)),
    Field("hold-note", "order_note", _hold),
    Field("company", "address_line", _into_orders(_company)),
    Field("partner-message", "tracking_message", _partner),
    Field("gift-message", "order_note", _into_orders(_gift)),
    Field("rejection-message", "tracking_message", _rejection),
    Field("customer-name", "address_line", _buyer),
    Field("staff-note", "order_note", _staff),
    Field("engraving", "order_note", _into_orders(_engraving)),
    Field("appended-message", "customer_message", _appended),
    Field("reported-description", "customer_message", _report),
    Field("customer-message", "customer_message", _message),
)
"""Two of them take a text in any case: a message of its own, and a report."""


def plant(stage: Stage, text: str, fits: frozenset[str], draw: Draw) -> str:
    """Put the text into a drawn field that suits it and that the case has; the field's name."""
    for field in draw.random.sample(FIELDS, len(FIELDS)):
        if field.fits in fits and field.plant(stage, text):
            return field.name
    raise ValueError("no field takes the text; customer_message always does, so give it as one that fits")
