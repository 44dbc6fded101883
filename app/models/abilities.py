"""What an endpoint can do, found out by asking it. Endpoints say they are OpenAI-compatible and differ all the same."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from app.models.direct import client_for
from app.models.endpoint import adapted, in_words

TOP_LOGPROBS = 20
"""As many as OpenAI gives; some endpoints give fewer."""
PERMITTED = ("kestrel", "otter")
FORBIDDEN = "banana"
_MOST_ADAPTATIONS = 3
_PREAMBLE = "You answer questions about orders of a shop: payments, parcels, addresses, stock and disputes. " * 8


@dataclass(frozen=True, slots=True)
class Abilities:
    """None: it could not be told, and `notes` say why. Nothing may rest on an ability that is not certainly there."""

    model: str
    enums_enforced: bool | None
    logprobs: bool | None
    top_logprobs: int | None
    usage: bool | None
    cached_tokens: bool | None
    several_choices: bool | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """An answer, or in `why` the reason for none; `refused`: the endpoint understood and does not do this."""

    completion: ChatCompletion | None
    why: str = ""
    refused: bool = False


_Ask = Callable[[str, dict[str, Any]], Awaitable[_Asked]]


async def endpoint_abilities(base_url: str | None, key: str, model: str, *, timeout_s: float = 60) -> Abilities:
    """Four or five short requests. Never raises for what the endpoint does; the key is in no note."""
    async with openai.AsyncOpenAI(
        base_url=base_url, api_key=key or "none", max_retries=0, timeout=timeout_s, http_client=client_for(base_url)
    ) as client:

        async def ask(question: str, extra: dict[str, Any]) -> _Asked:
            messages = [{"role": "system", "content": _PREAMBLE}, {"role": "user", "content": question}]
            return await _asked(client, {"model": model, "messages": messages, "temperature": 0, **extra}, key)

        notes: list[str] = []
        enforced = await _enums(ask, notes)
        one_token = await _one_token(ask, notes)
        again = await _one_token(ask, [])
        several = await _several(ask, notes)
    top = _top_logprobs(one_token)
    usage = None if one_token is None else one_token.usage is not None
    return Abilities(
        model=model,
        enums_enforced=enforced,
        logprobs=None if one_token is None else top is not None,
        top_logprobs=top,
        usage=usage,
        cached_tokens=_reports_cached(again or one_token),
        several_choices=several,
        notes=tuple(dict.fromkeys(notes)),
    )


async def _enums(ask: _Ask, notes: list[str]) -> bool | None:
    """Asked for a word that the schema forbids. The permitted ones stand in the schema alone: only who obeys it can say one."""
    schema = {
        "type": "object",
        "properties": {"animal": {"type": "string", "enum": list(PERMITTED)}},
        "required": ["animal"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "probe", "strict": True, "schema": schema}}
    answer = await ask(
        f'Answer with this JSON exactly: {{"animal": "{FORBIDDEN}"}}. The animal must be spelled {FORBIDDEN}.',
        {"response_format": form, "max_tokens": 40},
    )
    if answer.completion is None:
        notes.append(f"schema: {answer.why}")
        return False if answer.refused else None
    said = _text(answer.completion)
    if _is_permitted(said):
        return True
    notes.append(f"schema: asked for {FORBIDDEN!r} against the schema, it answered {said[:60]!r}")
    return False


def _is_permitted(said: str) -> bool:
    try:
        value = json.loads(said)
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("animal") in PERMITTED


async def _one_token(ask: _Ask, notes: list[str]) -> ChatCompletion | None:
    question = "Answer with one word, yes or no: is a parcel that was delivered twice an exception?"
    answer = await ask(question, {"max_tokens": 1, "logprobs": True, "top_logprobs": TOP_LOGPROBS})
    if answer.completion is None and answer.refused:
        notes.append(f"logprobs: {answer.why}")
        answer = await ask(question, {"max_tokens": 1})
    if answer.completion is None:
        notes.append(f"one token: {answer.why}")
    return answer.completion


async def _several(ask: _Ask, notes: list[str]) -> bool | None:
    answer = await ask("Answer with one word: blue or green?", {"max_tokens": 4, "n": 2})
    if answer.completion is None:
        notes.append(f"n: {answer.why}")
        return False if answer.refused else None
    return len(answer.completion.choices) == 2


def _top_logprobs(completion: ChatCompletion | None) -> int | None:
    """How many alternatives came with the first token; None when none came."""
    if completion is None or not completion.choices:
        return None
    given = completion.choices[0].logprobs
    tokens = given.content if given and given.content else []
    return len(tokens[0].top_logprobs or []) or None if tokens else None


def _reports_cached(completion: ChatCompletion | None) -> bool | None:
    if completion is None:
        return None
    details = completion.usage.prompt_tokens_details if completion.usage else None
    return details is not None and details.cached_tokens is not None


def _text(completion: ChatCompletion) -> str:
    return (completion.choices[0].message.content or "") if completion.choices else ""


async def _asked(client: openai.AsyncOpenAI, request: dict[str, Any], key: str) -> _Asked:
    """Names of parameters are adapted to the endpoint, as for real questions; what is being probed never is."""
    probed = ("response_format", "logprobs", "top_logprobs", "n")
    attempts = 1
    while True:
        try:
            return _Asked(await client.chat.completions.create(**request))
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            changed = adapted(request, error)
            lost = changed is None or any(changed.get(name) != request.get(name) for name in probed)
            if lost or changed is None or attempts > _MOST_ADAPTATIONS:
                return _Asked(None, _without(key, in_words(error, 1)), refused=True)
            request, attempts = changed, attempts + 1
        except (openai.APIError, ValueError) as error:
            told = in_words(error, 1) if isinstance(error, openai.APIError) else f"its answer is no JSON ({error})"
            return _Asked(None, _without(key, told))


def _without(key: str, text: str) -> str:
    return (text.replace(key, "[key]") if key else text)[:300]
