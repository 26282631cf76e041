"""Ask and its timeline, the other questions, and the list of policies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from chartulary import question
from chartulary.ask import KINDS, Parameter
from chartulary.book import Contents
from chartulary.errors import ChartularyError
from chartulary.service import asking
from chartulary.service.api import Serving
from chartulary.service.pages import page
from chartulary.terms import ROOT, SKOS, TYPE

if TYPE_CHECKING:
    from chartulary.service.app import Service

router = APIRouter(include_in_schema=False)

_FIELDS = ("code", "payer", "setting", "lob", "request", "dos", "as-known-on")


def given(request: Request) -> dict[str, str]:
    """The query of an address; what is left empty was not given."""
    return {name: value for name, value in request.query_params.items() if value.strip()}


def known_on(told: Mapping[str, str], name: str = "as-known-on") -> tuple[date | None, str]:
    """A day of knowledge in a query, and what is wrong with it."""
    text = told.get(name, "").strip()
    try:
        return (date.fromisoformat(text) if text else None), ""
    except ValueError:
        return None, f"“{text}” is not a day (yyyy-mm-dd)"


# --- Ask --------------------------------------------------------------------------------------------------------------


@router.get("/ask")
def ask(request: Request, service: Serving) -> Response:
    """What a code required on a day of service, with the sentences that it rests on."""
    return _asked(request, service, "ask.html")


@router.get("/timeline")
def timeline(request: Request, service: Serving) -> Response:
    """The same over all days of service."""
    return _asked(request, service, "ask_timeline.html")


def _asked(request: Request, service: Service, template: str) -> Response:
    told = {name: value for name, value in given(request).items() if name in _FIELDS}
    known, wrong = known_on(told)
    contents = service.contents(known)
    form = question.read(contents, told, date.today())
    form.as_known_on = known
    if wrong:
        form.errors["as-known-on"] = wrong
    answered = asking.Answered(contents, form) if form.asked and not form.errors else None
    return page(
        request,
        template,
        view="Ask",
        status=400 if form.asked and form.errors else 200,
        as_known_on=known,
        form=form,
        errors=form.errors if form.asked else {},
        answered=answered,
        choices={name: question.choices(contents, name) for name in ("payer", "setting", "lob", "request")},
        suggestions=question.suggestions(contents),
        changes=[] if answered else asking.latest_changes(contents),
        questions=service.register.queries.values(),
        label=contents.reader.label,
        one_day=timedelta(days=1),
        today=date.today(),
    )


# --- Any other question -----------------------------------------------------------------------------------------------


@router.get("/ask/{name}")
def one_question(name: str, request: Request, service: Serving) -> Response:
    """Any question of ``queries/``: a form with its parameters, and its rows."""
    if name == question.QUESTION:
        query = request.url.query
        return RedirectResponse(f"/ask?{query}" if query else "/ask", 303)
    query_ = service.register.queries.get(name)
    if query_ is None:
        raise HTTPException(404, f"there is no question '{name}'; /v1/queries lists them")
    told = given(request)
    known, wrong = known_on(told)
    contents = service.contents(known)
    asked = {key: value for key, value in told.items() if key != "as-known-on"}
    answer, fault = None, wrong
    if not fault and (asked or not query_.parameters or all(p.default for p in query_.parameters)):
        try:
            answer = service.ask(name, known, asked)
        except ChartularyError as problem:
            fault = str(problem).replace("--", "")
    return page(
        request,
        "ask_question.html",
        view="Ask",
        status=400 if fault else 200,
        as_known_on=known,
        query=query_,
        told=told,
        fault=fault,
        answer=answer,
        rows=[_row(contents, row) for row in answer.results] if answer else [],
        choices={p.name: _choices(contents, p) for p in query_.parameters},
        label=contents.reader.label,
        is_thing=lambda value: isinstance(value, str) and value.startswith(ROOT),
        today=date.today(),
    )


def _choices(contents: Contents, parameter: Parameter) -> list[tuple[str, str]]:
    """What a parameter may be: value and label, empty where it is written freely."""
    facts, label = contents.facts, contents.reader.label
    kind = KINDS.get(parameter.kind)
    if kind is None:
        return []
    things = facts.subjects(TYPE, kind) or facts.subjects(SKOS.inScheme, kind)
    return [(thing, label(thing)) for thing in contents.by_label(things) if not thing.endswith("/unrecognised")]


_TITLES = ("label", "quote")


def _row(contents: Contents, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a title with a link, facts by name, and the sentences it rests on."""
    told = {name: value for name, value in row.items() if value not in (None, [], "") and name != "cites"}
    title = next((name for name in _TITLES if name in told), None)
    iris = [name for name, value in told.items() if isinstance(value, str) and value.startswith(ROOT)]
    # A thing is shown by its label: in the column of that name, or, where it is the first, in the title.
    own = next((name for name in iris if f"{name}_label" not in told), None)
    if title is None:
        title = own or next(iter(told))
    facts = []
    for name, value in told.items():
        if name in (title, own) or (name in iris and f"{name}_label" in told):
            continue
        plain = name.removesuffix("_label")
        facts.append((plain.replace("_", " "), told[plain] if name != plain and plain in iris else value))
    words = contents.reader.label(told[title]) if title in iris else str(told[title])
    return {
        "title": words,
        "href": told[own] if own else None,
        "facts": facts,
        "quotes": asking.quotes(contents.facts, row.get("cites", []), words),
    }
