"""`ordermend signals verify|send`: signatures, without a database."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
import typer

from app.cli_output import AsJson, group, hint, read_input, say, say_json
from app.cli_settings import settings_now
from app.errors import ConfigurationInvalid, InputInvalid, OrdermendError
from app.signals.reading import check_vector, sign
from app.signals.shapes import WEBHOOK_SOURCES, SignatureInvalid, Source

commands = group()

_TOPIC_HEADER = {
    Source.SHOPIFY: "x-shopify-topic",
    Source.WOOCOMMERCE: "x-wc-webhook-topic",
    Source.SHIPBOB: "x-webhook-topic",
}


class NotSent(OrdermendError):
    """Nobody answered at the address."""


@commands.command()
def verify(
    file: Annotated[str, typer.Argument(help="JSON lines; `-` reads stdin.")] = "-",
    as_json: Annotated[bool, typer.Option("--json", help="Accepted for uniformity: the answer is JSON lines in any case.")] = False,
) -> None:
    """Check signatures: JSON lines of {"scheme","secret","headers","body","now","tolerance_s"} in, {"valid","why"} a line out."""
    for number, line in _lines(read_input(file)):
        try:
            vector = json.loads(line)
            if not isinstance(vector, dict):
                raise ValueError("it is not an object")
        except (ValueError, RecursionError) as error:
            say_json({"valid": False, "why": f"line {number} cannot be read: {error}"})
            continue
        valid, why = check_vector(vector, datetime.now(UTC))
        say_json({"valid": valid, "why": why})


@dataclass(frozen=True, slots=True)
class _Delivery:
    headers: dict[str, str]
    body: bytes


@commands.command()
def send(
    file: Annotated[str, typer.Argument(help="One payload a line; `-` reads stdin.")],
    source: Annotated[str, typer.Option(help="Whose webhook it is.")],
    url: Annotated[str | None, typer.Option(help="Where Ordermend listens; ORDERMEND_HOST and _PORT otherwise.")] = None,
    topic: Annotated[str | None, typer.Option(help="The topic header, for sources whose bodies do not name it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Sign payloads with the configured secret and post them as their vendor would.

    A line is the vendor's body, or {"payload": body, "headers": {...}, "kind": topic}. Exit code 1 unless all were stored."""
    vendor = _source(source)
    settings = settings_now()
    secrets = settings.webhooks.of(vendor)
    if not secrets:
        raise ConfigurationInvalid(f"Set ORDERMEND_WEBHOOKS__{vendor.upper()}_SECRET to the secret that {vendor} signs with.")
    address = (url or f"http://{settings.host}:{settings.port}").rstrip("/")
    sent = refused = 0
    with httpx.Client(timeout=30) as http:
        for number, line in _lines(read_input(file)):
            told = _post(http, f"{address}/api/v1/signals/{vendor}", vendor, secrets[0], _delivery(number, line, vendor, topic))
            sent += 1
            refused += not 200 <= told["status"] < 300
            if as_json:
                say_json(told)
            else:
                say(f"line {number}: {told['status']} {told.get('signal_id') or ''} {_remark(told)}".rstrip())
    if refused:
        hint(f"{refused} of {sent} deliveries were not accepted; what is named sig_… is kept in the dead letter.")
        sys.exit(1)


def _source(name: str) -> Source:
    if name not in [source.value for source in WEBHOOK_SOURCES]:
        raise InputInvalid([("/source", f"{name!r} is none of " + ", ".join(WEBHOOK_SOURCES))])
    return Source(name)


def _delivery(number: int, line: str, source: Source, topic: str | None) -> _Delivery:
    """The line as headers and bytes. A bare body goes out exactly as it stands."""
    try:
        opened = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputInvalid([(f"/{number}", f"is not JSON ({error})")]) from error
    headers = {"content-type": "application/json"}
    if source is Source.EVENTS:
        headers["content-type"] = "application/cloudevents+json"
    wrapped = isinstance(opened, dict) and isinstance(opened.get("payload"), dict)
    named = topic or (opened.get("kind") or opened.get("topic") if wrapped else None)
    if named and source in _TOPIC_HEADER:
        headers[_TOPIC_HEADER[source]] = str(named)
    if not wrapped:
        return _Delivery(headers, line.encode())
    given = {str(name).lower(): str(value) for name, value in (opened.get("headers") or {}).items()}
    return _Delivery(headers | given, json.dumps(opened["payload"], ensure_ascii=False, separators=(",", ":")).encode())


def _post(http: httpx.Client, url: str, source: Source, secret: str, delivery: _Delivery) -> dict[str, Any]:
    try:
        headers = sign(source, secret, delivery.body, delivery.headers, datetime.now(UTC))
    except SignatureInvalid as error:
        raise ConfigurationInvalid(str(error)) from error
    try:
        answer = http.post(url, content=delivery.body, headers=headers)
    except httpx.HTTPError as error:
        raise NotSent(f"{url} does not answer ({type(error).__name__}); start it with `ordermend serve`.") from error
    try:
        said = answer.json()
    except ValueError:
        said = {}
    return {"status": answer.status_code, **(said if isinstance(said, dict) else {})} | {"status": answer.status_code}


def _remark(told: dict[str, Any]) -> str:
    return "duplicate" if told.get("duplicate") else str(told.get("detail") or "")


def _lines(raw: bytes) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(raw.decode("utf-8", "replace").split("\n"), 1):
        if line.strip():
            yield number, line.strip()
