"""Ordermend as a server: HTTP, and beside it the worker, in one process."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from app.errors import ConfigurationInvalid
from app.inbox import inbox_for
from app.models.choice import chosen_classifier
from app.models.local_choice import local_when_ready
from app.settings import Settings
from app.web.app import create_app
from app.wiring import open_world

GRACE_S = 10
Announce = Callable[[str], None]
"""Told the address once the server listens."""


class _Server(uvicorn.Server):
    """Signals are our caller's: several servers may run in one process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def listening(app: ASGIApp, host: str, port: int) -> AsyncIterator[str]:
    """Serve the app until the block is left; its address. Port 0 takes any free one."""
    with open_port(host, port) as door:
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=GRACE_S, server_header=False
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[door]), name="http")
        try:
            await server.ready.wait()
            shown = f"[{host}]" if ":" in host else host
            yield f"http://{shown}:{door.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def open_port(host: str, port: int) -> socket.socket:
    """A bound socket. Raises ConfigurationInvalid when somebody else listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
    except OSError as error:
        door.close()
        raise ConfigurationInvalid(f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --port.") from error
    return door


def free_port(host: str, first: int) -> int:
    """The first port from `first` on that nobody listens on."""
    for port in range(first, min(first + 100, 65536)):
        with contextlib.suppress(ConfigurationInvalid), open_port(host, port) as door, contextlib.suppress(OSError):
            door.listen()
            return port
    raise ConfigurationInvalid(f"No free port from {first} on; choose another with --port.")


async def serve(settings: Settings, announce: Announce, *, worker: bool) -> None:
    """HTTP until interrupted; with `worker` this process also works, and so it is the one that needs a model."""
    async with (
        open_world(settings, worker=worker, choose=local_when_ready if worker else chosen_classifier) as world,
        inbox_for(world) as inbox,
        listening(create_app(world, inbox), settings.host, settings.port) as address,
    ):
        announce(address)
        await interrupted()


async def work(settings: Settings) -> None:
    """The worker alone, until interrupted."""
    async with open_world(settings, worker=True, choose=local_when_ready):
        await interrupted()


async def interrupted() -> None:
    """Until SIGINT or SIGTERM."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
