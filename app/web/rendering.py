"""Pages: templates with autoescape, and headers under which no script runs and nothing is kept by the browser."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jinja2
from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, Response

from app.models.switching import status_of
from app.web import in_words
from app.web.at_hand import world_of
from guardrails.taxonomy import Action, Category, Team, Verdict

HERE = Path(__file__).resolve().parent
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "script-src 'none'; object-src 'none'"
)
MEDIA_TYPES = {"console.css": "text/css; charset=utf-8", "mark.svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Pages:
    """The templates, and the static files by name with the mark that changes when they do."""

    environment: jinja2.Environment
    files: dict[str, bytes]

    def page(self, request: Request, template: str, /, *, status: int = 200, **values: Any) -> HTMLResponse:
        """`who` is the person signed in, or None; `now` is the clock's; `switched_off` are the switches that are off; `local_model`
        says how far that is, while it is not ready."""
        world = world_of(request)
        known = {"who": getattr(request.state, "signed_in", None), "now": world.clock(), "path": request.url.path}
        local = status_of(world.classifier)
        known["local_model"] = local.sentence if local is not None and local.concerns_reviewers else None
        known["switched_off"] = getattr(request.state, "switched_off", ())
        body = self.environment.get_template(template).render(known | values)
        return HTMLResponse(body, status, {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})

    def file(self, name: str) -> Response:
        """For good in the browser's cache: the address changes with the content. Raises KeyError for any other name."""
        return Response(
            self.files[name], headers={"Cache-Control": "public, max-age=31536000, immutable"}, media_type=MEDIA_TYPES[name]
        )


def load_pages() -> Pages:
    files = {name: (HERE / "static" / name).read_bytes() for name in MEDIA_TYPES}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=in_words.visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("age", "due", "span", "clock", "confidence", "shown", "written", "laid_out", "brief", "as_typed"):
        environment.filters[name] = getattr(in_words, name)
    environment.globals.update(
        static={name: f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}" for name, content in files.items()},
        Category=Category,
        Team=Team,
        Verdict=Verdict,
        Action=Action,
    )
    return Pages(environment, files)


def pages_of(request: Request) -> Pages:
    pages = request.state.pages
    assert isinstance(pages, Pages)
    return pages


ThePages = Annotated[Pages, Depends(pages_of)]
