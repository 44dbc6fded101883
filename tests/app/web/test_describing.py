"""The OpenAPI document is valid, complete and honest about refusals; the page that shows it needs nobody else's server."""

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.web.describing import TAGS, page


@pytest.fixture
def document(http_app: FastAPI) -> dict[str, Any]:
    return http_app.openapi()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{method} {path}": found for path, item in document["paths"].items() for method, found in item.items()}


async def test_the_document_is_valid_openapi_31(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_every_operation_says_how_it_refuses(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}, name
        assert "HTTPValidationError" not in str(operation), name


def test_every_operation_has_a_known_tag_and_a_summary_of_its_own(document: dict[str, Any]) -> None:
    found = operations(document)
    assert {tag for operation in found.values() for tag in operation["tags"]} == {tag["name"] for tag in TAGS} - {"cases"} | {
        "cases"
    }
    assert len({operation["summary"] for operation in found.values()}) == len(found)


def test_bodies_are_described_with_examples(document: dict[str, Any]) -> None:
    body = operations(document)["post /api/v1/triage"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/TriageRequest"}
    schema = document["components"]["schemas"]["TriageRequest"]
    assert schema["additionalProperties"] is False
    assert schema["examples"][0]["order_ref"] == "#1001"


def test_the_key_is_a_bearer_token(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["ApiKey"] | {"description": ""} == {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "om_live_…",
        "description": "",
    }


async def test_the_documentation_page_lists_every_operation_and_loads_nothing_from_elsewhere(
    client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    answer = await client.get("/docs")
    for path in document["paths"]:
        assert path in answer.text
    assert re.findall(r"(?:src|href)=\"([^\"]+)", answer.text) == ["/docs/style.css", "/openapi.json", "/problems"]
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_the_page_shows_text_as_text() -> None:
    hostile = {"name": "t", "description": "<script>alert(1)</script> `<b>`"}
    shown = page({"info": {"title": "<i>", "version": "1", "description": "&"}, "tags": [hostile], "paths": {}})
    assert "<script>" not in shown
    assert "<i>" not in shown
    assert "<code>&lt;b&gt;</code>" in shown


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/api/v1/policy/publish", "post", "409"), ("/api/v1/switches/{name}", "put", "404")],
)
def test_what_a_policy_or_a_switch_can_be_refused_with_is_described(http_app: FastAPI, path: str, method: str, status: str) -> None:
    assert http_app.openapi()["paths"][path][method]["responses"][status]["description"]
