"""Which parts of a vendor's body are about a person, and the same body with pseudonyms in their place.

A value is personal by its key, or by standing inside an address or a person and not being known as harmless there. What is found so is
then taken out of all free text as well, together with anything that looks like an e-mail or a phone number."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from evals.pseudonyms import Pseudonyms

_PERSON = frozenset(
    [
        *("customer", "customer_details", "customer_address", "customer_shipping", "recipient", "sender", "owner", "contact"),
        *("billing", "billing_details", "shipping", "ship_to", "bill_to", "address", "addresses", "destination"),
        *("original", "candidate", "checked", "client_details", "individual", "person", "consignee"),
    ]
)
_HARMLESS = re.compile(
    r"country|province|state|currency|_at$|^id$|^object$|type|mode|check|residential|status|code$|brand|funding|network|locale|"
    r"tax_exempt|verified|success|opt_in|^tags$|total_spent|carrier|tracking|^field$|level|^source$|psp|provider|gateway|system"
)
_EMAIL_KEY = re.compile(r"e?mails?(_address)?$")
_PHONE_KEY = re.compile(r"(^|_)(phone|mobile|tel|fax|sms(es)?)(_?numbers?)?$")
_WORDS_KEY = re.compile(
    r"^(street|address|address_?line|line)_?[1-3]?$|^street|(^|_)(city|city_locality|town|suburb|locality)$|raw_location$|"
    r"^(destination|origin|delivery)_location$|^(first|last|full|given|family|middle|customer|buyer|recipient|billing|shipping|"
    r"contact|account|cardholder|credit_card)_?name$|^signed_by$|^shop_owner$|^reported_by$|^attention$"
)
_ZIP_KEY = re.compile(r"(^|_)(zip|zip_?code|postal_?code|post_?code)$")
_CARD_KEY = re.compile(r"(^|_)(last4|iin|bin|card_number)$")
_OPAQUE_KEY = re.compile(r"(^|_)(token|secret|fingerprint|user_agent|session_hash|landing_site|referring_site)$|_key$")
_IP_KEY = re.compile(r"(^|_)ip(_address)?$")
_PLACE_KEY = re.compile(r"^(lat|latitude|lng|lon|longitude|coordinates)$")
_BUYER_ID = re.compile(r"^customer(_id|id)?$|customer(_\w+)?_id$")
_ATTRIBUTE = re.compile(r"name|recipient|address|mail|phone|street|city|company")
_TEXT_KEY = re.compile(r"note|message|description|text|comment|reason|instruction|title|summary|subject|body")

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
_PHONE = re.compile(r"(?<![\w-])\+?\d(?:[ ()./-]{0,2}\d){7,15}(?![\w-])")
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_SHORTEST = 3

_Change = Callable[[str], str]


class Masking:
    """Bodies of one case, each with the same pseudonyms. `found` are the personal strings of all bodies it was shown."""

    def __init__(self, names: Pseudonyms, bodies: Iterable[Any]) -> None:
        self._names = names
        self.found = tuple(
            sorted({text for body in bodies for text in self._personal(body, "", False)}, key=lambda t: (-len(t), t))
        )
        terms = sorted({term for text in self.found for term in _terms(text)}, key=lambda t: (-len(t), t))
        self._known = re.compile("|".join(map(_whole, terms)), re.IGNORECASE) if terms else None

    def masked(self, body: Any) -> Any:
        return self._walk(body, "", False)

    def left_in(self, text: str) -> int:
        """How many of the personal strings that nobody could mistake for something else still stand in the text."""
        folded = text.casefold()
        return sum(1 for found in self.found if (" " in found or "@" in found) and found.casefold() in folded)

    def text(self, text: str) -> str:
        """Free text without what is known to be personal, and without what looks it."""
        masked = _URL.sub(lambda url: f"https://example.net/{self._names.opaque(url[0])}", text)
        masked = _EMAIL.sub(lambda email: self._names.email(email[0]), masked)
        masked = self._known.sub(lambda known: self._in_text(known[0]), masked) if self._known else masked
        return _PHONE.sub(lambda phone: self._names.coded(phone[0]), masked)

    def _in_text(self, known: str) -> str:
        return self._names.coded(known) if not any(char.isalpha() for char in known) else self._names.words(known)

    # --- the walk ---

    def _walk(self, value: Any, key: str, inside: bool) -> Any:
        match value:
            case Mapping():
                return {name: self._walk(item, *_step(str(name), key, inside, value)) for name, item in value.items()}
            case list():
                return [self._walk(item, key, inside) for item in value]
            case str():
                return self._changed(value, key, inside)
            case bool() | None:
                return value
            case int() if _ZIP_KEY.search(key) or _PHONE_KEY.search(key) or _is_buyer_id(key, inside):
                return self._names.number(value)
            case int() | float() if _PLACE_KEY.search(key):
                return 0
        return value

    def _changed(self, value: str, key: str, inside: bool) -> str:
        if not value.strip():
            return value
        change = self._change(key, inside, value)
        if change is not None:
            return change(value)
        free = " " in value.strip() or "@" in value or _URL.search(value) or _TEXT_KEY.search(key) or not value.isascii()
        return self.text(value) if free else value

    def _change(self, key: str, inside: bool, value: str) -> _Change | None:
        """What is done with a value that is personal by its key; None where it is not."""
        names = self._names
        if "@" in value and _EMAIL_KEY.search(key):
            return names.email
        if _is_buyer_id(key, inside):
            return lambda text: _last_part(text, names.coded)
        for known, change in (
            (_PHONE_KEY, names.coded),
            (_ZIP_KEY, names.coded),
            (_CARD_KEY, names.coded),
            (_OPAQUE_KEY, names.opaque),
            (_IP_KEY, names.ip),
            (_WORDS_KEY, names.words),
        ):
            if known.search(key):
                return change
        if _PLACE_KEY.search(key):
            return lambda _: "0"
        is_harmless = _HARMLESS.search(key) or _TEXT_KEY.search(key) or "://" in value
        return names.words if inside and not is_harmless else None

    def _personal(self, value: Any, key: str, inside: bool) -> Iterator[str]:
        """The strings that stand for a person: names, streets, towns, postal codes, e-mails, phones."""
        match value:
            case Mapping():
                for name, item in value.items():
                    yield from self._personal(item, *_step(str(name), key, inside, value))
                yield from _whole_name(value)
            case list():
                for item in value:
                    yield from self._personal(item, key, inside)
            case str() if (
                value.strip() and not _OPAQUE_KEY.search(key) and not _is_buyer_id(key, inside) and not _PLACE_KEY.search(key)
            ):
                if self._change(key, inside, value) is not None:
                    yield value.strip()


def _step(name: str, above: str, inside: bool, holder: Mapping[str, Any]) -> tuple[str, bool]:
    """The key that says what the next value is, and whether it stands inside a person. A reported fact's value is what the
    fact's name says, and so is the value of an attribute that carries its name beside it."""
    key = name.lower().rpartition(".")[2]
    if key == "value":
        beside = holder.get("name", holder.get("key", above))
        key = str(beside).lower().replace(" ", "_").rpartition(".")[2]
        inside = inside or (beside is not above and bool(_ATTRIBUTE.search(key)))
    return key, inside or key in _PERSON or key.endswith("_address") or "last4" in holder


def _is_buyer_id(key: str, inside: bool) -> bool:
    return bool(_BUYER_ID.search(key)) or (inside and key in ("id", "admin_graphql_api_id"))


def _last_part(text: str, change: _Change) -> str:
    """`gid://shopify/Customer/7` and `cus_7` keep what kind of id they are."""
    head, last = re.fullmatch(r"(.*[/_])?(.*)", text, re.DOTALL).groups(default="")  # type: ignore[union-attr] # matches any text
    return head + change(last)


def _whole_name(person: Mapping[str, Any]) -> Iterator[str]:
    parts = [person.get(name) for name in ("first_name", "last_name")]
    if all(isinstance(part, str) and part.strip() for part in parts):
        yield " ".join(str(part).strip() for part in parts)


def _terms(text: str) -> Iterator[str]:
    """The whole string, and of a name of letters alone each of its words."""
    if len(text) >= _SHORTEST or not text.isascii():
        yield text
    if not any(char.isdigit() for char in text):
        yield from (word for word in re.split(r"[\s,]+", text) if len(word) >= _SHORTEST or not word.isascii())


def _whole(term: str) -> str:
    """Scripts without spaces between words have no word's end to look for."""
    return rf"(?<!\w){re.escape(term)}(?!\w)" if term.isascii() else re.escape(term)
