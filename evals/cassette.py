"""Recorded answers of a model: JSON lines, one for each call, keyed by the hash of the request and a number that tells repeats apart.

System prompts are kept once, by hash: they are the same in every request. Nothing of the time of recording decides anything, and lines
are sorted, so that the same answers make the same file.
"""

import difflib
import json
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import OrdermendError
from app.models.answer_store import AnswerStore, StoredAnswer
from app.models.endpoint import EndpointFailed
from guardrails.facts import sha256_of

VERSION: Literal[1] = 1
Mode = Literal["replay", "record", "refresh"]
_SHOWN = 120
_SAVE_EVERY = 20
"""Answers. What took a model minutes is not lost with the process."""


class CassetteInvalid(OrdermendError):
    """The file holds something else than recorded answers; the message says where."""


class CassetteMiss(OrdermendError):
    """A request that nobody recorded. It is never asked elsewhere, and never answered by a default."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    v: Literal[1]
    key: str = Field(pattern=r"^[0-9a-f]{64}$")
    seq: int = Field(ge=0)
    system: str | None = None
    """The sha256 of a system prompt whose text stands in the line that has it as `text`."""
    text: str | None = None
    user: str = ""
    latency_ms: int = Field(default=0, ge=0)
    response: dict[str, Any] = {}


class Cassette(AnswerStore):
    """`replay` answers from the file alone; `record` lets unknown requests through and keeps what comes; `refresh` begins anew. Call
    `save` at the end."""

    def __init__(self, path: Path, mode: Mode) -> None:
        self._path, self._mode = path, mode
        known = mode == "replay" or (mode == "record" and path.exists())
        self._lines, self._systems = _read(path) if known else ({}, {})
        self._asked: Counter[str] = Counter()
        self.misses: list[str] = []
        self._unsaved = 0

    def begin_again(self) -> None:
        """A further run over the same cases counts its repeats from the start of what that run asks."""
        self._asked.clear()

    async def get(self, key: str, request: dict[str, Any]) -> StoredAnswer | None:
        seq = self._asked[key]
        line = self._lines.get((key, seq)) or (self._lines.get((key, 0)) if self._mode == "replay" else None)
        if line is not None:
            self._asked[key] += 1
            return StoredAnswer(_whole(line.response), line.latency_ms)
        if self._mode == "replay":
            why = self._nearest(request)
            self.misses.append(why)
            raise EndpointFailed(f"this request was never recorded: {why}")
        return None

    async def put(self, key: str, request: dict[str, Any], answer: StoredAnswer) -> None:
        seq = self._asked[key]
        self._asked[key] += 1
        system, user = _parts(request)
        digest = sha256_of(system)
        self._systems[digest] = system
        self._lines[key, seq] = _Line(
            v=VERSION, key=key, seq=seq, system=digest, user=user, latency_ms=answer.latency_ms, response=_lean(answer.response)
        )
        self._unsaved += 1
        if self._unsaved >= _SAVE_EVERY:
            self.save()

    def require_complete(self) -> None:
        """Raises CassetteMiss where a request was not recorded: a run with such a hole says nothing about the model."""
        if self.misses:
            raise CassetteMiss(f"{len(self.misses)} requests were never recorded; record them anew. The first: {self.misses[0]}")

    def save(self) -> None:
        used = {line.system for line in self._lines.values()}
        texts = [_Line(v=VERSION, key=d, seq=0, text=text) for d, text in sorted(self._systems.items()) if d in used]
        lines = [*texts, *(self._lines[key] for key in sorted(self._lines))]
        body = "".join(line.model_dump_json(exclude_defaults=True, exclude={"v"})[:-1] + ',"v":1}\n' for line in lines)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(body, encoding="utf-8")
        self._unsaved = 0

    def _nearest(self, request: dict[str, Any]) -> str:
        """Where the most similar recorded request differs."""
        system, user = _parts(request)
        if sha256_of(system) not in self._systems:
            return f"the system prompt or its model is another; record anew ({self._path.name})"
        near = difflib.get_close_matches(user, [line.user for line in self._lines.values()], n=1, cutoff=0.0)
        if not near:
            return f"{self._path.name} is empty"
        pairs = zip(user.splitlines(), near[0].splitlines(), strict=False)
        differing = next(((ours, theirs) for ours, theirs in pairs if ours != theirs), None)
        if differing is None:
            return "the same words with other parameters, or a longer text"
        return f"asked {differing[0][:_SHOWN]!r}, recorded {differing[1][:_SHOWN]!r}"


def _parts(request: dict[str, Any]) -> tuple[str, str]:
    """The system prompt, and all that was said after it."""
    system = "".join(m["content"] for m in request["messages"] if m["role"] == "system")
    return system, "\n".join(str(m.get("content") or "") for m in request["messages"] if m["role"] != "system")


def _lean(response: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from run to run and decides nothing: ids, times, the bytes of each token."""
    kept: dict[str, Any] = {name: response[name] for name in ("model", "usage") if name in response}
    choices: list[dict[str, Any]] = []
    for choice in response["choices"]:
        lean: dict[str, Any] = {"finish_reason": choice.get("finish_reason"), "content": choice["message"].get("content")}
        tokens = (choice.get("logprobs") or {}).get("content") or []
        if tokens:
            lean["top"] = [[item["token"], round(item["logprob"], 4)] for item in tokens[0]["top_logprobs"]]
        choices.append(lean)
    return {**kept, "choices": choices}


def _whole(lean: dict[str, Any]) -> dict[str, Any]:
    """A chat completion again."""
    choices = []
    for index, choice in enumerate(lean["choices"]):
        top = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in choice.get("top", ())]
        tokens = [{"token": choice["content"] or "", "logprob": 0.0, "bytes": None, "top_logprobs": top}] if top else None
        choices.append(
            {
                "index": index,
                "finish_reason": choice["finish_reason"],
                "message": {"role": "assistant", "content": choice["content"]},
                "logprobs": {"content": tokens} if tokens else None,
            }
        )
    whole = {"id": "recorded", "object": "chat.completion", "created": 0, "model": lean.get("model", ""), "choices": choices}
    return {**whole, "usage": lean["usage"]} if "usage" in lean else whole


def _read(path: Path) -> tuple[dict[tuple[str, int], _Line], dict[str, str]]:
    lines: dict[tuple[str, int], _Line] = {}
    systems: dict[str, str] = {}
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            line = _Line.model_validate(json.loads(text))
        except (ValueError, ValidationError) as error:
            raise CassetteInvalid(
                f"{path.name}:{number}: no recorded answer ({str(error).splitlines()[0]}); record anew"
            ) from error
        if line.text is not None:
            systems[line.key] = line.text
        else:
            lines[line.key, line.seq] = line
    return lines, systems
