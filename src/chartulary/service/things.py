"""Every IRI of the register at its own path: as a page, or as RDF."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote, urlsplit

import pyoxigraph as ox
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from chartulary.book import POLICY
from chartulary.register import data_folder
from chartulary.service.accept import choose
from chartulary.service.api import Serving
from chartulary.service.pages import page
from chartulary.terms import LABEL, POL, ROOT, SKOS, TYPE

if TYPE_CHECKING:
    from chartulary.service.app import Service

HTML = "text/html"
FORMS = {
    "text/turtle": ox.RdfFormat.TURTLE,
    "application/n-triples": ox.RdfFormat.N_TRIPLES,
    "application/ld+json": ox.RdfFormat.JSON_LD,
    "application/rdf+xml": ox.RdfFormat.RDF_XML,
}
_ONTOLOGY = ox.NamedNode("http://www.w3.org/2002/07/owl#Ontology")
_RELEASE = ox.NamedNode("http://www.w3.org/2002/07/owl#versionIRI")
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_FIRST, _REST, _NIL = ox.NamedNode(_RDF + "first"), ox.NamedNode(_RDF + "rest"), ox.NamedNode(_RDF + "nil")
_TYPE, _LABEL = ox.NamedNode(TYPE), ox.NamedNode(LABEL)
_NAMES = (_LABEL, ox.NamedNode(SKOS.prefLabel), ox.NamedNode("http://purl.org/dc/terms/title"))
_PREFIX = re.compile(r"^PREFIX\s+([\w.-]+):\s+<([^>]+)>", re.MULTILINE)
_MOST_USES = 60
_DEPTH = 8

_Subject: TypeAlias = "ox.NamedNode | ox.BlankNode"
_Term: TypeAlias = "ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple"


@dataclass(frozen=True, slots=True)
class Value:
    """What is said of a thing: a text, a link to another thing, or more said of something without a name."""

    text: str
    href: str = ""
    inner: tuple[Said, ...] = ()
    after: str = ""
    """What is said behind a link."""


@dataclass(frozen=True, slots=True)
class Said:
    """A property with its values."""

    name: str
    href: str
    values: tuple[Value, ...]
    more: int = 0
    """Values that are not shown."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something of the register, for a page."""

    iri: str
    title: str
    kinds: tuple[Value, ...]
    said: tuple[Said, ...]

    @property
    def spot(self) -> str:
        return self.iri.partition("#")[2]


class Things:
    """All that files of the register, the vocabularies and the shapes state."""

    def __init__(self, quads: bytes) -> None:
        self.store = ox.Store()
        self.store.bulk_load(quads, format=ox.RdfFormat.N_QUADS, lenient=True)
        for folder in ("ontology", "shapes"):
            self._read(folder)

    def _read(self, folder: str) -> None:
        """The files of a folder, each in a graph of the name of its ontology; what names none goes with the others."""
        read: list[tuple[ox.NamedNode | None, list[ox.Quad]]] = []
        for path in sorted(data_folder(folder).glob("*.ttl")):
            quads = list(ox.parse(path.read_bytes(), format=ox.RdfFormat.TURTLE, rename_blank_nodes=True))
            names = [q.subject for q in quads if q.predicate == _TYPE and q.object == _ONTOLOGY]
            read.append((names[0] if names and isinstance(names[0], ox.NamedNode) else None, quads))
        shared = next((name for name, _ in read if name), None)
        for name, quads in read:
            if graph := name or shared:
                self.store.extend(ox.Quad(q.subject, q.predicate, q.object, graph) for q in quads)

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """First parts of the paths under which something is."""
        names = {quad.subject.value for quad in self.store if isinstance(quad.subject, ox.NamedNode)}
        names |= {graph.value for graph in self.store.named_graphs() if isinstance(graph, ox.NamedNode)}
        found = {re.split(r"[/#]", name.removeprefix(ROOT))[0] for name in names if name.startswith(ROOT)}
        return tuple(sorted(found))

    @cached_property
    def prefixes(self) -> dict[str, str]:
        return dict(_PREFIX.findall((data_folder("ontology") / "prefixes.ttl").read_text(encoding="utf-8")))

    def is_file(self, iri: str) -> bool:
        """Whether a file of statements bears this name."""
        return self.store.contains_named_graph(ox.NamedNode(iri))

    def has(self, iri: str) -> bool:
        """Whether anything is said of it, or in it."""
        return self.is_file(iri) or any(True for _ in self.store.quads_for_pattern(ox.NamedNode(iri), None, None))

    def known(self, iri: str) -> str | None:
        """The thing of that name, or the vocabulary of which it names a release; None where there is neither."""
        if self.has(iri):
            return iri
        releases = self.store.quads_for_pattern(None, _RELEASE, ox.NamedNode(iri))
        return next((quad.subject.value for quad in releases if isinstance(quad.subject, ox.NamedNode)), None)

    # --- RDF ----------------------------------------------------------------------------------------------------------

    def triples(self, iri: str) -> set[ox.Triple]:
        """All of a file; of anything else, what is said of it and what is said with it."""
        node = ox.NamedNode(iri)
        found = set(self._about(node, 0))
        for quad in self.store.quads_for_pattern(None, None, node):
            found.add(quad.triple)
        for quad in self.store.quads_for_pattern(None, None, None, node) if self.is_file(iri) else ():
            found.add(quad.triple)
        return found

    def _about(self, node: _Subject, depth: int) -> Iterator[ox.Triple]:
        for quad in self.store.quads_for_pattern(node, None, None):
            yield quad.triple
            if isinstance(quad.object, ox.BlankNode) and depth < _DEPTH * 4:
                yield from self._about(quad.object, depth + 1)

    def written(self, iri: str, form: str) -> bytes:
        """What is known of a thing, in one of :data:`FORMS`."""
        format_ = FORMS[form]
        triples = sorted(self.triples(iri), key=str)
        prefixes = self._used(triples) if format_ != ox.RdfFormat.N_TRIPLES else None
        return ox.serialize(triples, format=format_, prefixes=prefixes) or b""

    def _used(self, triples: Iterable[ox.Triple]) -> dict[str, str]:
        """The prefixes that shorten something here."""
        names = {
            node.value for each in triples for node in (each.subject, each.predicate, each.object)
            if isinstance(node, ox.NamedNode)
        }  # fmt: skip
        spaces = {prefix: space for prefix, space in self.prefixes.items() if space != POLICY}
        for name in names:
            file, mark, _ = name.partition("#")
            prefix = "-".join(file.split("/")[-2:])
            if mark and file.startswith(POLICY) and prefix[0].isalpha():
                spaces[prefix] = file + mark
        return {prefix: space for prefix, space in spaces.items() if any(name.startswith(space) for name in names)}

    # --- In words -----------------------------------------------------------------------------------------------------

    def label(self, node: _Term) -> str:
        """What a thing is called, or the last part of its name."""
        if isinstance(node, ox.Literal):
            return node.value
        if not isinstance(node, ox.NamedNode):
            return "(without a name)"
        for name in _NAMES:
            for quad in self.store.quads_for_pattern(node, name, None):
                if isinstance(quad.object, ox.Literal):
                    return quad.object.value
        return _last(node.value)

    def thing(self, iri: str) -> Thing:
        """All that is said of a thing."""
        node = ox.NamedNode(iri)
        said = self._said(node, 0)
        kinds = next((each.values for each in said if each.href == TYPE), ())
        rest = tuple(each for each in said if each.href not in (TYPE, LABEL))
        return Thing(iri, self.label(node), kinds, rest)

    def uses(self, iri: str) -> tuple[Said, ...]:
        """What names a thing, by how it does; the RDF has what is left out here."""
        by: dict[str, set[ox.NamedNode]] = {}
        for quad in self.store.quads_for_pattern(None, None, ox.NamedNode(iri)):
            for subject in self._named(quad.subject, 0):
                by.setdefault(quad.predicate.value, set()).add(subject)
        found = []
        for predicate, subjects in by.items():
            values = sorted(
                (Value(self.label(s), s.value) for s in subjects), key=lambda v: (v.text.casefold(), v.href)
            )
            name = f"as “{self._name(predicate)}” of"
            found.append(Said(name, predicate, tuple(values[:_MOST_USES]), max(len(values) - _MOST_USES, 0)))
        return tuple(sorted(found, key=lambda each: each.name))

    def _named(self, node: object, depth: int) -> Iterator[ox.NamedNode]:
        """The thing itself, or those that a nameless part belongs to."""
        if isinstance(node, ox.NamedNode):
            yield node
        elif isinstance(node, ox.BlankNode) and depth < _DEPTH:
            for quad in self.store.quads_for_pattern(None, None, node):
                yield from self._named(quad.subject, depth + 1)

    def inside(self, iri: str, *, but: Iterable[str] = ()) -> list[Thing]:
        """Everything that a file speaks of, in the order of names, its own first."""
        quads = self.store.quads_for_pattern(None, None, None, ox.NamedNode(iri))
        names = {quad.subject.value for quad in quads if isinstance(quad.subject, ox.NamedNode)}
        return [self.thing(name) for name in sorted(names - {*but}, key=lambda name: (not name.startswith(iri), name))]

    def _said(self, node: _Subject, depth: int) -> tuple[Said, ...]:
        by: dict[str, set[_Term]] = {}
        for quad in self.store.quads_for_pattern(node, None, None):
            by.setdefault(quad.predicate.value, set()).add(quad.object)
        said = []
        for predicate, terms in by.items():
            values = [value for term in terms for value in self._values(term, depth)]
            values.sort(key=lambda value: (value.text.casefold(), value.href))
            said.append(Said(self._name(predicate), predicate, tuple(values)))
        return tuple(sorted(said, key=lambda each: each.name))

    def _values(self, term: _Term, depth: int) -> Iterator[Value]:
        if isinstance(term, ox.NamedNode):
            yield Value(self.label(term), term.value)
        elif isinstance(term, ox.Literal):
            yield Value(term.value)
        elif isinstance(term, ox.BlankNode) and depth < _DEPTH:
            if members := list(self._members(term)):
                for member in members:
                    yield from self._values(member, depth + 1)
            else:
                yield Value("", "", self._said(term, depth + 1))

    def _members(self, node: _Term) -> Iterator[_Term]:
        """The members of an RDF list; nothing where it is none."""
        seen: set[_Term] = set()
        while isinstance(node, ox.BlankNode) and node not in seen:
            seen.add(node)
            first = [quad.object for quad in self.store.quads_for_pattern(node, _FIRST, None)]
            rest = [quad.object for quad in self.store.quads_for_pattern(node, _REST, None)]
            if not first or not rest:
                return
            yield first[0]
            node = rest[0]

    def _name(self, predicate: str) -> str:
        node = ox.NamedNode(predicate)
        for quad in self.store.quads_for_pattern(node, _LABEL, None):
            if isinstance(quad.object, ox.Literal):
                return quad.object.value
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _last(predicate)).lower()


def _last(iri: str) -> str:
    return unquote(re.split(r"[/#]", iri.rstrip("/#"))[-1])


# --- Routes -----------------------------------------------------------------------------------------------------------


def routes(service: Service) -> APIRouter:
    """A route for each first part of a path under which the register has something."""
    router = APIRouter(include_in_schema=False)
    for segment in service.things.segments:
        for path in (f"/{segment}", f"/{segment}/{{rest:path}}"):
            router.add_api_route(path, dereference, methods=["GET", "HEAD"])
    return router


def dereference(request: Request, service: Serving) -> Response:
    """What the register says of the thing with this path."""
    form = choose(request.headers.get("accept"), [HTML, *FORMS])
    headers = {"Vary": "Accept"}
    if form is None:
        raise HTTPException(406, f"this is offered as {', '.join([HTML, *FORMS])}", headers)
    things = service.things
    iri = _asked_for(request, things)
    if iri is None:
        if form == HTML:
            return page(request, "thing_missing.html", view="", status=404, path=request.url.path)
        raise HTTPException(404, "the register has nothing of that name", headers)
    path = urlsplit(iri).path.removeprefix(urlsplit(ROOT).path)
    headers["Link"] = ", ".join(f'</{path}>; rel="alternate"; type="{each}"' for each in (HTML, *FORMS) if each != form)
    if form != HTML:
        charset = "; charset=utf-8" if form == "text/turtle" else ""
        return Response(things.written(iri, form), headers={**headers, "Content-Type": form + charset})
    answer = shown(request, service, iri)
    answer.headers.update(headers)
    return answer


def _asked_for(request: Request, things: Things) -> str | None:
    """The IRI of a path, as it was sent or as it reads; None where there is no such thing."""
    raw = request.scope.get("raw_path", b"").decode("ascii", "replace").partition("?")[0]
    for path in (raw, request.url.path, unquote(raw)):
        iri = ROOT + path.lstrip("/")
        try:
            if (known := things.known(iri)) is not None:
                return known
        except ValueError:  # no IRI at all
            continue
    return None


def shown(request: Request, service: Service, iri: str) -> Response:
    """A page about a thing."""
    from chartulary.service import policies

    facts, things = service.snapshot(None).facts, service.things
    if facts.has(iri, TYPE, POL.Policy):
        return policies.policy_page(request, service, iri)
    if facts.has(iri, TYPE, POL.PolicyVersion):
        return policies.version_page(request, service, iri)
    if facts.has(iri, TYPE, POL.Source):
        return policies.source_page(request, service, iri)
    thing = things.thing(iri)
    notation = facts.value(iri, SKOS.notation)
    return page(
        request,
        "thing.html",
        view="Policies",
        thing=thing,
        hidden=(POL.quote,),
        uses=things.uses(iri),
        inside=things.inside(iri, but=[iri]) if things.is_file(iri) else [],
        quote=facts.value(iri, POL.quote),
        notation=str(notation) if notation is not None else "",
    )
