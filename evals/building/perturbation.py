"""The same case in another dress: order of keys, padding, forms of numbers and times, zones, locale, currency, unknown fields."""

import copy
import json
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from evals.building import core
from evals.building.telling import Case, Story, stage_of, told
from evals.building.world import SHOPS, Draw

Body = dict[str, Any]
Change = Callable[[Body, Draw], Body]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_PRICE = re.compile(r"\d+\.\d\d")


def _walk(value: Any, leaf: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _walk(item, leaf) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, leaf) for item in value]
    return leaf(value)


def key_order(payload: Body, draw: Draw) -> Body:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = list(value)
            draw.random.shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    found: Body = shuffled(payload)
    return found


def _on_texts(payload: Body, change: Callable[[str], str]) -> Body:
    found: Body = _walk(payload, lambda item: change(item) if isinstance(item, str) else item)
    return found


def other_zone(payload: Body, draw: Draw) -> Body:
    """The same instants, told at another offset."""
    zone = timezone(timedelta(hours=draw.random.choice((-9, -3, 2, 5, 11)), minutes=draw.random.choice((0, 30))))

    def moved(text: str) -> str:
        return datetime.fromisoformat(text).astimezone(zone).isoformat() if _TIME.fullmatch(text) else text

    return _on_texts(payload, moved)


def fractions_of_seconds(payload: Body, draw: Draw) -> Body:
    """RFC 3339 with microseconds and an explicit +00:00."""

    def finer(text: str) -> str:
        if not _TIME.fullmatch(text):
            return text
        return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%S.000000+00:00")

    return _on_texts(payload, finer)


def longer_decimals(payload: Body, draw: Draw) -> Body:
    """`89.50` is told as `89.5000`, as some exports do."""
    return _on_texts(payload, lambda text: text + "00" if _PRICE.fullmatch(text) else text)


def decomposed_letters(payload: Body, draw: Draw) -> Body:
    """Unicode NFD instead of NFC."""
    return _on_texts(payload, lambda text: unicodedata.normalize("NFD", text))


def padded_texts(payload: Body, draw: Draw) -> Body:
    """Blanks around what people type: names, notes, messages, titles, streets."""
    typed = {"note", "message", "text", "title", "name", "address1", "city", "reason_notes", "staff_note", "description"}

    def padded(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: f"  {item} " if key in typed and isinstance(item, str) and not _is_ref(item) else padded(item)
                for key, item in value.items()
            }
        return [padded(item) for item in value] if isinstance(value, list) else value

    found: Body = padded(payload)
    return found


def _is_ref(text: str) -> bool:
    """An order's name or a code: nobody types blanks around those, a system writes them."""
    return " " not in text and any(letter.isdigit() for letter in text)


def unknown_fields(payload: Body, draw: Draw) -> Body:
    """Fields of a later version, and some that Shopify really sends and nobody reads."""
    extra = {
        "x_schema_rev": draw.number("rev", 2, 90),
        "browser_ip": None,
        "landing_site": "/?utm_source=newsletter",
        "client_details": {"accept_language": "en", "browser_height": None, "user_agent": "Mozilla/5.0"},
        "status_history": [{"status": "failed", "at": "2020-01-01T00:00:00Z"}],
        "_links": {"self": {"href": "https://example.com/x"}},
    }
    if "specversion" in payload:  # beside the data, CloudEvents takes only plain extension attributes
        return {**payload, "data": {**payload["data"], **extra}}
    return {**payload, **extra}


def ids_as_text(payload: Body, draw: Draw) -> Body:
    """`"order_id": "5484861533495"`, as Shopify's own risk topic does."""
    names = {"id", "order_id", "inventory_item_id", "location_id", "variant_id"}

    def texts(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: str(item) if key in names and type(item) is int else texts(item) for key, item in value.items()}
        return [texts(item) for item in value] if isinstance(value, list) else value

    found: Body = texts(payload)
    return found


def other_locale(payload: Body, draw: Draw) -> Body:
    """The buyer's locale changes what is displayed, never what is true."""
    payload = copy.deepcopy(payload)
    if "customer_locale" in payload:
        payload["customer_locale"] = draw.random.choice(("tr", "ar", "zh-TW", "fi"))
    for address in ("shipping_address", "billing_address", "destination"):
        if address in payload:
            payload[address]["country"] = {
                "US": "Vereinigte Staaten",
                "DE": "Allemagne",
                "GB": "Royaume-Uni",
                "JP": "日本",
                "KW": "الكويت",
                "FR": "Frankreich",
            }[payload[address]["country_code"]]
    return payload


CHANGES: tuple[Change, ...] = (
    key_order,
    other_zone,
    fractions_of_seconds,
    longer_decimals,
    decomposed_letters,
    padded_texts,
    unknown_fields,
    ids_as_text,
    other_locale,
)
EVERY = 3
"""Every third story of the core pack is dressed up."""


def cases() -> list[Case]:
    found: dict[str, Case] = {}
    for number, story in list(enumerate(core.STORIES))[::EVERY]:
        plain = _look(_dressed(story, number, _as_it_is))
        dressed = [_dressed(story, number, change) for change in CHANGES]
        found |= {_look(case): case for case in [*dressed, _other_currency(story, number)] if _look(case) != plain}
    return list(found.values())


def _as_it_is(payload: Body, draw: Draw) -> Body:
    return payload


def _look(case: Case) -> str:
    """A change that finds nothing to change gives no case."""
    return json.dumps(case.body["signals"])


def _dressed(story: Story, number: int, change: Change) -> Case:
    name = change.__name__.replace("_", "-")
    stage = stage_of(story, number, 1, seed="perturbation-")
    label = story.tell(stage)
    draw = Draw(f"perturbation/{story.cluster}/{name}")
    for signal in stage.signals:
        signal["payload"] = change(signal["payload"], draw)
    if change is key_order:
        stage.facts = key_order(stage.facts, draw)
    return told(stage, label, story.cluster, ["perturbation", f"perturbation-{name}"], {"perturbation": name})


def _other_currency(story: Story, number: int) -> Case:
    """The story in the shop of another country; the limit is that of its currency."""
    stage = stage_of(
        story,
        number,
        2,
        seed="currency-",
        shop=SHOPS[(number * 3 + 3) % len(SHOPS)],
        size=("near", "at", "plain")[number // EVERY % 3],
    )
    return told(stage, story.tell(stage), story.cluster, ["perturbation", "perturbation-currency"], {"perturbation": "currency"})
