"""The IRIs that the code speaks of, as plain text: our three vocabularies, the data's root, some standard terms."""

from __future__ import annotations

import sys

ROOT = "https://w3id.org/chartulary/"


class Vocabulary:
    """Terms of a namespace as attributes: ``POL.candidate``."""

    def __init__(self, namespace: str) -> None:
        self._iri = namespace

    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        term = self.__dict__[name] = sys.intern(self._iri + name)
        return term

    def __str__(self) -> str:
        return self._iri

    def __getitem__(self, name: str) -> str:
        return self.__dict__.get(name) or str(getattr(self, name))


POL = Vocabulary(ROOT + "def/policy#")
CLM = Vocabulary(ROOT + "def/claim#")
COD = Vocabulary(ROOT + "def/coding#")
SHAPE = ROOT + "shape#"
TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
IS_PART_OF = "http://purl.org/dc/terms/isPartOf"
SKOS = Vocabulary("http://www.w3.org/2004/02/skos/core#")
PERIOD = ("effectiveFrom", "effectiveEarliest", "effectiveLatest", "effectiveUntil", "endsEarliest", "endsLatest")
"""Properties that say on which days of service something holds."""
PUBLISHED = ("publishedOn", "publishedEarliest", "publishedLatest")
"""Properties that say when anyone could know it."""
