"""Runs the rules and shapes over claims, in two engines that must agree: pyshifty (fast), pySHACL (the reference)."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import pyshacl
import shifty
from rdflib import Graph

EngineName: TypeAlias = Literal["auto", "shifty", "pyshacl"]


class Engine(Protocol):
    """Something that validates a claim graph against shapes and a snapshot that were prepared once."""

    name: str

    def run(self, claim: Graph) -> Graph:
        """Adds to ``claim`` all that the rules derive, and returns the SHACL validation report."""


class ShiftyEngine:
    """pyshifty: shapes and snapshot parsed and planned once."""

    name = "shifty"

    def __init__(self, shapes: Graph, snapshot: Graph) -> None:
        self._validator = shifty.PreparedValidator([shapes, snapshot])

    def run(self, claim: Graph) -> Graph:
        _, report, _ = self._validator.validate(claim, in_place=True, sort_results=False)
        return report


class PyshaclEngine:
    """pySHACL, the reference."""

    name = "pyshacl"

    def __init__(self, shapes: Graph, snapshot: Graph) -> None:
        self._shapes, self._snapshot = shapes, snapshot

    def run(self, claim: Graph) -> Graph:
        # pySHACL sees policy data only in the data graph, and derives into it.
        data = self._snapshot + claim
        _, report, _ = pyshacl.validate(data, shacl_graph=self._shapes, advanced=True, inplace=True)
        assert isinstance(report, Graph)
        for triple in data:
            if triple not in self._snapshot:
                claim.add(triple)
        return report


def prepare(name: EngineName, shapes: Graph, snapshot: Graph) -> Engine:
    """The engine of that name, ready for claims; ``auto`` is the fastest for single claims."""
    return PyshaclEngine(shapes, snapshot) if name == "pyshacl" else ShiftyEngine(shapes, snapshot)
