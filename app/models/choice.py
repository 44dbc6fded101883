"""Which classifier this installation uses."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.classify import Classifier
from app.errors import ConfigurationInvalid
from app.models.llm import LlmClassifier
from app.models.model_settings import LlmSettings, load_models
from app.models.rules import RulesClassifier, asked
from app.owners import Owners
from app.prompts import load_prompts
from app.settings import Settings


@asynccontextmanager
async def chosen_classifier(settings: Settings, owners: Owners) -> AsyncIterator[Classifier]:
    """`llm` where an endpoint is configured, else `rules`; the settings can insist on either.

    Raises ConfigurationInvalid when `llm` is insisted on and no endpoint is named."""
    key = settings.llm.api_key.get_secret_value() or os.environ.get("OPENAI_API_KEY", "")
    endpoint = bool(settings.llm.base_url or key)
    if settings.classifier == "rules" or (settings.classifier == "auto" and not endpoint):
        yield RulesClassifier(owners)
        return
    if not endpoint:
        raise ConfigurationInvalid(
            "The llm classifier needs ORDERMEND_LLM__BASE_URL or ORDERMEND_LLM__API_KEY; or set --classifier rules."
        )
    models = load_models(settings.config_dir / "models.yaml")
    classifier = LlmClassifier(
        LlmSettings(settings.llm.base_url, key, settings.llm.model, models.request, models.breaker),
        load_prompts(settings.prompts_dir),
        asked=asked,
        clock=time.monotonic,
    )
    try:
        yield classifier
    finally:
        await classifier.aclose()
