"""Reading an order's facts again from its systems of record. What is read comes in as a signal, like everything else."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy.dialects.postgresql import insert

from app.clients.port import Done, Ending, Failed, Task
from app.database import Sessions, write
from app.inbox import signal_row
from app.settings import ShopifyConnector, StripeConnector
from app.signals.shapes import Delivery, SignalRefused, Source
from app.tables import Signal, storable_bytes
from app.world import Clock


@dataclass(frozen=True, slots=True)
class Refetch:
    http: httpx.AsyncClient
    sessions: Sessions
    clock: Clock
    shopify: ShopifyConnector
    stripe: StripeConnector
    nudge: Callable[[str, str], Awaitable[None]]
    repeatable: bool = True

    async def carry_out(self, task: Task) -> Ending:
        read = []
        problems = []
        for source, url, headers in self._calls(task.snapshot):
            try:
                answer = await self.http.get(url, headers=headers)
                answer.raise_for_status()
                await self._keep(source, _object(answer), task)
                read.append(source.value)
            except (httpx.HTTPError, ValueError, SignalRefused) as error:
                problems.append(f"{source}: {type(error).__name__}")
        if not read:
            why = "; ".join(problems) or "no connector is configured for the systems that this order is known to"
            return Failed(f"Nothing could be read again: {why}.")
        await self.nudge("read_signals", "")
        return Done({"read": read, "problems": problems})

    def _calls(self, snapshot: Mapping[str, Any]) -> list[tuple[Source, str, dict[str, str]]]:
        """Where this order's records can be read: (source, address, headers)."""
        fields = snapshot.get("fields", {})
        calls = []
        order = str(fields.get("order.id", {}).get("value") or "").rpartition("/")[2]
        if re.fullmatch(r"[0-9]+", order) and self.shopify.admin_url:
            token = {"X-Shopify-Access-Token": self.shopify.access_token.get_secret_value()}
            calls.append((Source.SHOPIFY, f"{self.shopify.admin_url.rstrip('/')}/orders/{order}.json", token))
        key = self.stripe.secret_key.get_secret_value()
        for name in fields:
            payment = re.fullmatch(r"payment\.status\[(pi_[A-Za-z0-9_]+)\]", name)
            if key and payment:
                bearer = {"Authorization": f"Bearer {key}"}
                calls.append((Source.STRIPE, f"{self.stripe.api_url.rstrip('/')}/v1/payment_intents/{payment[1]}", bearer))
        return calls

    async def _keep(self, source: Source, body: dict[str, Any], task: Task) -> None:
        now = self.clock()
        if source is Source.SHOPIFY:
            payload, headers = _object(body.get("order", body)), {"x-shopify-topic": "orders/updated"}
        else:
            event = f"payment_intent.{body.get('status', 'read')}"
            payload = {"id": f"read_{task.action_id}", "type": event, "created": int(now.timestamp()), "data": {"object": body}}
            headers = {}
        raw = storable_bytes(payload)
        mark = f"refetch:{task.idempotency_key}:{hashlib.sha256(raw).hexdigest()[:16]}"
        row = signal_row(source, Delivery(headers, payload, mark, mark, "refetch"), raw, now)
        async with write(self.sessions) as session:
            await session.execute(insert(Signal).values(row).on_conflict_do_nothing())


def _object(answer: Any) -> dict[str, Any]:
    """The JSON object of an answer, numbers with a point as they were written. Raises ValueError for anything else."""
    found = answer.json(parse_float=str) if isinstance(answer, httpx.Response) else answer
    if not isinstance(found, dict):
        raise ValueError("the answer is not a JSON object")
    return found
