"""Notes about local servers that run, so that other commands of the same user find them."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import httpx


@dataclass(frozen=True, slots=True)
class LocalEndpoint:
    """Where the model answers. `base_url` ends in /v1, as OpenAI clients want it."""

    base_url: str
    api_key: str = field(repr=False)
    model: str


def running_servers(data_dir: Path) -> tuple[LocalEndpoint, ...]:
    """Servers that said they run here, the newest last. A killed one may have left its note; ask before you trust it."""
    found = []
    for note in sorted(_notes(data_dir).glob("*.json"), key=_written):
        try:
            said = json.loads(note.read_text(encoding="utf-8"))
            os.kill(int(note.stem), 0)
            found.append(LocalEndpoint(said["base_url"], said["api_key"], said["model"]))
        except ProcessLookupError:
            note.unlink(missing_ok=True)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return tuple(found)


def _written(note: Path) -> int:
    try:
        return note.stat().st_mtime_ns
    except OSError:
        return 0


def announce(data_dir: Path, endpoint: LocalEndpoint) -> None:
    """A note that only this user can read: it holds the key, so that other commands can ask this server."""
    folder = _notes(data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    said = {"base_url": endpoint.base_url, "api_key": endpoint.api_key, "model": endpoint.model}
    descriptor = os.open(folder / f"{os.getpid()}.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as note:
        json.dump(said, note)


def withdraw(data_dir: Path) -> None:
    (_notes(data_dir) / f"{os.getpid()}.json").unlink(missing_ok=True)


def _notes(data_dir: Path) -> Path:
    return data_dir / "models" / "running"


async def answers(client: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(f"{address}/health")).is_success
    except httpx.HTTPError:
        return False
