"""The `local` classifier as it runs live, asking the model of this machine or answered from recordings of it."""

import asyncio
import time
from pathlib import Path

from app.config_files import load_owners
from app.errors import ConfigurationInvalid
from app.models.combined import CombinedClassifier
from app.models.endpoint import Endpoint
from app.models.label_choice import PROMPT, LabelChoice
from app.models.learned import COMBINATION, combined_classifier, learned_folder
from app.models.model_settings import LlmSettings, load_models
from app.models.opinions import load_combination
from app.models.running import running_servers
from app.models.turns import Turns
from app.prompts import load_prompts
from app.settings import Settings
from evals.cassette import Cassette

RECORDINGS = Path(__file__).resolve().parent / "recordings"
_NOWHERE = "http://127.0.0.1:9/v1"
"""Nobody is asked when answers come from a recording; a request that gets this far fails at once."""


def recordings_of(dataset: Path) -> Path:
    """Where the recorded answers to a dataset's questions lie."""
    return RECORDINGS / dataset.name


def replaying(settings: Settings, cassette: Cassette) -> CombinedClassifier:
    """Raises ConfigurationInvalid."""
    model = load_combination(learned_folder(settings.config_dir) / COMBINATION).model
    return _combined(settings, _NOWHERE, "", model, cassette)


def asking_local(settings: Settings, cassette: Cassette | None) -> CombinedClassifier:
    """The endpoint that is configured, else a local server that runs. Raises ConfigurationInvalid where there is neither."""
    if settings.llm.base_url:
        return _combined(settings, settings.llm.base_url, settings.llm.api_key.get_secret_value(), settings.llm.model, cassette)
    running = running_servers(settings.data_dir)
    if not running:
        raise ConfigurationInvalid("No local model runs here; start one with `ordermend model serve`, or use --classifier replay.")
    return _combined(settings, running[-1].base_url, running[-1].api_key, running[-1].model, cassette)


def without_model(settings: Settings) -> CombinedClassifier:
    """Rules and statistics, nobody asked."""
    models = load_models(settings.config_dir / "models.yaml")
    owners = load_owners((settings.config_dir / "owners.yaml").read_text(encoding="utf-8"), "owners.yaml")
    folder = learned_folder(settings.config_dir)
    return combined_classifier(folder, owners, None, models.request_local, Turns(), time.monotonic)


def _combined(settings: Settings, base_url: str, key: str, model: str, cassette: Cassette | None) -> CombinedClassifier:
    models = load_models(settings.config_dir / "models.yaml")
    asking = LlmSettings(base_url, key, model, models.request_local, models.breaker, models.prices)
    endpoint = Endpoint(asking, time.monotonic, asyncio.sleep, cassette)
    choice = LabelChoice(endpoint, load_prompts(settings.prompts_dir)[PROMPT], asking)
    owners = load_owners((settings.config_dir / "owners.yaml").read_text(encoding="utf-8"), "owners.yaml")
    return combined_classifier(learned_folder(settings.config_dir), owners, choice, asking.request, Turns(), time.monotonic)
