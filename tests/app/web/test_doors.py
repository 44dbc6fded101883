"""No endpoint is open by accident: the table of doors is made from the OpenAPI document itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.keys import Scope
from app.web import api, api_audits, api_policy, api_reading, api_switches, health, webhooks
from app.web.describing import describe
from guardrails.taxonomy import PrincipalKind
from tests.conftest import MakeKey

OPEN = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/problems"),
    ("GET", "/problems/{slug}"),
    ("POST", "/api/v1/signals/{source}"),
}
PEOPLE_ONLY = (
    {f"/api/v1/cases/{{case_id}}/{verb}" for verb in ("claim", "release", "review")}
    | {"/api/v1/switches/{name}", "/api/v1/audits/{audit_id}"}
    | {f"/api/v1/policy/{verb}" for verb in ("simulate", "publish", "shadow-end")}
)


@dataclass(frozen=True)
class Door:
    method: str
    path: str
    scopes: tuple[str, ...]
    keyed: bool
    people_only: bool

    @property
    def address(self) -> str:
        return self.path.replace("{case_id}", "case_none").replace("{ref}", "%231001").replace("{signal_id}", "sig_none")


@cache
def doors() -> tuple[Door, ...]:
    """Every operation of the document. The routers are the app's own; a test below holds that against the app."""
    app = FastAPI()
    for router in (
        api.router,
        api_audits.router,
        api_policy.router,
        api_reading.router,
        api_switches.router,
        webhooks.router,
        health.router,
    ):
        app.include_router(router)
    return tuple(doors_of(describe(app)))


def doors_of(document: dict[str, Any]) -> Iterator[Door]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            needs = operation.get("security", [])
            scopes = tuple(scope for need in needs for found in need.values() for scope in found)
            yield Door(method.upper(), path, scopes, bool(needs), operation.get("x-people-only", False))


KEYED = [door for door in doors() if door.keyed]


def test_the_table_holds_every_operation_of_the_app(http_app: FastAPI) -> None:
    assert set(doors_of(http_app.openapi())) == set(doors())


def test_only_these_operations_are_open() -> None:
    assert {(door.method, door.path) for door in doors() if not door.keyed} == OPEN


def test_every_keyed_operation_names_exactly_one_known_scope() -> None:
    keyed = [door for door in doors() if door.keyed]
    assert len(keyed) >= 15
    for door in keyed:
        assert len(door.scopes) == 1, door
        assert door.scopes[0] in set(Scope), door


def test_what_decides_and_what_stops_is_for_people() -> None:
    assert {door.path for door in doors() if door.people_only} == PEOPLE_ONLY


async def test_without_a_valid_key_nothing_opens(client: httpx.AsyncClient) -> None:
    for door in KEYED:
        for headers in (
            {},
            {"Authorization": "Bearer om_live_wrong"},
            {"Authorization": "Basic YTpi"},
            {"Authorization": "Bearer"},
        ):
            answer = await client.request(door.method, door.address, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), (door, headers)
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_strangers_body_is_not_even_looked_at(client: httpx.AsyncClient) -> None:
    for door in KEYED:
        if door.method == "POST":
            answer = await client.post(door.address, content=b"{not json", headers={"content-type": "text/plain"})
            assert answer.status_code == 401, door


async def test_a_key_without_the_scope_opens_nothing(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    for number, door in enumerate(KEYED):
        others = [scope.value for scope in Scope if scope.value not in (*door.scopes, Scope.ADMIN)]
        answer = await client.request(door.method, door.address, headers=await make_key(*others, name=f"p{number}"))
        assert (answer.status_code, answer.json()["code"]) == (403, "denied"), door
        assert door.scopes[0] in answer.json()["detail"]


async def test_a_service_key_with_all_scopes_opens_only_what_is_not_for_people(
    client: httpx.AsyncClient, make_key: MakeKey
) -> None:
    service = await make_key(kind=PrincipalKind.SERVICE)
    for door in KEYED:
        answer = await client.request(door.method, door.address, headers=service)
        if door.people_only:
            assert (answer.status_code, answer.json()["code"]) == (403, "person_required"), door
            assert "person" in answer.json()["detail"]
        else:
            assert answer.status_code not in (401, 403), door


async def test_just_the_scope_is_enough(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    for number, door in enumerate(KEYED):
        answer = await client.request(door.method, door.address, headers=await make_key(*door.scopes, name=f"p{number}"))
        assert answer.status_code in (200, 400, 404, 428), (door, answer.text)


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/style.css"])
async def test_the_documentation_needs_no_key(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200
