"""Which classifier this installation uses."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal

from app.classify import Classifier
from app.errors import ConfigurationInvalid
from app.models.abilities import Abilities
from app.models.answer_store import AnswerStore
from app.models.endpoint import Endpoint
from app.models.explain import Explainer
from app.models.interpreting import InterpretingClassifier
from app.models.label_choice import PROMPT as ROUTE
from app.models.label_choice import LabelChoice
from app.models.learned import combined_classifier, learned, learned_folder
from app.models.llm import LlmClassifier
from app.models.model_settings import LlmSettings, ModelsFile, load_models
from app.models.rules import RulesClassifier, asked
from app.models.running import LocalEndpoint
from app.models.turns import Turns
from app.owners import Owners
from app.prompts import load_prompts
from app.settings import Settings

Keep = Callable[[LlmSettings, ModelsFile], AnswerStore | None]
"""Where the answers of a paid endpoint are kept."""
Choose = Callable[[Settings, Owners, Keep | None], AbstractAsyncContextManager[Classifier]]


def wanted(settings: Settings) -> Literal["rules", "llm", "local"]:
    """An endpoint that is configured, else the local model, else rules; the settings can insist on any.

    Raises ConfigurationInvalid when `llm` is insisted on and no endpoint is named, or `local` and it is off."""
    named = bool(settings.llm.base_url or key_of(settings))
    match settings.classifier:
        case "rules":
            return "rules"
        case "llm" if not named:
            raise ConfigurationInvalid(
                "The llm classifier needs ORDERMEND_LLM__BASE_URL or ORDERMEND_LLM__API_KEY; or set --classifier rules."
            )
        case "local" if settings.local_model == "off":
            raise ConfigurationInvalid(
                "The local classifier is wanted and ORDERMEND_LOCAL_MODEL=off forbids it; change one of them."
            )
        case "llm" | "local" as insisted:
            return insisted
    if named:
        return "llm"
    return "rules" if settings.local_model == "off" else "local"


@asynccontextmanager
async def chosen_classifier(settings: Settings, owners: Owners, keep: Keep | None = None) -> AsyncIterator[Classifier]:
    """`llm` where it is wanted, else rules: the local model is for those that stay (`local_choice.py`).

    Raises ConfigurationInvalid."""
    if wanted(settings) != "llm":
        yield RulesClassifier(owners)
        return
    models = load_models(settings.config_dir / "models.yaml")
    asking = LlmSettings(settings.llm.base_url, key_of(settings), settings.llm.model, models.request, models.breaker, models.prices)
    interpreter = LlmClassifier(
        asking,
        load_prompts(settings.prompts_dir),
        asked=asked,
        clock=time.monotonic,
        answers=keep(asking, models) if keep is not None else None,
    )
    statistics, combination = learned(learned_folder(settings.config_dir))
    classifier = InterpretingClassifier(interpreter, RulesClassifier(owners), statistics, combination.for_model(settings.llm.model))
    try:
        yield classifier
    finally:
        await classifier.aclose()


def local_classifier(settings: Settings, owners: Owners, endpoint: LocalEndpoint, abilities: Abilities) -> Classifier:
    """The classifier that asks the local model, which has passed its test."""
    models, prompts = load_models(settings.config_dir / "models.yaml"), load_prompts(settings.prompts_dir)
    asking = LlmSettings(endpoint.base_url, endpoint.api_key, endpoint.model, models.request_local, models.breaker, models.prices)
    if not abilities.logprobs:
        statistics, combination = learned(learned_folder(settings.config_dir))
        interpreter = LlmClassifier(asking, prompts, asked=asked, clock=time.monotonic)
        return InterpretingClassifier(interpreter, RulesClassifier(owners), statistics, combination.for_model(endpoint.model))
    turns = Turns()
    explainer = Explainer(
        asking,
        prompts,
        endpoint=Endpoint(asking, time.monotonic, asyncio.sleep),
        clock=time.monotonic,
        turns=turns,
        prices=models.prices,
    )
    choice = LabelChoice(Endpoint(asking, time.monotonic, asyncio.sleep), prompts[ROUTE], asking)
    folder = learned_folder(settings.config_dir)
    return combined_classifier(folder, owners, choice, asking.request, turns, time.monotonic, explainer)


def key_of(settings: Settings) -> str:
    return settings.llm.api_key.get_secret_value() or os.environ.get("OPENAI_API_KEY", "")
