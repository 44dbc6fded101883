"""Which label a model would say first: one generated token, read through its log-probabilities.

Each category has a label word, and no two begin with the same token. The endpoint's probabilities are taken from before any grammar
and cover all words there are, so they are normalised over the labels here.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from openai.types.chat import ChatCompletion
from openai.types.chat.chat_completion_token_logprob import TopLogprob

from app.models.endpoint import Endpoint, EndpointFailed, Tally
from app.models.model_settings import LlmSettings
from app.models.opinions import Opinion, normalised
from app.prompts import Prompt, fill
from guardrails.taxonomy import Category

PROMPT = "route"
LABELS: Mapping[Category, str] = {
    Category.PAYMENT_FAILED: "declined",
    Category.PAYMENT_MISMATCH: "amount",
    Category.AUTHORIZATION_EXPIRING: "expiring",
    Category.PAYMENT_DISPUTE: "dispute",
    Category.FRAUD_RISK: "fraud",
    Category.ADDRESS_RISK: "address",
    Category.INVENTORY_UNAVAILABLE: "inventory",
    Category.WAREHOUSE_EXCEPTION: "warehouse",
    Category.FULFILMENT_STALLED: "idle",
    Category.DELIVERY_EXCEPTION: "parcel",
    Category.CARRIER_CONFLICT: "conflict",
    Category.DELIVERY_LATE: "late",
    Category.SPLIT_SHIPMENT: "split",
    Category.DUPLICATE_ORDER: "duplicate",
    Category.INVALID_ORDER_DATA: "invalid",
    Category.CHANGE_RACE: "change",
    Category.REFUND_EXCEPTION: "refund",
    Category.INTEGRATION_FAILURE: "integration",
    Category.UNKNOWN: "other",
}
_LEAST_ON_LABELS = 0.2
"""Of the probability mass. Below it the model did not answer the question that was asked."""


class LabelChoice:
    def __init__(self, endpoint: Endpoint, prompt: Prompt, settings: LlmSettings) -> None:
        self._endpoint, self._prompt, self.settings = endpoint, prompt, settings

    @property
    def prompt(self) -> Prompt:
        return self._prompt

    @property
    def model(self) -> str:
        return self.settings.model

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    def messages(self, facts: str, texts: str) -> list[dict[str, str]]:
        shown = "\n".join(part for part in (facts, texts) if part)
        user = fill(self._prompt.user, {"facts": shown})
        return [{"role": "system", "content": self._prompt.system}, {"role": "user", "content": user}]

    async def choose(self, messages: list[dict[str, str]], tally: Tally, deadline: float) -> Opinion:
        """Raises EndpointFailed, also where the answer is none of the labels."""
        request: dict[str, Any] = {"model": self.settings.model, "messages": messages, **self._prompt.parameters}
        completion = await self._endpoint.send_choice(tally, request, deadline)
        return opinion_in(_first_token(completion))


def opinion_in(alternatives: Iterable[TopLogprob]) -> Opinion:
    """Raises EndpointFailed where too little probability falls on the labels."""
    said: dict[Category, float] = {}
    for item in alternatives:
        category = label_begun_by(item.token)
        if category is not None:
            said[category] = said.get(category, 0.0) + math.exp(item.logprob)
    if math.fsum(said.values()) < _LEAST_ON_LABELS:
        raise EndpointFailed("the model chose none of the labels")
    return normalised({category: math.log(share) for category, share in said.items() if share > 0})


def label_begun_by(token: str) -> Category | None:
    """The category whose label this token begins, when it begins just one."""
    begun = token.strip().lower()
    found = [category for category, label in LABELS.items() if begun and label.startswith(begun)]
    return found[0] if len(found) == 1 else None


def _first_token(completion: ChatCompletion) -> list[TopLogprob]:
    given = completion.choices[0].logprobs
    if given is None or not given.content:
        raise EndpointFailed("the endpoint gave no log-probabilities; ask for a structured answer instead (classifier llm)")
    return given.content[0].top_logprobs


def plain_opinion(opinion: Opinion) -> str:
    """For the record: the probabilities that matter, likeliest first."""
    shares = sorted(((round(math.exp(value), 4), category.value) for category, value in opinion.items()), reverse=True)
    return json.dumps({category: share for share, category in shares[:5]})
