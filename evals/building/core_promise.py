"""Stories about the promise: where it goes, and whether it exists."""

from typing import Any

from evals.building.labels import Label
from evals.building.parcel_bodies import Scan
from evals.building.stage import Stage
from evals.building.telling import Story
from guardrails.taxonomy import Action, Category

_ASK, _REROUTE = Action.MESSAGE_CUSTOMER, Action.REROUTE_FULFILMENT


def ship_to(s: Stage, **changes: Any) -> dict[str, Any]:
    place = s.order.buyer.place
    found = {"name": s.order.buyer.name, "street1": place.street, "street2": None, "city": place.city}
    return {**found, "state": place.province_code, "zip": place.zip, "country": place.country_code, **changes}


# --- address_risk ---


def verifier_cannot_find_the_house(s: Stage) -> Label:
    message = s.pick("E.HOUSE_NUMBER.MISSING: House number is missing", "E.ADDRESS.NOT_FOUND: Address not found")
    s.placed().at(0.2).event(
        "address.verified", "/address-verifier", {"deliverable": False, "original": ship_to(s), "messages": [message]}
    )
    return Label(Category.ADDRESS_RISK, "The verifier calls the ship-to undeliverable.", step=_ASK)


def rejected_for_the_address(s: Stage) -> Label:
    s.record().at(3).rejected(
        s.pick(
            "INCORRECT_ADDRESS: street unknown",
            "Undeliverable destination",
            "INCORRECT_ADDRESS",
            "The shipping address is incomplete",
        )
    )
    return Label(Category.ADDRESS_RISK, "The fulfilment service rejected the work because of the address.", step=_ASK)


def sent_back_for_an_insufficient_address(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(96).tracked(
        Scan(30, "Arrived at facility", "in_transit", "arrived_at_facility"),
        Scan(
            90,
            s.pick(
                "Insufficient address, returning to sender",
                "Empfänger unter der Anschrift nicht zu ermitteln",
                "No such number",
                "Adresse incomplète",
            ),
            "return_to_sender",
            "address_correction",
        ),
    )
    return Label(
        Category.ADDRESS_RISK,
        "It comes back, and the scan says why: the address.",
        step=Action.RESHIP,
        tags=("cause-over-symptom",),
    )


def ship_to_replaced_after_payment(s: Stage) -> Label:
    s.placed().at(0.1).paid().at(s.pick(2, 5, 1, 3))
    other = {
        "address1": "900 Forwarders Park, Suite 7",
        "city": "Wilmington",
        "province": "Delaware",
        "province_code": "DE",
        "zip": "19801",
    }
    s.updated(ship_to={**other, "country": "United States", "country_code": "US"})
    return Label(Category.ADDRESS_RISK, "The ship-to was replaced after payment, before any work.", step=_ASK)


def held_for_the_address(s: Stage) -> Label:
    s.placed().at(1).held("incorrect_address", s.pick("no street number", "PLZ passt nicht zum Ort", "code postal ?", "番地なし"))
    return Label(Category.ADDRESS_RISK, "The order is held for an incorrect address.", step=_ASK)


# --- inventory_unavailable ---


def short_at_the_pick(s: Stage) -> Label:
    s.record().at(8).wms(
        "pick.short",
        sku=s.order.lines[0].sku,
        requested=2,
        available=s.pick(0, 1, 0, 1),
        location=s.pick("B-02-1", "K7", "12-04-C", "HR-3"),
    )
    return Label(Category.INVENTORY_UNAVAILABLE, "The picker found fewer than were promised.", step=_REROUTE)


def rejected_as_out_of_stock(s: Stage) -> Label:
    s.placed().at(2).wms(
        "order.rejected",
        reason="OUT_OF_STOCK",
        message=s.pick("No stock at this site", "Nicht auf Lager", "Rupture de stock", "在庫切れ"),
    )
    return Label(
        Category.INVENTORY_UNAVAILABLE, "The warehouse's rejection says out of stock.", step=_REROUTE, tags=("cause-over-symptom",)
    )


def oversold_at_the_shop(s: Stage) -> Label:
    item = s.draw.number("item", 45_100_000_000, 45_900_000_000)
    s.placed(fulfillment_status=None).at(0.5)
    s.shopify(
        "inventory_levels/update",
        {
            "inventory_item_id": item,
            "location_id": 70_000_000_500,
            "available": s.pick(-1, -4, -2, -1),
            "updated_at": s.moment(0.5),
        },
    )
    s.links[f"inventory_item:{item}"] = s.ref
    s.fact(f"inventory.sku[{item}]", s.order.lines[0].sku, "shopify").fact("inventory.sku", s.order.lines[0].sku, "wms")
    s.fact("inventory.on_hand", 0, "wms").fact("inventory.allocated", 3, "wms")
    return Label(Category.INVENTORY_UNAVAILABLE, "The level fell below zero, and the warehouse counts none.", step=_REROUTE)


def shop_counts_and_warehouse_does_not(s: Stage) -> Label:
    sku = s.order.lines[0].sku
    s.placed().at(6).wms("inventory.counted", sku=sku, on_hand=0, allocated=s.pick(1, 2, 3, 1), location="main")
    s.fact("inventory.available", s.pick(6, 9, 2, 4), "shopify")
    return Label(
        Category.INVENTORY_UNAVAILABLE, "The shop still sells what the warehouse counted as gone.", conflict=True, step=_REROUTE
    )


def rest_of_the_order_does_not_exist(s: Stage) -> Label:
    s.placed().at(20).wms("pick.short", sku=s.order.lines[1].sku, requested=1, available=0, location="Q-9")
    s.at(26).updated("orders/partially_fulfilled", fulfillment_status="partial").sent(1)
    return Label(
        Category.INVENTORY_UNAVAILABLE,
        "Partly shipped; the rest does not exist.",
        step=_REROUTE,
        tags=("cause-over-symptom",),
        also=(Category.SPLIT_SHIPMENT,),
    )


_TWO = frozenset([rest_of_the_order_does_not_exist])
STORIES = tuple(
    Story(tell, lines=2 if tell in _TWO else 1, quantity=2 if tell is short_at_the_pick else 1)
    for tell in (
        verifier_cannot_find_the_house,
        rejected_for_the_address,
        sent_back_for_an_insufficient_address,
        ship_to_replaced_after_payment,
        held_for_the_address,
        short_at_the_pick,
        rejected_as_out_of_stock,
        oversold_at_the_shop,
        shop_counts_and_warehouse_does_not,
        rest_of_the_order_does_not_exist,
    )
)
