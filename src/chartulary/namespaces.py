"""The IRIs that the code speaks of: the three vocabularies and the root of the register's data."""

from __future__ import annotations

from rdflib import Namespace

ROOT = "https://w3id.org/chartulary/"
POL = Namespace(ROOT + "def/policy#")
CLM = Namespace(ROOT + "def/claim#")
COD = Namespace(ROOT + "def/coding#")
CODE = Namespace(ROOT + "code/")
SHAPE = Namespace(ROOT + "shape#")
