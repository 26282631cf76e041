"""``/sparql``: the SPARQL 1.1 Protocol for queries; read-only.

The default graph is what is known (as of ``as-known-on``, or all of it), folded; each policy file is a named graph, as
it is written; and ``…/snapshot/{day}`` is the graph of what was known on that day, wherever a query names it. An
answer is sent whole or not at all: a query that takes too long, or gives too much, is refused with a line of reason.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from datetime import date
from typing import Any
from urllib.parse import parse_qsl

import pyoxigraph as ox
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from msgspec import structs

from chartulary.register import Snapshot
from chartulary.service.accept import choose
from chartulary.service.api import Serving, decision_id, made_by
from chartulary.service.settings import Settings
from chartulary.service.worker import GRAPHS, ROWS, SNAPSHOT, TRUTHS, Answer, Ask, Refusal
from chartulary.service.workers import Busy
from chartulary.terms import ROOT, TYPE

router = APIRouter(tags=["sparql"])

_FORM = "application/x-www-form-urlencoded"
_QUERY = "application/sparql-query"
_UPDATE = "application/sparql-update"
_LONGEST = 1024 * 1024
_MOST_FIELDS = 1000
_METHODS = "GET, HEAD, POST, OPTIONS"
_SD = "http://www.w3.org/ns/sparql-service-description#"
_FORMATS = "http://www.w3.org/ns/formats/"
_VOID = "http://rdfs.org/ns/void#"
_WRITTEN_AS = (
    "SPARQL_Results_JSON",
    "SPARQL_Results_XML",
    "SPARQL_Results_CSV",
    "SPARQL_Results_TSV",
    "Turtle",
    "N-Triples",
    "RDF_XML",
    "JSON-LD",
    "N3",
    "TriG",
    "N-Quads",
)
_PARAMETERS: list[dict[str, Any]] = [
    {"name": "query", "in": "query", "description": "A SPARQL 1.1 query.", "schema": {"type": "string"}},
    {
        "name": "default-graph-uri",
        "in": "query",
        "description": "A graph to ask, in place of those that the query names.",
        "schema": {"type": "array", "items": {"type": "string"}},
    },
    {
        "name": "named-graph-uri",
        "in": "query",
        "description": "A graph that GRAPH may ask, in place of those that the query names.",
        "schema": {"type": "array", "items": {"type": "string"}},
    },
    {
        "name": "as-known-on",
        "in": "query",
        "description": "Answer with what was published by this day (yyyy-mm-dd).",
        "schema": {"type": "string", "format": "date"},
    },
]
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer, or without a query the description of the service",
        "content": {media: {"schema": {"type": "string"}} for media in (*ROWS, *GRAPHS)},
    },
    303: {"description": "To the page for queries, for browsers"},
    400: {"description": "The query or a parameter cannot be understood; says why, and where"},
    403: {"description": "An update: the register is read-only"},
    406: {"description": "The answer is not offered in a form that the caller takes"},
    413: {"description": "The query is too long"},
    415: {"description": "The body is of a type that holds no query"},
    422: {"description": "The answer has more rows or bytes than it may, or the query takes too much memory"},
    503: {"description": "Too many queries wait; send it again"},
    504: {"description": "The query took too long, and was stopped"},
}
_FIELDS = {"type": "object", "properties": {each["name"]: each["schema"] for each in _PARAMETERS}}
_BODY = {
    "required": True,
    "content": {_FORM: {"schema": {**_FIELDS, "required": ["query"]}}, _QUERY: {"schema": {"type": "string"}}},
}


class _Refused(Exception):
    """A request that is not answered."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def parts(snapshot: Callable[[date | None], Snapshot]) -> Callable[[str, date | None], bytes]:
    """What the processes of :class:`~chartulary.service.workers.Workers` load, out of snapshots by day."""

    def make(what: str, day: date | None) -> bytes:
        return snapshot(day).triples if what == "snapshot" else snapshot(day).quads

    return make


@router.get(
    "/sparql",
    summary="Ask a SPARQL query, or for the description of this service",
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra={"parameters": _PARAMETERS},
)
async def query_by_get(request: Request, service: Serving) -> Response:
    """The default graph is what is known; each policy file is a named graph, and so is `…/snapshot/{day}`."""
    return await _answer(request, service, b"")


@router.head("/sparql", include_in_schema=False)
async def query_by_head(request: Request, service: Serving) -> Response:
    """The head of what GET gives."""
    return await _answer(request, service, b"")


@router.post(
    "/sparql",
    summary="Ask a SPARQL query",
    response_class=Response,
    responses={status: told for status, told in _RESPONSES.items() if status != 303},
    openapi_extra={"parameters": _PARAMETERS[1:], "requestBody": _BODY},
)
async def query_by_post(request: Request, service: Serving) -> Response:
    """The query stands in a form, or is the body."""
    return await _answer(request, service, await request.body())


@router.options("/sparql", include_in_schema=False)
async def options(service: Serving) -> Response:
    """What a page of another site may do here, before it does."""
    headers = {"Allow": _METHODS, **_shared(service.settings)}
    if "Access-Control-Allow-Origin" in headers:
        headers |= {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": "Accept, Content-Type",
            "Access-Control-Max-Age": "600",
        }
    return Response(status_code=204, headers=headers)


@router.api_route("/sparql", methods=["PUT", "PATCH", "DELETE"], include_in_schema=False)
async def other_methods() -> Response:
    """Nothing is kept here that could be put or deleted."""
    raise HTTPException(405, f"use one of {_METHODS}", {"Allow": _METHODS})


async def _answer(request: Request, service: Serving, body: bytes) -> Response:
    headers = {"Vary": "Accept", **_shared(service.settings)}
    known: date | None = None
    try:
        told, text = _told(request, body)
        known = _day(told)
        like = await asyncio.to_thread(service.register.day_like, known) if known else None
        day = like.isoformat() if like else "all"
        asked = _ask(told, text, day, request.headers.get("accept"))
        headers |= made_by(service, known, decision_id(service, known, "sparql", identity(asked)))
        if request.method != "POST":
            if _wants_page(request):
                return RedirectResponse(f"/explore/sparql?{request.url.query}".rstrip("?"), 303, headers)
            if asked is None:
                return await _described(request, service, day, headers)
        if asked is None:
            raise _Refused(400, "there is no query")
        reply = await _run(request, service.workers.run(asked))
    except _Refused as refused:
        return _refusal(refused.status, str(refused), headers)
    except Busy as busy:
        return _refusal(503, str(busy), headers | {"Retry-After": "1"})
    if isinstance(reply, Refusal):
        return _refusal(reply.status, reply.reason, headers)
    return Response(reply.body, media_type=reply.media, headers=headers)


def _refusal(status: int, reason: str, headers: dict[str, str]) -> Response:
    return JSONResponse({"error": " ".join(reason.split())}, status, headers)


def _shared(settings: Settings) -> dict[str, str]:
    """Pages of other sites may read the public register, but nothing that is kept to some."""
    if settings.token is not None or settings.policies is not None:
        return {}
    exposed = "Chartulary-Decision, Chartulary-Register-Revision, Chartulary-As-Known-On"
    return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": exposed}


# --- What is asked ----------------------------------------------------------------------------------------------------


def _told(request: Request, body: bytes) -> tuple[list[tuple[str, str]], str | None]:
    """The parameters, and the query that is the body itself."""
    told = _fields(request.scope["query_string"])
    if request.method != "POST":
        return told, None
    kind, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    if kind == _UPDATE:
        raise _Refused(403, "the register is read-only: no update is taken")
    if any(part.startswith("charset=") and part[8:].strip('"') not in ("utf-8", "us-ascii") for part in parameters):
        raise _Refused(415, "a query is sent as UTF-8")
    if kind == _FORM:
        return told + _fields(body), None
    if kind != _QUERY:
        raise _Refused(415, f"a query is sent as {_QUERY} or {_FORM}")
    try:
        return told, body.decode()
    except UnicodeDecodeError:
        raise _Refused(400, "the query is not UTF-8") from None


def _fields(encoded: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(encoded.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except UnicodeDecodeError:
        raise _Refused(400, "the parameters are not URL-encoded UTF-8") from None
    except ValueError:
        raise _Refused(400, f"there are more than {_MOST_FIELDS:,} parameters") from None


def _day(told: Iterable[tuple[str, str]]) -> date | None:
    for name, _ in told:
        if name != "as-known-on" and name.lower().replace("_", "").replace("-", "") == "asknownon":
            raise _Refused(400, f"there is no parameter '{name}'; it is 'as-known-on'")
    days = [value for name, value in told if name == "as-known-on"]
    if len(days) > 1:
        raise _Refused(400, "as-known-on is given more than once")
    try:
        return date.fromisoformat(days[0]) if days else None
    except ValueError:
        raise _Refused(400, f"as-known-on: '{days[0][:20]}' is not a day (yyyy-mm-dd)") from None


def _ask(told: list[tuple[str, str]], text: str | None, known: str, accept: str | None) -> Ask | None:
    """What is asked; None where there is no query."""
    if any(name == "update" for name, _ in told):
        raise _Refused(403, "the register is read-only: no update is taken")
    queries = [value for name, value in told if name == "query"] + ([] if text is None else [text])
    if len(queries) > 1:
        raise _Refused(400, "there is more than one query")
    if not queries:
        return None
    if len(queries[0]) > _LONGEST:
        raise _Refused(413, f"the query is longer than {_LONGEST:,} characters")
    try:
        queries[0].encode()
    except UnicodeEncodeError:
        raise _Refused(400, "the query is not UTF-8") from None
    return Ask(
        query=queries[0],
        known=known,
        default_graphs=[value for name, value in told if name == "default-graph-uri"],
        named_graphs=[value for name, value in told if name == "named-graph-uri"],
        rows=choose(accept, list(ROWS)),
        truth=choose(accept, list(TRUTHS)),
        graph=choose(accept, list(GRAPHS)),
    )


def identity(ask: Ask | None) -> bytes:
    """What a decision about a query hangs on, besides the register and the day."""
    return repr((ask.query, ask.default_graphs, ask.named_graphs) if ask else None).encode("utf-8", "backslashreplace")


def _wants_page(request: Request) -> bool:
    """Whether a browser shows the answer to a person."""
    return choose(request.headers.get("accept"), ["application/sparql-results+json", "text/turtle", "text/html"]) == (
        "text/html"
    )


async def _run(request: Request, running: Coroutine[Any, Any, Answer | Refusal]) -> Answer | Refusal:
    """The answer; a caller who goes away stops the query."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    work, away = asyncio.create_task(running), asyncio.create_task(gone())
    try:
        await asyncio.wait({work, away}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise _Refused(499, "the caller went away")
        return work.result()
    finally:
        work.cancel()
        away.cancel()
        await asyncio.gather(work, away, return_exceptions=True)


# --- What this service is ---------------------------------------------------------------------------------------------


_GRAPHS = Ask(
    query="SELECT ?graph (COUNT(*) AS ?triples) { { ?s ?p ?o BIND(<> AS ?graph) } UNION { GRAPH ?graph { ?s ?p ?o } } }"
    " GROUP BY ?graph ORDER BY ?graph"
)
"""How large each graph is; the default graph goes by the name of the register's root."""


async def _described(request: Request, service: Serving, known: str, headers: dict[str, str]) -> Response:
    media = choose(request.headers.get("accept"), list(GRAPHS))
    if media is None:
        raise _Refused(406, f"the description of this service is offered as {', '.join(GRAPHS)}")
    reply = await _run(request, service.workers.run(structs.replace(_GRAPHS, known=known)))
    if isinstance(reply, Refusal):
        raise _Refused(reply.status, reply.reason)
    sizes = {row["graph"]["value"]: row["triples"]["value"] for row in json.loads(reply.body)["results"]["bindings"]}
    snapshots = [f"{SNAPSHOT}{day}" for day in service.register.days_of_change]
    triples = _description(str(request.url.replace(query="", fragment="")), sizes, snapshots)
    body = ox.serialize(triples, format=GRAPHS[media], prefixes={"sd": _SD, "void": _VOID, "format": _FORMATS})
    return Response(body, media_type=media, headers=headers)


def _description(endpoint: str, sizes: Mapping[str, str], snapshots: Iterable[str]) -> Iterator[ox.Triple]:
    """The service in the terms of SPARQL 1.1 Service Description.

    ``sizes`` are triples by graph, ``snapshots`` graphs that are there when they are asked for.
    """

    def tell(subject: str, predicate: str, value: str | ox.Literal) -> ox.Triple:
        return ox.Triple(
            ox.NamedNode(subject), ox.NamedNode(predicate), ox.NamedNode(value) if isinstance(value, str) else value
        )

    def size(number: str) -> ox.Literal:
        return ox.Literal(number, datatype=ox.NamedNode("http://www.w3.org/2001/XMLSchema#integer"))

    dataset, default, available = f"{endpoint}#dataset", f"{endpoint}#known", f"{endpoint}#available"
    yield tell(endpoint, TYPE, _SD + "Service")
    yield tell(endpoint, _SD + "endpoint", endpoint)
    yield tell(endpoint, _SD + "supportedLanguage", _SD + "SPARQL11Query")
    yield tell(endpoint, _SD + "feature", _SD + "EmptyGraphs")
    for written in _WRITTEN_AS:
        yield tell(endpoint, _SD + "resultFormat", _FORMATS + written)
    yield tell(endpoint, _SD + "defaultDataset", dataset)
    yield tell(endpoint, _SD + "availableGraphs", available)
    yield tell(default, TYPE, _SD + "Graph")
    yield tell(default, _VOID + "triples", size(sizes.get(ROOT, "0")))
    yield tell(available, TYPE, _SD + "GraphCollection")
    yield tell(dataset, TYPE, _SD + "Dataset")
    yield tell(dataset, _SD + "defaultGraph", default)
    files = {name: f"{endpoint}#{name.removeprefix(ROOT)}" for name in sizes if name != ROOT}
    days = {name: f"{endpoint}#{name.removeprefix(ROOT)}" for name in snapshots}
    for whole, graphs in ((dataset, files), (available, days)):
        for graph in graphs.values():
            yield tell(whole, _SD + "namedGraph", graph)
    for name, graph in (*files.items(), *days.items()):
        yield tell(graph, TYPE, _SD + "NamedGraph")
        yield tell(graph, _SD + "name", name)
        if name in files:
            yield tell(graph, _SD + "graph", f"{graph}/content")
            yield tell(f"{graph}/content", TYPE, _SD + "Graph")
            yield tell(f"{graph}/content", _VOID + "triples", size(sizes[name]))
