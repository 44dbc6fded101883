"""Which order a signal belongs to, by the identifiers its body carries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_SHARED = ("inventory_item:", "sku:", "customer:")
ORDER_GID = "gid://shopify/Order/"
ORDER_NAME = "order:"
NAMES = (ORDER_NAME, ORDER_GID)


def is_shared(identifier: str) -> bool:
    """True for ids that many orders may have in common: they carry a signal to all of them and never join two orders."""
    return identifier.startswith(_SHARED)


def names_an_order(identifier: str) -> bool:
    """True for ids that are an order's own, so that a signal bearing one may open the order's record."""
    return identifier.startswith(NAMES)


def order_identifier(ref: str) -> str:
    """`#1001` and `1001` name the same order."""
    return ORDER_NAME + ref.strip().removeprefix("#")


@dataclass(frozen=True, slots=True)
class Link:
    """Where a signal goes. `orders` are existing orders; with `merge` they turn out to be one and the same. `opens` says that
    a new order record is to be made. Neither: the signal waits, unlinked."""

    orders: tuple[str, ...]
    merge: bool
    opens: bool


@dataclass(slots=True)
class Holders:
    """Which orders hold which identifiers, and by which names each order is known, as far as a batch of signals needs it."""

    known: dict[str, frozenset[str]] = field(default_factory=dict)
    names: dict[str, frozenset[str]] = field(default_factory=dict)

    def copy(self) -> "Holders":
        return Holders(dict(self.known), dict(self.names))

    def learn(self, other: "Holders") -> None:
        self.known.update(other.known)
        self.names.update(other.names)

    def join(self, order: str, identifiers: Iterable[str]) -> None:
        own = tuple(identifiers)
        self.known.update({i: self.known.get(i, frozenset()) | {order} for i in own})
        self.names[order] = self.names.get(order, frozenset()) | _names(own)

    def merge(self, keep: str, others: Iterable[str]) -> None:
        gone = frozenset(others)
        for identifier, holders in self.known.items():
            if holders & gone:
                self.known[identifier] = (holders - gone) | {keep}
        self.names[keep] = frozenset().union(*(self.names.pop(o, frozenset()) for o in gone), self.names.get(keep, frozenset()))


def resolve(
    identifiers: Iterable[str], known: Mapping[str, frozenset[str]], names: Mapping[str, frozenset[str]] | None = None
) -> Link:
    """`known` maps identifiers to the orders that hold them, `names` orders to the ids by which they are known.

    An order's name counts for more than anything else it holds: parcels' codes are used again after a year, and one payment
    may pay two orders. So what is known by different names is never merged."""
    ids, names = tuple(identifiers), names or {}
    called = _names(ids)
    held = sorted({order for i in ids if not is_shared(i) for order in known.get(i, ())})
    if called:
        named = {order for i in called for order in known.get(i, ())}
        same = _of_one_name(called, sorted(held, key=lambda order: order not in named), names)
        return Link(same, merge=len(same) > 1, opens=not same)
    if held:
        return Link(tuple(held), merge=len(held) > 1 and len(_of_one_name(called, held, names)) == len(held), opens=False)
    shared = sorted({order for i in ids if is_shared(i) for order in known.get(i, ())})
    return Link(tuple(shared), merge=False, opens=False)


def _names(identifiers: Iterable[str]) -> frozenset[str]:
    return frozenset(i for i in identifiers if names_an_order(i))


def _of_one_name(called: frozenset[str], orders: Iterable[str], names: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Those that may be the order of this name, the oldest record first."""
    found: list[str] = []
    for order in orders:
        own = names.get(order, frozenset())
        if not _contradict(called, own):
            found.append(order)
            called |= own
    return tuple(sorted(found))


def _contradict(left: frozenset[str], right: frozenset[str]) -> bool:
    """Both have names of one kind, and none in common."""
    for kind in NAMES:
        mine, theirs = ({name for name in names if name.startswith(kind)} for names in (left, right))
        if mine and theirs and not mine & theirs:
            return True
    return False
