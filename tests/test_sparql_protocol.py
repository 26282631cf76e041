"""The W3C's SPARQL 1.1 protocol tests, from a folder that ``SPARQL_PROTOCOL_TESTS`` names.

The suite is no part of the project: get https://github.com/w3c/rdf-tests and name its sparql/sparql11/protocol. Its
tests of updates are left out, but for those in which an update must be refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from rdflib import RDFS, Graph, Namespace, URIRef
from rdflib.collection import Collection
from service import kept, serving

from chartulary.service.app import create_app
from chartulary.service.settings import Settings
from chartulary.service.workers import Workers

__all__ = ["kept"]

MF = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#")
HT = Namespace("http://www.w3.org/2011/http#")
CNT = Namespace("http://www.w3.org/2011/content#")
UT = Namespace("http://www.w3.org/2009/sparql/tests/test-update#")
FORMATS = {
    "boolean": ("application/sparql-results+json", "application/sparql-results+xml"),
    "tabular": ("application/sparql-results+json", "application/sparql-results+xml", "text/csv"),
    "RDF": ("text/turtle", "application/rdf+xml", "application/n-triples", "application/ld+json"),
}
FOLDER = os.environ.get("SPARQL_PROTOCOL_TESTS")


@dataclass(frozen=True)
class Sent:
    """A request, and what must come back."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None
    statuses: frozenset[str]
    """First digits."""
    format: str | None
    boolean: bool | None


def read(folder: Path) -> tuple[dict[str, list[Sent]], bytes]:
    """The requests of each test by its name, and all data that any of them asks for, as N-Quads."""
    manifest = Graph().parse(folder / "manifest.ttl")
    tests: dict[str, list[Sent]] = {}
    (entries,) = manifest.objects(None, MF.entries)
    for test in Collection(manifest, entries):
        name = str(test).partition("#")[2]
        if not name.startswith("update_"):
            (requests,) = manifest.objects(manifest.value(test, MF.action), HT.requests)
            tests[name] = [request(manifest, node) for node in Collection(manifest, requests)]
    quads = []
    for data in {
        (str(manifest.value(n, RDFS.label)), manifest.value(n, UT.graph)) for n in manifest.objects(None, UT.graphData)
    }:
        name, file = data
        lines = (folder / Path(str(file)).name).read_text().splitlines()
        quads += [f"{line.rstrip(' .')} <{name}> ." for line in lines if line.strip()]
    return tests, "\n".join(quads).encode()


def request(manifest: Graph, node: Any) -> Sent:
    """A request as the manifest describes it."""

    def text(subject: Any, predicate: URIRef) -> str:
        return str(manifest.value(subject, predicate))

    reply = manifest.value(node, HT.resp)
    body = manifest.value(node, HT.body)
    headers = manifest.value(node, HT.headers)
    format, boolean = manifest.value(reply, MF.expectedFormat), manifest.value(reply, MF.expectedBoolean)
    return Sent(
        method=text(node, HT.methodName),
        path=text(node, HT.absolutePath).replace("/sparql/", "/sparql", 1),
        headers={text(h, HT.fieldName): text(h, HT.fieldValue) for h in Collection(manifest, headers)}
        if headers
        else {},
        body=text(body, CNT.chars).encode(text(body, CNT.characterEncoding)) if body else None,
        statuses=frozenset(
            str(status).rpartition("StatusCode")[2][0] for status in manifest.objects(reply, MF.expectedStatus)
        ),
        format=str(format) if format is not None else None,
        boolean=boolean.toPython() if boolean is not None else None,
    )


TESTS, DATA = read(Path(FOLDER)) if FOLDER else ({}, b"")


@pytest.fixture(scope="module")
def url(kept: Settings) -> Iterator[str]:
    def make(what: str, day: date | None) -> bytes:
        return DATA if what == "files" else b""

    app = create_app(kept)
    app.state.service.workers = Workers(make)
    with serving(app) as base:
        yield base


@pytest.mark.skipif(not FOLDER, reason="SPARQL_PROTOCOL_TESTS names no folder with the W3C's protocol tests")
@pytest.mark.parametrize("name", TESTS)
def test_protocol(url: str, name: str) -> None:
    for sent in TESTS[name]:
        answer = httpx.request(sent.method, url + sent.path, headers=sent.headers, content=sent.body)
        assert str(answer.status_code)[0] in sent.statuses, answer.text
        if sent.format:
            assert answer.headers["content-type"].split(";")[0] in FORMATS[sent.format]
        if sent.boolean is not None:
            assert answer.json()["boolean"] is sent.boolean
