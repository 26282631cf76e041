"""The same namespaces for code that works on RDF graphs."""

from __future__ import annotations

from rdflib import Namespace

from chartulary import terms

ROOT = terms.ROOT
POL = Namespace(str(terms.POL))
CLM = Namespace(str(terms.CLM))
COD = Namespace(str(terms.COD))
CODE = Namespace(ROOT + "code/")
SHAPE = Namespace(terms.SHAPE)
