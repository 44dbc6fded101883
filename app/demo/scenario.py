"""The demo's stories: what the vendors send, as files, with times told relative to the moment of play.

A text that is `now`, `now-6d2h` or `now+18h` becomes that moment: RFC 3339, with ` unix` whole seconds, with ` naive` the UTC time
without its zone, as WooCommerce writes it. Everything else of a body goes out as it stands in the file.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.signals.shapes import Source

STORIES = Path(__file__).resolve().parent / "stories"

_MOMENT = re.compile(r"now(?:(?P<sign>[+-])(?P<span>(?:\d+[dhm])+))?(?: (?P<form>unix|naive))?")
_PART = re.compile(r"(\d+)([dhm])")
_UNIT = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


@dataclass(frozen=True, slots=True)
class Sending:
    """One delivery to come. `act` orders what must not arrive before the program has settled on what came earlier."""

    act: int
    source: Source
    headers: dict[str, str]
    payload: dict[str, Any]

    @property
    def body(self) -> bytes:
        return json.dumps(self.payload, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Story:
    title: str
    sendings: tuple[Sending, ...]


def read_stories(now: datetime, folder: Path = STORIES) -> tuple[Story, ...]:
    """Every story of the folder as it is at `now`, in the order of the files' names."""
    return tuple(_story(json.loads(file.read_text(encoding="utf-8")), now) for file in sorted(folder.glob("*.json")))


def in_acts(stories: tuple[Story, ...]) -> list[list[Sending]]:
    """The deliveries of all stories by act, each act in the order of the stories."""
    acts: dict[int, list[Sending]] = {}
    for story in stories:
        for sending in story.sendings:
            acts.setdefault(sending.act, []).append(sending)
    return [acts[number] for number in sorted(acts)]


def orders_sold(stories: tuple[Story, ...]) -> Iterator[dict[str, Any]]:
    """The storefront's order bodies, each as it was last told."""
    last: dict[Any, dict[str, Any]] = {}
    for act in in_acts(stories):
        for sending in act:
            if sending.source is Source.SHOPIFY and sending.headers["X-Shopify-Topic"].startswith("orders/"):
                last[sending.payload.get("id")] = sending.payload
    return (body for order_id, body in last.items() if order_id is not None)


def _story(told: Mapping[str, Any], now: datetime) -> Story:
    sendings = tuple(
        Sending(item.get("act", 1), Source(item["source"]), at(item["headers"], now), at(item["payload"], now))
        for item in told["signals"]
    )
    return Story(told["title"], sendings)


def at(value: Any, now: datetime) -> Any:
    """The value with every relative time in it told for `now`."""
    match value:
        case str():
            match = _MOMENT.fullmatch(value)
            return value if match is None else _written(now + _span(match), match["form"])
        case dict():
            return {key: at(item, now) for key, item in value.items()}
        case list():
            return [at(item, now) for item in value]
    return value


def _span(match: re.Match[str]) -> timedelta:
    parts = _PART.findall(match["span"] or "")
    span = sum((int(count) * _UNIT[unit] for count, unit in parts), timedelta(0))
    return -span if match["sign"] == "-" else span


def _written(moment: datetime, form: str | None) -> str | int:
    if form == "unix":
        return int(moment.timestamp())
    written = moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()
    return written if form == "naive" else f"{written}Z"
