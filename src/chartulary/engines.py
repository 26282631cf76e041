"""Runs the rules and shapes over claims, in two engines that must agree: pyshifty (fast), pySHACL (the reference)."""

from __future__ import annotations

import re
from typing import Literal, Protocol, TypeAlias

import pyshacl
import shifty
from rdflib import RDF, RDFS, Graph, URIRef
from rdflib.namespace import SH

from chartulary.namespaces import CLM, POL

EngineName: TypeAlias = Literal["auto", "shifty", "pyshacl"]


class Engine(Protocol):
    """Something that validates a claim graph against shapes and a snapshot that were prepared once."""

    name: str

    def run(self, claim: Graph) -> Graph:
        """Adds to ``claim`` all that the rules derive, and returns the SHACL validation report."""


class ShiftyEngine:
    """pyshifty: shapes and snapshot parsed and planned once."""

    name = "shifty"

    def __init__(self, shapes: Graph, facts: Graph) -> None:
        self._validator = shifty.PreparedValidator([shapes, facts])

    def run(self, claim: Graph) -> Graph:
        _, report, _ = self._validator.validate(claim, in_place=True, sort_results=False)
        return report


class PyshaclEngine:
    """pySHACL, the reference; one claim at a time."""

    name = "pyshacl"

    def __init__(self, shapes: Graph, facts: Graph) -> None:
        # pySHACL sees policy data only in the data graph, and derives into it: the claim goes in, and out again.
        self._shapes, self._data = shapes, facts

    def run(self, claim: Graph) -> Graph:
        items = set(claim.subjects(RDF.type, CLM.Item))
        added = [triple for triple in claim if triple not in self._data]
        try:
            for triple in added:
                self._data.add(triple)
            _, report, _ = pyshacl.validate(self._data, shacl_graph=self._shapes, advanced=True, inplace=True)
            assert isinstance(report, Graph)
            for item in items:  # rules derive about items only
                for triple in self._data.triples((item, None, None)):
                    claim.add(triple)
        finally:
            for item in items:
                self._data.remove((item, None, None))
            for triple in added:
                self._data.remove(triple)
        return report


def prepare(name: EngineName, shapes: Graph, snapshot: Graph) -> Engine:
    """The engine of that name, ready for claims; ``auto`` is the fastest for single claims."""
    facts = _what_rules_read(shapes, snapshot)
    return PyshaclEngine(shapes, facts) if name == "pyshacl" else ShiftyEngine(shapes, facts)


def _what_rules_read(shapes: Graph, snapshot: Graph) -> Graph:
    """The snapshot without what no rule asks for, such as quotes: engines copy the whole for each claim."""
    spaces = {str(p): str(shapes.value(node, SH.namespace)) for node, p in shapes.subject_objects(SH.prefix)}
    text = " ".join(str(query) for kind in (SH.construct, SH.select) for query in shapes.objects(None, kind))
    asked = {spaces[prefix] + name for prefix, name in re.findall(r"\b(\w+):([\w-]+)", text) if prefix in spaces}
    asked |= {str(thing) for thing in shapes.objects() if isinstance(thing, URIRef)}
    facts = Graph()
    for s, p, o in snapshot:
        # Of labels, results say those of provisions only.
        if (str(p) in asked and p != RDFS.label) or (p == RDF.type and str(o) in asked):
            facts.add((s, p, o))
    for provision in snapshot.subjects(RDF.type, POL.Provision):
        facts += snapshot.triples((provision, RDFS.label, None))
    return facts
