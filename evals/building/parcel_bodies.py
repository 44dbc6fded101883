"""Bodies about parcels and warehouses. Shapes: EasyPost/examples, EasyPost/easypost-python, AfterShip/aftership-sdk-python (MIT), and the
field names of ShipBob's developer documentation."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evals.building.world import Draw, Order

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan in the words of EasyPost or of AfterShip; `hours` after the order was placed."""

    hours: float
    message: str
    status: str
    detail: str
    city: str | None = None
    zip: str | None = None


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def easypost(order: Order, draw: Draw, place: int, moments: list[datetime], code: str, scans: list[Scan], changes: Body) -> Body:
    """`moments` are those of the scans, then that of the event itself."""
    carrier = order.shop.parcels[0]
    first, now = stamp(moments[0]), stamp(moments[-1])
    details = [
        {
            "object": "TrackingDetail",
            "message": scan.message,
            "description": "",
            "status": scan.status,
            "status_detail": scan.detail,
            "datetime": stamp(moment),
            "source": carrier,
            "carrier_code": "",
            "tracking_location": {
                "object": "TrackingLocation",
                "city": scan.city,
                "state": None,
                "country": order.buyer.place.country_code,
                "zip": scan.zip,
            },
        }
        for scan, moment in zip(scans, moments, strict=False)
    ]
    return {
        "id": f"evt_{draw.hexes(f'easypost{place}', 32)}",
        "object": "Event",
        "description": "tracker.updated",
        "mode": "production",
        "previous_attributes": {},
        "created_at": now,
        "updated_at": now,
        "pending_urls": [],
        "completed_urls": [],
        "status": "pending",
        "user_id": f"user_{draw.hexes('user', 32)}",
        "result": {
            "id": f"trk_{draw.hexes('tracker' + code, 32)}",
            "object": "Tracker",
            "mode": "production",
            "tracking_code": code,
            "status": scans[-1].status,
            "status_detail": scans[-1].detail,
            "created_at": first,
            "updated_at": now,
            "signed_by": None,
            "weight": None,
            "est_delivery_date": None,
            "shipment_id": f"shp_{draw.hexes('shipment' + code, 32)}",
            "carrier": carrier,
            "tracking_details": details,
            "carrier_detail": {"object": "CarrierDetail", "service": None},
            "finalized": False,
            "is_return": False,
            **changes,
        },
    }


def aftership(order: Order, draw: Draw, place: int, moments: list[datetime], code: str, scans: list[Scan], changes: Body) -> Body:
    """`scans` carry AfterShip's tag as `status` and subtag as `detail`; `event` among the changes names the webhook."""
    name = changes.pop("event", "tracking_update")
    slug = order.shop.parcels[1]
    checkpoints = [
        {
            "checkpoint_time": stamp(moment),
            "created_at": stamp(moment),
            "slug": slug,
            "tag": scan.status,
            "subtag": scan.detail,
            "message": scan.message,
            "city": scan.city,
            "country_iso3": None,
            "zip": scan.zip,
        }
        for scan, moment in zip(scans, moments, strict=False)
    ]
    return {
        "ts": int(moments[-1].timestamp()),
        "event": name,
        "event_id": draw.uuid(f"aftership{place}"),
        "is_tracking_first_tag": False,
        "msg": {
            "id": draw.hexes("aftership" + code, 24),
            "active": True,
            "source": "api",
            "tracked_count": 1,
            "return_to_sender": False,
            "created_at": stamp(moments[0]),
            "updated_at": stamp(moments[-1]),
            "tracking_number": code,
            "slug": slug,
            "title": order.ref,
            "order_id": order.ref,
            "order_number": order.ref,
            "tag": scans[-1].status,
            "subtag": scans[-1].detail,
            "subtag_message": scans[-1].message,
            "expected_delivery": None,
            "signed_by": None,
            "checkpoints": checkpoints,
            **changes,
        },
    }


def shipbob(order: Order, draw: Draw, moment: datetime, status: str, detail: tuple[int, str, str], code: str | None) -> Body:
    place = order.buyer.place
    tracking = {"carrier": order.shop.parcels[2], "tracking_number": code, "tracking_url": None} if code else None
    return {
        "id": draw.number("shipbob", 92_000_000, 93_000_000),
        "order_id": draw.number("shipbob-order", 85_000_000, 86_000_000),
        "reference_id": order.ref,
        "created_date": stamp(order.placed_at),
        "last_update_at": stamp(moment),
        "status": status,
        "status_details": [{"id": detail[0], "name": detail[1], "description": detail[2]}],
        "location": {"name": "Cicero (IL)", "id": 3},
        "recipient": {
            "name": order.buyer.name,
            "email": order.email,
            "address": {
                "address1": place.street,
                "address2": None,
                "city": place.city,
                "state": place.province_code,
                "zip_code": place.zip,
                "country": place.country_code,
            },
        },
        "products": [
            {"id": line.id % 10**7, "reference_id": line.sku, "sku": line.sku, "name": line.title, "quantity": line.quantity}
            for line in order.lines
        ],
        "tracking": tracking,
        "ship_option": "Standard",
    }
