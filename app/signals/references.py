"""How the ids found in bodies are written as identifiers, so that every parser and the linker mean the same."""

import re
from collections.abc import Mapping
from typing import Any

from app.linking import order_identifier

_SHOPIFY_GID = re.compile(r"gid://shopify/(?:Order|FulfillmentOrder|Return|Refund)/\d+")
_GID_KEYS = frozenset(["id", "admin_graphql_api_id", "admin_graphql_api_order_id", "order_id", "fulfillment_order_id"])
_STRIPE_ID = re.compile(r"(?:pi|ch|py|re|dp|du|cs|in|prv|issfr)_[A-Za-z0-9_]+")
_METADATA_KEYS = ("order_id", "order", "order_name", "order_number", "order_ref", "orderid", "shopify_order_id", "reference")
_LONG_ID = re.compile(r"\d{12,}")


def shopify_order(order_id: str | None) -> str | None:
    """`gid://shopify/Order/ID` from the number, or the gid as it is."""
    if order_id is None or order_id.startswith("gid://shopify/Order/"):
        return order_id
    return f"gid://shopify/Order/{order_id}" if order_id.isdigit() else None


def named_order(ref: str | None) -> str | None:
    """`order:1001` for `#1001`. A long number is a Shopify order id and is written as its gid."""
    if ref is None or not ref.strip().removeprefix("#").strip():
        return None
    text = ref.strip()
    if _LONG_ID.fullmatch(text) or text.startswith("gid://shopify/Order/"):
        return shopify_order(text)
    return order_identifier(text)


def metadata_order(metadata: Any) -> tuple[str, str] | None:
    """(key, value) of the first entry of a payment's metadata that names an order."""
    if not isinstance(metadata, Mapping):
        return None
    lowered = {str(key).lower(): (str(key), value) for key, value in metadata.items()}
    for name in _METADATA_KEYS:
        key, value = lowered.get(name, (name, None))
        if isinstance(value, str) and named_order(value):
            return key, value
    return None


def payment_id(text: str | None) -> str | None:
    """The text when it is an id of the payment provider."""
    return text if text is not None and _STRIPE_ID.fullmatch(text) else None


def bare_code(text: str | None) -> str | None:
    """A tracking code, or another id without a mark of its own, as an identifier. People type such codes; one that reads like
    an identifier of another kind (`order:1001`, a gid, `pi_…`) would join what belongs to somebody else, and is none."""
    return None if text is None or ":" in text or payment_id(text) else text


def shopify_gids(value: Any) -> list[str | None]:
    """Every gid of an order or of a part of one that stands under an id key. Free text is never searched."""
    found: list[str | None] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in _GID_KEYS and isinstance(item, str) and _SHOPIFY_GID.fullmatch(item):
                found.append(item)
            elif isinstance(item, (Mapping, list)):
                found.extend(shopify_gids(item))
    elif isinstance(value, list):
        for item in value:
            found.extend(shopify_gids(item))
    return found
