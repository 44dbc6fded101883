"""Classification by any OpenAI-compatible model, in two views.

The first view holds facts only: codes, numbers, times. The second adds what outsiders wrote, and is asked only where there is
such text and no order to the model was found in it. Text that changes the category of the facts is treated as an attempt to
steer. Whatever goes wrong is a Diagnosis that says so.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import instructor
from openai.types.chat import ChatCompletion
from pydantic import ValidationError

from app.classify import Diagnosis, ModelCall, Question
from app.models.answer import Answer, basis_points, failed, weigh
from app.models.answer_store import AnswerStore
from app.models.endpoint import Clock, Endpoint, EndpointFailed, Sleep, Tally
from app.models.model_settings import LlmSettings
from app.prompts import Prompt, Prompts, fill, limits_wording
from app.rendering import Rendering, fenced, render
from app.untrusted import find_instructions, texts_of
from guardrails.facts import sha256_of
from guardrails.proposal import ProposedAction
from guardrails.taxonomy import Action, Team

NAME = "llm"
PROMPT = "classify"
Asked = Callable[[Action, Team, str], ProposedAction]
"""Gives a named action the arguments that code knows: the action, the owner, and a sentence written by code."""


@dataclass(slots=True)
class _Record:
    """What was said, as it happens, so that a failure half-way is recorded too."""

    started: float
    deadline: float
    suspicious: bool = False
    messages: list[dict[str, str]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


class LlmClassifier:
    """`clock` counts seconds and only grows; `sleep` waits between attempts; `answers` are those received earlier."""

    def __init__(
        self,
        settings: LlmSettings,
        prompts: Prompts,
        *,
        asked: Asked,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
        answers: AnswerStore | None = None,
    ) -> None:
        self._settings, self._asked, self._clock = settings, asked, clock
        self._prompt: Prompt = prompts[PROMPT]
        self._endpoint = Endpoint(settings, clock, sleep, answers)
        # instructor logs every failure with the endpoint's words, which may hold parts of a key; ours are in the Diagnosis.
        logging.getLogger("instructor").setLevel(logging.CRITICAL + 1)

    @property
    def name(self) -> str:
        return NAME

    @property
    def fingerprint(self) -> str:
        return sha256_of({"model": self._settings.model, "endpoint": self._settings.base_url, "prompt": self._prompt.sha256})

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    async def classify(self, question: Question) -> Diagnosis:
        started = self._clock()
        record = _Record(started, started + self._settings.request.deadline_s)
        try:
            async with asyncio.timeout(self._settings.request.deadline_s):
                diagnosis = await self._interpret(question, record)
        except TimeoutError:
            self._endpoint.ran_out_of_time()
            diagnosis = self._failed(question, f"the model took longer than {self._settings.request.deadline_s:g} s")
        except EndpointFailed as error:
            diagnosis = self._failed(question, str(error))
        except Exception as error:  # the promise of Classifier: whatever breaks here must not stop the case
            diagnosis = self._failed(question, f"{type(error).__name__} while asking the model")
        suspicious = diagnosis.untrusted_instructions or record.suspicious
        return replace(diagnosis, untrusted_instructions=suspicious, call=self._call(record))

    async def _interpret(self, question: Question, record: _Record) -> Diagnosis:
        record.suspicious = bool(find_instructions(texts_of(question.snapshot)))
        rendering = render(question)
        system = fill(self._prompt.system, {"limits": limits_wording(question.limits)})
        by_facts = await self._ask("facts", system, rendering.facts, "", record)
        by_text = None
        if rendering.texts and not record.suspicious:
            by_text = await self._ask("text", system, rendering.facts, rendering.texts, record)
        answer, steered = weigh(by_facts, by_text)
        return self._diagnosis(question, rendering, answer, steered)

    def _diagnosis(self, question: Question, rendering: Rendering, answer: Answer, steered: bool) -> Diagnosis:
        sentence = f"Order {question.context.order_ref}: looks like {answer.category}"
        return Diagnosis(
            summary=answer.summary,
            category=answer.category,
            owner=answer.owner,
            confidence=basis_points(answer.confidence),
            evidence=answer.citing(rendering),
            actions=tuple(self._asked(action, answer.owner, sentence) for action in dict.fromkeys(answer.actions)),
            classifier=NAME,
            untrusted_instructions=steered,
        )

    def _failed(self, question: Question, reason: str) -> Diagnosis:
        return failed(question.context.order_ref, NAME, self._endpoint.without_key(reason))

    async def _ask(self, view: str, system: str, facts: str, texts: str, record: _Record) -> Answer:
        """One conversation: the question, the answer, and at most `repairs` corrections where it does not fit the schema."""
        user = fill(self._prompt.user, {"facts": facts, "texts": fenced(texts)})
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        record.messages += [{**message, "view": view} for message in messages]
        said_before = len(record.tally.raw_answers)

        async def send(**request: Any) -> ChatCompletion:
            return await self._endpoint.send(record.tally, request, record.deadline)

        ask: Any = instructor.patch(create=send, mode=instructor.Mode.JSON_SCHEMA)
        try:
            answer = await ask(
                response_model=Answer,
                messages=messages,
                model=self._settings.model,
                max_retries=self._settings.request.repairs,
                **self._prompt.parameters,
            )
        except Exception as error:
            raise EndpointFailed(why_unusable(error)) from None
        finally:
            said = record.tally.raw_answers[said_before:]
            record.messages += [{"role": "assistant", "content": raw, "view": view} for raw in said]
        return Answer.model_validate(answer)

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
            reused=tally.reused,
            cost_micros=self._settings.cost(tally),
        )


def why_unusable(error: BaseException) -> str:
    """The reason under instructor's wrapping."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, EndpointFailed):
            return str(cause)
        if isinstance(cause, ValidationError):
            wrong = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'the answer'}: {e['msg']}" for e in cause.errors(include_input=False)[:3]
            )
            return f"the model's answer does not fit the schema: {wrong}"[:300]
        cause = cause.__cause__
    return f"the model's answer could not be used ({type(error).__name__})"
