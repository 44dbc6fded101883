"""Scans of a parcel, from whichever carrier or aggregator, in one vocabulary: EasyPost's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.signals.body import Observer, Part, to_code
from guardrails.facts import rfc3339

# Announced, not handed over: none of these means that a carrier has held the parcel.
_NOT_PHYSICAL = frozenset(["pre_transit", "unknown", "cancelled", "error", "expired", "pending"])
_NOT_PHYSICAL_DETAIL = frozenset(["label_created"])

# What carriers and storefronts say, where it is not EasyPost's word already.
_STATUS = {
    "exception": "failure",
    "returning": "return_to_sender",
    "returned": "return_to_sender",
    "returned_to_sender": "return_to_sender",
    "attempted_delivery": "failure",
    "ready_for_pickup": "available_for_pickup",
    "available_for_collection": "available_for_pickup",
    "label_printed": "pre_transit",
    "label_purchased": "pre_transit",
    "label_created": "pre_transit",
    "info_received": "pre_transit",
    "confirmed": "pre_transit",
    "picked_up": "in_transit",
    "carrier_picked_up": "in_transit",
    "transit": "in_transit",
    "delayed": "in_transit",
    "canceled": "cancelled",
}


def tracking_status(text: str) -> str:
    """The catalogue's word for a carrier's status."""
    code = to_code(text)
    return _STATUS.get(code, code)


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan. `status` is the catalogue's word; `part` is where it stands in the body."""

    at: datetime
    status: str
    detail: str | None
    message: str | None
    zip: str | None
    city: str | None
    part: Part

    @property
    def physical(self) -> bool:
        return self.status not in _NOT_PHYSICAL and self.detail not in _NOT_PHYSICAL_DETAIL

    def plain(self) -> dict[str, str | bool | None]:
        return {
            "at": rfc3339(self.at),
            "status": self.status,
            "detail": self.detail,
            "message": self.message,
            "zip": self.zip,
            "city": self.city,
            "physical": self.physical,
        }


def see_scans(observer: Observer, scans: Sequence[Scan], whole: Part, entity: str) -> None:
    """Note the scan list, its first and last physical scan, the delivery, and the words of the latest scan."""
    ordered = sorted(scans, key=lambda scan: scan.at)
    if not ordered:
        return
    observer.see("tracking.scans", [scan.plain() for scan in ordered], whole, entity)
    physical = [scan for scan in ordered if scan.physical]
    if physical:
        observer.see("tracking.first_scan_at", physical[0].at, physical[0].part, entity)
        observer.see("tracking.last_scan_at", physical[-1].at, physical[-1].part, entity)
    delivered = [scan for scan in ordered if scan.status == "delivered"]
    if delivered:
        observer.see("tracking.delivered_at", delivered[0].at, delivered[0].part, entity)
    last = ordered[-1]
    observer.see("tracking.message", last.message, last.part, entity)
    located = [scan for scan in ordered if scan.zip]
    if located:
        observer.see("tracking.zip", located[-1].zip, located[-1].part, entity)
    placed = [scan for scan in ordered if scan.city]
    if placed:
        observer.see("tracking.city", placed[-1].city, placed[-1].part, entity)
