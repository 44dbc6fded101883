"""Which order a signal belongs to, by the identifiers its body carries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_SHARED = ("inventory_item:", "sku:", "customer:")


def is_shared(identifier: str) -> bool:
    """True for ids that many orders may have in common: they carry a signal to all of them and never join two orders."""
    return identifier.startswith(_SHARED)


def names_an_order(identifier: str) -> bool:
    """True for ids that are an order's own, so that a signal bearing one may open the order's record."""
    return identifier.startswith(("order:", "gid://shopify/Order/"))


def order_identifier(ref: str) -> str:
    """`#1001` and `1001` name the same order."""
    return "order:" + ref.strip().removeprefix("#")


@dataclass(frozen=True, slots=True)
class Link:
    """Where a signal goes. `orders` are existing orders; more than one through own ids means they are one and the same and
    `merge` is set. `opens` says that a new order record is to be made. Neither: the signal waits, unlinked."""

    orders: tuple[str, ...]
    merge: bool
    opens: bool


def resolve(identifiers: Iterable[str], known: Mapping[str, frozenset[str]]) -> Link:
    """`known` maps identifiers to the orders that hold them."""
    ids = tuple(identifiers)
    own = sorted({order for i in ids if not is_shared(i) for order in known.get(i, ())})
    if own:
        return Link(tuple(own), merge=len(own) > 1, opens=False)
    if any(names_an_order(i) for i in ids):
        return Link((), merge=False, opens=True)  # a new order is not an old one because both hold the same SKU
    shared = sorted({order for i in ids if is_shared(i) for order in known.get(i, ())})
    return Link(tuple(shared), merge=False, opens=False)
