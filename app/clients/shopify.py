"""Holding, releasing and resubmitting fulfilment through Shopify's Admin GraphQL API.

A hold carries the handle `ordermend-<case>`: Shopify refuses a second hold with the same handle, which makes placing it
repeatable. Only holds with our own handle are ever released.
"""

from dataclasses import dataclass
from typing import Any

import httpx
from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from app.clients.port import Done, Ending, Failed, Task, UnknownOutcome
from guardrails.taxonomy import Action

_ORDER = """query($id: ID!) { order(id: $id) { fulfillmentOrders(first: 50) { pageInfo { hasNextPage } nodes {
  id status requestStatus fulfillmentHolds { id handle heldByRequestingApp } } } } }"""
_HOLD = """mutation($id: ID!, $hold: FulfillmentOrderHoldInput!) { fulfillmentOrderHold(id: $id, fulfillmentHold: $hold) {
  fulfillmentHold { id handle } userErrors { field message code } } }"""
_RELEASE = """mutation($id: ID!, $holds: [ID!]) { fulfillmentOrderReleaseHold(id: $id, holdIds: $holds) {
  fulfillmentOrder { id status } userErrors { field message code } } }"""
_RESUBMIT = """mutation($id: ID!, $message: String) { fulfillmentOrderSubmitFulfillmentRequest(id: $id, message: $message) {
  submittedFulfillmentOrder { id requestStatus } userErrors { field message code } } }"""
_DUPLICATE = "DUPLICATE_FULFILLMENT_HOLD_HANDLE"
_OPEN = ("OPEN", "IN_PROGRESS", "SCHEDULED", "ON_HOLD")
_REQUESTED = ("SUBMITTED", "ACCEPTED", "CANCELLATION_REQUESTED", "CANCELLATION_REJECTED")
"""The warehouse has the request, so that another would be a second one."""
_NOT_TAKEN = ("THROTTLED",)
_HANDLE_PREFIX = "ordermend-"


class _NotSent(Exception):
    """The request certainly had no effect; it may be sent again."""


class _Refused(Exception):
    """Shopify said no."""


class _NoReply(Exception):
    """The request may have had its effect."""


@dataclass(frozen=True, slots=True)
class ShopifyFulfilment:
    """`admin_url` is the Admin API root, e.g. `https://SHOP.myshopify.com/admin/api/2026-07`."""

    http: httpx.AsyncClient
    admin_url: str
    access_token: str
    repeatable: bool = True
    attempts: int = 3

    async def carry_out(self, task: Task) -> Ending:
        order = task.snapshot.get("fields", {}).get("order.id", {}).get("value")
        if not isinstance(order, str) or not order:
            return Failed("The order's Shopify id is not known, so its fulfilment orders cannot be found.")
        gid = order if order.startswith("gid://") else f"gid://shopify/Order/{order}"
        done: list[str] = []
        try:
            nodes = await self._fulfilment_orders(gid)
            match task.action:
                case Action.HOLD_FULFILMENT:
                    return await self._hold(task, nodes, done)
                case Action.RELEASE_OWN_HOLD:
                    return await self._release(task, nodes, done)
                case _:
                    return await self._resubmit(task, nodes)
        except (_NotSent, _Refused) as error:
            return UnknownOutcome(f"{error} Done before that: {', '.join(done)}.") if done else Failed(str(error))
        except _NoReply as error:
            return await self._read_back(task, gid, str(error))

    async def _read_back(self, task: Task, gid: str, lost: str) -> Ending:
        """After a lost reply: a hold can be looked up by its handle; for the rest nobody can say."""
        if task.action is not Action.HOLD_FULFILMENT:
            return UnknownOutcome(lost)
        handle = _HANDLE_PREFIX + task.case_id
        try:
            nodes = [n for n in await self._fulfilment_orders(gid) if n.get("status") in _OPEN]
            held = [n["id"] for n in nodes if any(h.get("handle") == handle for h in n.get("fulfillmentHolds") or [])]
            if nodes and len(held) == len(nodes):
                return Done({"handle": handle, "fulfilment_orders": held, "read_back": True})
            return await self._hold(task, nodes, held)  # the handle makes a second request harmless
        except (_NotSent, _Refused, _NoReply) as error:
            return UnknownOutcome(f"{lost} {error}")

    async def _fulfilment_orders(self, gid: str) -> list[dict[str, Any]]:
        found = await self._ask(_ORDER, {"id": gid})
        orders = (found.get("order") or {}).get("fulfillmentOrders") or {}
        if (orders.get("pageInfo") or {}).get("hasNextPage"):
            raise _Refused("The order has more than 50 fulfilment orders; a person has to act on them in Shopify.")
        return list(orders.get("nodes") or [])

    async def _hold(self, task: Task, nodes: list[dict[str, Any]], done: list[str]) -> Ending:
        """Every open fulfilment order, or it says which are. `done` collects what has been held."""
        handle = _HANDLE_PREFIX + task.case_id
        open_orders = [n for n in nodes if n.get("status") in _OPEN]
        if not open_orders:
            return Failed("There is no open fulfilment order left to hold.")
        hold = {"reason": "OTHER", "reasonNotes": f"Ordermend case {task.case_id}", "handle": handle, "notifyMerchant": False}
        for node in open_orders:
            errors = await self._mutate("fulfillmentOrderHold", _HOLD, {"id": node["id"], "hold": hold})
            others = [e for e in errors if e.get("code") != _DUPLICATE]
            if others:
                raise _Refused("Shopify did not place the hold: " + "; ".join(str(e.get("message")) for e in others) + ".")
            done.append(node["id"])
        return Done({"handle": handle, "fulfilment_orders": [n["id"] for n in open_orders]})

    async def _release(self, task: Task, nodes: list[dict[str, Any]], done: list[str]) -> Ending:
        """Our own holds of this case, and the one that the decision was about: another case's still has its reason."""
        ours = {_HANDLE_PREFIX + task.case_id, *_handles_seen(task)}
        handles: set[str] = set()
        for node in nodes:
            holds = node.get("fulfillmentHolds") or []
            found = [hold for hold in holds if hold.get("heldByRequestingApp") and hold.get("handle") in ours]
            own = [hold["id"] for hold in found]
            if not own:
                continue
            errors = await self._mutate("fulfillmentOrderReleaseHold", _RELEASE, {"id": node["id"], "holds": own})
            if errors:
                raise _Refused("Shopify did not release the hold: " + "; ".join(str(e.get("message")) for e in errors) + ".")
            done += own
            handles.update(hold["handle"] for hold in found)
        return (
            Done({"released": done, "handles": sorted(handles)})
            if done
            else Failed("None of the order's holds is ours to release.")
        )

    async def _resubmit(self, task: Task, nodes: list[dict[str, Any]]) -> Ending:
        open_orders = [n for n in nodes if n.get("status") in _OPEN]
        if len(open_orders) != 1:
            return Failed(f"Exactly one open fulfilment order can be resubmitted; this order has {len(open_orders)}.")
        if open_orders[0].get("requestStatus") in _REQUESTED:
            return Failed(f"The warehouse already has the request ({open_orders[0]['requestStatus']}).")
        variables = {"id": open_orders[0]["id"], "message": f"Resubmitted for Ordermend case {task.case_id}"}
        errors = await self._mutate("fulfillmentOrderSubmitFulfillmentRequest", _RESUBMIT, variables)
        if errors:
            return Failed("Shopify did not take the request: " + "; ".join(str(e.get("message")) for e in errors))
        return Done({"fulfilment_order": open_orders[0]["id"]})

    async def _mutate(self, name: str, query: str, variables: dict[str, Any]) -> list[dict[str, Any]]:
        """The mutation's user errors; empty when it took effect."""
        data = await self._ask(query, variables)
        answer = data.get(name)
        if not isinstance(answer, dict):
            raise _NoReply(f"Shopify's answer to {name} cannot be read; it may have happened.")
        return list(answer.get("userErrors") or [])

    async def _ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """One GraphQL call. Only what certainly had no effect is sent again."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.attempts),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            retry=retry_if_exception_type(_NotSent),
        )
        try:
            async for attempt in retrying:
                with attempt:
                    return await self._post(query, variables)
        except RetryError as error:
            raise _NotSent(str(error.last_attempt.exception())) from error
        raise _NotSent("Shopify was not asked.")

    async def _post(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        headers = {"X-Shopify-Access-Token": self.access_token}
        url = f"{self.admin_url.rstrip('/')}/graphql.json"
        try:
            answer = await self.http.post(url, json={"query": query, "variables": variables}, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _NotSent(f"Shopify could not be reached ({type(error).__name__}).") from error
        except httpx.HTTPError as error:
            raise _NoReply(f"Shopify's reply was lost ({type(error).__name__}).") from error
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise _NotSent("Shopify asks us to slow down (429).")
        if answer.is_server_error:
            raise _NoReply(f"Shopify answered {answer.status_code}; it may have happened.")
        if answer.is_client_error:
            raise _Refused(f"Shopify refused the call ({answer.status_code}); check the connector's token and scopes.")
        return _data(answer)


def _data(answer: httpx.Response) -> dict[str, Any]:
    """What was asked for. GraphQL answers 200 for errors, too; their code says whether anything was done."""
    try:
        body = answer.json()
    except ValueError as error:
        raise _NoReply("Shopify's reply is not JSON.") from error
    if not isinstance(body, dict):
        raise _NoReply("Shopify's reply is not a JSON object.")
    if not (errors := body.get("errors")):
        return dict(body.get("data") or {})
    codes = (
        {str((e.get("extensions") or {}).get("code")) for e in errors if isinstance(e, dict)} if isinstance(errors, list) else set()
    )
    if codes and codes <= set(_NOT_TAKEN):
        raise _NotSent("Shopify asks us to slow down (THROTTLED).")
    if "INTERNAL_SERVER_ERROR" in codes:
        raise _NoReply("Shopify failed inside; it may have happened.")
    raise _Refused(f"Shopify refused the call: {errors}"[:500])


def _handles_seen(task: Task) -> set[str]:
    """The handles of our own holds among the facts that were ruled on."""
    fields = task.snapshot.get("fields", {})
    seen = (item.get("value") for name, item in fields.items() if name.partition("[")[0] == "hold.handle")
    return {handle for handle in seen if isinstance(handle, str) and handle.startswith(_HANDLE_PREFIX)}
