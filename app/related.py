"""Which other orders share something telling with this one: the same buyer, lines and ship-to, or the same channel order."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.checking.values import current, moments
from app.context import OrderContext, RelatedOrder

_TELLING = ("customer", "lines", "ship_to", "channel_order", "checkout")
_ALSO_COMPARED = ("note",)


@dataclass(frozen=True, slots=True)
class OrderMarks:
    """What of an order is compared with others. `channel_order` is the marketplace's own number, with the channel's name.
    `note` is the buyer's note, empty where there is none. None means unknown, and unknown is never the same."""

    order_ref: str
    placed_at: datetime | None
    customer: str | None
    lines: str | None
    ship_to: str | None
    cancelled: bool
    channel_order: str | None = None
    note: str | None = None
    checkout: str | None = None
    """The storefront's token of the checkout, the same when one checkout made two orders."""


def marks_of(context: OrderContext) -> OrderMarks:
    """An order that nobody says when it was placed counts from its import."""
    placed = moments(context, "order.placed_at") or moments(context, "order.imported_at")
    channel, number = current(context, "order.channel"), current(context, "order.channel_order_id")
    return OrderMarks(
        order_ref=context.order_ref,
        placed_at=min(placed) if placed else None,
        customer=_text(current(context, "order.customer")),
        lines=_text(current(context, "order.lines_fingerprint")),
        ship_to=_text(current(context, "order.ship_to_fingerprint")),
        cancelled=bool(current(context, "order.cancelled_at")),
        channel_order=f"{channel}:{number}" if channel and number else None,
        note=_text(current(context, "order.note")) or "",
        checkout=_text(current(context, "order.checkout_token")),
    )


def related_orders(mine: OrderMarks, others: Iterable[OrderMarks], window: timedelta) -> tuple[RelatedOrder, ...]:
    """Those that share something telling with `mine` and were placed within the window, the earliest first. Two imports of one
    channel order belong together however far apart they are."""
    found = [related for other in others if (related := _related(mine, other, window)) is not None]
    return tuple(sorted(found, key=lambda order: (order.placed_at, order.order_ref)))


def _related(mine: OrderMarks, other: OrderMarks, window: timedelta) -> RelatedOrder | None:
    if mine.placed_at is None or other.placed_at is None or other.order_ref == mine.order_ref:
        return None
    same = tuple(name for name in _TELLING if _same(mine, other, name))
    near = abs(other.placed_at - mine.placed_at) <= window
    if not same or not (near or "channel_order" in same):
        return None
    also = tuple(name for name in _ALSO_COMPARED if _same(mine, other, name))
    return RelatedOrder(other.order_ref, other.placed_at, (*same, *also), other.cancelled)


def _same(mine: OrderMarks, other: OrderMarks, name: str) -> bool:
    left, right = getattr(mine, name), getattr(other, name)
    return left is not None and left == right


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
