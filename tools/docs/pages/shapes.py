"""A page for each shape: what it looks at, what it holds that to, and what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import dedent

from rdflib import RDFS, SH, BNode, Graph, Node
from rdflib.collection import Collection

from chartulary.terms import SHAPE
from pages.book import Book
from pages.markdown import Pages, code, facts, link, page, plain, table

_INDEX = "shapes/index.md"
FILES = (
    ("rules", "Rules", "The rules that judge a claim, in the order in which they run"),
    ("outcomes", "Outcomes", "What a validation report says of what the rules derived"),
    (
        "claim",
        "Claims",
        "What a claim must show before rules can be applied in full: a fault is a note, never a finding",
    ),
    ("policy-file", "Policy files", "What authors must write"),
)
_TARGETS = (
    (SH.targetClass, "each"),
    (SH.targetSubjectsOf, "whatever has"),
    (SH.targetObjectsOf, "whatever is named by"),
)
_BOUNDS = (
    (SH.minCount, "at least {}"),
    (SH.maxCount, "at most {}"),
    (SH.minLength, "at least {} characters"),
    (SH.maxLength, "at most {} characters"),
    (SH.minInclusive, "{} or more"),
    (SH.maxInclusive, "{} or less"),
    (SH.pattern, "text like `{}`"),
    (SH["class"], "each is a {}"),
    (SH.datatype, "each is of the datatype {}"),
    (SH.nodeKind, "each is a {}"),
    (SH.hasValue, "one is {}"),
    (SH.lessThanOrEquals, "none is more than {}"),
    (SH.lessThan, "each is less than {}"),
)
_LISTS = (
    (SH["in"], "each is one of {}"),
    (SH["or"], "each meets one of {}"),
    (SH.ignoredProperties, "no other properties than {}"),
)


def pages(book: Book) -> Pages:
    """Every shape that looks for something by itself, and an index; parts of a shape stand on its page."""
    made: Pages = {}
    parts = []
    for file, heading, told in FILES:
        reader = _File(book, file)
        rows = []
        for shape in reader.shapes():
            made[reader.place(shape)] = reader.written(shape)
            rows.append((link(reader.title(shape), reader.place(shape), here=_INDEX), ", ".join(reader.targets(shape))))
        path = book.file(f"shapes/{file}.ttl", here=_INDEX)
        parts.append(f"## {heading}\n\n{told}: {path}.\n\n{table(('shape', 'looks at'), rows)}")
    made[_INDEX] = page("Shapes and rules", *parts)
    return made


class _File:
    """The shapes of one file."""

    def __init__(self, book: Book, name: str) -> None:
        self.name = name
        self._book = book
        self._text = (book.base / "shapes" / f"{name}.ttl").read_text(encoding="utf-8")
        self._graph = Graph().parse(data=self._text, format="turtle")

    def shapes(self) -> list[Node]:
        """Those with a target, in the order of the file."""
        found = {shape for target, _ in _TARGETS for shape in self._graph.subjects(target, None)}
        return sorted(found, key=lambda shape: self._text.find(f"\nshape:{_local(shape)}"))

    def place(self, shape: Node) -> str:
        return f"shapes/{self.name}/{_local(shape)}.md"

    def title(self, shape: Node) -> str:
        label = self._graph.value(shape, RDFS.label)
        return str(label) if label is not None else _local(shape).replace("-", " ").capitalize()

    def targets(self, shape: Node) -> list[str]:
        return [
            f"{words} `{_short(node)}`"
            for target, words in _TARGETS
            for node in sorted(self._graph.objects(shape, target), key=str)
        ]

    def written(self, shape: Node) -> str:
        graph = self._graph
        file = self._book.file(f"shapes/{self.name}.ttl", here=self.place(shape))
        parts = sorted(graph.objects(shape, SH.property), key=lambda part: self._text.find(f"\nshape:{_local(part)}"))
        rules = sorted(graph.objects(shape, SH.rule), key=lambda rule: int(str(graph.value(rule, SH.order))))
        return page(
            self.title(shape),
            f"Shape `shape:{_local(shape)}` of {file} looks at {' and '.join(self.targets(shape))}.",
            self._told(shape),
            *(f"## {plain(self.title(part))} {{ #{_local(part)} }}\n\n{self._told(part)}" for part in parts),
            *(self._rule(rule) for rule in rules),
        )

    def _told(self, shape: Node) -> str:
        """What a shape holds things to, in words and as written."""
        graph = self._graph
        queries = list(graph.objects(shape, SH.sparql))
        message = graph.value(shape, SH.message) or next((graph.value(q, SH.message) for q in queries), None)
        path = graph.value(shape, SH.path)
        severity = graph.value(shape, SH.severity)
        said = plain(message) if message is not None else ""
        entries = [
            ("Of", self._path(path) if path is not None else ""),
            ("Holds it to", "; ".join(self._bounds(shape))),
            ("Says", said if said != plain("{?label}") else "the provision’s label"),
            ("Severity", _local(severity) if severity is not None else ""),
        ]
        selects = [dedent(str(graph.value(q, SH.select))).strip() for q in queries]
        return "\n".join([facts(entries), *(code("sparql", text) for text in selects), self._turtle(shape)])

    def _rule(self, rule: Node) -> str:
        text = dedent(str(self._graph.value(rule, SH.construct))).strip()
        order = self._graph.value(rule, SH.order)
        comment = self._graph.value(rule, RDFS.comment)
        return (
            f"## {plain(self.title(rule))} {{ #{_local(rule)} }}\n\n`shape:{_local(rule)}`, order {order}. "
            f"{plain(comment) if comment is not None else ''}\n\n{code('sparql', text)}"
        )

    def _bounds(self, shape: Node) -> Iterator[str]:
        graph = self._graph
        least, most = (graph.value(shape, bound) for bound in (SH.minCount, SH.maxCount))
        if least is not None and least == most:
            yield f"exactly {least}"
        elif most is not None and str(most) == "0":
            yield "none"
        for bound, words in _BOUNDS:
            if bound in (SH.minCount, SH.maxCount) and (least == most or str(most) == "0"):
                continue
            for value in graph.objects(shape, bound):
                yield words.format(value if bound == SH.pattern or str(value).isdigit() else f"`{_short(value)}`")
        for bound, words in _LISTS:
            if (members := graph.value(shape, bound)) is not None:
                yield words.format(", ".join(f"`{_short(member)}`" for member in Collection(graph, members)))

    def _path(self, path: Node) -> str:
        if not isinstance(path, BNode):
            return f"`{_short(path)}`"
        either = self._graph.value(path, SH.alternativePath)
        members = Collection(self._graph, either or path)
        return (" or " if either is not None else " / ").join(f"`{_short(member)}`" for member in members)

    def _turtle(self, shape: Node) -> str:
        found = re.search(rf"^shape:{re.escape(_local(shape))}\n(?:.*\n)*?.*\.\n(?=\n|\Z)", self._text, re.MULTILINE)
        if not found or "sh:select" in found[0] or "sh:rule" in found[0]:
            return ""
        return code("turtle", found[0])


def _local(node: Node | None) -> str:
    return str(node).removeprefix(SHAPE).rpartition("#")[2].rpartition("/")[2]


_SPACES = {
    "https://w3id.org/chartulary/def/policy#": "pol",
    "https://w3id.org/chartulary/def/claim#": "clm",
    "https://w3id.org/chartulary/def/coding#": "cod",
    SHAPE: "shape",
    str(SH): "sh",
    str(RDFS): "rdfs",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
    "http://www.w3.org/2001/XMLSchema#": "xsd",
    "http://www.w3.org/2004/02/skos/core#": "skos",
    "http://purl.org/dc/terms/": "dcterms",
}


def _short(node: Node) -> str:
    for space, prefix in _SPACES.items():
        if str(node).startswith(space):
            return f"{prefix}:{str(node).removeprefix(space)}"
    return str(node)
