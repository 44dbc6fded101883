"""One-way fingerprints, so that two systems' copies of an address, a buyer or a basket can be compared without keeping them."""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

_LENGTH = 16
_POSTAL_CODE = ("zip", "postal_code", "postcode", "zip_code")
_ADDRESS: tuple[tuple[str, ...], ...] = (
    ("address1", "street1", "address_1", "line1", "address_line1"),
    ("address2", "street2", "address_2", "line2", "address_line2"),
    ("city", "city_locality"),
    _POSTAL_CODE,
    ("country_code", "country"),
)


def fingerprint(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:_LENGTH]


def folded(text: str) -> str:
    """Without case, accents, punctuation and extra space: `Torstraße  140.` is `torstrasse 140`."""
    base = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    return " ".join("".join(c if c.isalnum() else " " for c in base).split())


def email_fingerprint(email: str) -> str:
    return fingerprint(email.strip().lower())


def lines_fingerprint(lines: Iterable[Mapping[str, Any]]) -> str | None:
    """Of SKUs (the title where there is none) and their summed quantities, in any order; None for no lines."""
    totals: dict[str, int] = {}
    for line in lines:
        key = folded(str(line.get("sku") or line.get("title") or ""))
        quantity = line.get("quantity")
        totals[key] = totals.get(key, 0) + (quantity if isinstance(quantity, int) else 0)
    return fingerprint(*(f"{sku}={count}" for sku, count in sorted(totals.items()))) if totals else None


def address_fingerprint(address: Any) -> str | None:
    """Of street, city, postal code and country, whatever the vendor calls them; the name does not count. None without a street and city."""
    if not isinstance(address, Mapping):
        return None
    street1, street2, city, code, country = (_read(address, names) for names in _ADDRESS)
    if not (street1 or street2 or city or code):
        return None
    return fingerprint(f"{street1} {street2}".strip(), city, code.replace(" ", ""), country)


def _read(address: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((folded(value) for name in names if isinstance(value := address.get(name), str) and value.strip()), "")
