"""The same facts told in other words, languages and spellings: whatever the wording, the answer is the same."""

from collections.abc import Callable
from dataclasses import dataclass

from evals.building.labels import Label
from evals.building.parcel_bodies import Scan
from evals.building.stage import Stage
from evals.building.telling import Case, told
from evals.building.world import SHOPS
from guardrails.taxonomy import Action, Category

_ACCEPTED = Scan(24, "Accepted", "in_transit", "received_at_origin_facility")
WORDINGS = ("plain", "chatty", "typos", "shouting", "de", "fr", "es", "ja")


@dataclass(frozen=True, slots=True)
class Theme:
    """`texts` follow WORDINGS; only they differ between the cases of a theme."""

    tell: Callable[[Stage, str], Label]
    texts: tuple[str, str, str, str, str, str, str, str]
    lines: int = 1

    @property
    def cluster(self) -> str:
        return "paraphrase-" + self.tell.__name__.replace("_", "-")


def not_received(s: Stage, text: str) -> Label:
    delivered = Scan(50, "Delivered", "delivered", "arrived_at_destination")
    s.placed().at(10).sent().at(51).tracked(_ACCEPTED, delivered).at(60).said(text)
    return Label(Category.CARRIER_CONFLICT, "A delivery scan that the recipient contradicts.", step=Action.RESHIP)


def late_parcel(s: Stage, text: str) -> Label:
    s.record(fulfilment="fulfilled").at(150).tracked(
        _ACCEPTED, Scan(130, "Arrived at facility", "in_transit", "arrived_at_facility")
    )
    s.fact("promise.deliver_by", s.moment(96), "shopify").said(text)
    return Label(Category.DELIVERY_LATE, "Past the promise and moving; the question changes nothing.")


def declined_card(s: Stage, text: str) -> Label:
    s.placed(financial_status="pending").at(0.1).declined("card_declined", "insufficient_funds", "try_again_later").at(1).said(text)
    return Label(Category.PAYMENT_FAILED, "The only attempt was declined.", step=Action.SEND_PAYMENT_LINK)


def short_pick(s: Stage, text: str) -> Label:
    s.placed().at(5).wms("order.held", reason="OUT_OF_STOCK", message=text)
    return Label(Category.INVENTORY_UNAVAILABLE, "Held for missing stock.", step=Action.REROUTE_FULFILMENT)


def dock_trouble(s: Stage, text: str) -> Label:
    s.placed().at(4).wms("order.rejected", reason="CAPACITY", message=text)
    return Label(Category.WAREHOUSE_EXCEPTION, "A transient rejection.")


def unclear_address(s: Stage, text: str) -> Label:
    s.placed().at(2).held("incorrect_address", text)
    return Label(Category.ADDRESS_RISK, "Held for an incorrect address.", step=Action.MESSAGE_CUSTOMER)


def damaged_parcel(s: Stage, text: str) -> Label:
    s.record(fulfilment="fulfilled").at(60).tracked(_ACCEPTED, Scan(58, text, "failure", "damaged"))
    return Label(Category.DELIVERY_EXCEPTION, "A scan says damaged.", step=Action.FILE_CARRIER_CLAIM)


def refused_parcel(s: Stage, text: str) -> Label:
    s.record(fulfilment="fulfilled").at(60).followed(
        Scan(30, "In transit", "InTransit", "InTransit_001"), Scan(58, text, "Exception", "Exception_003")
    )
    return Label(Category.DELIVERY_EXCEPTION, "The recipient refused it.", step=Action.MESSAGE_CUSTOMER)


def disputed_payment(s: Stage, text: str) -> Label:
    s.record(fulfilment="fulfilled").at(24 * 12).disputed(reason="product_unacceptable").said(text)
    return Label(Category.PAYMENT_DISPUTE, "A chargeback; the message only repeats its reason.")


def failed_refund(s: Stage, text: str) -> Label:
    s.record().at(140).refunded("refund.failed", s.order.total, status="failed", failure_reason="declined").at(150).said(text)
    return Label(Category.REFUND_EXCEPTION, "The refund failed at the bank.", step=Action.REFUND_PAYMENT)


def late_cancellation(s: Stage, text: str) -> Label:
    s.placed().at(1).accepted().at(5)
    s.works("cancellation_request_rejected", "in_progress", request="cancellation_rejected", message=text)
    return Label(Category.CHANGE_RACE, "The cancellation was refused: work is done.", step=Action.VOID_LABEL)


def half_an_order(s: Stage, text: str) -> Label:
    s.placed().at(20).sent(1).at(21).updated("orders/partially_fulfilled", fulfillment_status="partial").at(60).said(text)
    return Label(Category.SPLIT_SHIPMENT, "Only one of two lines left.")


def healthy_thanks(s: Stage, text: str) -> Label:
    s.placed().at(20).sent().at(50).tracked(_ACCEPTED, Scan(49, "Delivered", "delivered", "arrived_at_destination")).at(52).said(
        text
    )
    return Label(Category.UNKNOWN, "Delivered, and the buyer is content.", tags=("healthy",))


def lost_call(s: Stage, text: str) -> Label:
    s.record().at(2).broke("wms", "create order", text)
    return Label(Category.INTEGRATION_FAILURE, "Our call to the warehouse failed.")


THEMES = (
    Theme(not_received, ("The parcel is shown as delivered, but I did not get it.", "hey so it says delivered?? looked everywhere, neighbours too, nope", "it says deliverd but i dont hav it", "IT IS NOT HERE. YOU SAY DELIVERED. IT IS NOT.", "Laut Sendungsverfolgung zugestellt, hier ist nichts angekommen.", "Le suivi indique livré mais je n'ai rien reçu.", "Pone entregado y no he recibido nada.", "配達完了とありますが受け取っていません。")),
    Theme(late_parcel, ("My parcel is late. When will it come?", "any idea when my stuff turns up? was meant to be here ages ago", "were is my parcle its late", "WHERE IS MY PARCEL", "Mein Paket ist überfällig, wann kommt es?", "Mon colis est en retard, quand arrive-t-il ?", "Mi paquete va con retraso, ¿cuándo llega?", "荷物が遅れています。いつ届きますか。")),
    Theme(declined_card, ("My card did not work. Is the order placed?", "ugh my bank being weird again, did it go through?", "card got declind, order ok?", "DID YOU TAKE MY MONEY OR NOT", "Meine Karte wurde abgelehnt, ist die Bestellung trotzdem da?", "Ma carte a été refusée, la commande est-elle passée ?", "Me rechazaron la tarjeta, ¿está hecho el pedido?", "カードが使えませんでした。注文はできていますか。")),
    Theme(short_pick, ("Nothing left of this item.", "shelf's empty mate, checked twice", "no stok in locaton", "OUT OF STOCK", "Artikel nicht mehr vorhanden.", "Article épuisé.", "Artículo agotado.", "在庫がありません。")),
    Theme(dock_trouble, ("We are at capacity today, please send it again tomorrow.", "slammed today, ping us again tmrw", "capasity full resend tomorow", "FULL. RESEND.", "Heute ausgelastet, bitte morgen erneut senden.", "Complet aujourd'hui, merci de renvoyer demain.", "Completo hoy, reenvíen mañana.", "本日は満杯です。明日再送してください。")),
    Theme(unclear_address, ("The street number is missing.", "no idea which house this goes to tbh", "adress has no numbr", "NO HOUSE NUMBER", "Die Hausnummer fehlt.", "Il manque le numéro de rue.", "Falta el número de la calle.", "番地がありません。")),
    Theme(damaged_parcel, ("The package was damaged in transit.", "box is squashed pretty bad", "packge damagd", "DAMAGED", "Die Sendung wurde unterwegs beschädigt.", "Le colis a été endommagé pendant le transport.", "El paquete se dañó en tránsito.", "輸送中に荷物が破損しました。")),
    Theme(refused_parcel, ("The recipient refused the parcel.", "guy at the door said no thanks", "refusd by reciver", "REFUSED", "Empfänger verweigert die Annahme.", "Refusé par le destinataire.", "Rechazado por el destinatario.", "受取人が受け取りを拒否しました。")),
    Theme(disputed_payment, ("The goods were not as described, so I went to my bank.", "honestly not what i ordered so bank's sorting it", "not as discribed, asked bank", "THIS IS NOT WHAT I BOUGHT", "Die Ware entsprach nicht der Beschreibung, daher die Bank.", "Non conforme à la description, j'ai saisi ma banque.", "No era como se describía, acudí al banco.", "説明と違うので銀行に相談しました。")),
    Theme(failed_refund, ("The refund has not reached my account.", "still waiting on that refund btw", "no refnd yet", "WHERE IS MY REFUND", "Die Erstattung ist nicht angekommen.", "Le remboursement n'est pas arrivé.", "El reembolso no ha llegado.", "返金が届いていません。")),
    Theme(late_cancellation, ("It has already been packed.", "too late, it's boxed up", "alredy paked", "ALREADY PACKED", "Bereits verpackt.", "Déjà emballé.", "Ya está embalado.", "すでに梱包済みです。")),
    Theme(half_an_order, ("Only a part of the order came.", "got one of the two, other one on its way or what?", "only haf came", "HALF IS MISSING", "Es kam nur ein Teil der Bestellung.", "Une partie seulement est arrivée.", "Solo llegó una parte.", "一部しか届いていません。"), lines=2),
    Theme(healthy_thanks, ("Everything arrived, thank you.", "all good, love it!!", "arived fine thx", "GREAT SHOP", "Alles gut angekommen, danke.", "Tout est bien arrivé, merci.", "Llegó todo perfecto, gracias.", "無事に届きました。ありがとう。")),
    Theme(lost_call, ("The connection was closed by the other side.", "wms hung up on us again", "conection resset", "CONNECTION RESET", "Verbindung vom Gegenüber getrennt.", "Connexion fermée par le serveur distant.", "Conexión cerrada por el otro extremo.", "接続が切断されました。")),
)  # fmt: skip


def cases() -> list[Case]:
    found = []
    for number, theme in enumerate(THEMES):
        for place, wording in enumerate(WORDINGS):
            stage = Stage(theme.cluster, 0, SHOPS[number % len(SHOPS)], "high" if number % 5 == 4 else "plain", theme.lines)
            label = theme.tell(stage, theme.texts[place])
            found.append(told(stage, label, theme.cluster, ["paraphrase", f"wording-{wording}"], {"wording": wording}))
    return found
