"""The ledger of paid calls: what an endpoint answered to which request, for as long as it may be used again.

Only answers are kept, and an answer holds what the model made of masked words; requests are kept as hashes. Rows go when they expire. What a
case used is in its decision. Kept but not used again is an answer that was cut off where it should not have been, or says nothing:
asking again may help. One that does not fit the schema is used again: the same request would most likely be answered the same.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Sessions, write
from app.models.answer_store import AnswerStore, StoredAnswer
from app.models.model_settings import LlmSettings, ModelsFile, Price, price_of
from app.tables import ModelCallRow
from app.world import Clock
from guardrails.facts import sha256_of

ONE_TOKEN = ("max_tokens", "max_completion_tokens")


class DatabaseAnswers(AnswerStore):
    """The answers of one endpoint. The same words asked of another are another question."""

    def __init__(
        self, sessions: Sessions, clock: Clock, asking: LlmSettings, prices: Mapping[str, Price], kept_for: timedelta
    ) -> None:
        self._sessions, self._clock, self._prices, self._kept_for = sessions, clock, prices, kept_for
        self._endpoint = sha256_of({"endpoint": asking.base_url})

    async def get(self, key: str, request: dict[str, Any]) -> StoredAnswer | None:
        mine = (ModelCallRow.endpoint_sha256 == self._endpoint, ModelCallRow.request_sha256 == key)
        async with self._sessions() as session:
            found = await session.execute(select(ModelCallRow).where(*mine, ModelCallRow.expires_at > self._clock()))
            row = found.scalar_one_or_none()
        if row is None or not _usable(row.response, request):
            return None
        return StoredAnswer(row.response, row.latency_ms)

    async def put(self, key: str, request: dict[str, Any], answer: StoredAnswer) -> None:
        """A later answer takes the place of one that expired or could not be used."""
        now, usage, model = self._clock(), answer.response.get("usage") or {}, str(request["model"])
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        told = {
            "model": model,
            "finish_reason": str(answer.response["choices"][0].get("finish_reason")),
            "response": answer.response,
            "prompt_tokens": prompt,
            "cached_tokens": cached,
            "completion_tokens": completion,
            "latency_ms": answer.latency_ms,
            "cost_micros": price_of(model, prompt, cached, completion, self._prices),
            "at": now,
            "expires_at": now + self._kept_for,
        }
        row = insert(ModelCallRow).values(endpoint_sha256=self._endpoint, request_sha256=key, **told)
        async with write(self._sessions) as session:
            await session.execute(row.on_conflict_do_update(index_elements=["endpoint_sha256", "request_sha256"], set_=told))


def kept_answers(sessions: Sessions, clock: Clock, asking: LlmSettings, models: ModelsFile) -> DatabaseAnswers | None:
    """None where the configuration wants every request asked."""
    kept_for = timedelta(seconds=models.request.reuse_for_s)
    return DatabaseAnswers(sessions, clock, asking, models.prices, kept_for) if kept_for else None


def _usable(response: dict[str, Any], request: dict[str, Any]) -> bool:
    choice = response["choices"][0]
    cut_off = choice.get("finish_reason") == "length" and not any(request.get(name) == 1 for name in ONE_TOKEN)
    return bool(choice["message"].get("content")) and not cut_off and choice.get("finish_reason") != "content_filter"


async def drop_expired(session: AsyncSession, now: datetime) -> None:
    """Forget the answers that may not be used again."""
    await session.execute(delete(ModelCallRow).where(ModelCallRow.expires_at <= now))
