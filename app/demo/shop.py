"""A shop that answers as Shopify's Admin API does for what Ordermend asks of it, over real HTTP, and remembers what was done.

It knows the orders that it is told. Each has one open fulfilment order, unless the order has left already.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from guardrails.facts import rfc3339

ADMIN_PATH = "/admin/api/2026-07"

_Answer = dict[str, Any]
_OPERATIONS = ("fulfillmentOrderHold", "fulfillmentOrderReleaseHold", "fulfillmentOrderSubmitFulfillmentRequest")


@dataclass(slots=True)
class FulfilmentOrder:
    id: str
    status: str
    request_status: str = "UNSUBMITTED"
    holds: list[dict[str, Any]] = field(default_factory=list)

    def plain(self) -> _Answer:
        return {"id": self.id, "status": self.status, "requestStatus": self.request_status, "fulfillmentHolds": self.holds}


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that really changed at the shop."""

    operation: str
    fulfilment_order: str


@dataclass(slots=True)
class Shop:
    """`token` is what callers must send as `X-Shopify-Access-Token`."""

    token: str
    clock: Callable[[], datetime]
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    fulfilment: dict[str, list[FulfilmentOrder]] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)

    def sell(self, bodies: Iterable[Mapping[str, Any]]) -> None:
        """Take over orders as their webhooks tell them."""
        for body in bodies:
            order_id = str(body["id"])
            status = "CLOSED" if body.get("fulfillment_status") == "fulfilled" else "OPEN"
            self.orders[order_id] = dict(body)
            self.fulfilment[order_id] = [FulfilmentOrder(f"gid://shopify/FulfillmentOrder/{int(order_id) + 10**12}", status)]

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route(f"{ADMIN_PATH}/graphql.json", self._graphql, methods=["POST"]),
                Route(f"{ADMIN_PATH}/orders/{{order_id}}.json", self._order, methods=["GET"]),
            ]
        )

    async def _order(self, request: Request) -> JSONResponse:
        if not self._may(request):
            return JSONResponse({"errors": "[API] Invalid API key or access token"}, 401)
        body = self.orders.get(request.path_params["order_id"])
        if body is None:
            return JSONResponse({"errors": "Not Found"}, 404)
        return JSONResponse({"order": body | {"updated_at": rfc3339(self.clock().replace(microsecond=0))}})

    async def _graphql(self, request: Request) -> JSONResponse:
        if not self._may(request):
            return JSONResponse({"errors": "[API] Invalid API key or access token"}, 401)
        asked = await request.json()
        query, variables = asked["query"], asked.get("variables") or {}
        operation = next((name for name in _OPERATIONS if name in query), None)
        if operation is None:
            return JSONResponse({"data": {"order": self._with_fulfilment(variables["id"])}})
        found = self._find(variables["id"])
        if found is None:
            return _refusal(operation, "Fulfillment order does not exist.", "FULFILLMENT_ORDER_NOT_FOUND")
        return _DO[operation](self, found, variables)

    def _may(self, request: Request) -> bool:
        return request.headers.get("x-shopify-access-token") == self.token

    def _with_fulfilment(self, gid: str) -> _Answer | None:
        nodes = self.fulfilment.get(gid.rpartition("/")[2])
        return None if nodes is None else {"fulfillmentOrders": {"nodes": [node.plain() for node in nodes]}}

    def _find(self, gid: str) -> FulfilmentOrder | None:
        return next((node for nodes in self.fulfilment.values() for node in nodes if node.id == gid), None)

    def hold(self, node: FulfilmentOrder, variables: Mapping[str, Any]) -> JSONResponse:
        wanted = variables["hold"]
        if any(hold["handle"] == wanted["handle"] for hold in node.holds):
            why = "The handle has already been used for a hold on this fulfillment order."
            return _refusal("fulfillmentOrderHold", why, "DUPLICATE_FULFILLMENT_HOLD_HANDLE")
        hold_id = f"gid://shopify/FulfillmentHold/{len(self.effects) + 1}"
        node.holds.append({"id": hold_id, "handle": wanted["handle"], "heldByRequestingApp": True})
        node.status = "ON_HOLD"
        self.effects.append(Effect("hold", node.id))
        return _done("fulfillmentOrderHold", {"fulfillmentHold": {"id": hold_id, "handle": wanted["handle"]}})

    def release(self, node: FulfilmentOrder, variables: Mapping[str, Any]) -> JSONResponse:
        node.holds = [hold for hold in node.holds if hold["id"] not in variables["holds"]]
        node.status = "ON_HOLD" if node.holds else "OPEN"
        self.effects.append(Effect("release", node.id))
        return _done("fulfillmentOrderReleaseHold", {"fulfillmentOrder": {"id": node.id, "status": node.status}})

    def submit(self, node: FulfilmentOrder, variables: Mapping[str, Any]) -> JSONResponse:
        node.request_status = "SUBMITTED"
        self.effects.append(Effect("submit", node.id))
        told = {"submittedFulfillmentOrder": {"id": node.id, "requestStatus": node.request_status}}
        return _done("fulfillmentOrderSubmitFulfillmentRequest", told)


_DO: Mapping[str, Callable[[Shop, FulfilmentOrder, Mapping[str, Any]], JSONResponse]] = {
    "fulfillmentOrderHold": Shop.hold,
    "fulfillmentOrderReleaseHold": Shop.release,
    "fulfillmentOrderSubmitFulfillmentRequest": Shop.submit,
}


def _done(operation: str, told: _Answer) -> JSONResponse:
    return JSONResponse({"data": {operation: told | {"userErrors": []}}})


def _refusal(operation: str, message: str, code: str) -> JSONResponse:
    return JSONResponse({"data": {operation: {"userErrors": [{"field": None, "message": message, "code": code}]}}})
