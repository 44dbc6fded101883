"""A llama.cpp server of one's own: an OpenAI-compatible endpoint on this machine, for as long as somebody holds it.

The engine runs in a child process, so that a crash of native code ends the child and not Ordermend. The child ends with its
parent however that ends, and is started again a few times when it dies by itself, at the same address and with the same key.
"""

import asyncio
import contextlib
import json
import os
import secrets
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from app.errors import OrdermendError
from app.models.local_settings import ServerRule
from app.models.running import LocalEndpoint, announce, answers, withdraw
from app.settings import Settings

LOG = Path("logs") / "local-model.log"
_CHILD = ("-P", "-m", "app.models.llama_child")
_KEEP_LOG_BYTES = 2_000_000
_END_S = 5.0
_HEALTH_EVERY_S = 0.1
_OURS = ("ORDERMEND_", "OPENAI_")
_NOT_INSTALLED = b"No module named 'xllamacpp'"
INSTALL = (
    "The local model needs the package xllamacpp, which is not installed here."
    f" Install it with: {sys.executable} -m pip install 'ordermend[local]'"
)


class LocalModelFailed(OrdermendError):
    """The local model cannot be served. The message says why and what to do."""


@asynccontextmanager
async def local_server(settings: Settings, path: Path, rule: ServerRule, *, port: int = 0) -> AsyncIterator["LocalServer"]:
    """Serves the GGUF file until the block ends. With port 0 any free one is taken. Raises LocalModelFailed."""
    server = LocalServer(settings.data_dir, path, rule, port)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


class LocalServer:
    """Address, key and model name stay the same over restarts. Once `ended` is set, `failure` says why nobody is there any more."""

    def __init__(self, data_dir: Path, path: Path, rule: ServerRule, port: int) -> None:
        self._data_dir, self._path, self._rule, self._port = data_dir, path, rule, port
        self._process: Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self.model = path.stem
        self.api_key = f"local-{secrets.token_urlsafe(24)}"
        self.base_url = ""
        self.restarts = 0
        self.failure: str | None = None
        self.ended = asyncio.Event()

    @property
    def endpoint(self) -> LocalEndpoint:
        return LocalEndpoint(self.base_url, self.api_key, self.model)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        if not self._path.is_file():
            raise LocalModelFailed(f"{self._path} is not there; `ordermend model fetch` gets the model, or name a GGUF file")
        await self._launch()
        self._watching = asyncio.create_task(self._watch())
        announce(self._data_dir, self.endpoint)

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await self._end_child()
        withdraw(self._data_dir)
        self.ended.set()

    async def _launch(self) -> None:
        try:
            async with asyncio.timeout(self._rule.start_timeout_s):
                address = await self._started()
                await _healthy(address)
        except TimeoutError:
            await self._end_child()
            raise LocalModelFailed(
                f"{self._path.name} was not ready after {self._rule.start_timeout_s:g} s; {self._look_at_log()}"
            ) from None
        except BaseException:
            await self._end_child()
            raise
        self.base_url = f"{address}/v1"
        self._port = int(address.rpartition(":")[2])

    async def _started(self) -> str:
        """The address at which the child listens."""
        log = _log_file(self._data_dir)
        with log.open("ab") as output:
            before = output.tell()
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable, *_CHILD, stdin=PIPE, stdout=PIPE, stderr=output, env=_surroundings(os.environ),
                start_new_session=True,  # Ctrl-C is for the parent, which ends the child in order
            )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(ConnectionError):  # a child that ended at once says why below
            process.stdin.write(json.dumps(self._asked()).encode() + b"\n")
            await process.stdin.drain()
        line = await process.stdout.readline()
        said: dict[str, str] = json.loads(line) if line.endswith(b"\n") else {}
        if "address" in said:
            return said["address"]
        await process.wait()
        if _NOT_INSTALLED in log.read_bytes()[before:]:
            raise LocalModelFailed(INSTALL)
        why = said.get("failed", f"the engine ended with exit code {process.returncode}")
        raise LocalModelFailed(f"{self._path.name} cannot be served: {why}; {self._look_at_log()}")

    def _asked(self) -> dict[str, Any]:
        return {
            "path": str(self._path.resolve()),
            "model": self.model,
            "port": self._port,
            "api_key": self.api_key,
            "threads": self._rule.threads or _usable_cores(),
            "slots": self._rule.slots,
            "context_tokens": self._rule.context_tokens,
            "prompt_cache_mib": self._rule.prompt_cache_mib,
        }

    def _look_at_log(self) -> str:
        return f"see {self._data_dir / LOG}"

    async def _watch(self) -> None:
        """Start the child again when it dies by itself, so many times and no more."""
        while self._process is not None:
            why = f"it ended with exit code {await self._process.wait()}"
            while self.restarts < self._rule.restarts:
                self.restarts += 1
                try:
                    await self._launch()
                    break
                except (LocalModelFailed, OSError) as error:
                    why = str(error)
            else:
                self.failure = f"the local model was started {self.restarts + 1} times and is down: {why}; {self._look_at_log()}"
                break
            announce(self._data_dir, self.endpoint)
        withdraw(self._data_dir)
        self.ended.set()

    async def _end_child(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        for end in (process.terminate, process.kill):
            if process.returncode is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                end()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _END_S)


async def _healthy(address: str) -> None:
    async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
        while not await answers(client, address):  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(_HEALTH_EVERY_S)


def _log_file(data_dir: Path) -> Path:
    log = data_dir / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _KEEP_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return log


def _surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """The engine needs none of our secrets."""
    return {name: value for name, value in environment.items() if not name.startswith(_OURS)}


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
