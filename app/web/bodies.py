"""Request bodies: limited while they are read, opened as strict JSON, checked against a model, mistakes with pointers."""

import json
from collections.abc import Iterator
from typing import Any, Generic, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from app.errors import InputInvalid
from app.web.at_hand import world_of
from app.web.problems import BODY_NOT_JSON, BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, Refusal

MAX_DEPTH = 64
MAX_TEXT = 200_000
THROWN_AWAY = 4 * 1_048_576

Model = TypeVar("Model", bound=BaseModel)


async def read_limited(request: Request, limit: int) -> bytes:
    """The raw body, or 413 when it is longer than `limit` bytes.

    Of what is too long, a bounded part is read and thrown away: a sender that is cut off in the middle would see a broken
    connection in place of the answer."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit + THROWN_AWAY:
        raise _too_large(limit)
    kept, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            kept += chunk
        elif size > limit + THROWN_AWAY:
            break
    if size > limit:
        raise _too_large(limit)
    return bytes(kept)


class JsonBody(Generic[Model]):
    """A dependency that reads the body as this model. It runs after the key was checked: strangers' bodies are not read.

    An absent body reads as `when_empty`."""

    def __init__(self, model: type[Model], when_empty: bytes = b"") -> None:
        self._model, self._when_empty = model, when_empty

    async def __call__(self, request: Request) -> Model:
        media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise Refusal(UNSUPPORTED_MEDIA_TYPE, f"The body is declared as {media_type[:100]}; send application/json.")
        raw = await read_limited(request, world_of(request).settings.body_limit_bytes)
        return read_model(self._model, raw or self._when_empty)


def read_model(model: type[Model], raw: bytes) -> Model:
    """Raises Refusal (400) for what is no JSON object, InputInvalid with a pointer for every wrong field."""
    try:
        # Numbers with a point stay as they were written: an amount must not pass through binary fractions.
        opened = json.loads(raw.decode(), parse_float=str, parse_constant=_refuse_constant, object_pairs_hook=_distinct_names)
    except (ValueError, RecursionError) as error:
        raise Refusal(BODY_NOT_JSON, f"The body is not JSON: {_first_line(error)}.") from error
    if not isinstance(opened, dict):
        raise Refusal(BODY_NOT_JSON, "The body is JSON but not an object; send one object.")
    if found := list(_unstorable(opened, "", 0)):
        raise InputInvalid(found[:50])
    try:
        return model.model_validate_json(json.dumps(opened), strict=True)
    except ValidationError as error:
        raise InputInvalid([(_pointer(item["loc"]), item["msg"]) for item in error.errors(include_url=False)][:50]) from error


def _unstorable(value: Any, pointer: str, depth: int) -> Iterator[tuple[str, str]]:
    """What no text column and no reader can hold."""
    if depth > MAX_DEPTH:
        yield pointer, f"is nested more than {MAX_DEPTH} deep"
        return
    match value:
        case str():
            yield from ((pointer, why) for why in _text_faults(value))
        case dict():
            for name, item in value.items():
                yield from ((pointer, f"holds a name that {why}") for why in _text_faults(name))
                yield from _unstorable(item, f"{pointer}/{_escaped(name)}", depth + 1)
        case list():
            for index, item in enumerate(value):
                yield from _unstorable(item, f"{pointer}/{index}", depth + 1)


def _text_faults(text: str) -> Iterator[str]:
    if "\x00" in text:
        yield "contains a NUL character"
    if any("\ud800" <= char <= "\udfff" for char in text):
        yield "contains half a surrogate pair, which is no character"
    if len(text) > MAX_TEXT:
        yield f"is longer than {MAX_TEXT} characters"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _distinct_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    opened: dict[str, Any] = {}
    for name, value in pairs:
        if name in opened:
            raise ValueError(f"the name {name[:100]!r} stands twice in one object")
        opened[name] = value
    return opened


def _too_large(limit: int) -> Refusal:
    return Refusal(BODY_TOO_LARGE, f"The body is longer than {limit} bytes; send less.", headers={"Connection": "close"})


def _first_line(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else (str(error).splitlines() or [""])[0][:200]


def _pointer(location: tuple[int | str, ...]) -> str:
    return "".join(f"/{_escaped(str(part))}" for part in location)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
