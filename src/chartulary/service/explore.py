"""``/explore/sparql``: an editor for queries with their answers as tables; and ``/docs``, the API's own pages."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyoxigraph as ox
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from msgspec import structs
from starlette.exceptions import HTTPException

from chartulary import turtle
from chartulary.ask import Query
from chartulary.facts import Facts, Text
from chartulary.register import data_folder
from chartulary.service import pages
from chartulary.service.api import Serving, decision_id, made_by
from chartulary.service.sparql import identity
from chartulary.service.worker import ROWS, Ask, Refusal
from chartulary.service.workers import Busy
from chartulary.terms import LABEL, POL, ROOT

router = APIRouter(include_in_schema=False)

_ROWS_SHOWN = 200
_TEXT_SHOWN = 200_000
"""Characters of a graph."""
_LONGEST_LINK = 4000
"""Characters of an address that other programs still take."""
_EXAMPLE = """\
PREFIX pol:  <https://w3id.org/chartulary/def/policy#>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>

SELECT ?policy ?label ?version ?published
WHERE {
  ?policy a pol:Policy ; rdfs:label ?label .
  ?version pol:versionOf ?policy ; pol:publishedText ?published .
}
ORDER BY ?label ?published
"""
_FILES = {
    "csv": Ask(query="", rows="text/csv", truth=None, graph=None),
    "json": Ask(query="", graph=None),
    "ttl": Ask(query="", rows=None, truth=None),
    "nt": Ask(query="", rows=None, truth=None, graph="application/n-triples"),
    "jsonld": Ask(query="", rows=None, truth=None, graph="application/ld+json"),
}
"""What an answer can be downloaded as."""
_ROW_FILES = (("csv", "CSV"), ("json", "JSON"))
_GRAPH_FILES = (("ttl", "Turtle"), ("jsonld", "JSON-LD"), ("nt", "N-Triples"))
_DATATYPES = ("boolean", "date", "decimal", "integer", "string")
_SIMPLE = re.compile(r"\w(?:[\w.-]*[\w-])?", re.ASCII)
"""Local names that need no escape."""
_SWAGGER_NEEDS = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class _Cell:
    """A term of an answer."""

    text: str
    href: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What came of a query, as the page shows it."""

    seconds: float
    kind: str
    """``rows``, ``truth`` or ``graph``."""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[_Cell, ...], ...] = ()
    count: int = 0
    truth: bool = False
    text: str = ""
    cut: bool = False
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer as the processes for queries give it."""

    media: str
    body: bytes
    seconds: float
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why there is no answer; a place in the query counts lines and characters from 1."""

    reason: str
    status: int
    line: int | None = None
    column: int | None = None


@router.get("/explore/sparql")
async def editor(request: Request, service: Serving) -> Response:
    """The editor; with ``query``, or ``question`` (a question of the library), its answer as well."""
    told = request.query_params
    name = told.get("question")
    question = service.register.queries.get(name) if name else None
    if name and question is None:
        raise HTTPException(404, "there is no such question; /explore/sparql lists them")
    text = question.text if question else told.get("query", "")
    return await _page(request, service, text, told.get("as-known-on", ""), question)


@router.post("/explore/sparql")
async def answered(request: Request, service: Serving) -> Response:
    """The same for a query that may be too long for an address."""
    text, known, _ = await _sent(request)
    question = next((query for query in service.register.queries.values() if query.text.strip() == text.strip()), None)
    return await _page(request, service, text, known, question)


@router.post("/explore/download")
async def download(request: Request, service: Serving) -> Response:
    """The answer to a query as a file."""
    text, day, form = await _sent(request)
    if form not in _FILES:
        raise HTTPException(400, f"an answer is downloaded as {', '.join(_FILES)}")
    found = await _run(service, structs.replace(_FILES[form], query=text), day)
    if isinstance(found, _Fault):
        raise HTTPException(found.status, found.reason)
    name = f'attachment; filename="answer.{form}"'
    return Response(found.body, media_type=found.media, headers={**found.headers, "Content-Disposition": name})


@router.get("/explore/terms")
def terms(service: Serving, prefix: str | None = None) -> Response:
    """What a prefix has, for completion: names with labels. Without a prefix, all prefixes."""
    prefixes = turtle.shared_prefixes()
    if prefix is None:
        return JSONResponse({"prefixes": dict(prefixes)})
    name = prefix.removesuffix(":")
    if name not in prefixes:
        raise HTTPException(404, f"the register uses no such prefix; it has {', '.join(prefixes)}")
    found = _terms(service.register.revision, service.snapshot(None).facts)[name]
    return JSONResponse({"prefix": name, "iri": prefixes[name], "terms": found})


@router.get("/docs")
def docs(request: Request) -> Response:
    """The API, to read and to try; Swagger UI comes with this server."""
    page = pages.page(request, "docs.html", view="API", there=swagger() is not None)
    page.headers["Content-Security-Policy"] = _SWAGGER_NEEDS
    return page


def swagger() -> Path | None:
    """The folder of Swagger UI's files, if they are installed."""
    found = find_spec("fastapi_offline")
    return Path(found.origin).parent / "static" if found and found.origin else None


# --- A query and its answer -------------------------------------------------------------------------------------------


async def _sent(request: Request) -> tuple[str, str, str]:
    """The query, the day and the form that a form says."""
    sent = await request.form(max_files=0, max_fields=8)
    text, known, form = (str(sent.get(name, "")) for name in ("query", "as-known-on", "form"))
    return text.replace("\r\n", "\n"), known, form


async def _page(request: Request, service: Serving, text: str, known: str, question: Query | None) -> Response:
    answer: _Answer | None = None
    fault: _Fault | None = None
    headers: dict[str, str] = {}
    if text.strip():
        found = await _run(service, Ask(query=text), known)
        if isinstance(found, _Fault):
            fault = found
        else:
            headers = found.headers
            answer = await asyncio.to_thread(_shown, found)
    page = pages.page(
        request,
        "sparql.html",
        view="SPARQL",
        status=fault.status if fault else 200,
        text=text or _EXAMPLE,
        known=known,
        as_known_on=known if answer else None,
        answer=answer,
        fault=fault,
        question=question,
        questions=list(service.register.queries.values()),
        link=_link(text, known, question),
    )
    page.headers.update(headers)
    return page


def _link(text: str, known: str, question: Query | None) -> str:
    """The address of a query, to share; that of the empty editor where the query is too long for one."""
    told = {"question": question.name} if question else {"query": text} if text.strip() else {}
    told |= {"as-known-on": known} if known and told else {}
    link = f"/explore/sparql?{urlencode(told)}" if told else "/explore/sparql"
    return link if len(link) <= _LONGEST_LINK else "/explore/sparql"


async def _run(service: Serving, ask: Ask, known: str) -> _Reply | _Fault:
    """What the processes for queries say."""
    try:
        day = date.fromisoformat(known) if known else None
    except ValueError:
        return _Fault("as-known-on: this is not a day (yyyy-mm-dd)", 400)
    like = await asyncio.to_thread(service.register.day_like, day) if day else None
    began = time.perf_counter()
    try:
        reply = await service.workers.run(structs.replace(ask, known=like.isoformat() if like else "all"))
    except Busy as busy:
        return _Fault(str(busy), 503)
    seconds = time.perf_counter() - began
    if isinstance(reply, Refusal):
        place = re.match(r"line (\d+), column (\d+): ", reply.reason)
        line, column = (int(place[1]), int(place[2])) if place else (None, None)
        return _Fault(reply.reason, reply.status, line, column)
    decision = decision_id(service, day, "sparql", identity(ask))
    return _Reply(reply.media, reply.body, seconds, made_by(service, day, decision))


def _shown(reply: _Reply) -> _Answer:
    if reply.media not in ROWS:
        text = reply.body.decode()
        return _Answer(
            seconds=reply.seconds,
            kind="graph",
            text=text[:_TEXT_SHOWN],
            cut=len(text) > _TEXT_SHOWN,
            files=_GRAPH_FILES,
        )
    told: dict[str, Any] = json.loads(reply.body)
    if "boolean" in told:
        return _Answer(seconds=reply.seconds, kind="truth", truth=told["boolean"])
    columns, bindings = told["head"]["vars"], told["results"]["bindings"]
    return _Answer(
        seconds=reply.seconds,
        kind="rows",
        columns=tuple(columns),
        rows=tuple(tuple(_cell(row.get(name)) for name in columns) for row in bindings[:_ROWS_SHOWN]),
        count=len(bindings),
        cut=len(bindings) > _ROWS_SHOWN,
        files=_ROW_FILES,
    )


def _cell(term: dict[str, Any] | None) -> _Cell:
    if term is None:
        return _Cell("")
    if term["type"] == "bnode":
        return _Cell(f"_:{term['value']}")
    if term["type"] == "triple":
        return _Cell(" ".join(_cell(term["value"][part]).text for part in ("subject", "predicate", "object")))
    value = str(term["value"])
    if term["type"] != "uri":
        return _Cell(value)
    # What a query makes up may be an IRI of any kind, and is no link then.
    return _Cell(_short(value), pages.local(value) if value.startswith(("https://", "http://")) else None)


def _short(iri: str) -> str:
    """An IRI as people write it: by its prefix, or as a path of the register."""
    for name, namespace in turtle.shared_prefixes().items():
        if iri.startswith(namespace) and _SIMPLE.fullmatch(iri[len(namespace) :]):
            return f"{name}:{iri[len(namespace) :]}"
    return iri.removeprefix(f"{ROOT}policy/").removeprefix(ROOT)


# --- Terms to complete ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _terms(_: str, facts: Facts) -> dict[str, list[dict[str, str]]]:
    """By prefix, the names of the register and of its vocabularies, with what each is called."""
    called = {f"http://www.w3.org/2001/XMLSchema#{name}": "" for name in _DATATYPES}
    for iri in _used(facts):
        called.setdefault(iri, "")
    for predicate in (POL.says, LABEL):
        for iri, labels in facts.relation(predicate).items():
            called[iri] = min(map(str, labels))
    for path in sorted(data_folder("ontology").glob("*.ttl")):
        for triple in ox.parse(path=str(path), format=ox.RdfFormat.TURTLE):
            for node in (triple.predicate, triple.object):
                if isinstance(node, ox.NamedNode):
                    called.setdefault(node.value, "")
            if triple.predicate.value == LABEL and isinstance(triple.subject, ox.NamedNode):
                called[triple.subject.value] = triple.object.value
    found: dict[str, list[dict[str, str]]] = {}
    for name, namespace in turtle.shared_prefixes().items():
        own = ((iri.removeprefix(namespace), label) for iri, label in called.items() if iri.startswith(namespace))
        found[name] = [{"name": local, "label": label} for local, label in sorted(own) if _SIMPLE.fullmatch(local)]
    return found


def _used(facts: Facts) -> Iterable[str]:
    """Predicates, and whatever IRI stands for a thing."""
    for predicate, relation in facts.relations.items():
        yield predicate
        for subject, values in relation.items():
            yield subject
            for value in values:
                if isinstance(value, str) and not isinstance(value, Text):
                    yield value
