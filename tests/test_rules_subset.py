"""The rules keep to a small part of SPARQL, so that one text runs alike in every engine (decision 0002)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pyparsing import ParseResults
from rdflib import RDF, RDFS, XSD, BNode, Graph, Literal, Node, URIRef, Variable
from rdflib.namespace import SH
from rdflib.plugins.sparql.algebra import translateQuery
from rdflib.plugins.sparql.parser import parseQuery
from rdflib.plugins.sparql.parserutils import CompValue

from chartulary.namespaces import POL
from chartulary.snapshot import fold

ROOT = Path(__file__).resolve().parents[1]
SHAPES = sorted((ROOT / "shapes").glob("*.ttl"))
THIS = Variable("this")

PATTERNS = {"ConstructQuery", "SelectQuery", "Project", "BGP", "Join", "Union", "Filter", "Extend"}
EXPRESSIONS = {
    "RelationalExpression",
    "ConditionalAndExpression",
    "ConditionalOrExpression",
    "UnaryNot",
    "AdditiveExpression",
    "MultiplicativeExpression",
    "Builtin_NOTEXISTS",
    "Builtin_STR",
    "Builtin_SUBSTR",
    "Function",
}
OPERATORS = {"=", "!=", "<", "<=", ">", ">=", "+", "-", "*"}
FUNCTIONS = {XSD.integer}
ONTOLOGY = Graph().parse(ROOT / "ontology" / "policy.ttl")
GROUP_KINDS = frozenset(ONTOLOGY.subjects(RDFS.subClassOf, POL.CriterionGroup))
LEAF_KINDS = frozenset(ONTOLOGY.subjects(RDFS.subClassOf, POL.Criterion)) - {POL.CriterionGroup}
OPPOSITE = {POL.met: POL.notMet, POL.notMet: POL.met}

# --- Reading a query --------------------------------------------------------------------------------------------------


@cache
def shapes() -> Graph:
    graph = Graph()
    for path in SHAPES:
        graph.parse(path)
    return graph


def prefixes(graph: Graph) -> str:
    declared = {graph.value(d, SH.prefix): graph.value(d, SH.namespace) for d in graph.objects(None, SH.declare)}
    return "".join(f"PREFIX {name}: <{namespace}>\n" for name, namespace in declared.items())


def algebra(text: str, heading: str | None = None) -> CompValue:
    return translateQuery(parseQuery((prefixes(shapes()) if heading is None else heading) + text)).algebra


def children(part: Any) -> Iterator[Any]:
    """What a part of the algebra is made of, the variables that rdflib notes beside it left out."""
    if isinstance(part, CompValue) and part.name in ("Builtin_EXISTS", "Builtin_NOTEXISTS"):
        yield part.graph  # rdflib keeps the untranslated pattern under the key, the algebra under the attribute
    elif isinstance(part, CompValue):
        for name, value in part.items():
            if not name.startswith("_") and name not in ("PV", "datasetClause"):
                yield value
    elif isinstance(part, list | tuple | ParseResults | set):
        yield from part


def parts(part: Any, name: str | None = None) -> Iterator[CompValue]:
    if isinstance(part, CompValue) and name in (None, part.name):
        yield part
    for child in children(part):
        yield from parts(child, name)


def variables(part: Any) -> set[Variable]:
    if isinstance(part, Variable):
        return {part}
    found: set[Variable] = set()
    for child in children(part):
        found |= variables(child)
    return found


def bound(part: Any) -> set[Variable]:
    """Variables that a pattern gives a value to: those of filters and of NOT EXISTS don't count."""
    if isinstance(part, CompValue):
        if part.name == "Filter":
            return bound(part.p)
        if part.name == "Extend":
            return bound(part.p) | {part.var}
        if part.name == "Builtin_NOTEXISTS":
            return set()
    if isinstance(part, Variable):
        return {part}
    found: set[Variable] = set()
    for child in children(part):
        found |= bound(child)
    return found


def template(query: CompValue) -> list[tuple[Node, Node, Node]]:
    return [tuple(triple) for triple in query.template or ()] if query.name == "ConstructQuery" else []


def triples(part: Any) -> Iterator[tuple[Node, Any, Node]]:
    for pattern in parts(part, "BGP"):
        yield from pattern.triples


# --- What one query may hold ------------------------------------------------------------------------------------------


def faults(text: str, heading: str | None = None) -> list[str]:
    """Everything in a query that is not in the subset."""
    query = algebra(text, heading)
    return [*_node_faults(query), *_variable_faults(query, text)]


def _node_faults(query: CompValue) -> Iterator[str]:
    for part in parts(query):
        if part.name not in PATTERNS | EXPRESSIONS:
            yield f"{part.name} is not in the subset"
        elif part.name == "Function" and part.iri not in FUNCTIONS:
            yield f"the function {part.iri} is not in the subset"
        elif "op" in part:
            operators = [part.op] if isinstance(part.op, str) else part.op
            yield from (f"the operator {op} is not in the subset" for op in operators if op not in OPERATORS)
            yield from _shifty_faults(part)
    for s, p, o in [*triples(query.p), *template(query)]:
        if isinstance(p, Variable):
            yield f"the predicate ?{p} is a variable"
        elif not isinstance(p, URIRef):
            yield f"{p} is a property path"
        if isinstance(s, BNode) or isinstance(o, BNode):
            yield "a blank node stands where a variable should"


def _shifty_faults(part: CompValue) -> Iterator[str]:
    """What pyshifty 0.5.1 reads wrongly: parentheses in arithmetic, and != between numbers."""
    if part.name in ("AdditiveExpression", "MultiplicativeExpression"):
        inside = {each.name for each in (part.expr, *part.other) if isinstance(each, CompValue)}
        if "AdditiveExpression" in inside:
            yield "parentheses in arithmetic: use a BIND for each step"
    elif part.name == "RelationalExpression" and part.op == "!=":
        numeric = {"AdditiveExpression", "MultiplicativeExpression", "Function"}
        if any(
            (isinstance(each, CompValue) and each.name in numeric)
            or (isinstance(each, Literal) and isinstance(each.value, int))
            for each in (part.expr, part.other)
        ):
            yield "!= between numbers: write < or >"


def _variable_faults(query: CompValue, text: str) -> Iterator[str]:
    if THIS not in bound(query.p) or "?this" in text or "$this" not in text:
        yield "the focus node is not written $this"
    wanted = variables(template(query)) if query.name == "ConstructQuery" else set(query.PV)
    if missing := wanted - bound(query.p):
        yield f"{sorted(missing)} is asked for and nowhere bound"
    yield from _union_faults(query.p, wanted)
    yield from _filter_faults(query.p, frozenset())


def _union_faults(part: Any, wanted: set[Variable]) -> Iterator[str]:
    """Branches of a UNION give the same variables, as far as anything outside of it uses them."""
    if isinstance(part, CompValue) and part.name == "Union":
        branches = list(_branches(part))
        given = [bound(branch) & wanted for branch in branches]
        if any(one != given[0] for one in given):
            yield f"the branches of a UNION give different variables: {[sorted(one) for one in given]}"
        for branch in branches:
            yield from _union_faults(branch, wanted)
        return
    below = list(children(part))
    for child in below:
        beside = set().union(*(variables(other) for other in below if other is not child))
        yield from _union_faults(child, wanted | beside)


def _branches(part: CompValue) -> Iterator[CompValue]:
    for branch in (part.p1, part.p2):
        if branch.name == "Union":
            yield from _branches(branch)
        else:
            yield branch


def _filter_faults(part: Any, outer: frozenset[Variable]) -> Iterator[str]:
    """A FILTER sees what its own group binds, and inside NOT EXISTS what is bound around it."""
    if isinstance(part, CompValue) and part.name in ("Filter", "Extend"):
        seen = outer | bound(part.p)
        yield from _expression_faults(part.expr, frozenset(seen))
        yield from _filter_faults(part.p, outer)
        return
    for child in children(part):
        yield from _filter_faults(child, outer)


def _expression_faults(expression: Any, seen: frozenset[Variable]) -> Iterator[str]:
    if isinstance(expression, Variable):
        if expression not in seen:
            yield f"?{expression} is used in a FILTER or BIND whose group does not bind it"
    elif isinstance(expression, CompValue) and expression.name == "Builtin_NOTEXISTS":
        if not seen & bound(expression.graph):
            yield "a NOT EXISTS has nothing to do with what is around it"
        yield from _filter_faults(expression.graph, seen)
    else:
        for child in children(expression):
            yield from _expression_faults(child, seen)


# --- What all rules may hold together ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """Which criteria a variable may stand for: kinds, and how many levels of groups are below."""

    kinds: frozenset[Node] = LEAF_KINDS | GROUP_KINDS
    depths: frozenset[int] = frozenset({0, 1, 2})

    def meets(self, other: Kind) -> bool:
        return bool(self.kinds & other.kinds and self.depths & other.depths)


@dataclass(frozen=True)
class Rule:
    name: str
    order: int
    query: CompValue

    def kind(self, node: Node) -> Kind:
        """What the rule's own patterns say about a criterion."""
        known = list(triples(self.query.p))
        kinds, depths = LEAF_KINDS | GROUP_KINDS, frozenset({0, 1, 2})
        for s, p, o in known:
            if s == node and p == RDF.type and o in kinds:
                kinds &= {o}
            elif s == node and p in domains():
                kinds &= domains()[p]
            if s == node and p == POL.depth and isinstance(o, Literal):
                depths &= {int(o)}
            elif o == node and p == POL.member and (group := self.kind(s).depths):
                depths &= frozenset(range(max(group)))
        if any(is_leaf(part.graph, node) for part in parts(self.query.p, "Builtin_NOTEXISTS")):
            kinds &= LEAF_KINDS
        if kinds <= LEAF_KINDS:
            depths &= {0}
        elif kinds <= GROUP_KINDS:
            depths &= {1, 2}
        return Kind(kinds, depths)

    def derives(self) -> set[tuple[Node, Kind]]:
        return {(p, self.kind(o)) for _, p, o in template(self.query)}

    def denies(self) -> set[tuple[Node, Kind]]:
        return {(p, self.kind(o)) for _, p, o in self._absent()}

    def decides(self, predicate: Node) -> bool:
        """Whether the rule derives one of met and not met only for what it finds in the other state nowhere.

        Such a rule and another that does the same the other way round keep out of each other's way: whichever comes
        first, the other no longer speaks of that criterion.
        """
        absent = {(s, o) for s, p, o in self._absent() if p == OPPOSITE.get(predicate)}
        derived = {(s, o) for s, p, o in template(self.query) if p == predicate}
        return bool(derived) and derived <= absent

    def _absent(self) -> list[tuple[Node, Any, Node]]:
        return [triple for part in parts(self.query.p, "Builtin_NOTEXISTS") for triple in triples(part.graph)]


@cache
def domains() -> dict[Node, frozenset[Node]]:
    """Criterion kinds that a property belongs to, by the ontology: ``pol:looksAt`` stands on ``pol:Shows`` only."""
    kinds: dict[Node, frozenset[Node]] = {}
    for prop, domain in ONTOLOGY.subject_objects(RDFS.domain):
        below = frozenset(ONTOLOGY.transitive_subjects(RDFS.subClassOf, domain)) & (LEAF_KINDS | GROUP_KINDS)
        if below:
            kinds[prop] = below
    return kinds | written_by_snapshots()


def written_by_snapshots() -> dict[Node, frozenset[Node]]:
    """Kinds of criteria that a snapshot writes what only rules read on: no ``pol:Shows`` has a ``pol:recordKind``."""
    read = (POL.recordKind, POL.absentIsNotMet)
    graph = Graph()
    for kind in LEAF_KINDS | GROUP_KINDS:
        criterion = URIRef(f"urn:{kind}")
        graph.add((criterion, RDF.type, kind))
        for name in (POL.event, POL.document, POL.measure, POL.finding):
            graph.add((criterion, name, URIRef("urn:thing")))
    snapshot = fold({URIRef("urn:file"): graph}, as_known_on=None)
    return {
        prop: frozenset(kind for c in snapshot.subjects(prop) for kind in graph.objects(c, RDF.type)) for prop in read
    }


def is_leaf(absent: Any, node: Node) -> bool:
    """Whether all that a NOT EXISTS rules out is that the criterion has members."""
    (s, p, _), *more = [*triples(absent), (None, None, None)]
    return not more[1:] and s == node and p == POL.member


def rules(graph: Graph) -> list[Rule]:
    heading = prefixes(graph)
    return [
        Rule(str(rule).partition("#")[2], int(graph.value(rule, SH.order)), algebra(str(text), heading))
        for rule, text in graph.subject_objects(SH.construct)
    ]


def strata_faults(listed: list[Rule]) -> list[str]:
    """What a rule tests to be absent, no rule of the same or a later order may yet derive.

    ``pol:met`` and ``pol:notMet`` are derived kind by kind, and groups after what they hold: two rules over criteria
    of different kinds or depths have nothing to do with each other.
    """
    return [
        f"{rule.name} ({rule.order}) denies {predicate}, which {other.name} ({other.order}) may still derive"
        for rule in listed
        for predicate, kind in sorted(rule.denies(), key=str)
        for other in listed
        if other.order >= rule.order
        and any(predicate == derived and kind.meets(of) for derived, of in other.derives())
        and not (rule.decides(OPPOSITE.get(predicate)) and other.decides(predicate))
    ]


# --- Tests ------------------------------------------------------------------------------------------------------------

QUERIES = sorted(
    (str(subject).partition("#")[2], str(text))
    for predicate in (SH.construct, SH.select)
    for subject, text in shapes().subject_objects(predicate)
)


@pytest.mark.parametrize(("name", "text"), QUERIES, ids=[name for name, _ in QUERIES])
def test_query_is_in_the_subset(name: str, text: str) -> None:
    assert faults(text) == []


def test_rules_sit_on_one_shape_in_one_order() -> None:
    graph = shapes()
    written = set(graph.subjects(SH.construct))
    assert written == set(graph.objects(None, SH.rule))
    assert len(set(graph.subjects(SH.rule))) == 1
    orders = [graph.value(rule, SH.order) for rule in written]
    assert all(isinstance(order, Literal) and order.datatype == XSD.integer for order in orders)
    assert len({int(str(order)) for order in orders}) == len(written)


def test_rules_are_listed_in_their_order() -> None:
    """The list on the shape is what a reader sees first."""
    text = next(path for path in SHAPES if path.name == "rules.ttl").read_text("utf-8")
    listed = text.partition("sh:rule")[2].partition(" .\n")[0].replace(",", " ").split()
    by_order = sorted(rules(shapes()), key=lambda rule: rule.order)
    assert [name.removeprefix("shape:") for name in listed] == [rule.name for rule in by_order]


def test_no_negation_within_a_stratum() -> None:
    assert strata_faults(rules(shapes())) == []


BAD = (
    (
        "OPTIONAL",
        "LeftJoin",
        "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c OPTIONAL { ?c pol:depth ?d } }",
    ),
    (
        "MINUS",
        "Minus",
        "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c MINUS { $this pol:unknown ?c } }",
    ),
    ("path", "property path", "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:candidate/pol:tests ?c }"),
    ("inverse path", "property path", "CONSTRUCT { $this pol:met ?c } WHERE { ?c ^pol:evaluates $this }"),
    ("aggregate", "AggregateJoin", "SELECT $this (COUNT(?c) AS ?n) WHERE { $this pol:met ?c } GROUP BY $this"),
    (
        "subselect",
        "ToMultiSet",
        "CONSTRUCT { $this pol:met ?c } WHERE { { SELECT $this ?c WHERE { $this pol:evaluates ?c } } }",
    ),
    ("variable predicate", "variable", "CONSTRUCT { $this pol:met ?c } WHERE { $this ?p ?c }"),
    (
        "variable predicate in the template",
        "variable",
        "CONSTRUCT { $this ?p ?c } WHERE { $this pol:met ?c ; pol:unknown ?p }",
    ),
    (
        "EXISTS",
        "Builtin_EXISTS",
        "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c FILTER EXISTS { $this pol:met ?c } }",
    ),
    (
        "IN",
        "operator IN",
        "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c FILTER (?c IN (pol:a, pol:b)) }",
    ),
    (
        "division",
        "operator /",
        "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c . ?c pol:depth ?d FILTER (?d / 2 = 1) }",
    ),
    (
        "REGEX",
        "Builtin_REGEX",
        'CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c FILTER (REGEX(STR(?c), "x")) }',
    ),
    (
        "another function",
        "XMLSchema#date",
        "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c . ?c pol:depth ?d FILTER "
        "(<http://www.w3.org/2001/XMLSchema#date>(?d) = 1) }",
    ),
    ("VALUES", "values", "CONSTRUCT { $this pol:met ?c } WHERE { VALUES ?c { pol:a } $this pol:evaluates ?c }"),
    ("GRAPH", "Graph", "CONSTRUCT { $this pol:met ?c } WHERE { GRAPH ?g { $this pol:evaluates ?c } }"),
    ("DISTINCT", "Distinct", "SELECT DISTINCT $this ?c WHERE { $this pol:evaluates ?c }"),
    ("ORDER BY", "OrderBy", "SELECT $this ?c WHERE { $this pol:evaluates ?c } ORDER BY ?c"),
    ("LIMIT", "Slice", "SELECT $this ?c WHERE { $this pol:evaluates ?c } LIMIT 1"),
    (
        "blank node",
        "blank node",
        "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c . ?c pol:member [] }",
    ),
    ("blank node made", "blank node", "CONSTRUCT { $this pol:met [] } WHERE { $this pol:evaluates ?c }"),
    ("no $this", "written $this", "CONSTRUCT { ?item pol:met ?c } WHERE { ?item pol:evaluates ?c }"),
    ("?this", "written $this", "CONSTRUCT { ?this pol:met ?c } WHERE { ?this pol:evaluates ?c }"),
    ("unbound", "nowhere bound", "CONSTRUCT { $this pol:met ?d } WHERE { $this pol:evaluates ?c }"),
    (
        "uneven UNION",
        "branches",
        "CONSTRUCT { $this pol:met ?c } WHERE { { $this pol:evaluates ?c } UNION { $this pol:unknown ?d } }",
    ),
    (
        "uneven UNION, joined",
        "branches",
        "CONSTRUCT { $this pol:met ?c } WHERE { ?d pol:member ?c . { $this pol:evaluates ?d } "
        "UNION { $this pol:unknown ?e } }",
    ),
    (
        "parentheses in arithmetic",
        "a BIND for each step",
        "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c . ?c pol:depth ?d FILTER (?d * (?d + 1) > 2) }",
    ),
    (
        "numbers that differ",
        "between numbers",
        "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c . ?c pol:depth ?d FILTER (?d != 2) }",
    ),
    (
        "FILTER out of sight",
        "does not bind",
        "CONSTRUCT { $this pol:met ?c } WHERE { ?c pol:depth ?d . { $this pol:evaluates ?c FILTER (?d = 1) } }",
    ),
    (
        "idle NOT EXISTS",
        "around it",
        "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c FILTER NOT EXISTS { ?x pol:met ?y } }",
    ),
)


@pytest.mark.parametrize(("expected", "text"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_the_checker_rejects(expected: str, text: str) -> None:
    assert expected in "; ".join(faults(text))


GOOD = """
    CONSTRUCT { $this pol:met ?c }
    WHERE {
      { $this pol:evaluates ?c } UNION { $this pol:candidate ?p . ?p pol:tests ?c }
      ?c pol:before ?day .
      BIND (<http://www.w3.org/2001/XMLSchema#integer>(SUBSTR(STR(?day), 1, 4)) * 12 + 1 - 2 AS ?months)
      FILTER (?months >= 0 && !(?months = 7) || ?months > 8)
      FILTER NOT EXISTS { ?c pol:member ?m . FILTER NOT EXISTS { $this pol:unknown ?m . FILTER (?m < ?c) } }
    }"""


def test_the_checker_accepts_all_that_is_in_the_subset() -> None:
    assert faults(GOOD) == []


def made(*texts: tuple[int, str]) -> list[Rule]:
    return [Rule(f"rule-{order}", order, algebra(text)) for order, text in texts]


def test_the_checker_rejects_negation_within_a_stratum() -> None:
    deny = "CONSTRUCT { $this pol:unknown ?c } WHERE { $this pol:evaluates ?c FILTER NOT EXISTS { $this pol:met ?c } }"
    derive = "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c . ?c a pol:Shows }"
    assert strata_faults(made((2, deny), (1, derive))) == []
    assert len(strata_faults(made((1, deny), (2, derive)))) == 1
    own = "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c FILTER NOT EXISTS { $this pol:met ?c } }"
    assert len(strata_faults(made((1, own)))) == 1


def test_the_checker_tells_kinds_and_depths_of_criteria_apart() -> None:
    deny = (
        "CONSTRUCT { $this pol:notMet ?c } WHERE { $this pol:evaluates ?c . ?c pol:looksAt ?place "
        "FILTER NOT EXISTS { $this pol:met ?c } }"
    )
    group = "CONSTRUCT { $this pol:met ?c } WHERE { $this pol:evaluates ?c . ?c a pol:AnyOf ; pol:depth %d }"
    assert strata_faults(made((1, deny), (2, group % 1))) == []
    over = (
        "CONSTRUCT { $this pol:notMet ?c } WHERE { $this pol:evaluates ?c . ?c a pol:AnyOf ; pol:depth 2 "
        "FILTER NOT EXISTS { ?c pol:member ?m . $this pol:met ?m } }"
    )
    assert strata_faults(made((1, over), (2, group % 2))) == []
    assert len(strata_faults(made((1, over), (2, group % 1)))) == 1
