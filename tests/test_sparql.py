"""The SPARQL endpoint: real clients, the protocol to its letter, and queries that would never end."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pyoxigraph
import pytest
from rdflib import RDF, RDFS, Graph, Literal, URIRef
from rdflib.plugins.stores.sparqlstore import SPARQLStore
from service import kept, serving
from SPARQLWrapper import CSV, GET, JSON, JSONLD, POST, POSTDIRECTLY, TSV, TURTLE, URLENCODED, XML, SPARQLWrapper

from chartulary import Register
from chartulary.namespaces import POL, ROOT
from chartulary.register import ExportFormat
from chartulary.service.app import create_app
from chartulary.service.settings import Settings
from chartulary.service.worker import Answer, Ask, Reading, Refusal, snapshot_day
from chartulary.service.workers import Busy, Workers

__all__ = ["kept"]

NCD = f"{ROOT}policy/medicare/ncd-110.24"
BEFORE, AFTER = f"{ROOT}snapshot/2025-09-01", f"{ROOT}snapshot/2026-02-06"
ALL_POLICIES = f"SELECT ?policy {{ ?policy a <{POL.Policy}> }}"
KX_ENDS = f"ASK {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }}"
ENDLESS = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
RESULTS = "application/sparql-results+"


@pytest.fixture(scope="module")
def url(kept: Settings) -> Iterator[str]:
    with serving(create_app(replace(kept, query_seconds=4.0, query_rows=5_000))) as base:
        yield f"{base}/sparql"


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url.removesuffix("/sparql"), timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def guarded(kept: Settings) -> Iterator[httpx.Client]:
    """A service that asks for a token, and gives a query more time than anybody has."""
    token = "a token of some length"
    app = create_app(replace(kept, token=token, query_workers=1, query_seconds=60.0))
    shown = {"authorization": f"Bearer {token}"}
    with serving(app) as base, httpx.Client(base_url=base, timeout=30, headers=shown) as client:
        yield client


def get(client: httpx.Client, query: str | None = None, accept: str = "*/*", **more: Any) -> httpx.Response:
    parameters = {name.replace("_", "-"): value for name, value in more.items()}
    return client.get(
        "/sparql", params=({"query": query} if query is not None else {}) | parameters, headers={"accept": accept}
    )


def truth(answer: httpx.Response) -> bool:
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["boolean"])


def count(answer: httpx.Response) -> int:
    assert answer.status_code == 200, answer.text
    return int(answer.json()["results"]["bindings"][0]["n"]["value"])


def reason(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert list(told) == ["error"]
    assert "\n" not in told["error"]
    return str(told["error"])


# --- Clients as people have them --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["get", "form", "body"])
def test_sparqlwrapper(url: str, register: Register, method: str) -> None:
    asking = SPARQLWrapper(url)
    asking.setMethod(GET if method == "get" else POST)
    asking.setRequestMethod(POSTDIRECTLY if method == "body" else URLENCODED)
    policies = {str(policy) for policy in register.whole.subjects(RDF.type, POL.Policy)}
    asking.setQuery(ALL_POLICIES)
    asking.setReturnFormat(JSON)
    rows: Any = asking.query().convert()
    assert {row["policy"]["value"] for row in rows["results"]["bindings"]} == policies
    for format in (CSV, TSV, XML):
        asking.setReturnFormat(format)
        answer: Any = asking.query().convert()
        text = answer.toxml() if format == XML else answer.decode()
        assert all(policy in text for policy in policies)
    asking.setQuery(f"CONSTRUCT {{ ?s a <{POL.Policy}> }} WHERE {{ ?s a <{POL.Policy}> }}")
    for format in (XML, TURTLE, JSONLD):
        asking.setReturnFormat(format)
        made: Any = asking.query().convert()
        graph = made if isinstance(made, Graph) else Graph().parse(data=made, format="turtle")
        assert {str(policy) for policy in graph.subjects(RDF.type, POL.Policy)} == policies
    asking.setReturnFormat(JSON)
    asking.setQuery(KX_ENDS)
    assert asking.query().convert() == {"head": {}, "boolean": True}
    asking.addDefaultGraph(BEFORE)
    assert asking.query().convert() == {"head": {}, "boolean": False}


def test_rdflib(url: str, register: Register) -> None:
    for method in ("GET", "POST", "POST_FORM"):
        store: Any = SPARQLStore(url, method=method)
        graph = Graph(store)
        policies = set(register.whole.subjects(RDF.type, POL.Policy))
        rows: Any = graph.query(ALL_POLICIES)
        assert {row.policy for row in rows} == policies
        assert set(graph.subjects(RDF.type, POL.Policy)) == policies
        labels = set(graph.objects(URIRef(NCD), RDFS.label))
        assert labels == set(register.whole.objects(URIRef(NCD), RDFS.label))
        file = Graph(store, identifier=URIRef(f"{NCD}/2025-12-09"))
        stated: Any = file.query("SELECT (COUNT(*) AS ?n) { ?s ?p ?o }")
        assert [int(row.n) for row in stated] == [len(register.files[URIRef(f"{NCD}/2025-12-09")])]
        described: Any = graph.query(f"DESCRIBE <{NCD}>")
        assert (URIRef(NCD), RDF.type, POL.Policy) in described.graph


def test_curl(url: str) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")

    def run(*arguments: str) -> str:
        done = subprocess.run([curl, "-sS", "--fail-with-body", *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    assert json.loads(run("-G", url, "--data-urlencode", f"query={KX_ENDS}"))["boolean"] is True
    assert json.loads(run(url, "--data-urlencode", f"query={KX_ENDS}"))["boolean"] is True
    direct = ("-H", "Content-Type: application/sparql-query", "-H", "Accept: text/csv", "--data-binary")
    assert NCD in run(url, *direct, ALL_POLICIES).splitlines()
    assert run(url, "-H", "Accept: application/n-triples", "--data-urlencode", f"query=DESCRIBE <{NCD}>").endswith(
        " .\n"
    )
    assert "sd:Service" in run(url)


# --- The protocol -----------------------------------------------------------------------------------------------------

SELECT, CONSTRUCT = "SELECT ?s { ?s ?p ?o } LIMIT 2", "CONSTRUCT WHERE { ?s ?p ?o } LIMIT 2"


@pytest.mark.parametrize(
    ("query", "accept", "given"),
    [
        (SELECT, "*/*", f"{RESULTS}json"),
        (SELECT, "", f"{RESULTS}json"),
        (SELECT, f"{RESULTS}json", f"{RESULTS}json"),
        (SELECT, "application/json", "application/json"),
        (SELECT, f"{RESULTS}xml, */*;q=0.1", f"{RESULTS}xml"),
        (SELECT, "text/csv;q=0.3, text/tab-separated-values;q=0.5", "text/tab-separated-values"),
        (SELECT, "text/csv", "text/csv"),
        (SELECT, "text/turtle, text/*;q=0.2", "text/csv"),
        (SELECT, "text/turtle", None),
        (SELECT, f"image/png, {RESULTS}json;q=0", None),
        (KX_ENDS, "*/*", f"{RESULTS}json"),
        (KX_ENDS, f"{RESULTS}xml", f"{RESULTS}xml"),
        (KX_ENDS, f"text/csv, {RESULTS}json;q=0.5", f"{RESULTS}json"),
        (KX_ENDS, "text/csv", None),
        (CONSTRUCT, "*/*", "text/turtle"),
        (CONSTRUCT, "application/n-triples", "application/n-triples"),
        (CONSTRUCT, "application/rdf+xml", "application/rdf+xml"),
        (CONSTRUCT, "application/ld+json", "application/ld+json"),
        (CONSTRUCT, "text/n3", "text/n3"),
        (CONSTRUCT, f"{RESULTS}json", None),
        (f"DESCRIBE <{NCD}>", "text/turtle;q=0.9, application/n-triples", "application/n-triples"),
    ],
)
def test_the_answer_is_as_the_client_likes_it(client: httpx.Client, query: str, accept: str, given: str | None) -> None:
    answer = get(client, query, accept)
    assert answer.headers["vary"] == "Accept"
    if given is None:
        assert "is answered as" in reason(answer, 406)
        return
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].split(";")[0] == given
    if given.startswith(RESULTS) or given.startswith("text/t") and query == SELECT:
        format = pyoxigraph.QueryResultsFormat.from_media_type(given)
        assert format is not None
        found: Any = pyoxigraph.parse_query_results(answer.content, format)
        assert bool(found) if query == KX_ENDS else len(list(found)) == 2
    elif given not in ("text/csv", "application/json"):
        rdf = pyoxigraph.RdfFormat.from_media_type(given)
        assert list(pyoxigraph.parse(answer.content, rdf))


def test_turtle_has_the_prefixes_of_the_query(client: httpx.Client) -> None:
    query = f"PREFIX p: <{POL}> CONSTRUCT WHERE {{ ?s a p:Policy }}"
    assert f"@prefix p: <{POL}> ." in get(client, query).text
    assert " a p:Policy" in get(client, query).text


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "told"),
    [
        ("GET", "?query=ASK{}&query=ASK{}", b"", "", 400, "more than one query"),
        ("POST", "?query=ASK{}", b"ASK {}", "application/sparql-query", 400, "more than one query"),
        ("POST", "?query=ASK{}", b"query=ASK{}", "application/x-www-form-urlencoded", 400, "more than one query"),
        ("POST", "", b"", "application/x-www-form-urlencoded", 400, "no query"),
        ("POST", "?query=ASK{}", b"", "", 415, "application/sparql-query"),
        ("POST", "", b"ASK {}", "text/plain", 415, "application/sparql-query"),
        ("POST", "", b"ASK {}", "multipart/form-data; boundary=x", 415, "application/sparql-query"),
        ("POST", "", "ASK {}".encode("utf-16"), "application/sparql-query; charset=utf-16", 415, "UTF-8"),
        ("POST", "", b"ASK { ?s ?p '\xff' }", "application/sparql-query", 400, "UTF-8"),
        ("POST", "", b"query=ASK{}%FF", "application/x-www-form-urlencoded", 400, "UTF-8"),
        ("GET", "?query=%FF", b"", "", 400, "UTF-8"),
        ("GET", "?update=CLEAR+ALL", b"", "", 403, "read-only"),
        ("POST", "", b"update=CLEAR+ALL", "application/x-www-form-urlencoded", 403, "read-only"),
        ("POST", "", b"CLEAR ALL", "application/sparql-update", 403, "read-only"),
        ("POST", "", b"CLEAR ALL", "application/sparql-query", 400, "CLEAR is not answered: the register is read-only"),
        ("GET", "?query=INSERT+DATA+{<a:a>+<a:a>+1}", b"", "", 400, "read-only"),
        ("GET", "?query=LOAD+<file:///etc/passwd>", b"", "", 400, "read-only"),
        ("GET", "?query=", b"", "", 400, "line 1, column 1"),
        ("GET", "?query=ASK+{}&as-known-on=yesterday", b"", "", 400, "as-known-on: 'yesterday' is not a day"),
        ("GET", "?query=ASK+{}&as-known-on=2025-09-01&as-known-on=2025-09-02", b"", "", 400, "more than once"),
        ("GET", "?query=ASK+{}&as_known_on=2025-09-01", b"", "", 400, "it is 'as-known-on'"),
        ("GET", "?query=ASK+{}&" + "a=b&" * 1001, b"", "", 400, "more than 1,000 parameters"),
        ("POST", "", b"ASK {} #" + b"x" * 1_100_000, "application/sparql-query", 413, "longer than"),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(
    url: str, method: str, path: str, body: bytes, kind: str, status: int, told: str
) -> None:
    answer = httpx.request(method, url + path, content=body or None, headers={"content-type": kind} if kind else {})
    assert told in reason(answer, status)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT * {\n  ?s rdf:type ?o }", "line 2, column 6: the prefix 'rdf:' is not declared"),
        ("SELECT * {\n  ?s ?p ?o . { ?s ?p 1 }", "line 1, column 10: this '{' is never closed"),
        ("SELECT * { ?s ?p (1 2 }", "line 1, column 23: this '}' closes nothing"),
        ("SELECT * { ?s ?p ?o } LIMIT x", "line 1, column 29: 'x' is not expected here"),
        ("SELECT * { ?s ?p '{' # { }\n} LIMIT x", "line 2, column 9: 'x' is not expected here"),
        ("SELECT ?x (COUNT(*) AS ?n) { ?a ?b ?c } GROUP BY ?a", "the SELECT contains a variable that is unbound"),
        ("what is required?", "line 1, column"),
    ],
)
def test_a_fault_in_a_query_is_told_with_its_place(client: httpx.Client, query: str, told: str) -> None:
    assert told in reason(get(client, query), 400)


def test_methods(client: httpx.Client) -> None:
    head = client.head("/sparql", params={"query": KX_ENDS})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == f"{RESULTS}json"
    options = client.options("/sparql")
    assert options.status_code == 204
    assert options.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    for method in ("PUT", "PATCH", "DELETE"):
        refused = client.request(method, "/sparql", params={"query": KX_ENDS})
        assert "GET, HEAD, POST" in reason(refused, 405)
        assert refused.headers["allow"] == "GET, HEAD, POST, OPTIONS"


def test_an_answer_says_what_it_was_made_by(client: httpx.Client, register: Register) -> None:
    made_by = [get(client, KX_ENDS, as_known_on=day).headers for day in ("2025-09-01", "2025-09-01", "2025-09-02")]
    made_by.append(get(client, KX_ENDS).headers)
    assert {each["chartulary-register-revision"] for each in made_by} == {register.revision}
    days = [each["chartulary-as-known-on"] for each in made_by]
    assert days == ["2025-09-01", "2025-09-01", "2025-09-02", "all"]
    one, same, other, _ = (each["chartulary-decision"] for each in made_by)
    assert one == same != other


def test_a_browser_is_sent_to_the_page(client: httpx.Client) -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert get(client, accept=browser).headers["location"] == "/explore/sparql"
    sent = get(client, "ASK {}", browser, as_known_on="2025-09-01")
    assert sent.status_code == 303
    assert sent.headers["location"] == "/explore/sparql?query=ASK+%7B%7D&as-known-on=2025-09-01"


def test_other_sites_read_only_what_is_public(client: httpx.Client, guarded: httpx.Client) -> None:
    asked = client.post("/sparql", data={"query": "ASK {}"}, headers={"origin": "https://elsewhere.example"})
    assert asked.headers["access-control-allow-origin"] == "*"
    assert get(client, "ASK {").headers["access-control-allow-origin"] == "*"
    assert "Content-Type" in client.options("/sparql").headers["access-control-allow-headers"]
    for answer in (get(guarded, "ASK {}"), guarded.options("/sparql")):
        assert answer.is_success
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert guarded.get("/sparql", headers={"authorization": ""}).status_code == 401


SD = "http://www.w3.org/ns/sparql-service-description#"


def test_the_service_describes_itself(client: httpx.Client, url: str, register: Register) -> None:
    for media in ("text/turtle", "application/rdf+xml", "application/n-triples"):
        answer = get(client, accept=media)
        assert answer.headers["content-type"].startswith(media)
        told = Graph().parse(data=answer.text, format=media)
        (service,) = told.subjects(RDF.type, URIRef(f"{SD}Service"))
        assert (service, URIRef(f"{SD}endpoint"), URIRef(url)) in told
        assert (service, URIRef(f"{SD}supportedLanguage"), URIRef(f"{SD}SPARQL11Query")) in told
        assert len(set(told.objects(service, URIRef(f"{SD}resultFormat")))) >= 8
        (dataset,) = told.objects(service, URIRef(f"{SD}defaultDataset"))
        named = {
            name
            for graph in told.objects(dataset, URIRef(f"{SD}namedGraph"))
            for name in told.objects(graph, URIRef(f"{SD}name"))
        }
        assert named == set(register.files)
        (available,) = told.objects(service, URIRef(f"{SD}availableGraphs"))
        snapshots = {
            name
            for graph in told.objects(available, URIRef(f"{SD}namedGraph"))
            for name in told.objects(graph, URIRef(f"{SD}name"))
        }
        assert snapshots == {URIRef(f"{ROOT}snapshot/{day}") for day in register.days_of_change}
    assert "offered as" in reason(get(client, accept="text/csv"), 406)
    early = Graph().parse(data=get(client, as_known_on="1900-01-01").text, format="turtle")
    assert Literal(f"{NCD}/2025-12-09") not in {Literal(str(name)) for name in early.objects(None, URIRef(f"{SD}name"))}


# --- Graphs -----------------------------------------------------------------------------------------------------------

COUNT = "SELECT (COUNT(*) AS ?n) "


def test_the_default_graph_is_what_is_known(client: httpx.Client, register: Register) -> None:
    assert count(get(client, COUNT + "{ ?s ?p ?o }")) == len(register.snapshot().graph)
    for day in ("2025-09-01", "1900-01-01"):
        known = len(register.snapshot(as_known_on=date.fromisoformat(day)).graph)
        assert count(get(client, COUNT + "{ ?s ?p ?o }", as_known_on=day)) == known
        posted = client.post("/sparql", data={"query": COUNT + "{ ?s ?p ?o }", "as-known-on": day})
        assert count(posted) == known
        body = {"content-type": "application/sparql-query"}
        posted = client.post("/sparql", content=COUNT + "{ ?s ?p ?o }", params={"as-known-on": day}, headers=body)
        assert count(posted) == known
        assert count(get(client, f"{COUNT} FROM <{ROOT}snapshot/{day}> {{ ?s ?p ?o }}")) == known


def test_each_file_is_a_named_graph(client: httpx.Client, register: Register) -> None:
    rows = get(client, "SELECT ?g (COUNT(*) AS ?n) { GRAPH ?g { ?s ?p ?o } } GROUP BY ?g").json()["results"]["bindings"]
    assert {row["g"]["value"]: int(row["n"]["value"]) for row in rows} == {
        str(name): len(graph) for name, graph in register.files.items() if len(graph)
    }


def test_a_file_as_of_a_day_tells_nothing_that_came_later(client: httpx.Client) -> None:
    later = f"ASK {{ GRAPH ?g {{ ?s ?p ?o FILTER(STRSTARTS(STR(?s), '{NCD}/2025-12-09')) }} }}"
    assert truth(get(client, later))
    assert truth(get(client, later, as_known_on="2025-12-09"))
    assert not truth(get(client, later, as_known_on="2025-12-08"))
    mentioned = f"ASK {{ GRAPH ?g {{ ?s ?p <{NCD}/2025-12-09> }} }}"
    assert not truth(get(client, mentioned, as_known_on="2025-12-08"))


@pytest.mark.parametrize(
    ("query", "graphs", "found"),
    [
        (f"ASK FROM <{BEFORE}> {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }}", {}, False),
        (f"ASK FROM <{AFTER}> {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }}", {}, True),
        (f"ASK FROM <{BEFORE}> FROM <{AFTER}> {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }}", {}, True),
        (f"ASK FROM NAMED <{BEFORE}> {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }}", {}, False),
        (f"ASK FROM NAMED <{AFTER}> {{ GRAPH ?g {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }} }}", {}, True),
        (f"ASK {{ GRAPH <{BEFORE}> {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }} }}", {}, False),
        (f"ASK {{ GRAPH <{AFTER}> {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }} }}", {}, True),
        (
            f"PREFIX at: <{ROOT}snapshot/> ASK {{ GRAPH at:2026-02-06 {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }} }}",
            {},
            True,
        ),
        (f"ASK {{ GRAPH <snapshot/2026-02-06> {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }} }}", {}, True),
        (f"ASK {{ VALUES ?g {{ <{AFTER}> }} GRAPH ?g {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }} }}", {}, True),
        (KX_ENDS, {"default_graph_uri": BEFORE}, False),
        (KX_ENDS, {"default_graph_uri": [BEFORE, AFTER]}, True),
        (KX_ENDS, {"default_graph_uri": f"{NCD}/2025-12-09"}, True),
        (KX_ENDS, {"default_graph_uri": f"{NCD}/2019-08-07"}, False),
        (KX_ENDS, {"named_graph_uri": AFTER}, False),
        (f"ASK FROM <{AFTER}> {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }}", {"default_graph_uri": BEFORE}, False),
        (f"ASK FROM <{BEFORE}> {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }}", {"default_graph_uri": AFTER}, True),
        (f"ASK FROM <{AFTER}> {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }}", {"named_graph_uri": AFTER}, False),
        (f"ASK {{ GRAPH ?g {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }} }}", {"named_graph_uri": [BEFORE]}, False),
        (f"ASK {{ GRAPH ?g {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }} }}", {"named_graph_uri": [BEFORE, AFTER]}, True),
        (f"ASK {{ GRAPH ?g {{ <{NCD}/2025-12-09#kx-ends> ?p ?o }} }}", {"default_graph_uri": AFTER}, False),
        ("ASK { ?s ?p ?o }", {"default_graph_uri": f"{ROOT}snapshot/2025-02-30"}, False),
        ("ASK { ?s ?p ?o }", {"default_graph_uri": f"{ROOT}snapshot/2025-09-01/"}, False),
        ("ASK { ?s ?p ?o }", {"default_graph_uri": "urn:nothing"}, False),
        ("ASK FROM <http://127.0.0.1:9/data.ttl> { ?s ?p ?o }", {}, False),
        ("ASK FROM <file:///etc/hostname> { ?s ?p ?o }", {}, False),
    ],
)
def test_the_dataset_is_the_one_that_is_named(
    client: httpx.Client, query: str, graphs: dict[str, Any], found: bool
) -> None:
    assert truth(get(client, query, **graphs)) == found


def test_a_snapshot_is_a_named_graph_only_for_the_query_that_names_it(client: httpx.Client) -> None:
    graphs = "SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } }"
    plain = get(client, graphs).json()
    assert truth(get(client, f"ASK {{ GRAPH <{BEFORE}> {{ ?s ?p ?o }} }}"))
    assert get(client, graphs).json() == plain
    assert BEFORE not in str(plain)


@pytest.mark.parametrize(
    "name", ["", "not an iri", "a>b", f"{AFTER}> {{}} #", "x y:z", "snapshot/2025-09-01", "\x00", "\ud7ff<>"]
)
def test_a_graph_with_an_odd_name_is_refused(client: httpx.Client, name: str) -> None:
    assert "absolute IRI" in reason(get(client, "ASK { ?s ?p ?o }", default_graph_uri=name), 400)
    assert "absolute IRI" in reason(get(client, "ASK { ?s ?p ?o }", named_graph_uri=name), 400)


def test_a_query_names_few_snapshots(client: httpx.Client) -> None:
    names = " ".join(f"FROM <{ROOT}snapshot/2025-01-{day:02}>" for day in range(1, 10))
    assert "names 9 snapshots" in reason(get(client, f"ASK {names} {{ ?s ?p ?o }}"), 400)


def test_the_day_of_a_snapshot() -> None:
    assert snapshot_day(BEFORE) == "2025-09-01"
    for other in (
        ROOT,
        NCD,
        f"{ROOT}snapshot/",
        f"{BEFORE}#a",
        f"{ROOT}snapshot/20250901",
        f"{ROOT}snapshot/2025-13-01",
    ):
        assert snapshot_day(other) is None


# --- What is not done -------------------------------------------------------------------------------------------------

HIDDEN = (
    "SELECT * { SERVICE <%s> { ?s ?p ?o } }",
    "SELECT * { service silent<%s>{ ?s ?p ?o } }",
    "SELECT * { VALUES ?where { <%s> } SERVICE ?where { ?s ?p ?o } }",
    "SELECT * { ?s ?p ?o # }\n SERVICE # <\n <%s> { ?s ?p ?o } }",
    "PREFIX : <%s> SELECT * { SERVICE: { ?s ?p ?o } }",
    "SELECT * { ?a ?b trueSERVICE <%s> { ?s ?p ?o } }",
    "SELECT * { ?a ?b 5SERVICE <%s> { ?s ?p ?o } }",
    "PREFIX b: <b:> SELECT * { VALUES ?v { <%s> } ?s ?p ?a FILTER(?a<b:c)SERVICE#>\n?v { ?s ?p ?o } }",
    "SELECT * { ?s ?p '\\'' SERVICE <%s> { ?s ?p '' } }",
    "SELECT * { ?s ?p '''a' ''' . { SERVICE <%s> { ?s ?p '''''' } } }",
)


def test_no_other_server_is_asked(client: httpx.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        for query in HIDDEN:
            there = f"http://127.0.0.1:{other.getsockname()[1]}/"
            assert "SERVICE is not allowed" in reason(get(client, query % there), 400)
        with pytest.raises(BlockingIOError):
            other.accept()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * { ?service ?p ?o } LIMIT 1",
        "SELECT * { ?s ?p 'SERVICE <x> {' } # SERVICE <x> {",
        'SELECT * { ?s ?p """SERVICE "quoted" """ }',
        "PREFIX s: <http://SERVICE/service#> SELECT * { s:service ?p <http://service/SERVICE> } LIMIT 1",
        "SELECT * { ?s ?p 'x'@service }",
    ],
)
def test_a_query_may_speak_of_services(client: httpx.Client, query: str) -> None:
    assert get(client, query).status_code == 200


def test_a_process_reaches_neither_files_nor_servers() -> None:
    pytest.importorskip("resource", reason="limits of processes are a matter of Unix")
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        script = f"""
import sys
from pyoxigraph import Store
from chartulary.service import worker
say = sys.stdout
worker._let_go(worker.Limits(10, 10, 1 << 30))
for attempt in (
    lambda: list(Store().query("SELECT * {{ SERVICE <http://127.0.0.1:{other.getsockname()[1]}/> {{ ?s ?p ?o }} }}")),
    lambda: open("/etc/hostname"),
    lambda: open("/tmp/chartulary-test", "w"),
):
    try:
        attempt()
        say.write("done ")
    except OSError:
        say.write("refused ")
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout.split() == ["refused"] * 3
        with pytest.raises(BlockingIOError):
            other.accept()


# --- Limits -----------------------------------------------------------------------------------------------------------


def test_a_query_without_end_is_stopped_while_others_are_answered(client: httpx.Client) -> None:
    ended = threading.Event()
    answers: list[httpx.Response] = []

    def run() -> None:
        answers.append(get(client, ENDLESS))
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    meanwhile = 0
    while not ended.is_set():
        assert truth(get(client, KX_ENDS))
        meanwhile += not ended.is_set()
    thread.join()
    assert meanwhile > 5
    assert "longer than 4 seconds, and was stopped" in reason(answers[0], 504)


def test_as_many_queries_without_end_as_processes(client: httpx.Client) -> None:
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(get(client, ENDLESS))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert truth(get(client, KX_ENDS))
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {504}


@pytest.mark.parametrize("accept", [f"{RESULTS}json", f"{RESULTS}xml", "text/csv", "text/tab-separated-values"])
def test_an_answer_has_no_more_rows_than_it_may(client: httpx.Client, accept: str) -> None:
    many = "SELECT ?s ?o { ?s ?p ?o . ?a ?b ?c } LIMIT %d"
    assert get(client, many % 5_000, accept).status_code == 200
    assert "too many rows: more than 5,000" in reason(get(client, many % 5_001, accept), 422)


def test_a_graph_has_no_more_triples_than_it_may(client: httpx.Client) -> None:
    many = "CONSTRUCT { ?s ?a ?o } { ?s ?p ?o . ?a ?b ?c }"
    for accept in ("text/turtle", "application/n-triples", "application/rdf+xml", "application/ld+json"):
        assert "too many triples: more than 5,000" in reason(get(client, many, accept), 422)


def test_a_query_is_not_nested_too_deep(client: httpx.Client) -> None:
    for deep in ("SELECT * " + "{" * 200_000, "ASK { FILTER(" + "(" * 501 + "1" + ")" * 501 + ") }"):
        answer = client.post("/sparql", content=deep, headers={"content-type": "application/sparql-query"})
        assert "nested more than 500 deep" in reason(answer, 400)
    assert truth(get(client, "ASK { FILTER(" + "(" * 400 + "1" + ")" * 400 + ") }"))


# --- The pool by itself -----------------------------------------------------------------------------------------------


def nothing(what: str, day: date | None) -> bytes:
    """A small dataset, too large for a query over all of its triples to the sixth power."""
    return b"".join(b"<urn:s%d> <urn:p> <urn:o> .\n" % number for number in range(200)) if what == "snapshot" else b""


SLOW = "ASK { " + " ".join(f"?s{n} ?p{n} ?o{n} ." for n in range(6)) + " FILTER(?o0 = ?s5) }"


def pooled(test: Callable[[Workers], Awaitable[None]], **limits: Any) -> None:
    async def run() -> None:
        workers = Workers(nothing, **{"count": 1, "seconds": 30, **limits})
        await workers.start()
        try:
            await test(workers)
        finally:
            await workers.close()

    asyncio.run(run())


def test_whoever_waits_too_long_is_sent_away() -> None:
    async def test(workers: Workers) -> None:
        slow = asyncio.create_task(workers.run(Ask(query=SLOW)))
        waiting = asyncio.create_task(workers.run(Ask(query=SLOW)))
        await asyncio.sleep(0.1)
        with pytest.raises(Busy, match="too many"):
            await workers.run(Ask(query="ASK {}"))
        answers = await asyncio.gather(slow, waiting)
        assert [answer.status for answer in answers if isinstance(answer, Refusal)] == [504, 504]

    pooled(test, seconds=0.5, waiting=1)


def test_a_query_that_is_called_off_ends_at_once() -> None:
    async def test(workers: Workers) -> None:
        slow = asyncio.create_task(workers.run(Ask(query=SLOW)))
        await asyncio.sleep(0.2)
        slow.cancel()
        assert isinstance(await workers.run(Ask(query="ASK {}")), Answer)
        assert slow.cancelled()

    pooled(test)


def test_a_process_that_ended_by_itself_costs_no_query() -> None:
    async def test(workers: Workers) -> None:
        (worker,) = workers._all
        worker.process.kill()
        await worker.process.wait()
        assert isinstance(await workers.run(Ask(query="ASK {}")), Answer)

    pooled(test)


def test_an_answer_has_no_more_bytes_than_it_may() -> None:
    async def test(workers: Workers) -> None:
        answer = await workers.run(Ask(query="SELECT * { ?s ?p ?o }"))
        assert isinstance(answer, Refusal)
        assert "too many bytes: more than 1,000" in answer.reason

    pooled(test, size=1000)


def test_a_query_that_ends_its_process_costs_no_other() -> None:
    async def test(workers: Workers) -> None:
        for much in ("ASK { FILTER(" + "!" * 300_000 + "1) }", "ASK { " + " UNION ".join(["{}"] * 40_000) + " }"):
            answer = await workers.run(Ask(query=much))
            assert isinstance(answer, Refusal)
            assert (answer.status, "too deep" in answer.reason) == (422, True)
            assert isinstance(await workers.run(Ask(query="ASK {}")), Answer)

    pooled(test)


def test_who_waits_in_vain_is_told() -> None:
    async def test(workers: Workers) -> None:
        slow = asyncio.create_task(workers.run(Ask(query=SLOW)))
        await asyncio.sleep(0.05)
        with pytest.raises(Busy, match="take all the time"):
            await workers.run(Ask(query="ASK {}"))
        slow.cancel()

    pooled(test, patience=0.1)


def test_a_process_takes_no_more_memory_than_it_may() -> None:
    pytest.importorskip("resource", reason="limits of processes are a matter of Unix")

    async def test(workers: Workers) -> None:
        text = f"REPLACE('{'x' * 1000}', 'x', '{'y' * 1000}')"
        large = f"SELECT (CONCAT({', '.join(['?a'] * 900)}) AS ?b) {{ BIND({text} AS ?a) }}"
        answer = await workers.run(Ask(query=large))
        assert isinstance(answer, Refusal)
        assert (answer.status, "memory" in answer.reason) == (422, True)
        assert isinstance(await workers.run(Ask(query="ASK {}")), Answer)

    pooled(test, memory=512 * 1024 * 1024)


def test_who_goes_away_stops_the_query(guarded: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        guarded.get("/sparql", params={"query": ENDLESS}, timeout=0.3)
    assert truth(guarded.get("/sparql", params={"query": KX_ENDS}))


def test_no_process_outlives_the_server() -> None:
    script = f"""
import asyncio
from chartulary.service.worker import Ask
from chartulary.service.workers import Workers

def make(what, day):
    return {nothing("snapshot", None)!r} if what == "snapshot" else b""

async def main():
    workers = Workers(make, count=2, seconds=60)
    await workers.start()
    print(*(worker.process.pid for worker in workers._all), flush=True)
    await workers.run(Ask(query="{SLOW}"))

asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(children) == 2
    time.sleep(0.2)
    assert parent.poll() is None
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for _ in range(200):
        children = [pid for pid in children if alive(pid)]
        if not children:
            return
        time.sleep(0.05)
    pytest.fail(f"still there: {children}")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def test_what_a_query_says_before_it_is_parsed() -> None:
    reading = Reading(
        f"BASE <{ROOT}> PREFIX s: <snapshot/> SELECT * FROM s:2025-09-01 {{ GRAPH <snapshot/2025-09-02> {{}} }}"
    )
    assert reading.snapshots == {BEFORE: "2025-09-01", f"{ROOT}snapshot/2025-09-02": "2025-09-02"}
    assert reading.has_dataset
    assert not Reading("SELECT ?from { ?from <urn:FROM> 'FROM' } # FROM").has_dataset


# --- The questions of the register ------------------------------------------------------------------------------------


def test_questions_give_the_same_here_and_there(url: str, register: Register) -> None:
    given: dict[str, Any] = {"code": "38228", "payer": "medicare", "dos": "2025-06-25"}
    here, there = register.ask("requirements", **given), register.ask("requirements", endpoint=url, **given)
    order = [sorted(map(str, answer)) for answer in (here, there)]
    assert len(here) > 0
    assert order[0] == order[1]
    later = given | {"dos": "2025-07-01"}
    for day, needed in (("2025-09-01", True), ("2026-02-06", False)):
        rows = register.ask("requirements", endpoint=f"{url}?as-known-on={day}", **later)
        assert any("modifier KX" in row["requires"] for row in rows) == needed


# --- For any other store ----------------------------------------------------------------------------------------------


def test_what_is_exported_is_what_is_served(client: httpx.Client, register: Register) -> None:
    snapshot = register.snapshot()
    formats = pyoxigraph.RdfFormat
    format: ExportFormat
    for format, rdf in (("nq", formats.N_QUADS), ("trig", formats.TRIG)):
        quads = [str(quad) for quad in pyoxigraph.parse(snapshot.export(format), rdf, lenient=True)]
        assert len(quads) == len(set(quads))
        assert len(quads) == count(get(client, COUNT + "{ { ?s ?p ?o } UNION { GRAPH ?g { ?s ?p ?o } } }"))
    for format, rdf in (("nt", formats.N_TRIPLES), ("ttl", formats.TURTLE)):
        triples = {str(quad) for quad in pyoxigraph.parse(snapshot.export(format), rdf, lenient=True)}
        assert triples == {str(quad) for quad in pyoxigraph.parse(snapshot.triples, formats.N_TRIPLES, lenient=True)}
    assert snapshot.export("ttl") == snapshot.export("ttl")
