"""What the local model needs, as it is on this machine: the engine, the weights, the server, and who else has one."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx

from app.classify import Classifier
from app.models.abilities import Abilities, endpoint_abilities
from app.models.local_model import local_of, models_folder, servable, sources_of
from app.models.local_server import INSTALL, LocalServer, local_server
from app.models.model_settings import load_models
from app.models.running import LocalEndpoint, answers, running_servers
from app.models.standing import note_standing, withdraw_standing
from app.models.switching import LocalStatus
from app.models.weights import Presence, Progress, WeightsUnavailable, fetch, holding, verify
from app.settings import Settings

WithModel = Callable[[LocalEndpoint, Abilities], Classifier]
"""Makes the classifier that asks the model at this address."""
ENGINE = "xllamacpp"
_HEALTH_S = 5.0


class ThisMachine:
    """The `Means` of `local_task.py`. Raises ConfigurationInvalid when no local model is configured."""

    def __init__(self, settings: Settings, with_model: WithModel) -> None:
        self._settings, self.with_model = settings, with_model
        self._local, self._folder = local_of(settings), models_folder(settings)
        self._timeout_s = load_models(settings.config_dir / "models.yaml").request_local.timeout_s

    def obstacle(self) -> str | None:
        return None if find_spec(ENGINE) is not None else INSTALL

    async def elsewhere(self) -> LocalEndpoint | None:
        name = Path(self._local.path).stem if self._local.path else self._local.weights.name
        async with httpx.AsyncClient(timeout=_HEALTH_S, trust_env=False) as client:
            for found in reversed(running_servers(self._settings.data_dir)):
                if found.model == name and await answers(client, found.base_url.removesuffix("/v1")):
                    return found
        return None

    def here(self) -> bool:
        """The weights need not be fetched."""
        return bool(self._local.path) or holding(self._local.weights, self._folder).presence in (
            Presence.VERIFIED,
            Presence.UNVERIFIED,
        )

    def fetching(self) -> Iterator[Progress]:
        held = holding(self._local.weights, self._folder)
        if self._local.path or held.presence is Presence.VERIFIED:
            return iter(())
        if self._settings.local_model == "fetch":
            return fetch(self._local.weights, sources_of(self._local), self._folder)
        if held.presence is Presence.UNVERIFIED:
            return verify(self._local.weights, self._folder)
        raise WeightsUnavailable(
            f"{held.path} is {held.presence.value}, and ORDERMEND_LOCAL_MODEL={self._settings.local_model} keeps it from being"
            " fetched; `ordermend model fetch` gets it"
        )

    def fetched(self) -> Progress:
        held = holding(self._local.weights, self._folder)
        return Progress(held.present_bytes, held.total_bytes, "by another process")

    def weights(self) -> Path:
        return servable(self._local, self._folder).path

    @contextmanager
    def alone(self) -> Iterator[bool]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".serving").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def serve(self, weights: Path) -> AbstractAsyncContextManager[LocalServer]:
        return local_server(self._settings, weights, self._local.server)

    async def test(self, endpoint: LocalEndpoint) -> Abilities:
        return await endpoint_abilities(endpoint.base_url, endpoint.api_key, endpoint.model, timeout_s=self._timeout_s)

    def note(self, status: LocalStatus | None) -> None:
        if status is None:
            withdraw_standing(self._settings.data_dir)
        else:
            note_standing(self._settings.data_dir, status.sentence)
