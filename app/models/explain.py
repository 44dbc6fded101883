"""The explanation of a decided case, written by a model for people. The category is fixed before it is asked.

It is asked after all that routes a case has been asked, and whatever goes wrong is an Explanation that says so.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import instructor
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, Field, StringConstraints

from app.classify import Explanation, ModelCall, Question
from app.gist import gist
from app.models.endpoint import Clock, Endpoint, EndpointFailed, Tally
from app.models.llm import why_unusable
from app.models.model_settings import LlmSettings, Price, cost_of
from app.models.turns import Turns
from app.prompts import Prompt, Prompts, fill
from app.rendering import Rendering, fenced
from app.unmasking import INVISIBLE
from app.untrusted import find_instructions, texts_of
from guardrails.grounding import ground
from guardrails.proposal import Evidence
from guardrails.taxonomy import Category

PROMPT = "explain"
Render = Callable[[Question], Rendering]


class Quoted(BaseModel):
    pointer: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    quote: Annotated[str, StringConstraints(min_length=1, max_length=60)]


class Told(BaseModel):
    """The shape of the answer. It is short because every word of it is waited for."""

    summary: Annotated[str, StringConstraints(min_length=1, max_length=140)]
    evidence: list[Quoted] = Field(min_length=1, max_length=2)


@dataclass(slots=True)
class _Record:
    """What was said, as it happens, so that a failure half-way is recorded too."""

    started: float
    deadline: float
    messages: list[dict[str, str]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


class Explainer:
    """`turns` is shared with what classifies by the same model. `endpoint` is best not: a slow explanation must not be what leaves
    the endpoint of the classifier alone for a while. `clock` counts seconds and only grows."""

    def __init__(
        self,
        settings: LlmSettings,
        prompts: Prompts,
        *,
        endpoint: Endpoint,
        clock: Clock,
        turns: Turns,
        prices: Mapping[str, Price],
        render: Render = gist,
    ) -> None:
        self._settings, self._endpoint, self._clock = settings, endpoint, clock
        self._turns, self._prices, self._render = turns, prices, render
        self._prompt: Prompt = prompts[PROMPT]

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    async def warm(self) -> None:
        """Lets the endpoint read the beginning that all these prompts share. Raises EndpointFailed."""
        messages = [{"role": "system", "content": self._prompt.system}, {"role": "user", "content": ""}]
        request = {"model": self._settings.model, "messages": messages, "max_tokens": 1}
        await self._endpoint.send_choice(Tally(), request, self._clock() + self._settings.request.deadline_s)

    async def explain(self, question: Question, category: Category) -> Explanation:
        return await self._turns.later(lambda: self._within_time(question, category))

    async def _within_time(self, question: Question, category: Category) -> Explanation:
        started, deadline_s = self._clock(), self._settings.request.deadline_s
        record = _Record(started, started + deadline_s)
        try:
            async with asyncio.timeout(deadline_s):
                told = await self._told(question, category, record)
        except TimeoutError:
            told = Explanation("", (), failure=f"the model took longer than {deadline_s:g} s")
        except EndpointFailed as error:
            told = Explanation("", (), failure=self._endpoint.without_key(str(error)))
        except Exception as error:  # the promise of Explains: whatever breaks here stops nothing
            told = Explanation("", (), failure=f"{type(error).__name__} while asking the model")
        call = self._call(record)
        return replace(told, call=call, cost_micros=None if call is None else cost_of(call, self._prices))

    async def _told(self, question: Question, category: Category, record: _Record) -> Explanation:
        rendering = self._render(question)
        suspicious = bool(find_instructions(texts_of(question.snapshot)))
        # words that try to give a model orders are not shown to it: the facts are enough for a sentence
        texts = "" if suspicious else rendering.texts
        values = {"facts": rendering.facts, "texts": fenced(texts) if texts else "", "category": category.value}
        answer = await self._ask(fill(self._prompt.user, values), record)
        cited = dict.fromkeys(
            Evidence(rendering.pointer_of(item.pointer), rendering.unmask(item.quote)) for item in answer.evidence
        )
        summary = INVISIBLE.sub("", rendering.unmask(answer.summary)).strip()
        if not summary:
            raise EndpointFailed("the model's summary is empty")
        return Explanation(summary, ground(tuple(cited), question.snapshot))

    async def _ask(self, user: str, record: _Record) -> Told:
        """The question, the answer, and at most `repairs` corrections where it does not fit the schema."""
        messages = [{"role": "system", "content": self._prompt.system}, {"role": "user", "content": user}]
        record.messages += messages

        async def send(**request: Any) -> ChatCompletion:
            return await self._endpoint.send(record.tally, request, record.deadline)

        ask: Any = instructor.patch(create=send, mode=instructor.Mode.JSON_SCHEMA)
        try:
            answer = await ask(
                response_model=Told,
                messages=messages,
                model=self._settings.model,
                max_retries=self._settings.request.repairs,
                **self._prompt.parameters,
            )
        except Exception as error:
            raise EndpointFailed(why_unusable(error)) from None
        finally:
            record.messages += [{"role": "assistant", "content": raw} for raw in record.tally.raw_answers]
        return Told.model_validate(answer)

    def _call(self, record: _Record) -> ModelCall | None:
        """None when nothing was asked at all."""
        if not record.messages:
            return None
        tally = record.tally
        return ModelCall(
            model=self._settings.model,
            prompt_name=self._prompt.name,
            prompt_version=self._prompt.version,
            prompt_sha256=self._prompt.sha256,
            messages=tuple(record.messages),
            raw_answer=tally.raw_answers[-1] if tally.raw_answers else None,
            prompt_tokens=tally.prompt_tokens,
            cached_tokens=tally.cached_tokens,
            completion_tokens=tally.completion_tokens,
            attempts=tally.attempts,
            latency_ms=round((self._clock() - record.started) * 1000),
        )
