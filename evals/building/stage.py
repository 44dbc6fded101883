"""Where a story is played: signals in the order in which they are told, facts of the systems of record, and the moment of judgement."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self

from evals.building import parcel_bodies, shopify_bodies, stripe_bodies
from evals.building.parcel_bodies import Scan, stamp
from evals.building.world import Draw, Order, Shop, order_of

Body = dict[str, Any]

STAFF_DELAY = timedelta(seconds=4)


class Stage:
    """One order and a clock that starts when it is placed. `variant` numbers the tellings of one story."""

    def __init__(self, cluster: str, variant: int, shop: Shop, size: str, lines: int = 1, quantity: int = 1) -> None:
        self.draw = Draw(f"{cluster}/{variant}")
        self.variant = variant
        self.order: Order = order_of(self.draw, shop, size, lines, quantity)
        self.total: int | None = self.order.total
        self.ref = self.order.ref
        self.start = self.order.placed_at
        self.clock = self.start
        self.as_of: datetime | None = None
        self.signals: list[Body] = []
        self.facts: Body = {}
        self.links: dict[str, str] = {}
        self.recorded: Body | None = None
        self.sources: set[str] = set()

    # --- the clock and choices ---

    def at(self, hours: float) -> Self:
        """So many hours after the order was placed."""
        self.clock = self.start + timedelta(hours=hours)
        return self

    def moment(self, hours: float) -> str:
        return stamp(self.start + timedelta(hours=hours))

    def second_order(self, hours: float) -> Self:
        """The same buyer orders the same goods again; from here on the story is about the second order."""
        moment, number = self.start + timedelta(hours=hours), self.order.number + 3
        lines = tuple(replace(line, id=line.id + 9_000_000) for line in self.order.lines)
        ref, order_id, email = f"{self.order.shop.prefix}{number}", self.order.id + 9_000_000, self.order.email
        later = replace(self.order, lines=lines, placed_at=moment, told_email=email)
        self.order = replace(later, ref=ref, number=number, id=order_id)
        self.ref = self.order.ref
        return self.at(hours)

    def pick(self, *options: Any) -> Any:
        """One wording or code a variant."""
        return options[self.variant % len(options)]

    @property
    def code(self) -> str:
        """The parcel's tracking code."""
        return self.parcel_code("")

    def parcel_code(self, which: str) -> str:
        return f"{self.order.shop.parcels[3]}{self.draw.number('code' + which, 10**9, 10**10)}"

    @property
    def payment(self) -> str:
        return f"pi_3R{self.draw.hexes('pi', 22)}"

    @property
    def charge_id(self) -> str:
        return f"ch_3R{self.draw.hexes('ch', 22)}"

    @property
    def work(self) -> str:
        """The gid of the fulfilment order."""
        return f"gid://shopify/FulfillmentOrder/{self.order.id + 1_100_000_000_000}"

    # --- signals ---

    def _add(self, source: str, headers: dict[str, str], payload: Body) -> Self:
        self.sources.add(source)
        received = self.clock + STAFF_DELAY
        self.signals.append({"source": source, "headers": headers, "received_at": stamp(received), "payload": payload})
        return self

    def late(self, hours: float) -> Self:
        """The signal told last was received only so many hours after it happened."""
        last = self.signals[-1]
        last["received_at"] = stamp(datetime.fromisoformat(last["received_at"]) + timedelta(hours=hours))
        return self

    def again(self) -> Self:
        """The signal told last is delivered a second time, byte for byte, a minute later."""
        last = self.signals[-1]
        received = stamp(datetime.fromisoformat(last["received_at"]) + timedelta(minutes=1))
        self.signals.append({**last, "received_at": received})
        return self

    def shopify(self, topic: str, payload: Body) -> Self:
        place = len(self.signals)
        headers = {
            "X-Shopify-Topic": topic,
            "X-Shopify-Triggered-At": f"{self.clock.strftime('%Y-%m-%dT%H:%M:%S')}.{self.draw.number(f'ns{place}', 10**8, 10**9)}Z",
            "X-Shopify-Shop-Domain": f"{self.order.shop.domain}.myshopify.com",
            "X-Shopify-API-Version": "2026-07",
            "X-Shopify-Webhook-Id": self.draw.uuid(f"webhook{place}"),
            "X-Shopify-Event-Id": self.draw.uuid(f"event{place}"),
        }
        return self._add("shopify", headers, payload)

    def placed(self, **changes: Any) -> Self:
        return self.shopify("orders/create", shopify_bodies.order_body(self.order, self.clock, changes))

    def updated(self, topic: str = "orders/updated", **changes: Any) -> Self:
        return self.shopify(topic, shopify_bodies.order_body(self.order, self.clock, changes))

    def sent(self, lines: int = 2, which: str = "", **changes: Any) -> Self:
        """The shop says that a parcel left."""
        code, company = self.parcel_code(which), self.order.shop.parcels[2]
        body = shopify_bodies.parcel_body(self.order, self.clock, code, company, lines, changes)
        return self.shopify("fulfillments/create", body)

    def works(self, topic: str, status: str, **more: Any) -> Self:
        """A fulfilment-order topic. `request` and `holds` go into the fulfilment order, the rest beside it."""
        self.links[self.work] = self.ref
        thing: Body = {"id": self.work, "status": status}
        if "request" in more:
            thing["request_status"] = more.pop("request")
        if "holds" in more:
            thing["fulfillment_holds"] = more.pop("holds")
        return self.shopify(f"fulfillment_orders/{topic}", {"fulfillment_order": thing, **more})

    def held(self, reason: str, notes: str) -> Self:
        return self.works("placed_on_hold", "on_hold", holds=[{"reason": reason, "reason_notes": notes}])

    def rejected(self, message: str) -> Self:
        return self.works("fulfillment_request_rejected", "open", request="rejected", message=message)

    def accepted(self) -> Self:
        return self.works("fulfillment_request_accepted", "in_progress", request="accepted")

    def stripe(self, kind: str, thing: Body) -> Self:
        return self._add("stripe", {}, stripe_bodies.event(self.draw, len(self.signals), kind, self.clock, thing))

    def declined(self, code: str, reason: str, advice: str, which: str = "", **changes: Any) -> Self:
        error = stripe_bodies.decline(self.order, self.draw, which, code, reason, advice)
        thing = stripe_bodies.intent(self.order, self.draw, self.clock, which, {"last_payment_error": error, **changes})
        return self.stripe("payment_intent.payment_failed", thing)

    def paid(self, which: str = "", **changes: Any) -> Self:
        fields = {"status": "succeeded", "amount_received": changes.get("amount", self.order.total), **changes}
        return self.stripe("payment_intent.succeeded", stripe_bodies.intent(self.order, self.draw, self.clock, which, fields))

    def authorised(self, **changes: Any) -> Self:
        fields = {"status": "requires_capture", "capture_method": "manual", "amount_capturable": self.order.total, **changes}
        thing = stripe_bodies.intent(self.order, self.draw, self.clock, "", fields)
        return self.stripe("payment_intent.amount_capturable_updated", thing)

    def charged(self, kind: str = "charge.succeeded", which: str = "", **changes: Any) -> Self:
        return self.stripe(kind, stripe_bodies.charge(self.order, self.draw, self.clock, which, changes))

    def disputed(self, kind: str = "charge.dispute.created", **changes: Any) -> Self:
        self.links |= {self.payment: self.ref, self.charge_id: self.ref}
        return self.stripe(kind, stripe_bodies.dispute(self.order, self.draw, self.clock, changes))

    def refunded(self, kind: str, amount: int, **changes: Any) -> Self:
        return self.stripe(kind, stripe_bodies.refund(self.order, self.draw, self.clock, amount, changes))

    def reviewed(self, kind: str, reason: str) -> Self:
        self.links |= {self.payment: self.ref, self.charge_id: self.ref}
        is_open = kind == "review.opened"
        return self.stripe(kind, stripe_bodies.review(self.order, self.draw, self.clock, is_open, reason))

    def warned(self, fraud_type: str, actionable: bool = True) -> Self:
        self.links |= {self.payment: self.ref, self.charge_id: self.ref}
        thing = stripe_bodies.fraud_warning(self.draw, self.clock, fraud_type, actionable)
        return self.stripe("radar.early_fraud_warning.created", thing)

    def tracked(self, *scans: Scan, which: str = "", **changes: Any) -> Self:
        """An EasyPost tracker with these scans."""
        code = self.parcel_code(which)
        self.links[code] = self.ref
        moments = [*self._moments(scans), self.clock]
        body = parcel_bodies.easypost(self.order, self.draw, len(self.signals), moments, code, list(scans), changes)
        return self._add("easypost", {}, body)

    def followed(self, *scans: Scan, which: str = "", **changes: Any) -> Self:
        """An AfterShip tracking with these checkpoints."""
        code = self.parcel_code(which)
        moments = [*self._moments(scans), self.clock]
        body = parcel_bodies.aftership(self.order, self.draw, len(self.signals), moments, code, list(scans), changes)
        return self._add("aftership", {}, body)

    def _moments(self, scans: tuple[Scan, ...]) -> list[datetime]:
        return [self.start + timedelta(hours=scan.hours) for scan in scans]

    def shipbob(self, topic: str, status: str, number: int, name: str, description: str, coded: str | None = None) -> Self:
        headers = {
            "x-webhook-topic": topic,
            "webhook-id": f"msg_{self.draw.hexes(f'shipbob{len(self.signals)}', 24)}",
            "webhook-timestamp": str(int(self.clock.timestamp())),
        }
        body = parcel_bodies.shipbob(self.order, self.draw, self.clock, status, (number, name, description), coded)
        return self._add("shipbob", headers, body)

    def event(self, kind: str, source: str, data: Body) -> Self:
        """A CloudEvent, structured."""
        body = {
            "specversion": "1.0",
            "id": self.draw.uuid(f"cloud{len(self.signals)}"),
            "source": source,
            "type": kind,
            "subject": self.ref,
            "time": stamp(self.clock),
            "datacontenttype": "application/json",
            "data": data,
        }
        return self._add("events", {"content-type": "application/cloudevents+json"}, body)

    def wms(self, kind: str, **data: Any) -> Self:
        return self.event(f"wms.{kind}", self.order.shop.wms, data)

    def said(self, text: str, channel: str = "email") -> Self:
        return self.event("customer.message", "/helpdesk/inbox", {"channel": channel, "text": text})

    def broke(self, system: str, operation: str, message: str) -> Self:
        return self.event("integration.failed", "/ops/dead-letter", {"system": system, "operation": operation, "message": message})

    def scanned(self, carrier: str, status: str, message: str, detail: str | None = None, which: str = "", **data: Any) -> Self:
        """A carrier's own event, of a carrier that no aggregator follows."""
        body = {"carrier": carrier, "tracking_code": self.parcel_code(which), "status": status, "message": message, **data}
        body["occurred_at"] = stamp(self.clock)
        if detail:
            body["status_detail"] = detail
        return self.event("carrier.tracking", f"/carriers/{carrier.lower().replace(' ', '-')}", body)

    def reported(self, by: str, description: str, facts: Body) -> Self:
        """A report through POST /triage: free text, and a few facts in the reporter's own words."""
        found = {name: {"value": value, "source": by, "observed_at": stamp(self.clock)} for name, value in facts.items()}
        return self._add("triage", {}, {"order_ref": self.ref, "reported_by": by, "description": description, "facts": found})

    # --- what systems of record answer ---

    def fact(self, name: str, value: Any, source: str, hours_before: float = 0.05) -> Self:
        """A reading made so long before the moment of judgement."""
        self.facts[name] = {"value": value, "source": source, "hours_before": hours_before}
        return self

    def record(self, financial: str = "paid", fulfilment: str | None = None, *, with_total: bool = True) -> Self:
        """The order as its system of record knows it, where no order webhook tells it."""
        self.recorded = {"financial": financial, "fulfilment": fulfilment, "with_total": with_total}
        if not with_total:
            self.total = None
        return self

    def judged(self, hours: float) -> Self:
        self.as_of = self.start + timedelta(hours=hours)
        return self
