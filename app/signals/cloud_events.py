"""CloudEvents 1.0 over HTTP: binary, structured and batch, refused with a pointer for each rule that is broken."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.v1.event import CloudEvent

from app.signals.shapes import FieldsInvalid

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

_REQUIRED = ("specversion", "id", "source", "type")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_MEDIA_TYPE = re.compile(r"[\w.+!#$&^-]+/[\w.+!#$&^-]+(\s*;.*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def is_binary(headers: Mapping[str, str]) -> bool:
    """Attributes stand in `ce-…` headers, unless the content type says that the body holds them."""
    return not media_type(headers).startswith("application/cloudevents") and any(name.startswith("ce-") for name in headers)


def binary_attributes(headers: Mapping[str, str]) -> dict[str, Any]:
    """The attributes of a binary-mode event, percent-decoded."""
    found: dict[str, Any] = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
    if headers.get("content-type"):
        found["datacontenttype"] = headers["content-type"]
    return found


def structured_attributes(event: Mapping[str, Any]) -> dict[str, Any]:
    """Everything but the data. A null attribute is an absent one."""
    return {name: value for name, value in event.items() if name not in ("data", "data_base64") and value is not None}


def check(attributes: Mapping[str, Any], pointer: str = "") -> None:
    """Raises FieldsInvalid naming every attribute that breaks CloudEvents 1.0.

    The library checks what it can; it fills in a missing id and leaves formats alone, so those are checked here."""
    errors = [(f"{pointer}/{name}", "is required") for name in _REQUIRED if attributes.get(name) is None]
    moment = attributes.get("time")
    if moment is not None and not is_rfc3339(moment):
        errors.append((f"{pointer}/time", "must be an RFC 3339 time such as 2026-11-23T10:00:00Z"))
    content = attributes.get("datacontenttype")
    if isinstance(content, str) and content and not _MEDIA_TYPE.fullmatch(content):
        errors.append((f"{pointer}/datacontenttype", "must be a media type such as application/json"))
    for name, value in attributes.items():
        if not isinstance(value, (str, int)) or (isinstance(value, str) and _CONTROL.search(value)):
            errors.append((f"{pointer}/{name}", "must be text without control characters, a whole number, or true or false"))
    errors += _library_errors(attributes, pointer, {where for where, _ in errors})
    if errors:
        raise FieldsInvalid(list(dict.fromkeys(errors)))


def _library_errors(attributes: Mapping[str, Any], pointer: str, known: set[str]) -> list[tuple[str, str]]:
    # any aware time will do for the library: the real one was checked above, and without one it would read the clock
    probe = {**attributes, "time": datetime.fromtimestamp(0, UTC)}
    try:
        CloudEvent(probe)
    except CloudEventValidationError as error:
        return [(where, str(why[0])) for name, why in error.errors.items() if (where := f"{pointer}/{name}") not in known]
    return []


def is_rfc3339(text: object) -> bool:
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        return False
    try:
        return datetime.fromisoformat(text.upper()).tzinfo is not None
    except ValueError:
        return False


def data_of(event: Mapping[str, Any]) -> Any:
    """The data of a structured event. Base64 data is decoded and read as JSON where it is JSON."""
    if event.get("data") is not None or event.get("data_base64") is None:
        return event.get("data")
    try:
        return json.loads(base64.b64decode(event["data_base64"], validate=True), parse_float=str)
    except (binascii.Error, ValueError, TypeError):
        return None
