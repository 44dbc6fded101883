"""Carriers that no parser of ours knows, in their own words."""

from evals.building.unseen_shape import Body, Word, event
from guardrails.taxonomy import Action, Category

_C, _A = Category, Action
_ASK, _REROUTE, _CLAIM, _RESHIP = _A.MESSAGE_CUSTOMER, _A.REROUTE_FULFILMENT, _A.FILE_CARRIER_CLAIM, _A.RESHIP


def _scan(
    cluster: str,
    category: Category,
    because: str,
    carrier: str,
    status: str,
    message: str,
    step: Action | None = None,
    also: tuple[Category, ...] = (),
) -> Word:
    data: Body = {"carrier": carrier, "tracking_code": "{code}", "status": status, "message": message}
    source = "/carriers/" + carrier.lower().replace(" ", "-")
    return event(cluster, category, because, "carrier.tracking", source, data, step, also=also, fulfilment="fulfilled", hours=70)


CARRIERS: tuple[Word, ...] = (
    _scan(
        "inpost-locker-full",
        _C.DELIVERY_EXCEPTION,
        "The locker was full, it went to another.",
        "InPost",
        "stack_in_box_machine",
        "Paczkomat przepełniony, paczka przekierowana do punktu",
    ),
    _scan(
        "correios-extraviado",
        _C.DELIVERY_EXCEPTION,
        "Correios declares it lost.",
        "Correios",
        "BLQ 34",
        "Objeto extraviado, indenização em análise",
        _CLAIM,
    ),
    _scan(
        "poczta-zwrot",
        _C.DELIVERY_EXCEPTION,
        "It was not collected and goes back.",
        "Poczta Polska",
        "P_ZWR",
        "Nie podjęto w terminie, zwrot do nadawcy",
        _ASK,
    ),
    _scan(
        "gls-it-indirizzo",
        _C.ADDRESS_RISK,
        "Undeliverable for the address.",
        "GLS Italy",
        "GIACENZA",
        "Indirizzo errato o insufficiente, in giacenza presso la sede",
        _ASK,
        (_C.DELIVERY_EXCEPTION,),
    ),
    _scan(
        "brt-rifiutata", _C.DELIVERY_EXCEPTION, "The recipient refused it.", "BRT", "704", "Il destinatario rifiuta la merce", _ASK
    ),
    _scan(
        "bpost-retard",
        _C.DELIVERY_LATE,
        "It is late and nothing else.",
        "bpost",
        "RETARD_TRI",
        "Retard au centre de tri, livraison dans les 48 h",
    ),
    _scan("sagawa-delay", _C.DELIVERY_LATE, "Snow delays it.", "Sagawa", "遅延", "積雪のためお届けに遅れが生じています"),
    _scan(
        "aramex-customs",
        _C.DELIVERY_EXCEPTION,
        "Customs holds it for papers.",
        "Aramex",
        "SH047",
        "محتجزة في الجمارك بانتظار المستندات",
        _ASK,
    ),
    _scan(
        "evri-photo-other-house",
        _C.CARRIER_CONFLICT,
        "The proof shows another door.",
        "Evri",
        "POD_DISPUTED",
        "Delivered scan, recipient states photo shows a different house",
        _RESHIP,
    ),
    _scan(
        "ontrac-damaged",
        _C.DELIVERY_EXCEPTION,
        "Wet through, contents ruined.",
        "OnTrac",
        "XD",
        "Carton wet and collapsed at sort, contents not deliverable",
        _CLAIM,
    ),
    _scan(
        "purolator-strike",
        _C.DELIVERY_LATE,
        "Labour action slows the hub.",
        "Purolator",
        "DLY-LAB",
        "Retard : moyens de pression au centre de Laval",
    ),
    _scan(
        "posten-hentested",
        _C.UNKNOWN,
        "It waits at the pickup point: healthy.",
        "Posten",
        "KLAR_FOR_HENTING",
        "Pakken er klar til henting, hentefrist 14 dager",
        None,
        (_C.DELIVERY_EXCEPTION,),
    ),
    _scan(
        "omniva-label-only",
        _C.FULFILMENT_STALLED,
        "Registered, never handed over.",
        "Omniva",
        "REG_ONLY",
        "Andmed registreeritud, pakki pole üle antud",
    ),
    _scan(
        "dpd-nl-verhuisd",
        _C.ADDRESS_RISK,
        "The recipient has moved.",
        "DPD NL",
        "AVISO_37",
        "Geadresseerde verhuisd, nieuw adres onbekend",
        _ASK,
        (_C.DELIVERY_EXCEPTION,),
    ),
    _scan(
        "jt-express-hilang",
        _C.DELIVERY_EXCEPTION,
        "Declared missing.",
        "J&T Express",
        "LOST_CONFIRMED",
        "Paket dinyatakan hilang setelah investigasi",
        _CLAIM,
    ),
    _scan("cdek-vruchen", _C.UNKNOWN, "Handed over: healthy.", "CDEK", "ВРУЧЕН", "Заказ вручён получателю лично"),
)
