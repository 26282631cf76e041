"""Runs W3C's SHACL test suite: ``python benchmarks/w3c_shacl.py FOLDER [--engine NAME …] [--verbose]``.

The suite is not part of this project. ``FOLDER`` is the folder ``data-shapes-test-suite/tests`` of a clone of
https://github.com/w3c/data-shapes, or any folder with a ``manifest.ttl`` of the same kind.

pySHACL and pyshifty run every test. Our compilers (rules to Python, rules to SQL in DuckDB) run what they are for:
shapes that say everything in SPARQL; ``_subset`` says which those are. Where the suite expects a failure, an
engine passes by refusing; a compiler that refuses counts as outside all the same, for it refuses more than the suite.

A test passes if ``sh:conforms`` is the same and so are the results, as a multiset of focus node, path, severity,
constraint component, source shape and value: a field that one side leaves out must be left out by the other. Blank
nodes are compared by what the graphs say of them; where only that differs the test passes too, but is counted below the
table. Messages, details and ``sh:sourceConstraint`` are not compared.
"""

from __future__ import annotations

import argparse
import logging
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import rdflib
from rdflib import OWL, RDF, RDFS, BNode, Graph, Literal, Namespace, Node, URIRef
from rdflib.collection import Collection
from rdflib.namespace import SH
from rich.console import Console
from rich.table import Table

from chartulary.compiler.algebra import read_rules
from chartulary.compiler.python import compile_rules
from chartulary.compiler.rules import Atom, Body, Const, Rule
from chartulary.compiler.sql import compile_sql
from chartulary.errors import ChartularyError
from chartulary.facts import Facts, Relation, Text, from_graph, plain

MF = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#")
SHT = Namespace("http://www.w3.org/ns/shacl-test#")
FIELDS = (
    SH.focusNode,
    SH.resultPath,
    SH.resultSeverity,
    SH.sourceConstraintComponent,
    SH.sourceShape,
    SH.value,
)
TARGETS = (SH.targetClass, SH.targetNode, SH.targetObjectsOf, SH.targetSubjectsOf)
UNDERSTOOD = {
    *TARGETS,
    *(SH.sparql, SH.select, SH.rule, SH.construct, SH.order, SH.message, SH.severity),
    *(SH.prefixes, SH.declare, SH.prefix, SH.namespace),
    # What a report says, which the suite keeps in the same file as the shapes.
    *(SH.conforms, SH.result, SH.resultMessage, SH.sourceConstraint, *FIELDS),
}
COMPONENTS = {SH.parameter, SH.validator, SH.nodeValidator, SH.propertyValidator}

Result: TypeAlias = tuple[str, ...]
"""The fields of a validation result in words, empty where it has none."""


class Outside(Exception):
    """Our compilers are not for the test: for which reason, and what in it gave the reason."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Report:
    """A validation report."""

    conforms: bool
    results: Counter[Result]

    @staticmethod
    def read(graph: Graph, node: Node | None, context: Sequence[Graph]) -> Report:
        """Reads a report; ``context`` is what else speaks of its blank nodes."""
        results = Counter(
            tuple(
                " ".join(sorted(_described(each, (*context, graph)) for each in graph.objects(result, field)))
                for field in FIELDS
            )
            for result in graph.objects(node, SH.result)
        )
        return Report(str(graph.value(node, SH.conforms)) in ("true", "1"), results)

    def without_blank_nodes(self) -> Report:
        """The same, but that each blank node is like any other."""
        results: Counter[Result] = Counter()
        for result, count in self.results.items():
            results[tuple("[]" if field.startswith("[") else field for field in result)] += count
        return Report(self.conforms, results)


def _described(node: Node, graphs: Sequence[Graph], above: tuple[Node, ...] = ()) -> str:
    """A node in words that do not depend on the label of a blank node."""
    if not isinstance(node, BNode):
        return node.n3()
    if node in above:
        return "[…]"
    said = next((list(each.predicate_objects(node)) for each in graphs if (node, None, None) in each), [])
    if any(p == RDF.first for p, _ in said):  # a list, whatever else is said of it
        said = [(p, o) for p, o in said if p in (RDF.first, RDF.rest)]
    return f"[{'; '.join(sorted(f'{p.n3()} {_described(o, graphs, (*above, node))}' for p, o in said))}]"


@dataclass(frozen=True)
class Test:
    """One entry of a manifest."""

    part: str
    """The folder below the suite's own: ``core``, ``sparql``."""
    name: str
    data: Graph
    shapes: Graph
    expected: Report | None
    """None where the suite expects a failure."""


# --- Reading the suite ------------------------------------------------------------------------------------------------


def read_tests(folder: Path) -> Iterator[Test]:
    """The tests of a folder's manifest and of all that it includes, in their order."""
    graphs: dict[str, Graph] = {}

    def graph(iri: Node) -> Graph:
        # One graph for one file, so that its blank nodes are the same wherever it is spoken of.
        if (key := str(iri)) not in graphs:
            graphs[key] = Graph().parse(Path(key.removeprefix("file://")), format="turtle", publicID=key)
        return graphs[key]

    def walk(manifest: Node) -> Iterator[Test]:
        here = graph(manifest)
        for included in sorted(here.objects(manifest, MF.include), key=str):
            yield from walk(included)
        for entries in here.objects(manifest, MF.entries):
            for entry in Collection(here, entries):
                if (entry, RDF.type, SHT.Validate) not in here:
                    continue
                action, result = here.value(entry, MF.action), here.value(entry, MF.result)
                files = [here.value(action, kind) for kind in (SHT.dataGraph, SHT.shapesGraph)]
                data, shapes = (graph(iri) for iri in files if iri is not None)
                path = Path(str(entry).removeprefix("file://")).relative_to(folder)
                expected = None if result == SHT.Failure else Report.read(here, result, (data, shapes))
                yield Test(path.parts[0], str(path), data, shapes, expected)

    yield from walk(URIRef((folder / "manifest.ttl").as_uri()))


# --- Engines that take SHACL ------------------------------------------------------------------------------------------


class Refused(Exception):
    """The engine says that it does not take the shapes."""


def run_pyshacl(test: Test) -> Report:
    import pyshacl
    from pyshacl.errors import ConstraintLoadError, ShapeLoadError, ValidationFailure

    try:
        _, report, _ = pyshacl.validate(_copy(test.data), shacl_graph=_copy(test.shapes), advanced=True)
    except (ConstraintLoadError, ShapeLoadError, ValidationFailure) as fault:
        raise Refused(str(fault)) from None
    if isinstance(report, ValidationFailure):
        raise Refused(report.message)
    assert isinstance(report, Graph)
    return Report.read(report, report.value(None, RDF.type, SH.ValidationReport), (test.data, test.shapes))


def run_shifty(test: Test) -> Report:
    import shifty

    try:
        prepared = shifty.PreparedValidator([test.shapes])
    except ValueError as fault:
        raise Refused(str(fault)) from None
    # Only what the data say counts: the union with the shapes would double blank nodes where both are one file.
    _, report, _ = prepared.validate(test.data, graph_mode="data")
    return Report.read(report, report.value(None, RDF.type, SH.ValidationReport), (test.data, test.shapes))


def _copy(graph: Graph) -> Graph:
    """pySHACL adds to the graphs that it is given."""
    copy = Graph()
    for prefix, namespace in graph.namespaces():
        copy.bind(prefix, namespace, override=True, replace=True)
    for triple in graph:
        copy.add(triple)
    return copy


# --- Our compilers ----------------------------------------------------------------------------------------------------


def run_python(test: Test) -> Report:
    rules, facts = _subset(test)
    return _found(test, rules, compile_rules(rules, Facts(), shared=()).prepare()(facts.relations))


def run_sql(test: Test) -> Report:
    import duckdb

    rules, facts = _subset(test)
    kinds = {p: {type(o) for values in relation.values() for o in values} for p, relation in facts.relations.items()}
    if any(len(found) > 1 for found in kinds.values()):
        raise Outside("values of several kinds in one column")
    literals = {predicate: kind for predicate, (kind,) in kinds.items() if kind is not str}
    program = compile_sql(rules, Facts(), shared=(), literals=literals)
    iris = {str(node) for node in (*test.data.all_nodes(), *test.shapes.all_nodes()) if isinstance(node, URIRef)}
    derived: dict[str, Relation] = {}
    with duckdb.connect() as db:
        for table in program.tables.values():
            columns = ", ".join(f"{c} {t}" for c, t in zip(table.columns, table.types, strict=True))
            db.execute(f"CREATE TABLE {table.name} ({columns})")
            if rows := [(s, o) for s, values in facts.relation(table.predicate).items() for o in values]:
                db.executemany(f"INSERT INTO {table.name} VALUES (?, ?)", rows)
        for step in program.steps:
            db.execute(f"INSERT INTO {step.table} {step.query.sql(dialect='duckdb')}")
        for table in program.tables.values():
            relation = derived.setdefault(table.predicate, {})
            for s, o in db.execute(f"FROM {table.name}").fetchall() if table.derived else ():
                relation.setdefault(s, set()).add(Text(o) if isinstance(o, str) and o not in iris else o)
    return _found(test, rules, derived)


def _found(test: Test, rules: list[Rule], derived: Mapping[str, Relation]) -> Report:
    """What rules derived, in the words of a validation report."""
    results: Counter[Result] = Counter()
    for head in (rule.heads[0] for rule in rules):
        shape = URIRef(head.predicate)
        if (shape, SH.sparql, None) not in test.shapes:
            continue
        severity = test.shapes.value(shape, SH.severity) or SH.Violation
        for item, values in derived.get(str(shape), {}).items():
            for value in (item,) if isinstance(head.value, Const) else values:
                node = URIRef(value) if type(value) is str else Literal(value)
                fields = (URIRef(item), None, severity, SH.SPARQLConstraintComponent, shape, node)
                results[tuple("" if each is None else each.n3() for each in fields)] += 1
    return Report(not results, results)


def _subset(test: Test) -> tuple[list[Rule], Facts]:
    """The rules of a test, and of its data what they read.

    Raises:
        Outside: our compilers are not for such a test.
        ChartularyError: a rule holds what they do not take.
    """
    used = {p for p in test.shapes.predicates() if str(p).startswith(str(SH))}
    if used & COMPONENTS:
        raise Outside("a constraint component of its own")
    if unknown := sorted(str(p).removeprefix(str(SH)) for p in used - UNDERSTOOD):
        raise Outside("SHACL Core, not SPARQL", ", ".join(f"sh:{name}" for name in unknown))
    shapes = set(test.shapes.subjects(SH.sparql)) | set(test.shapes.subjects(SH.rule))
    if not shapes:
        raise Outside("no SPARQL constraint and no rule")
    for shape in shapes:
        _check_shape(test, shape)
    rules = read_rules(test.shapes)
    atoms = {atom for rule in rules for body in rule.bodies for atom in _atoms(body)}
    facts = Graph()
    for s, p, o in test.data:
        if any(_can_match(atom, s, p, o) for atom in atoms):
            if isinstance(s, BNode) or isinstance(o, BNode):
                raise Outside("blank nodes in what it reads")
            if isinstance(o, Literal) and Literal(plain(o)).n3() != o.n3():
                raise Outside("literals with a language or of another datatype in what it reads")
            facts.add((s, p, o))
    return rules, from_graph(facts)


def _check_shape(test: Test, shape: Node) -> None:
    if isinstance(shape, BNode):
        raise Outside("a shape without a name")
    if (shape, RDF.type, RDFS.Class) in test.shapes or (shape, RDF.type, OWL.Class) in test.shapes:
        raise Outside("a class as its own target")
    if any((None, RDFS.subClassOf, kind) in test.data for kind in test.shapes.objects(shape, SH.targetClass)):
        raise Outside("a target class with subclasses")
    nodes = [*test.shapes.objects(shape, SH.targetNode)]
    for predicate in test.shapes.objects(shape, SH.targetObjectsOf):
        nodes += test.data.objects(None, predicate)
    if not all(isinstance(node, URIRef) for node in nodes):
        raise Outside("focus nodes that are blank or literals")
    constraints = [*test.shapes.objects(shape, SH.sparql)]
    if len(constraints) > 1:
        raise Outside("several SPARQL constraints on one shape")
    for constraint in constraints:
        text = str(test.shapes.value(constraint, SH.select))
        if not set(re.findall(r"[?$](\w+)|[*]", text.partition("{")[0])) <= {"this", "value"}:
            raise Outside("SPARQL: SELECT of something else than $this and ?value")
        if re.search(r"[\"']@", text):
            raise Outside("SPARQL: a literal with a language")


def _atoms(body: Body) -> Iterator[Atom]:
    yield from body.atoms
    for inner in body.absent:
        yield from _atoms(inner)


def _can_match(atom: Atom, s: Node, p: Node, o: Node) -> bool:
    value = plain(o) if isinstance(o, Literal) else str(o)
    return str(p) == atom.predicate and all(
        not isinstance(term, Const) or term.value == given
        for term, given in ((atom.subject, str(s)), (atom.value, value))
    )


# --- The table --------------------------------------------------------------------------------------------------------

ENGINES: dict[str, Callable[[Test], Report]] = {
    "pyshacl": run_pyshacl,
    "shifty": run_shifty,
    "python": run_python,
    "sql": run_sql,
}
NOTES = {
    "refused": "by refusing the shapes, as the suite asks",
    "loosely": "but that the report does not describe its blank nodes (paths, nameless shapes)",
}
VERDICTS = ("passed", "failed", "error", "outside")


def judge(test: Test, run: Callable[[Test], Report]) -> tuple[str, str, str]:
    """The verdict, what such tests are counted under beside it, and one line for this test."""
    rdflib.NORMALIZE_LITERALS = False  # pySHACL turns it on again
    try:
        found = run(test)
    except Outside as outside:
        return "outside", outside.reason, outside.detail
    except ChartularyError as fault:  # what a compiler says of a rule, behind the rule's name
        return "outside", f"SPARQL: {str(fault).partition(': ')[2]}", ""
    except Refused as refused:
        said = " ".join(str(refused).split())[:160]
        return ("error", "", said) if test.expected else ("passed", "refused", said)
    except Exception as fault:  # engines raise what they like
        return "error", "", f"{type(fault).__name__}: {' '.join(str(fault).split())[:160]}"
    if test.expected is None:
        return "failed", "", f"should refuse, gives {found.results.total()} results"
    if found == test.expected:
        return "passed", "", ""
    if found.without_blank_nodes() == test.expected.without_blank_nodes():
        return "passed", "loosely", ""
    said = "" if found.conforms == test.expected.conforms else f"conforms: {str(found.conforms).lower()}"
    for word, some in (
        ("missing", test.expected.results - found.results),
        ("unexpected", found.results - test.expected.results),
    ):
        if some:
            example = " ".join(re.sub(r"<[^>]*[/#]([^>]*)>", r"\1", field) or "–" for field in min(some))
            said += f"{', ' if said else ''}{word}: {some.total()} ({example[:160]})"
    return "failed", "", said


def main() -> None:
    parser = argparse.ArgumentParser(description="Run W3C's SHACL test suite from a folder.")
    parser.add_argument("folder", type=Path, help="data-shapes-test-suite/tests of a clone of w3c/data-shapes")
    parser.add_argument("--engine", action="append", choices=list(ENGINES), help="repeatable; all of them by default")
    parser.add_argument("--verbose", action="store_true", help="name each test that did not pass, and why")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if not (folder / "manifest.ttl").is_file():
        parser.exit(2, f"{options.folder}: no manifest.ttl in it\n")
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    rdflib.NORMALIZE_LITERALS = False  # tests are about "1"^^xsd:boolean and its like
    tests = list(read_tests(folder))
    parts = sorted({test.part for test in tests})
    console = Console(soft_wrap=True, highlight=False, markup=False)
    versions = ", ".join(f"{name} {version(name)}" for name in ("pyshacl", "pyshifty", "duckdb"))
    table = Table(title=f"W3C SHACL test suite, {len(tests)} tests ({versions})")
    for name in ("engine", "part", "tests", *VERDICTS):
        table.add_column(name, justify="left" if name in ("engine", "part") else "right")
    notes: Counter[tuple[str, str, str]] = Counter()
    for engine in options.engine or ENGINES:
        verdicts: Counter[tuple[str, str]] = Counter()
        for test in tests:
            verdict, note, said = judge(test, ENGINES[engine])
            verdicts[test.part, verdict] += 1
            if note:
                notes[engine, verdict, note] += 1
            if options.verbose and verdict in ("failed", "error"):
                console.print(f"{engine} {test.name}: {verdict}: {said}")
        for part in parts:
            counts = [verdicts[part, verdict] for verdict in VERDICTS]
            table.add_row(engine, part, *map(str, (sum(counts), *counts)))
    console.print(table)
    for (engine, verdict, note), count in notes.most_common():
        console.print(f"{engine}, {verdict}: {count}: {NOTES.get(note, note)}")


if __name__ == "__main__":
    main()
