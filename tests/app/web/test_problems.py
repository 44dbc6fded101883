"""Every way to fail ends in a problem document that says what to do and gives nothing away."""

import logging
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError

from app import errors
from app.signals.shapes import BodyNotJson, FieldsInvalid, SignatureInvalid
from app.web.problems import PROBLEM_TYPES, describe

SECRET_WORDS = "hunter2 in /srv/app/secret.py"


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"], body["status"]) == (status, code, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["instance"] == answer.request.url.raw_path.decode().partition("?")[0]
    return body


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/nowhere", "/api/v1/cases/", "/docs/", "/api/v2/cases"])
async def test_an_unknown_address_is_a_problem(client: httpx.AsyncClient, path: str) -> None:
    is_problem(await client.get(path), 404, "not_found")


@pytest.mark.parametrize(("method", "path", "allowed"), [("DELETE", "/api/v1/cases", "GET"), ("GET", "/api/v1/triage", "POST")])
async def test_a_wrong_method_is_a_problem_that_names_the_right_one(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path)
    assert allowed in is_problem(answer, 405, "method_not_allowed")["detail"]
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/query/limit"),
        ("limit=201", "/query/limit"),
        ("limit=many", "/query/limit"),
        ("status=lost", "/query/status/0"),
        ("catgory=unknown", "/query/catgory"),
        ("q=%00", "/query/q"),
        ("q=" + "x" * 201, "/query/q"),
    ],
)
async def test_a_wrong_parameter_is_a_problem_with_a_pointer(
    client: httpx.AsyncClient, admin: dict[str, str], query: str, pointer: str
) -> None:
    body = is_problem(await client.get(f"/api/v1/cases?{query}", headers=admin), 422, "fields_invalid")
    assert [error["pointer"] for error in body["errors"]] == [pointer]


async def test_an_unforeseen_failure_tells_the_caller_and_the_log_nothing_private(
    http_app: FastAPI, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    @http_app.get("/boom")
    async def boom() -> None:
        raise RuntimeError(SECRET_WORDS)

    with caplog.at_level(logging.DEBUG):
        answer = await client.get("/boom")
    body = is_problem(answer, 500, "internal_error")
    assert "RuntimeError" not in answer.text
    assert "hunter2" not in answer.text + caplog.text
    assert body["request_id"] in caplog.text
    assert "in boom" in caplog.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_lost_database_is_a_problem_with_a_time_to_come_back(http_app: FastAPI, client: httpx.AsyncClient) -> None:
    @http_app.get("/away")
    async def away() -> None:
        raise OperationalError("SELECT secret", {}, ConnectionError(SECRET_WORDS))

    answer = await client.get("/away")
    is_problem(answer, 503, "database_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert "SELECT" not in answer.text


@pytest.mark.parametrize(
    ("error", "status", "code", "members"),
    [
        (errors.NotFound("x"), 404, "not_found", {}),
        (errors.Denied("x"), 403, "denied", {}),
        (errors.Unauthenticated("x"), 401, "unauthenticated", {}),
        (errors.GuardrailRefused("x", ["r1"], ["l1"]), 403, "guardrail_refused", {"rules": ["r1"], "lift": ["l1"]}),
        (errors.CaseHeld("anna", "noon"), 409, "case_held", {"holder": "anna", "until": "noon"}),
        (errors.StaleVersion("x", 8, [{"field": "a"}]), 409, "stale_version", {"current_version": 8, "changes": [{"field": "a"}]}),
        (errors.IllegalTransition("x"), 409, "illegal_transition", {}),
        (errors.InputInvalid([("/a", "b")]), 422, "fields_invalid", {"errors": [{"pointer": "/a", "detail": "b"}]}),
        (errors.IdempotencyConflict("x"), 422, "idempotency_conflict", {}),
        (errors.IdempotencyInProgress("x"), 409, "idempotency_in_progress", {}),
        (errors.DatabaseUnavailable("x"), 503, "database_unavailable", {}),
        (errors.ConfigurationInvalid(SECRET_WORDS), 500, "internal_error", {}),
        (SignatureInvalid("x"), 401, "signature_invalid", {}),
        (BodyNotJson("x"), 400, "body_not_json", {}),
        (FieldsInvalid([("/a", "b")]), 422, "fields_invalid", {"errors": [{"pointer": "/a", "detail": "b"}]}),
    ],
)
def test_each_refusal_has_its_status_and_its_members(error: Exception, status: int, code: str, members: dict[str, Any]) -> None:
    said = describe(error)
    assert (said.problem.status, said.problem.code, dict(said.members)) == (status, code, members)
    assert "hunter2" not in said.detail


@pytest.mark.parametrize("slug", PROBLEM_TYPES)
async def test_the_type_of_a_problem_is_an_address_that_explains_it(client: httpx.AsyncClient, slug: str) -> None:
    answer = await client.get(f"/problems/{slug}")
    assert answer.status_code == 200
    assert answer.json()["type"] == f"/problems/{slug}"
    assert answer.json()["advice"]


async def test_an_unknown_problem_type_is_not_found_and_the_list_names_the_known(client: httpx.AsyncClient) -> None:
    is_problem(await client.get("/problems/none"), 404, "not_found")
    assert {item["code"] for item in (await client.get("/problems")).json()} == {item.code for item in PROBLEM_TYPES.values()}


async def test_a_harmless_request_id_is_kept_and_any_other_replaced(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz", headers={"X-Request-Id": "abc-1"})).headers["x-request-id"] == "abc-1"
    for hostile in ("a b", "x" * 65, "<script>", ""):
        assert (await client.get("/healthz", headers={"X-Request-Id": hostile})).headers["x-request-id"].startswith("req_")


async def test_answers_carry_the_headers_that_browsers_obey(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    for path in ("/api/v1/cases", "/nowhere", "/docs", "/healthz"):
        answer = await client.get(path, headers=admin)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
    assert (await client.get("/api/v1/cases", headers=admin)).headers["cache-control"] == "no-store"
