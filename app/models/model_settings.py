"""`config/models.yaml`: how an endpoint is asked and what its tokens cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal, Protocol

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.classify import ModelCall
from app.errors import ConfigurationInvalid
from app.models.local_settings import Local


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(_Strict):
    timeout_s: float = Field(default=30, gt=0)
    deadline_s: float = Field(default=60, gt=0)
    attempts: int = Field(default=4, ge=1, le=10)
    longest_wait_s: float = Field(default=20, ge=0)
    repairs: int = Field(default=1, ge=0, le=3)
    reuse_for_s: float = Field(default=86_400, ge=0)
    """How long the answer to a request stands for the same request; 0 asks every time."""


class BreakerRule(_Strict):
    failures: int = Field(default=5, ge=1)
    pause_s: float = Field(default=60, gt=0)


class Price(_Strict):
    """US dollars per million tokens, which is the same as millionths of a dollar per token."""

    input: Decimal = Field(ge=0)
    cached: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    as_of: date


class ModelsFile(_Strict):
    document_schema: Literal["ordermend/models/v1"] = Field(alias="schema")
    request: Request = Request()
    request_local: Request = Request(timeout_s=120, deadline_s=180, attempts=2)
    """For the local model, which is slow and costs nothing."""
    breaker: BreakerRule = BreakerRule()
    prices: dict[str, Price] = {}
    local: Local | None = None
    """None: this installation has no model of its own, only endpoints."""


@dataclass(frozen=True, slots=True)
class LlmSettings:
    """One endpoint. An empty key is allowed for endpoints that ask for none."""

    base_url: str | None
    api_key: str = field(repr=False)
    model: str
    request: Request = field(default_factory=Request)
    breaker: BreakerRule = field(default_factory=BreakerRule)
    prices: Mapping[str, Price] = field(default_factory=dict)

    def cost(self, tally: "Counts") -> int | None:
        return price_of(self.model, tally.prompt_tokens, tally.cached_tokens, tally.completion_tokens, self.prices)


class Counts(Protocol):
    """Tokens; None where the endpoint did not say."""

    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None


def load_models(path: Path) -> ModelsFile:
    """Raises ConfigurationInvalid with every mistake."""
    try:
        return ModelsFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ConfigurationInvalid(f"{path}: not there; set ORDERMEND_CONFIG_DIR to the config folder") from error
    except yaml.YAMLError as error:
        raise ConfigurationInvalid(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        mistakes = (f"{path}: {'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise ConfigurationInvalid("\n".join(mistakes)) from error


def cost_of(call: ModelCall, prices: Mapping[str, Price]) -> int | None:
    """Millionths of a US dollar, rounded up; None when the price or the tokens are unknown."""
    return price_of(call.model, call.prompt_tokens, call.cached_tokens, call.completion_tokens, prices)


def price_of(
    model: str, prompt_tokens: int | None, cached_tokens: int | None, completion_tokens: int | None, prices: Mapping[str, Price]
) -> int | None:
    """The same, of tokens by themselves."""
    price = prices.get(model)
    if price is None or prompt_tokens is None or completion_tokens is None:
        return None
    cached = cached_tokens or 0
    cost = (prompt_tokens - cached) * price.input + cached * price.cached + completion_tokens * price.output
    return int(cost.to_integral_value(rounding="ROUND_CEILING"))
