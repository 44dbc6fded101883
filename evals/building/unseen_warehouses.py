"""Warehouses and planning systems that no parser of ours knows, in their own words."""

from evals.building.unseen_shape import Word, event
from guardrails.taxonomy import Action, Category

_C, _A = Category, Action
_ASK, _REROUTE, _CLAIM, _RESHIP = _A.MESSAGE_CUSTOMER, _A.REROUTE_FULFILMENT, _A.FILE_CARRIER_CLAIM, _A.RESHIP


def _rejected(
    cluster: str, category: Category, because: str, source: str, reason: str, message: str, step: Action | None = None
) -> Word:
    return event(cluster, category, because, "wms.order.rejected", source, {"reason": reason, "message": message}, step, hours=6)


def _held(
    cluster: str, category: Category, because: str, source: str, reason: str, message: str, step: Action | None = None
) -> Word:
    return event(cluster, category, because, "wms.order.held", source, {"reason": reason, "message": message}, step, hours=6)


WAREHOUSES: tuple[Word, ...] = (
    _rejected(
        "manhattan-no-allocation",
        _C.INVENTORY_UNAVAILABLE,
        "Nothing could be allocated.",
        "/wms/manhattan",
        "ALLOC_FAIL_105",
        "Unallocatable: 0 of 1 units reservable in DC",
        _REROUTE,
    ),
    _rejected(
        "sap-ewm-bestand",
        _C.INVENTORY_UNAVAILABLE,
        "Fehlmenge means missing stock.",
        "/wms/sap-ewm",
        "/SCWM/L3 056",
        "Fehlmenge bei Kommissionierung, kein Ersatzlagerplatz",
        _REROUTE,
    ),
    _rejected(
        "reflex-adresse",
        _C.ADDRESS_RISK,
        "The postcode does not fit the town.",
        "/wms/reflex",
        "RJT-ADR",
        "Code postal incohérent avec la commune du destinataire",
        _ASK,
    ),
    _rejected(
        "logiwa-unknown-item",
        _C.INVALID_ORDER_DATA,
        "The item is not set up there.",
        "/wms/logiwa",
        "ITM_NOT_SETUP",
        "Inventory item {sku} not found in client catalogue",
    ),
    _rejected(
        "extensiv-edi-997",
        _C.INTEGRATION_FAILURE,
        "Our message was refused as malformed.",
        "/wms/extensiv",
        "AK9*R",
        "940 rejected: functional acknowledgement 997 with errors in segment W05",
    ),
    _rejected(
        "mintsoft-courier-limit",
        _C.WAREHOUSE_EXCEPTION,
        "The service has no room today.",
        "/wms/mintsoft",
        "SLOT_EXHAUSTED",
        "Daily courier collection full, will accept again from 06:00",
    ),
    _rejected(
        "byrd-customs-value",
        _C.INVALID_ORDER_DATA,
        "No tariff number for the export.",
        "/wms/byrd",
        "EXPORT_BLOCK",
        "Warentarifnummer fehlt für Drittlandversand",
    ),
    _held(
        "shiphero-operator-hold",
        _C.WAREHOUSE_EXCEPTION,
        "An operator stopped it for quality.",
        "/wms/shiphero",
        "operator_hold",
        "QA: seal looks tampered, supervisor called",
    ),
    _held(
        "deposco-fraud",
        _C.FRAUD_RISK,
        "The hold is for risk.",
        "/wms/deposco",
        "FRD",
        "Held at client's request: suspected reship scam, do not pick",
    ),
    _held(
        "monta-betaling",
        _C.PAYMENT_FAILED,
        "Held because the money is missing.",
        "/wms/monta",
        "GEEN_BETALING",
        "Order geblokkeerd: betaling niet ontvangen volgens webshop",
        _A.SEND_PAYMENT_LINK,
    ),
    _held(
        "active-ants-adres",
        _C.ADDRESS_RISK,
        "The house number is missing.",
        "/wms/active-ants",
        "ADRES_ONVOLLEDIG",
        "Huisnummer ontbreekt, label kan niet worden gemaakt",
        _ASK,
    ),
    _held(
        "cubyn-quai",
        _C.WAREHOUSE_EXCEPTION,
        "The dock is closed by a strike.",
        "/wms/cubyn",
        "QUAI_FERME",
        "Mouvement social sur site, reprise demain matin",
    ),
    _held(
        "generix-annulation",
        _C.CHANGE_RACE,
        "The cancellation came after the wave.",
        "/wms/generix",
        "ANNUL_TARDIVE",
        "Demande d'annulation reçue après lancement de la vague, colis fermé",
        _A.VOID_LABEL,
    ),
    event(
        "korber-damaged",
        _C.WAREHOUSE_EXCEPTION,
        "The warehouse dropped it.",
        "wms.item.damaged",
        "/wms/korber",
        {"sku": "{sku}", "quantity": 1, "message": "HU gefallen, Ware nicht verkaufsfähig"},
        hours=8,
    ),
    event(
        "peoplevox-short",
        _C.INVENTORY_UNAVAILABLE,
        "The picker found none.",
        "wms.pick.short",
        "/wms/peoplevox",
        {"sku": "{sku}", "requested": 1, "available": 0, "location": "PV-0-0-1"},
        _REROUTE,
        hours=9,
    ),
    event(
        "nav-error",
        _C.INTEGRATION_FAILURE,
        "The ERP's web service broke.",
        "integration.failed",
        "/erp/navision",
        {
            "system": "navision",
            "operation": "SalesOrder.Post",
            "message": "Sperre: Ein anderer Benutzer hat den Datensatz geändert",
        },
        hours=2,
    ),
    event(
        "odoo-queue-dead",
        _C.INTEGRATION_FAILURE,
        "The connector gave up.",
        "integration.failed",
        "/erp/odoo",
        {"system": "odoo", "operation": "queue_job export", "message": "job marked failed after 5 retries: psycopg2 serialization"},
        hours=2,
    ),
)
