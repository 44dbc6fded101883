"""What an endpoint is given: the World and the Inbox that `create_app` was called with."""

from typing import Annotated

from fastapi import Depends, Request

from app.inbox import Inbox
from app.web.metrics import Metrics
from app.world import World


def world_of(request: Request) -> World:
    world = request.app.state.world
    assert isinstance(world, World)
    return world


def inbox_of(request: Request) -> Inbox:
    inbox = request.app.state.inbox
    assert isinstance(inbox, Inbox)
    return inbox


def metrics_of(request: Request) -> Metrics:
    metrics = request.app.state.metrics
    assert isinstance(metrics, Metrics)
    return metrics


AWorld = Annotated[World, Depends(world_of)]
AnInbox = Annotated[Inbox, Depends(inbox_of)]
TheMetrics = Annotated[Metrics, Depends(metrics_of)]
