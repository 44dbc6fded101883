"""The HTTP side as one app: webhooks, API, console, health and documentation, behind one edge."""

from importlib.metadata import version

from fastapi import FastAPI

from app.inbox import Inbox
from app.web import api, api_audits, api_policy, api_reading, api_switches, describing, health, problems, webhooks
from app.web.console import console_router
from app.web.edge import Edge
from app.web.metrics import Metrics
from app.world import World

VERSION = version("ordermend")


def create_app(world: World, inbox: Inbox) -> FastAPI:
    """The app over this world. Whoever opened the world and the inbox closes them."""
    app = FastAPI(
        title="Ordermend", version=VERSION, openapi_url="/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.world, app.state.inbox, app.state.metrics = world, inbox, Metrics()
    for router in (
        api.router,
        api_audits.router,
        api_policy.router,
        api_reading.router,
        api_switches.router,
        webhooks.router,
        health.router,
        describing.router,
        console_router(),
    ):
        app.include_router(router)
    problems.install(app)
    describing.install(app)
    app.add_middleware(Edge, metrics=app.state.metrics)
    return app
