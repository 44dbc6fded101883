"""One OpenAI-compatible endpoint: what is tried again and when, what is given up, and when it is left alone for a while.

Each layer has one owner: the SDK never repeats, this file repeats requests that could not be carried, and instructor
(in `llm.py`) repeats only where the answer does not fit the schema.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

import openai
import tenacity
from openai.types.chat import ChatCompletion

from app.models.answer_store import AnswerStore, StoredAnswer, request_key
from app.models.direct import client_for
from app.models.model_settings import LlmSettings

Clock = Callable[[], float]
"""Seconds that only ever grow."""
Sleep = Callable[[float], Awaitable[None]]

_TRANSIENT = frozenset([408, 409, 429])
_MOST_ADAPTATIONS = 4
_backoff = tenacity.wait_random_exponential(multiplier=0.5, max=20)


class EndpointFailed(Exception):
    """No usable answer. The message says why, in plain words, and never holds the key."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """After `threshold` requests in a row that failed for good, nobody is asked for `pause_s`; then one failure is enough again."""

    threshold: int
    pause_s: float
    failures: int = 0
    opened_at: float | None = None

    def rests_for(self, now: float) -> float:
        """Seconds until the endpoint may be asked again; 0 when it may be asked now."""
        return 0.0 if self.opened_at is None else max(0.0, self.opened_at + self.pause_s - now)

    def failed(self, now: float) -> "Breaker":
        failures = self.failures + 1
        return replace(self, failures=failures, opened_at=now if failures >= self.threshold else None)

    def succeeded(self) -> "Breaker":
        return replace(self, failures=0, opened_at=None)


@dataclass(slots=True)
class Tally:
    """What one conversation used. Token counts stay None until the endpoint reports some. `reused` answers were known already:
    they stand in the counts as they were, and nothing was paid for them again."""

    attempts: int = 0
    reused: int = 0
    latency_ms: int = 0
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    raw_answers: list[str] = field(default_factory=list)

    def add(self, completion: ChatCompletion) -> None:
        usage = completion.usage
        if usage is None:
            return
        cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
        self.prompt_tokens = (self.prompt_tokens or 0) + usage.prompt_tokens
        self.completion_tokens = (self.completion_tokens or 0) + usage.completion_tokens
        if cached is not None:
            self.cached_tokens = (self.cached_tokens or 0) + cached


def is_transient(error: BaseException) -> bool:
    """Worth another try as it is: it may pass by itself. A used-up quota and everything we did wrong will not."""
    if isinstance(error, openai.APIConnectionError):
        return True
    if not isinstance(error, openai.APIStatusError):
        return False
    return (error.status_code in _TRANSIENT or error.status_code >= 500) and error.code != "insufficient_quota"


def asked_to_wait(error: BaseException | None) -> float | None:
    """Seconds from `Retry-After` (or its milliseconds form), or None when the endpoint named none."""
    if not isinstance(error, openai.APIStatusError):
        return None
    for header, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = error.response.headers.get(header, "")
        if value.replace(".", "", 1).isdigit():
            return float(value) * scale
    return None


def adapted(request: dict[str, Any], error: openai.APIStatusError) -> dict[str, Any] | None:
    """The request without what this endpoint says it does not know, or None when it complains of something else.

    Endpoints differ: some know no JSON schema, some models refuse a temperature or call the token limit by another name.
    """
    said = str(error.message).lower()
    form = request.get("response_format")
    if form and ("response_format" in said or "json_schema" in said or "json_object" in said):
        without = {name: value for name, value in request.items() if name != "response_format"}
        return {**without, "response_format": {"type": "json_object"}} if form["type"] == "json_schema" else without
    for name in ("max_tokens", "temperature", "seed", "top_p"):
        if name in request and (error.param == name or name in said):
            rest = {key: value for key, value in request.items() if key != name}
            return {**rest, "max_completion_tokens": request[name]} if "max_completion_tokens" in said else rest
    return None


class Endpoint:
    """Sends requests. It remembers what the endpoint does not know, and whether it is resting."""

    def __init__(self, settings: LlmSettings, clock: Clock, sleep: Sleep, answers: AnswerStore | None = None) -> None:
        self._settings, self._clock, self._sleep, self._answers = settings, clock, sleep, answers
        self._under_way: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._breaker = Breaker(settings.breaker.failures, settings.breaker.pause_s)
        self._unknown_here: list[openai.APIStatusError] = []
        self._client = openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key=settings.api_key or "none",
            max_retries=0,
            timeout=settings.request.timeout_s,
            http_client=client_for(settings.base_url),
        )

    async def aclose(self) -> None:
        await self._client.close()

    def ran_out_of_time(self) -> None:
        self._breaker = self._breaker.failed(self._clock())

    def without_key(self, text: str) -> str:
        return text.replace(self._settings.api_key, "[key]") if self._settings.api_key else text

    async def send(self, tally: Tally, request: dict[str, Any], deadline: float) -> ChatCompletion:
        """One completed answer with text in it. Raises EndpointFailed."""
        return self._answered(tally, await self._known_or_asked(tally, request, deadline))

    async def send_choice(self, tally: Tally, request: dict[str, Any], deadline: float) -> ChatCompletion:
        """An answer of which only the first token counts, so that it may be cut off. Raises EndpointFailed."""
        return self._chosen(tally, await self._known_or_asked(tally, request, deadline))

    async def _known_or_asked(self, tally: Tally, request: dict[str, Any], deadline: float) -> ChatCompletion:
        """Two that ask the same at once share one call."""
        if self._answers is None:
            return await self._ask(tally, request, deadline)
        key = request_key(request)
        alone = self._under_way.setdefault(key, asyncio.Lock())  # gone when the last one that asks this has let go of it
        async with alone:
            known = await self._answers.get(key, request)
            if known is None:
                return await self._ask_and_keep(self._answers, key, tally, request, deadline)
        completion = ChatCompletion.model_validate(known.response)
        tally.reused += 1
        tally.latency_ms += known.latency_ms
        tally.add(completion)
        return completion

    async def _ask_and_keep(
        self, answers: AnswerStore, key: str, tally: Tally, request: dict[str, Any], deadline: float
    ) -> ChatCompletion:
        started = self._clock()
        completion = await self._ask(tally, request, deadline)
        if completion.choices and not completion.choices[0].message.refusal:
            took = round((self._clock() - started) * 1000)
            first = completion.choices[0].message
            first.content = self.without_key(first.content) if first.content else first.content
            received = StoredAnswer(completion.model_dump(mode="json", exclude_none=True), took)
            await asyncio.shield(answers.put(key, request, received))  # a deadline must not lose what was paid for
        return completion

    async def _ask(self, tally: Tally, request: dict[str, Any], deadline: float) -> ChatCompletion:
        rest = self._breaker.rests_for(self._clock())
        if rest:
            raise EndpointFailed(
                f"the model endpoint failed {self._breaker.failures} times in a row and is left alone for {rest:.0f} s more"
            )
        try:
            completion = await self._until_carried(tally, request, deadline)
        except openai.APIError as error:
            if is_transient(error):
                self._breaker = self._breaker.failed(self._clock())
            raise EndpointFailed(self.without_key(in_words(error, tally.attempts))) from None
        self._breaker = self._breaker.succeeded()
        tally.add(completion)
        return completion

    def _chosen(self, tally: Tally, completion: ChatCompletion) -> ChatCompletion:
        choice = completion.choices[0] if completion.choices else None
        if choice is None:
            raise EndpointFailed("the endpoint answered without any choice")
        if choice.message.content:
            choice.message.content = self.without_key(choice.message.content)
            tally.raw_answers.append(choice.message.content)
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise EndpointFailed(self.without_key(f"the model refused: {choice.message.refusal or 'content filter'}"[:200]))
        return completion

    def _answered(self, tally: Tally, completion: ChatCompletion) -> ChatCompletion:
        choice = self._chosen(tally, completion).choices[0]
        if choice.finish_reason == "length":
            raise EndpointFailed("the answer was cut off at the token limit; raise max_tokens in prompts/manifest.yaml")
        if not choice.message.content:
            raise EndpointFailed("the model answered nothing")
        return completion

    async def _until_carried(self, tally: Tally, request: dict[str, Any], deadline: float) -> ChatCompletion:
        """Adapts the request to the endpoint, at most a few times; what was learnt holds for later requests too."""
        for learnt in self._unknown_here:
            request = adapted(request, learnt) or request
        for _ in range(_MOST_ADAPTATIONS):
            try:
                return await self._with_retries(tally, request, deadline)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                changed = adapted(request, error)
                if changed is None:
                    raise
                self._unknown_here.append(error)
                request = changed
        return await self._with_retries(tally, request, deadline)

    async def _with_retries(self, tally: Tally, request: dict[str, Any], deadline: float) -> ChatCompletion:
        limits = self._settings.request

        def wait(state: tenacity.RetryCallState) -> float:
            asked = asked_to_wait(state.outcome.exception() if state.outcome else None)
            return min(limits.longest_wait_s, _backoff(state) if asked is None else asked)

        def give_up(state: tenacity.RetryCallState) -> bool:
            return state.attempt_number >= limits.attempts or self._clock() + state.upcoming_sleep >= deadline

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(is_transient), wait=wait, stop=give_up, sleep=self._sleep, reraise=True
        )
        return await retrying(self._once, tally, request)

    async def _once(self, tally: Tally, request: dict[str, Any]) -> ChatCompletion:
        tally.attempts += 1
        completion: ChatCompletion = await self._client.chat.completions.create(**request)
        return completion


def in_words(error: openai.APIError, attempts: int) -> str:
    """Why there is no answer, and what to do where something can be done."""
    tries = "" if attempts == 1 else f" ({attempts} tries)"
    match error:
        case openai.APITimeoutError():
            return f"the model endpoint did not answer in time{tries}"
        case openai.APIConnectionError():
            return f"the model endpoint could not be reached{tries}"
        case openai.AuthenticationError():
            return "the model endpoint does not accept our key (401); check ORDERMEND_LLM__API_KEY"
        case openai.PermissionDeniedError():
            return "our key may not use this model (403); check ORDERMEND_LLM__MODEL and the key's rights"
        case openai.NotFoundError():
            return "the endpoint knows no such model or path (404); check ORDERMEND_LLM__MODEL and ORDERMEND_LLM__BASE_URL"
        case openai.APIStatusError() if error.code == "context_length_exceeded" or "context length" in str(error.message).lower():
            return "the case does not fit into the model's context"
        case openai.APIStatusError():
            return f"the model endpoint answered {error.status_code}{tries}: {error.message}"[:300]
    return f"the model endpoint's answer could not be read: {error.message}"[:300]
