"""What runs the rules over claims. All engines read the same rules, and must agree.

Two take the SHACL shapes as they are: pySHACL (the reference) and pyshifty. Two take them compiled: to Python (the
fastest for one claim) and to SQL (``chartulary.compiler.sql``, for many).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from chartulary.compiler.python import Program
from chartulary.facts import Facts
from chartulary.terms import CLM, LABEL, POL, TYPE

if TYPE_CHECKING:
    from rdflib import Graph

EngineName: TypeAlias = Literal["auto", "python", "sql", "shifty", "pyshacl"]


class Engine(Protocol):
    """Something that derives, with rules and a snapshot that were prepared once."""

    name: str
    together: int
    """Claims that it is best given in one portion of facts."""

    def run(self, claims: Facts) -> Facts:
        """What claims state and what the rules derive of it; a shape's IRI is the predicate of its results."""

    def run_all(self, portions: Iterable[Facts]) -> Iterator[Facts]:
        """The same for many portions, in their order. No two claims bear one name."""


class PythonEngine:
    """The rules as a Python function."""

    name = "python"
    together = 1

    def __init__(self, program: Program) -> None:
        self._run = program.prepare()

    def run(self, claims: Facts) -> Facts:
        return Facts({**claims.relations, **self._run(claims.relations)})

    def run_all(self, portions: Iterable[Facts]) -> Iterator[Facts]:
        return map(self.run, portions)


class ShaclEngine:
    """An engine that takes shapes as RDF, a few claims at a time: each run costs as much again as some claims."""

    name: str
    together = 1

    def run(self, claims: Facts) -> Facts:
        from chartulary.facts import from_graph, to_graph

        derived, report = self._validate(to_graph(claims))
        whole = Facts({p: {s: set(o) for s, o in rows.items()} for p, rows in claims.relations.items()})
        items = claims.relation(TYPE).keys()
        for s, p, o in from_graph(derived):
            if s in items:  # rules derive about items only
                whole.add(s, p, o)
        for item, shape, value in _results(report):
            whole.add(item, shape, value)
        return whole

    def run_all(self, portions: Iterable[Facts]) -> Iterator[Facts]:
        return map(self.run, portions)

    def _validate(self, claim: Graph) -> tuple[Graph, Graph]:
        """The claims' graph with all that rules derive, and the SHACL validation report."""
        raise NotImplementedError


class ShiftyEngine(ShaclEngine):
    """pyshifty: shapes and snapshot parsed and planned once."""

    name = "shifty"
    together = 10

    def __init__(self, shapes: Graph, facts: Graph) -> None:
        import shifty

        self._validator = shifty.PreparedValidator([shapes, facts])

    def _validate(self, claim: Graph) -> tuple[Graph, Graph]:
        _, report, _ = self._validator.validate(claim, in_place=True, sort_results=False)
        return claim, report


class PyshaclEngine(ShaclEngine):
    """pySHACL, the reference."""

    name = "pyshacl"

    def __init__(self, shapes: Graph, facts: Graph) -> None:
        # pySHACL sees policy data only in the data graph, and derives into it: the claim goes in, and out again.
        self._shapes, self._data = shapes, facts

    def _validate(self, claim: Graph) -> tuple[Graph, Graph]:
        import pyshacl
        from rdflib import Graph, URIRef

        items = set(claim.subjects(URIRef(TYPE), URIRef(CLM.Item)))
        added = [triple for triple in claim if triple not in self._data]
        try:
            for triple in added:
                self._data.add(triple)
            _, report, _ = pyshacl.validate(self._data, shacl_graph=self._shapes, advanced=True, inplace=True)
            assert isinstance(report, Graph)
            derived = Graph()
            for item in items:
                derived += self._data.triples((item, None, None))
        finally:
            for item in items:
                self._data.remove((item, None, None))
            for triple in added:
                self._data.remove(triple)
        return derived, report


def _results(report: Graph) -> Iterator[tuple[str, str, str | bool]]:
    """Focus node, shape and value (True for none) of each result of a SHACL validation report."""
    from rdflib import RDF
    from rdflib.namespace import SH

    for result in report.subjects(RDF.type, SH.ValidationResult):
        item, shape, value = (report.value(result, p) for p in (SH.focusNode, SH.sourceShape, SH.value))
        yield str(item), str(shape), str(value) if value not in (None, item) else True


def what_rules_read(shapes: Graph, snapshot: Graph) -> Graph:
    """The snapshot without what no rule asks for, such as quotes: SHACL engines copy the whole for each claim."""
    from rdflib import Graph, URIRef
    from rdflib.namespace import SH

    spaces = {str(p): str(shapes.value(node, SH.namespace)) for node, p in shapes.subject_objects(SH.prefix)}
    text = " ".join(str(query) for kind in (SH.construct, SH.select) for query in shapes.objects(None, kind))
    asked = {spaces[prefix] + name for prefix, name in re.findall(r"\b(\w+):([\w-]+)", text) if prefix in spaces}
    asked |= {str(thing) for thing in shapes.objects() if isinstance(thing, URIRef)}
    facts = Graph()
    for s, p, o in snapshot:
        # Of labels, results say those of provisions only.
        if (str(p) in asked and str(p) != LABEL) or (str(p) == TYPE and str(o) in asked):
            facts.add((s, p, o))
    for provision in snapshot.subjects(URIRef(TYPE), URIRef(POL.Provision)):
        facts += snapshot.triples((provision, URIRef(LABEL), None))
    return facts
