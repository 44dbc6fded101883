"""Every cited item is looked up in the snapshot that the classifier was shown. What does not resolve, or says something else
there, is struck; free text that outsiders wrote may be cited and never justifies an action."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from guardrails.money import Money, MoneyError
from guardrails.policy.catalogue import CATALOGUE
from guardrails.proposal import Evidence
from guardrails.ruling import GroundedEvidence

_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_CODE = re.compile(r"[\w.\-]+")
_SHORTEST_PART = 3
"""Fewer characters than this are found in almost any text, and so show nothing."""

_TELLING = {"value", "conflict", "stale", "observed_at", "age_s"}
"""What a field of the snapshot says about the order. The rest (source, pointer, why) says where that comes from."""


class _Unresolved(Exception):
    """The pointer leads nowhere; the text says where it broke off."""


def ground(evidence: Sequence[Evidence], snapshot: Mapping[str, Any]) -> tuple[GroundedEvidence, ...]:
    """Each cited item with its source, whether it is untrusted text, and why it is struck (None when it holds)."""
    return tuple(_grounded(item, snapshot) for item in evidence)


def justifying(evidence: Sequence[GroundedEvidence]) -> int:
    """How many different facts hold and are not free text: only these justify an action."""
    return len({_fact_of(_tokens(item.evidence.pointer)) for item in evidence if item.struck is None and not item.untrusted})


def speaking_in(snapshot: Any) -> frozenset[str]:
    """Every system that says something in the snapshot, also where another one's word counts. What is computed from a statement
    rests on its system, whoever is named as the source of the result."""
    fields = snapshot.get("fields") if isinstance(snapshot, Mapping) else None
    found: set[str] = set()
    for field in fields.values() if isinstance(fields, Mapping) else ():
        others = field.get("others") if isinstance(field, Mapping) else None
        for said in (field, *(others if isinstance(others, list) else ())):
            source = said.get("source") if isinstance(said, Mapping) else None
            found.update([source] if isinstance(source, str) else [])
    return frozenset(found)


def _fact_of(path: tuple[str, ...]) -> tuple[str, ...]:
    """What is cited: a field's statement, however many of its parts are quoted, or that of another system about the same field."""
    return path[:4] if path[0] == "fields" and path[2:3] == ("others",) else path[:2]


def _grounded(item: Evidence, snapshot: Mapping[str, Any]) -> GroundedEvidence:
    try:
        path = _tokens(item.pointer)
        value = _resolve(path, snapshot)
    except _Unresolved as error:
        return GroundedEvidence(item, None, True, str(error))
    return GroundedEvidence(item, _source(path, snapshot), _is_untrusted(path), _why_struck(item.quote, path, value))


@lru_cache(maxsize=4_096)
def _tokens(pointer: str) -> tuple[str, ...]:
    """RFC 6901: `/fields/payment.status/value`; `~1` is a slash and `~0` a tilde inside a name."""
    if not pointer.startswith("/"):
        raise _Unresolved(f"{pointer!r} is not a JSON pointer into the snapshot")
    parts = pointer[1:].split("/")
    if "~" not in pointer:
        return tuple(parts)
    if any(re.search(r"~(?![01])", part) for part in parts):
        raise _Unresolved(f"{pointer!r} has a '~' that escapes nothing")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _resolve(path: Sequence[str], snapshot: Any) -> Any:
    value = snapshot
    for token in path:
        if (type(value) is dict or isinstance(value, Mapping)) and token in value:
            value = value[token]
        elif isinstance(value, list) and re.fullmatch("0|[1-9][0-9]{0,6}", token) and int(token) < len(value):
            value = value[int(token)]
        else:
            raise _Unresolved(f"the snapshot has nothing at {token!r}")
    return value


def _source(path: Sequence[str], snapshot: Mapping[str, Any]) -> str | None:
    """The system that said it: that of the other statement where one is cited, else that of the field."""
    for length in (4, 2):
        if len(path) < length:
            continue
        try:
            holder = _resolve(path[:length], snapshot)
        except _Unresolved:
            continue
        if isinstance(holder, Mapping) and isinstance(holder.get("source"), str):
            return str(holder["source"])
    return None


@lru_cache(maxsize=4_096)
def _is_untrusted(path: tuple[str, ...]) -> bool:
    """Free-text fields, fields that the catalogue does not know, and whatever senders name their events."""
    if path[0] == "related":
        return False
    if path[0] != "fields" or len(path) < 2:
        return True
    declared = CATALOGUE.get(path[1].split("[", 1)[0])
    return declared is None or declared.untrusted


def _why_struck(quote: str, path: tuple[str, ...], value: Any) -> str | None:
    if not quote.strip():
        return "the quote is empty"
    if not _tells_something(path):
        return "what stands there says nothing about the order"
    if isinstance(value, Mapping):
        return None if _is_same_money(quote, value) else "the quote is not the amount that stands there"
    if isinstance(value, list):
        return "the pointer leads to a list; it must lead to a single value"
    return _why_scalar_struck(quote, value)


@lru_cache(maxsize=4_096)
def _tells_something(path: tuple[str, ...]) -> bool:
    match path:
        case ("fields", _, part) | ("fields", _, "value", part) if part in _TELLING or part in ("amount", "currency"):
            return True
        case ("fields", _, "others", _, "value" | "observed_at") | ("fields", _, "others", _, "value", "amount" | "currency"):
            return True
        case ("related", _, "order_ref" | "placed_at") | ("related", _, "same", _) | ("signals", _, "topic" | "late"):
            return True
    return False


def _why_scalar_struck(quote: str, value: Any) -> str | None:
    if isinstance(value, str) and quote == value:
        return None
    canonical = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if quote == canonical:
        return None
    if isinstance(value, bool) or value is None:
        return f"the value there is {canonical}"
    if isinstance(value, int | float):
        return None if _is_same_number(quote, canonical) else f"the value there is {canonical[:40]}"
    if quote not in value:
        return "the quote does not stand there"
    if len(quote.strip()) < _SHORTEST_PART:
        return "the quote is too short to show anything"
    # `paid` stands in `partially_paid` and means something else.
    return "a code is quoted whole" if _CODE.fullmatch(value) else None


def _is_same_number(quote: str, canonical: str) -> bool:
    quoted, there = quote.strip(), canonical
    if not _NUMBER.fullmatch(quoted) or not _NUMBER.fullmatch(there):
        return False
    return _digits(quoted) == _digits(there)


def _digits(number: str) -> tuple[bool, str, str]:
    """Sign, whole digits and fraction without idle zeros: equal exactly when the numbers are, whatever their length."""
    whole, _, fraction = number.removeprefix("-").partition(".")
    whole, fraction = whole.lstrip("0"), fraction.rstrip("0")
    return number.startswith("-") and bool(whole or fraction), whole, fraction


def _is_same_money(quote: str, value: Mapping[str, Any]) -> bool:
    """`612.00 USD`, `61200 USD` in minor units, either way round, or the object itself as JSON."""
    try:
        money = Money(value.get("amount", ""), value.get("currency", ""))
    except (MoneyError, TypeError, AttributeError):
        return False
    words = quote.split()
    if len(words) == 2:
        numbers = [word for word in words if word != money.currency]
        major = str(money).split()[0]
        return len(numbers) == 1 and (_is_same_number(numbers[0], major) or _is_same_number(numbers[0], str(money.amount)))
    try:
        return bool(json.loads(quote) == {"amount": money.amount, "currency": money.currency})
    except (ValueError, RecursionError):
        return False
