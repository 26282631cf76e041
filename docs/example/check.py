"""Holds a folder of policies to what authors must write, then runs its suites: ``python check.py FOLDER``."""

import logging
import sys
from pathlib import Path

import pyshacl
from rdflib import RDF, RDFS, SH, BNode, Graph

from chartulary import ChartularyError, Register
from chartulary.namespaces import POL, ROOT
from chartulary.register import data_folder
from chartulary.suites import find_suites, run


def parsed(folder: Path) -> Graph:
    """Every Turtle file under a folder."""
    graph = Graph()
    for path in sorted(folder.rglob("*.ttl")):
        graph.parse(path)
    return graph


def check(folder: Path) -> list[str]:
    """What is wrong, a sentence each; says of each suite how it went."""
    register = Register.load(policies=folder)
    whole, own = register.whole, parsed(folder)
    shapes = str(data_folder("shapes") / "policy-file.ttl")
    _, report, _ = pyshacl.validate(whole, shacl_graph=shapes, ont_graph=parsed(data_folder("ontology")))
    told = [(name, report.value(fault, SH.resultMessage)) for fault, name in report.subject_objects(SH.focusNode)]
    for statement in own.subjects(RDF.type, POL.Statement):
        cited = any((None, names, statement) in whole for names in (POL.cites, RDFS.seeAlso))
        if cited == ((statement, POL.notEncoded, None) in whole):
            told.append(
                (statement, "Cite the statement, or say why nothing rests on it (pol:notEncoded): one of the two")
            )
    faults = sorted(f"{str(name).removeprefix(ROOT)}: {text}" for name, text in told if (name, None, None) in own)
    faults += sorted({f"square brackets: {text}" for name, text in told if isinstance(name, BNode)})
    for suite in find_suites(folder):
        differences = run(suite, register)
        print(f"{suite.name}: {len(suite.examples)} claims, {len(differences)} not as the suite says")
        faults += differences
    return faults


if __name__ == "__main__":
    logging.getLogger("rdflib").setLevel(logging.CRITICAL)  # it warns of a bad day with a traceback
    try:
        found = check(Path(sys.argv[1]))
    except ChartularyError as problem:
        found = [str(problem)]
    for fault in found:
        print(fault)
    sys.exit(1 if found else 0)
