"""The OpenAPI document, the single description of the HTTP part, and a page that shows it without any outside script."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, Response
from pydantic.json_schema import models_json_schema

from app.web.problems import MEDIA_TYPE
from app.web.schemas import BODIES

TAGS = [
    {
        "name": "signals",
        "description": "Webhooks in, each verified by its vendor's own scheme; what is stored and what could not be read.",
    },
    {"name": "triage", "description": "One exception, reported directly."},
    {"name": "cases", "description": "The queue, the case, its trail, and what reviewers do."},
    {"name": "orders", "description": "The order as all systems see it."},
    {"name": "policy", "description": "What may happen by itself, what a person decides, what may not happen."},
    {"name": "switches", "description": "What is switched off, and what this hour's budgets still hold."},
    {"name": "audits", "description": "Blind audits of what ran without a person, and how sure we are of it."},
    {"name": "operation", "description": "For load balancers, monitoring and the curious."},
]
DESCRIPTION = (
    "Errors are RFC 9457 `application/problem+json`; a problem's `type` is an address that explains it. Money is integer minor units with "
    "an ISO 4217 code, times are RFC 3339 UTC, confidence is in basis points. Lists are read with `limit` and the opaque `cursor`."
)
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "Explains this kind of problem."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened here and what to do."},
        "instance": {"type": "string", "format": "uri-reference"},
        "code": {"type": "string", "description": "The type, for programs."},
        "request_id": {"type": "string", "description": "The same as the X-Request-Id header."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string", "format": "json-pointer"}, "detail": {"type": "string"}},
            },
        },
    },
    "examples": [
        {
            "type": "/problems/stale-version",
            "title": "The case has changed since you read it",
            "status": 409,
            "detail": "The case has changed since you read it; read it again.",
            "instance": "/api/v1/cases/case_01jd8v3q4r5s6t7v8w9x0y1z2a/review",
            "code": "stale_version",
            "request_id": "req_5f1d2c3b4a5968778695a4b3",
            "current_version": 8,
        }
    ],
}
_PROBLEM = {"$ref": "#/components/responses/Problem"}
_METHODS = ("get", "post", "put", "patch", "delete")

router = APIRouter(include_in_schema=False)


def install(app: FastAPI) -> None:
    """Let the app describe itself with our problem documents in place of the framework's."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend FastAPI's document


def describe(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, openapi_version="3.1.0", description=DESCRIPTION, routes=app.routes, tags=TAGS
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _, bodies = models_json_schema([(model, "validation") for model in BODIES], ref_template="#/components/schemas/{model}")
    schemas.update(bodies["$defs"])
    schemas["Problem"] = PROBLEM_SCHEMA
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["responses"] = {"Problem": {"description": "A refusal, with what to do about it.", "content": content}}
    for operation in _operations(document):
        _add_problems(operation)
    return document


def _add_problems(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    if operation.get("security"):
        responses |= {"401": _PROBLEM, "403": _PROBLEM}
    if operation.get("parameters") or operation.get("requestBody"):
        responses["422"] = _PROBLEM
    if operation.get("requestBody"):
        responses |= {"400": _PROBLEM, "413": _PROBLEM}
    responses["default"] = _PROBLEM


def _operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from (path[method] for method in _METHODS if method in path)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Every operation on one page."""
    return HTMLResponse(page(request.app.openapi()))


@router.get("/docs/style.css")
async def docs_style() -> Response:
    return Response(_STYLE, media_type="text/css")


def page(document: Mapping[str, Any]) -> str:
    sections = "".join(_section(tag, document) for tag in document["tags"])
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{title}</title><link rel="stylesheet" href="/docs/style.css"></head><body><main><h1>{title}</h1>'
        f"<p>{_prose(document['info']['description'])}</p>"
        '<p>The document itself: <a href="/openapi.json">openapi.json</a>. Kinds of refusal: <a href="/problems">problems</a>.</p>'
        f"{sections}</main></body></html>"
    )


def _section(tag: Mapping[str, str], document: Mapping[str, Any]) -> str:
    rows = [
        _entry(method, path, item[method])
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item and tag["name"] in item[method].get("tags", ())
    ]
    return f"<section><h2>{escape(tag['name'])}</h2><p>{_prose(tag['description'])}</p>{''.join(rows)}</section>"


def _entry(method: str, path: str, operation: Mapping[str, Any]) -> str:
    scopes = ", ".join(scope for need in operation.get("security", ()) for found in need.values() for scope in found)
    needs = f"key with {scopes}" if operation.get("security") else "no key"
    who = ", people only" if operation.get("x-people-only") else ""
    parameters = "".join(
        f"<li><code>{escape(item['name'])}</code> ({escape(item['in'])}) {_prose(item.get('description', ''))}</li>"
        for item in operation.get("parameters", ())
    )
    return (
        f"<article><h3><b>{method.upper()}</b> <code>{escape(path)}</code></h3><p><strong>{escape(operation['summary'])}.</strong> "
        f"{_prose(operation.get('description', ''))}</p><p class=needs>{escape(needs + who)}</p><ul>{parameters}</ul></article>"
    )


def _prose(text: str) -> str:
    """Escaped, with `code` shown as such."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
article { border-top: 1px solid #8886; padding: .25rem 0; }
h3 { font-size: 1rem; margin: .5rem 0 0; overflow-wrap: anywhere; }
h3 b { display: inline-block; min-width: 3.5rem; }
p { margin: .25rem 0; }
.needs { opacity: .75; font-size: .875rem; }
"""
