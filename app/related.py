"""Which other orders share something telling with this one: the same buyer, lines and ship-to, or the same channel order."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.checking.values import current, moments
from app.context import OrderContext, RelatedOrder

WINDOW = timedelta(hours=24)
"""How far apart two orders may have been placed and still be looked at together."""

_TELLING = ("customer", "lines", "ship_to", "channel_order")
_ALSO_COMPARED = ("note",)


@dataclass(frozen=True, slots=True)
class OrderFingerprint:
    """What of an order is compared with others. `channel_order` is the marketplace's own number, with the channel's name.
    `note` is the buyer's note; two orders without one have the same. None means unknown, and unknown is never the same."""

    order_ref: str
    placed_at: datetime
    customer: str | None
    lines: str | None
    ship_to: str | None
    channel_order: str | None
    note: str | None
    cancelled: bool


def fingerprint_of(context: OrderContext) -> OrderFingerprint | None:
    """None where nobody has said when the order was placed or imported."""
    placed = moments(context, "order.placed_at") + moments(context, "order.imported_at")
    if not placed:
        return None
    channel, number = current(context, "order.channel"), current(context, "order.channel_order_id")
    return OrderFingerprint(
        order_ref=context.order_ref,
        placed_at=min(placed),
        customer=_text(current(context, "order.customer")),
        lines=_text(current(context, "order.lines_fingerprint")),
        ship_to=_text(current(context, "order.ship_to_fingerprint")),
        channel_order=f"{channel}:{number}" if channel and number else None,
        note=_text(current(context, "order.note")) or "",
        cancelled=bool(current(context, "order.cancelled_at")),
    )


def related_orders(
    mine: OrderFingerprint, others: Iterable[OrderFingerprint], window: timedelta = WINDOW
) -> tuple[RelatedOrder, ...]:
    """Those that share something telling with `mine` and were placed within the window, the earliest first. Two imports of one
    channel order belong together however far apart they are."""
    found = []
    for other in others:
        same = tuple(name for name in _TELLING if _same(mine, other, name))
        near = abs(other.placed_at - mine.placed_at) <= window
        if other.order_ref == mine.order_ref or not same or not (near or "channel_order" in same):
            continue
        also = tuple(name for name in _ALSO_COMPARED if _same(mine, other, name))
        found.append(RelatedOrder(other.order_ref, other.placed_at, (*same, *also), other.cancelled))
    return tuple(sorted(found, key=lambda order: (order.placed_at, order.order_ref)))


def _same(mine: OrderFingerprint, other: OrderFingerprint, name: str) -> bool:
    left, right = getattr(mine, name), getattr(other, name)
    return left is not None and left == right


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
