"""`ordermend openapi`: the document, without a database."""

from types import MappingProxyType

from app.cli_output import AsJson, say_json, single
from app.cli_settings import settings_now
from app.database import connect
from app.inbox import Inbox
from app.models.rules import RulesClassifier
from app.web.app import create_app
from app.wiring import load_configuration, utc_now
from app.world import World

commands = single()


@commands.command()
def openapi(as_json: AsJson = False) -> None:
    """Print the OpenAPI 3.1 document. It is JSON in any case."""
    world = _described()
    say_json(create_app(world, Inbox(world)).openapi())


def _described() -> World:
    """A world that is only described and never opened: its database is not asked for anything."""
    settings = settings_now()
    files = load_configuration(settings.config_dir)
    return World(
        settings=settings,
        database=connect("postgresql://", pool_size=1),
        clock=utc_now,
        policy=files.policy,
        sources=files.sources,
        detectors=files.detectors,
        owners=files.owners,
        classifier=RulesClassifier(files.owners),
        connectors=MappingProxyType({}),
        nudge=_nobody,
    )


async def _nobody(job: str, about: str) -> None:
    return
