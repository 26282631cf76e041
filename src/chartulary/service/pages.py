"""The pages: made on the server, whole without a script, each with an address of its own."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from chartulary import markup
from chartulary.service.api import Serving
from chartulary.terms import ROOT

router = APIRouter(include_in_schema=False)
_templates = markup.environment()


def local(iri: str) -> str:
    """The path under which this server has a thing of the register; other addresses stay as they are."""
    return "/" + iri.removeprefix(ROOT) if iri.startswith(ROOT) else iri


_templates.filters["local"] = local


def page(request: Request, template: str, *, view: str, status: int = 200, **values: Any) -> Response:
    """A page out of a template. ``view`` is the entry of the menu that it belongs to."""
    service = request.app.state.service
    shared = {"view": view, "revision": service.register.revision, "as_known_on": None}
    return HTMLResponse(_templates.get_template(template).render({**shared, **values}), status)


@router.get("/")
def home(service: Serving) -> Response:
    """The first view."""
    return RedirectResponse("/ask")
