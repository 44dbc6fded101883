"""Stories about the order itself: twice, changed too late, impossible to process."""

from evals.building.core_promise import ship_to
from evals.building.labels import Label
from evals.building.shopify_bodies import edit_body
from evals.building.stage import Stage
from evals.building.telling import Story
from guardrails.taxonomy import Action, Category

_ASK, _VOID = Action.MESSAGE_CUSTOMER, Action.VOID_LABEL


# --- duplicate_order ---


def same_basket_twice_in_minutes(s: Stage) -> Label:
    s.placed().second_order(s.pick(0.05, 0.2, 0.5, 0.1)).placed()
    return Label(
        Category.DUPLICATE_ORDER,
        "Same buyer, goods and address within minutes; nothing speaks for intent.",
        step=Action.CANCEL_ORDER,
    )


def second_order_and_a_complaint(s: Stage) -> Label:
    s.placed().second_order(0.3).placed().at(1)
    s.said(
        s.pick(
            "I pressed pay twice by accident!",
            "Habe versehentlich zweimal bestellt.",
            "J'ai validé deux fois, une seule suffit.",
            "二重に注文してしまいました。",
        )
    )
    return Label(Category.DUPLICATE_ORDER, "The buyer says that the second order is an accident.", step=Action.CANCEL_ORDER)


def duplicate_seen_after_the_first_was_picked(s: Stage) -> Label:
    s.placed().at(0.1)
    s.wms("order.received").second_order(0.4).placed().judged(2)
    return Label(
        Category.DUPLICATE_ORDER, "The later of two equal orders; the first is with the warehouse.", step=Action.CANCEL_ORDER
    )


def later_order_arrives_first(s: Stage) -> Label:
    s.placed().late(2).second_order(0.2).placed().judged(3)
    return Label(
        Category.DUPLICATE_ORDER,
        "The later created order is the duplicate, whichever was received first.",
        step=Action.CANCEL_ORDER,
        tags=("out-of-order", "late-signal"),
    )


# --- change_race ---


def cancelled_after_packing(s: Stage) -> Label:
    s.placed().at(1).wms("order.received").at(7).wms("order.packed", lines=[{"sku": s.order.lines[0].sku, "quantity": 1}])
    s.at(8).updated(
        "orders/cancelled",
        cancelled_at=s.moment(8),
        cancel_reason="customer",
        financial_status=s.pick("paid", "refunded", "paid", "refunded"),
    )
    return Label(Category.CHANGE_RACE, "Cancelled an hour after the warehouse had packed it.", step=_VOID)


def cancellation_refused_by_the_warehouse(s: Stage) -> Label:
    s.placed().at(1).accepted().at(5)
    s.works(
        "cancellation_request_rejected",
        "in_progress",
        request="cancellation_rejected",
        message=s.pick("Already on the truck", "Bereits verladen", "Déjà expédié", "出荷済み"),
    )
    return Label(Category.CHANGE_RACE, "The warehouse refused the cancellation: work is done.", step=_VOID)


def edited_while_being_picked(s: Stage) -> Label:
    s.placed().at(1).accepted().at(3)
    note = s.pick("second one added by phone", "auf zwei Stück erhöht", "ajout d'un article", "数量変更")
    s.shopify("orders/edited", edit_body(s.order, s.clock, note, 1, 0))
    return Label(Category.CHANGE_RACE, "The order was edited after the warehouse had accepted it.", step=_ASK)


def address_changed_after_the_label(s: Stage) -> Label:
    s.placed().at(5).event(
        "label.purchased",
        "/labels/desk",
        {"carrier": s.order.shop.parcels[2], "service": "Standard", "tracking_code": s.code, "ship_to": ship_to(s)},
    )
    s.at(6).updated(ship_to={"address1": s.pick("88 Mill Lane", "Bahnhofstraße 2", "3 rue Haute", "本町1-1")})
    return Label(
        Category.CHANGE_RACE, "The ship-to changed after the label had been bought.", step=_VOID, also=(Category.ADDRESS_RISK,)
    )


# --- invalid_order_data ---


def unknown_sku_at_the_service(s: Stage) -> Label:
    s.record().at(2).wms(
        "order.rejected",
        reason="INVALID_SKU",
        message=f"{s.order.lines[0].sku} "
        + s.pick("is not in the item master", "nicht im Artikelstamm", "référence inconnue", "未登録"),
    )
    return Label(Category.INVALID_ORDER_DATA, "The warehouse does not know the SKU; the ticket goes to the catalogue.")


def customs_code_missing(s: Stage) -> Label:
    s.placed().at(3).rejected(
        s.pick("MISSING_CUSTOMS_INFO: HS code", "HS code required for export", "MISSING_CUSTOMS_INFO", "Tariff number missing")
    )
    s.fact("product.sku", s.order.lines[0].sku, "pim").fact("product.hs_code", None, "pim")
    return Label(Category.INVALID_ORDER_DATA, "The tariff code is missing here and in the product master.")


def sold_for_nothing(s: Stage) -> Label:
    s.placed().at(1).wms(
        "order.held", reason="ZERO_PRICE", message=s.pick("declared value 0", "Wert 0 nicht zulässig", "valeur nulle", "金額ゼロ")
    )
    s.fact("product.list_price", {"amount": s.order.total, "currency": s.order.shop.currency}, "pim")
    return Label(
        Category.INVALID_ORDER_DATA, "The price on the papers cannot be; prices are never repaired automatically.", step=_ASK
    )


def no_phone_for_an_export(s: Stage) -> Label:
    s.placed().at(2).rejected(
        s.pick(
            "INVALID_CONTACT_INFORMATION: phone required",
            "Telefonnummer fehlt",
            "INVALID_CONTACT_INFORMATION",
            "Recipient phone is mandatory",
        )
    )
    return Label(Category.INVALID_ORDER_DATA, "The carrier needs a phone number that only the buyer can give.", step=_ASK)


def impossible_quantity(s: Stage) -> Label:
    s.record().at(1).wms(
        "order.held",
        reason="QTY_OUTLIER",
        message=s.pick("4000 pcs of a single mug?", "Menge unplausibel", "quantité aberrante", "数量異常"),
    )
    return Label(Category.INVALID_ORDER_DATA, "The quantity cannot be meant; only the buyer knows.", step=_ASK)


STORIES = tuple(
    Story(tell)
    for tell in (
        same_basket_twice_in_minutes,
        second_order_and_a_complaint,
        duplicate_seen_after_the_first_was_picked,
        later_order_arrives_first,
        cancelled_after_packing,
        cancellation_refused_by_the_warehouse,
        edited_while_being_picked,
        address_changed_after_the_label,
        unknown_sku_at_the_service,
        customs_code_missing,
        sold_for_nothing,
        no_phone_for_an_export,
        impossible_quantity,
    )
)
