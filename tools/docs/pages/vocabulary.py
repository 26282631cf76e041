"""The ontology reference: classes, properties and individuals of each vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from rdflib import OWL, RDF, RDFS, SKOS, BNode, Graph, Literal, Node, URIRef
from rdflib.collection import Collection
from rdflib.namespace import DCTERMS

from pages.book import Book
from pages.markdown import Pages, code, facts, link, page, plain, table

_INDEX = "ontology/index.md"
_FILES = ("policy", "claim", "coding")
_PREFIXES = {"policy": "pol", "claim": "clm", "coding": "cod"}
_FHIR = "http://hl7.org/fhir/"
_KINDS = (
    ("Classes", (OWL.Class,)),
    ("Properties", (OWL.ObjectProperty, OWL.DatatypeProperty, OWL.AnnotationProperty)),
    ("Individuals", (OWL.NamedIndividual,)),
)
_TRAITS = (
    (OWL.ObjectProperty, "names a thing"),
    (OWL.DatatypeProperty, "holds a value"),
    (OWL.AnnotationProperty, "annotation"),
    (OWL.FunctionalProperty, "at most one"),
    (OWL.TransitiveProperty, "transitive"),
    (OWL.SymmetricProperty, "symmetric"),
)


def pages(book: Book) -> Pages:
    """A page for each vocabulary, and an index with the prefixes."""
    reference = _Reference(book)
    made = {f"ontology/{name}.md": reference.vocabulary(name) for name in _FILES}
    rows = [
        (
            link(reference.title(name), f"ontology/{name}.md", here=_INDEX),
            f"`{_PREFIXES[name]}:`",
            plain(reference.described(name)),
        )
        for name in _FILES
    ]
    prefixes = (book.base / "ontology" / "prefixes.ttl").read_text(encoding="utf-8")
    made[_INDEX] = page(
        "Ontology",
        "Three vocabularies, in OWL 2 DL: what policies are written in, what rules see of a claim, and codes.",
        table(("vocabulary", "prefix", "holds"), rows),
        f"## Prefixes\n\n{code('turtle', prefixes)}",
    )
    return made


class _Reference:
    def __init__(self, book: Book) -> None:
        self._book = book
        self._graphs = {name: Graph().parse(book.base / "ontology" / f"{name}.ttl", format="turtle") for name in _FILES}

    @cached_property
    def _spaces(self) -> dict[str, tuple[str, str]]:
        return {f"https://w3id.org/chartulary/def/{name}#": (prefix, name) for name, prefix in _PREFIXES.items()}

    def title(self, name: str) -> str:
        graph = self._graphs[name]
        return str(graph.value(graph.value(None, RDF.type, OWL.Ontology), RDFS.label)).rpartition(": ")[2].capitalize()

    def described(self, name: str) -> str:
        graph = self._graphs[name]
        return str(graph.value(graph.value(None, RDF.type, OWL.Ontology), DCTERMS.description))

    def vocabulary(self, name: str) -> str:
        graph, here = self._graphs[name], f"ontology/{name}.md"
        space = next(space for space, (_, file) in self._spaces.items() if file == name)
        parts = []
        for heading, kinds in _KINDS:
            terms = sorted(
                {t for kind in kinds for t in graph.subjects(RDF.type, kind) if str(t).startswith(space)},
                key=lambda term: str(term).casefold(),
            )
            if terms:
                parts.append("\n".join([f"## {heading}\n", *(self._term(graph, term, here) for term in terms)]))
        version = graph.value(graph.value(None, RDF.type, OWL.Ontology), OWL.versionInfo)
        return page(
            f"Vocabulary: {self.title(name).lower()}",
            plain(self.described(name)),
            f"Namespace `{space}`, prefix `{_PREFIXES[name]}:`, version {version}; "
            f"{self._book.file(f'ontology/{name}.ttl', here=here)}.",
            *parts,
        )

    def _term(self, graph: Graph, term: Node, here: str) -> str:
        def named(predicate: Node) -> str:
            return ", ".join(sorted(self._name(graph, node, here) for node in graph.objects(term, predicate)))

        kinds = set(graph.objects(term, RDF.type))
        types = kinds - {OWL.NamedIndividual, OWL.Class, *(trait for trait, _ in _TRAITS)}
        near = [str(node) for node in graph.objects(term, SKOS.closeMatch)]
        entries = [
            ("Kind", ", ".join(text for trait, text in _TRAITS if trait in kinds)),
            ("Type", ", ".join(sorted(self._name(graph, node, here) for node in types))),
            ("Subclass of", named(RDFS.subClassOf)),
            ("Same as", named(OWL.equivalentClass)),
            ("Either", named(OWL.disjointUnionOf)),
            ("Subproperty of", named(RDFS.subPropertyOf)),
            ("Inverse of", named(OWL.inverseOf)),
            ("Domain", named(RDFS.domain)),
            ("Range", named(RDFS.range)),
            ("Close to (FHIR R4)", ", ".join(f"`{iri.removeprefix(_FHIR)}`" for iri in sorted(near) if _FHIR in iri)),
            ("Close to", ", ".join(f"`{iri}`" for iri in sorted(near) if _FHIR not in iri)),
            ("See also", named(RDFS.seeAlso)),
            ("Example", ", ".join(f"`{example}`" for example in sorted(map(str, graph.objects(term, SKOS.example))))),
        ]
        short = self._short(str(term))
        comment = " ".join(map(str, graph.objects(term, RDFS.comment)))
        label = str(graph.value(term, RDFS.label) or "")
        spaced = f" <small>{plain(label)}</small>" if label else ""
        return (
            f"### `{short}`{spaced} {{ #{str(term).rpartition('#')[2]} data-toc-label='{short}' }}\n\n"
            f"{plain(comment)}\n\n{facts(entries)}"
        )

    def _short(self, iri: str) -> str:
        for space, (prefix, _) in self._spaces.items():
            if iri.startswith(space):
                return f"{prefix}:{iri.removeprefix(space)}"
        for prefix, space in _COMMON.items():
            if iri.startswith(space):
                return f"{prefix}:{iri.removeprefix(space)}"
        return iri

    def _name(self, graph: Graph, node: Node, here: str) -> str:
        """A term of ours linked, another's in short, and a group of classes as its members."""
        if isinstance(node, BNode):
            for predicate, word in ((OWL.unionOf, " or "), (OWL.intersectionOf, " and "), (OWL.oneOf, " or ")):
                if (members := graph.value(node, predicate)) is not None:
                    return word.join(self._each(graph, Collection(graph, members), here))
            if (members := graph.value(node, RDF.first)) is not None:
                return " or ".join(self._each(graph, Collection(graph, node), here))
            return "a restriction"
        for space, (_, name) in self._spaces.items():
            if str(node).startswith(space):
                return link(self._short(str(node)), f"ontology/{name}.md#{str(node).removeprefix(space)}", here=here)
        return f"`{node}`" if isinstance(node, Literal) else f"`{self._short(str(node))}`"

    def _each(self, graph: Graph, members: Iterable[Node], here: str) -> Iterable[str]:
        return [self._name(graph, member, here) for member in members if isinstance(member, (URIRef, BNode, Literal))]


_COMMON = {
    "dcterms": str(DCTERMS),
    "owl": str(OWL),
    "prov": "http://www.w3.org/ns/prov#",
    "rdf": str(RDF),
    "rdfs": str(RDFS),
    "skos": str(SKOS),
    "time": "http://www.w3.org/2006/time#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
