"""Holds the register's data to what authors must write, and to the documents that it cites."""

from __future__ import annotations

import ast
import csv
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pyshacl
import pytest
from rdflib import OWL, RDF, RDFS, BNode, Graph, Literal, Node, URIRef
from rdflib.namespace import DCTERMS, SH, SKOS

from chartulary.namespaces import COD, POL, ROOT, SHAPE

BASE = Path(__file__).resolve().parents[1]
CORPUS = Path(os.environ.get("CHARTULARY_CORPUS", BASE.parent / "shared" / "corpus"))
SHAPE_FILE = BASE / "shapes" / "policy-file.ttl"
POLICY_FILES = sorted((BASE / "policies").rglob("*.ttl"))
TURTLE_FILES = [*POLICY_FILES, *sorted((BASE / "ontology").glob("*.ttl")), *sorted((BASE / "shapes").glob("*.ttl"))]
WHOLE_DOCUMENTS = (
    "mm14204",
    "astct-coding-options-2025-04",
    "nimitt-spotlight",
    "wellcare-nc-wnc-cp-192",
    "excellus-7-02-11",
)
"""Documents of which every statement is in the register."""
PUBLIC_TEXT = "Centers for Medicare & Medicaid Services"
NAMES_AND_FORMS = {URIRef(ROOT + "payer/any"), URIRef(ROOT + "payer/unrecognised"), URIRef(ROOT + "scheme/form")}
CALENDAR_ENDS = {"0001-01-01", "9999-12-31"}

needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"the documents are not in {CORPUS}")


def name(path: Path) -> str:
    return path.relative_to(BASE).as_posix()


@cache
def parsed(path: Path) -> Graph:
    return Graph().parse(path)


@cache
def union(folder: str) -> Graph:
    return sum((parsed(path) for path in sorted((BASE / folder).rglob("*.ttl"))), Graph())


def ours(node: Node) -> bool:
    return isinstance(node, URIRef) and node.startswith(ROOT)


# --- What authors must write ------------------------------------------------------------------------------------------


def faults(data: Graph) -> list[tuple[str, str, str]]:
    """Shape, subject and value of each fault in policies, by the reference engine."""
    _, report, _ = pyshacl.validate(data, shacl_graph=parsed(SHAPE_FILE), ont_graph=union("ontology"))
    assert isinstance(report, Graph)
    return sorted(
        (
            str(report.value(result, SH.sourceShape)).removeprefix(SHAPE),
            str(report.value(result, SH.focusNode)).removeprefix(ROOT),
            str(report.value(result, SH.value) or ""),
        )
        for result in report.subjects(RDF.type, SH.ValidationResult)
    )


def test_policies_hold_what_authors_must_write() -> None:
    found = faults(union("policies"))
    assert found == [], "\n".join(" | ".join(fault) for fault in found)


def test_shapes_say_what_to_do() -> None:
    graph = parsed(SHAPE_FILE)
    for shape in graph.subjects(RDF.type, SH.PropertyShape):
        assert str(graph.value(shape, SH.message) or "").strip(), f"{shape} has no sh:message"
    assert [s for s in graph.subjects(SH.message) if isinstance(s, BNode)] == []


def test_each_shape_has_one_meaning() -> None:
    """Two files of shapes that used one name would make one shape of both."""
    files: dict[Node, list[str]] = {}
    for path in sorted((BASE / "shapes").glob("*.ttl")):
        for subject in set(parsed(path).subjects(RDF.type)) - {SHAPE[""], URIRef(ROOT + "shape")}:
            if ours(subject):
                files.setdefault(subject, []).append(path.name)
    assert {str(shape): where for shape, where in files.items() if len(where) > 1} == {}


SMALL = """
PREFIX : <https://w3id.org/chartulary/policy/test/2025-01-01#>
PREFIX clm: <https://w3id.org/chartulary/def/claim#>
PREFIX cod: <https://w3id.org/chartulary/def/coding#>
PREFIX dcterms: <http://purl.org/dc/terms/>
PREFIX pol: <https://w3id.org/chartulary/def/policy#>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>

:policy a pol:Policy ; rdfs:label "policy"@en ; dcterms:publisher "a payer" ; pol:source :document .
:version a pol:PolicyVersion ; rdfs:label "version"@en ; pol:versionOf :policy ; pol:source :document ;
    pol:publishedEarliest "2025-01-01"^^xsd:date ; pol:publishedLatest "2025-01-03"^^xsd:date .
:provision a pol:Provision ; rdfs:label "provision"@en ; pol:scope :scope ; pol:about :code ; pol:checks clm:Line ;
    pol:effectiveFrom "2025-01-01"^^xsd:date ; pol:effectiveUntil "2025-12-31"^^xsd:date ; pol:severity pol:Review ;
    pol:when :shows ; pol:requires :group ; pol:overrides :other ; pol:cites :statement .
:deferral a pol:Provision ; rdfs:label "deferral"@en ; pol:scope :scope ; pol:about :wider ; pol:checks clm:Claim ;
    pol:suspends :policy ; pol:cites :statement .
:advice a pol:Provision ; rdfs:label "advice"@en ; pol:scope :scope ; pol:about :wider ; pol:checks clm:Claim ;
    pol:when :shows ; pol:recommends pol:For ; pol:grade "A" ; pol:severity pol:Info ; pol:cites :statement .
:other a pol:Provision ; rdfs:label "other"@en ; pol:scope :scope ; pol:about :system ; pol:checks clm:Claim ;
    pol:effectiveEarliest "2025-01-01"^^xsd:date ; pol:effectiveLatest "2025-02-01"^^xsd:date ;
    pol:endsEarliest "2025-10-01"^^xsd:date ; pol:endsLatest "2025-11-01"^^xsd:date ; pol:cites :statement .
:amendment a pol:Amendment ; rdfs:label "amendment"@en ; pol:ends :provision ; pol:cites :statement ;
    pol:effectiveFrom "2025-06-01"^^xsd:date ; pol:implementedOn "2025-07-01"^^xsd:date .
:shows a pol:Shows ; rdfs:label "shows"@en ; pol:looksAt pol:AnyLine ; pol:expects :code ; pol:ifUnknown pol:Nothing .
:sent a pol:EventBefore ; rdfs:label "sent"@en ; pol:event :code ; pol:before "2025-03-01"^^xsd:date .
:approved a pol:EventByService ; rdfs:label "approved"@en ; pol:event :code .
:checked a pol:EventOnService ; rdfs:label "checked"@en ; pol:event :code ; pol:presumed true ;
    rdfs:comment "The payer does not ask for it." .
:young a pol:AgeUnder ; rdfs:label "young"@en ; pol:years 21 .
:recent a pol:DocumentWithin ; rdfs:label "recent"@en ; pol:document :code ; pol:lessThanMonths 3 .
:late a pol:DocumentAfterService ; rdfs:label "late"@en ; pol:document :code ; pol:atLeastDays 30 .
:positive a pol:DocumentResult ; rdfs:label "positive"@en ; pol:document :code ; pol:result :wider .
:few a pol:NumberWithin ; rdfs:label "few"@en ; pol:measure :code ; pol:atMost 12.5 .
:same a pol:SameProduct ; rdfs:label "same"@en ; pol:finding :code .
:again a pol:OnAnotherDay ; rdfs:label "again"@en ; pol:expects :wider .
:group a pol:AnyOf ; rdfs:label "group"@en ; pol:member :shows , :inner .
:inner a pol:AllOf ; rdfs:label "inner"@en ; pol:member :shows , :sent .
:wish a pol:Proposal ; rdfs:label "wish"@en ; pol:kind pol:Asked ; pol:cites :statement .
:wished a pol:ProposalStatus ; rdfs:label "wished"@en ; pol:ofProposal :wish ; pol:cites :statement .
:scope a pol:Scope ; rdfs:label "scope"@en ; pol:payer :payer ; pol:lineOfBusiness :business ; pol:setting :setting ;
    pol:request :request .
:payer a pol:Payer ; rdfs:label "payer"@en .
:business a pol:LineOfBusiness ; rdfs:label "business"@en .
:setting a pol:Setting ; rdfs:label "setting"@en ; pol:billType "013" .
:request a pol:Request ; rdfs:label "request"@en .
:document a pol:Source ; rdfs:label "document"@en ; pol:verificationStatus pol:Verified ;
    pol:verifiedOn "2025-05-01"^^xsd:date .
:statement a pol:Statement ; dcterms:isPartOf :document ; pol:section "1" ; pol:quote "It says so." ;
    pol:says "So it is." .
:title a pol:Statement ; dcterms:isPartOf :document ; pol:section "0" ; pol:quote "Title" ;
    pol:says "A title." ;
    pol:notEncoded "A title; it states no rule." .
:code a cod:Code ; rdfs:label "code"@en ; skos:inScheme :system ; skos:notation "1" ; skos:broader :wider ;
    cod:attests "it is so" ; cod:validity :period ; pol:cites :statement .
:wider a cod:Code ; rdfs:label "wider"@en ; skos:inScheme :system .
:period a cod:Validity ; rdfs:label "period"@en ; cod:inSetting :setting ; pol:effectiveFrom "2025-01-01"^^xsd:date ;
    pol:cites :statement .
:system a cod:CodeSystem ; rdfs:label "system"@en ; cod:field cod:modifier ; cod:noun "modifier" ; cod:repair cod:add ;
    cod:namespace "https://example.org/" .
"""

DAY = '"2025-01-01"^^xsd:date'
BROKEN = (
    # shape that must tell, text of SMALL that is replaced, and by what
    ("named", "pol:requires :group", "pol:requires :group , [ a pol:CodeValid ; rdfs:label 'nameless' ]"),
    ("cites-statements", "pol:overrides :other ; pol:cites :statement", "pol:overrides :other ; pol:cites :document"),
    ("one-label", 'rdfs:label "wider"', 'rdfs:label "wider"@en , "broader"'),
    ("policy-has-a-label", 'rdfs:label "policy"@en ;', ""),
    ("policy-has-a-publisher", 'dcterms:publisher "a payer" ;', ""),
    ("policy-has-a-source", "pol:source :document .", "pol:source :statement ."),
    ("version-has-a-label", 'rdfs:label "version"@en ;', ""),
    ("version-of-a-policy", "pol:versionOf :policy ;", ""),
    ("version-of-a-policy", "pol:versionOf :policy", "pol:versionOf :document"),
    ("version-has-a-publication", f"pol:publishedEarliest {DAY} ; pol:publishedLatest", "pol:implementedOn"),
    ("version-has-a-source", "pol:versionOf :policy ; pol:source :document", "pol:versionOf :policy"),
    ("provision-has-one-label", 'rdfs:label "provision"@en ;', ""),
    ("provision-has-one-label", 'rdfs:label "provision"', f'rdfs:label "{"long " * 19}"'),
    ("provision-has-one-scope", 'rdfs:label "provision"@en ; pol:scope :scope', 'rdfs:label "provision"'),
    ("provision-has-one-scope", 'rdfs:label "other"@en ; pol:scope :scope', 'rdfs:label "other"@en ; pol:scope :shows'),
    ("provision-cites", "pol:overrides :other ; pol:cites :statement", "pol:overrides :other"),
    ("provision-checks", "pol:checks clm:Line ;", ""),
    ("provision-checks", "pol:checks clm:Line", "pol:checks clm:Item"),
    ("provision-about", "pol:about :code ;", ""),
    ("provision-about", "pol:about :code", "pol:about :payer"),
    ("provision-severity", "pol:severity pol:Review", "pol:severity pol:Nothing"),
    ("provision-asks-criteria", "pol:requires :group", "pol:requires :code"),
    ("provision-overrides-provisions", "pol:overrides :other", "pol:overrides :policy"),
    ("provision-uses-known-words", "pol:requires :group", "pol:require :group"),
    ("amendment-has-one-label", 'rdfs:label "amendment"@en ;', ""),
    ("amendment-ends-provisions", "pol:ends :provision ;", ""),
    ("amendment-ends-provisions", "pol:ends :provision", "pol:ends :policy"),
    ("amendment-has-a-day", 'pol:effectiveFrom "2025-06-01"^^xsd:date ; pol:implementedOn', "pol:implementedOn"),
    ("amendment-cites", "pol:ends :provision ; pol:cites :statement ;", "pol:ends :provision ;"),
    ("amendment-uses-known-words", "pol:ends :provision", "pol:ends :provision ; pol:when :shows"),
    ("criterion-has-one-label", 'rdfs:label "shows"@en ;', ""),
    ("criterion-if-unknown", "pol:ifUnknown pol:Nothing", "pol:ifUnknown pol:Violation"),
    ("criterion-looks-somewhere", "pol:looksAt pol:AnyLine", "pol:looksAt clm:Line"),
    ("criterion-uses-known-words", "pol:expects :code", "pol:expects :code ; pol:expect :code"),
    ("shows-something", "pol:expects :code ;", ""),
    ("shows-something", "pol:expects :code", "pol:expects :scope"),
    ("shows-something", "pol:expects :wider", "pol:looksAt pol:AnyLine"),
    ("criterion-names-its-event", "pol:event :code ; pol:before", "pol:before"),
    ("criterion-names-its-event", 'rdfs:label "approved"@en ; pol:event :code', 'rdfs:label "approved"'),
    (
        "criterion-names-its-event",
        'rdfs:label "checked"@en ; pol:event :code',
        'rdfs:label "checked"@en ; pol:event :scope',
    ),
    ("criterion-names-its-document", "pol:document :code ; pol:lessThanMonths", "pol:lessThanMonths"),
    ("criterion-names-its-document", "pol:document :code ; pol:atLeastDays", "pol:document :payer ; pol:atLeastDays"),
    ("criterion-names-its-document", "pol:document :code ; pol:result", "pol:result"),
    ("document-within-months", "pol:lessThanMonths 3", "pol:lessThanMonths 3 ; pol:atMostMonths 4"),
    ("document-within-months", "pol:lessThanMonths 3", "pol:lessThanMonths 0"),
    ("document-within-months", "pol:document :code ; pol:lessThanMonths 3", "pol:document :code"),
    ("document-after-days", "pol:atLeastDays 30", "pol:atLeastDays 30.5"),
    ("document-result-names-its-result", "pol:result :wider", "pol:result :payer"),
    ("number-within-names-its-measure", "pol:measure :code", "pol:measure :payer"),
    ("number-within-has-bounds", "; pol:atMost 12.5", ""),
    ("age-under-names-the-years", "pol:years 21", "pol:years 20.5"),
    ("same-product-names-its-finding", "; pol:finding :code", ""),
    ("presumption-has-a-comment", 'rdfs:comment "The payer does not ask for it."', "rdfs:seeAlso :document"),
    ("provision-suspends-a-policy", "pol:suspends :policy", "pol:suspends :other"),
    ("provision-recommends", "pol:recommends pol:For", "pol:recommends pol:Info"),
    ("recommendation-is-information", 'pol:grade "A" ; pol:severity pol:Info', 'pol:grade "A"'),
    ("recommendation-asks-for-nothing", "pol:when :shows ; pol:recommends", "pol:requires :shows ; pol:recommends"),
    ("proposal-has-a-label", 'rdfs:label "wish"@en ;', ""),
    ("proposal-kind", "pol:kind pol:Asked", "pol:kind pol:Review"),
    ("proposal-cites", "pol:kind pol:Asked ; pol:cites :statement", "pol:kind pol:Asked"),
    ("status-of-a-proposal", "pol:ofProposal :wish", "pol:ofProposal :other"),
    ("status-has-a-label", 'rdfs:label "wished"@en ;', ""),
    ("status-cites", "pol:ofProposal :wish ; pol:cites :statement", "pol:ofProposal :wish"),
    ("event-before-names-its-day", 'pol:before "2025-03-01"^^xsd:date', 'pol:before "2025-03-01"'),
    ("group-has-members", "pol:member :shows , :sent", "pol:member :shows"),
    (
        "group-is-shallow",
        "pol:member :shows , :sent",
        "pol:member :shows , :deep . :deep a pol:AllOf ; pol:member :sent , :shows",
    ),
    ("scope-has-a-label", 'rdfs:label "scope"@en ;', ""),
    ("scope-payer", "pol:payer :payer", "pol:payer :business"),
    ("scope-line-of-business", "pol:lineOfBusiness :business", "pol:lineOfBusiness :payer"),
    ("scope-setting", "pol:setting :setting", "pol:setting :payer"),
    ("scope-request", "pol:request :request", "pol:request :setting"),
    ("scope-uses-known-words", "pol:payer :payer", "pol:payer :payer ; pol:ofPayer :payer"),
    ("party-has-a-label", 'rdfs:label "payer"', "pol:payerId '1'"),
    ("bill-type", 'pol:billType "013"', 'pol:billType "13"'),
    ("source-has-a-label", 'rdfs:label "document"@en ;', ""),
    ("source-was-seen-or-not", "pol:verificationStatus pol:Verified ;", ""),
    ("statement-has-a-source", 'dcterms:isPartOf :document ; pol:section "1"', 'pol:section "1"'),
    ("statement-has-a-section", 'pol:section "1" ;', ""),
    ("statement-has-a-quote", 'pol:quote "It says so." ;', ""),
    ("statement-says", 'pol:says "So it is."', 'pol:says "So it is." , "Or not."'),
    ("statement-not-encoded", 'pol:notEncoded "A title; it states no rule."', 'pol:notEncoded "no"'),
    ("code-attests", "cod:validity :period ; pol:cites :statement", "cod:validity :period"),
    ("code-has-a-label", 'rdfs:label "code"@en ;', ""),
    ("code-has-a-system", 'rdfs:label "wider"@en ; skos:inScheme :system', 'rdfs:label "wider"'),
    ("code-is-within-known-things", "skos:broader :wider", "skos:broader :setting"),
    ("code-notation", 'skos:notation "1"', 'skos:notation "1" , "01"'),
    ("code-validity", "cod:validity :period", "cod:validity :provision"),
    ("validity-has-a-label", 'rdfs:label "period"@en ;', ""),
    ("validity-has-a-day", f"cod:inSetting :setting ; pol:effectiveFrom {DAY} ;", "cod:inSetting :setting ;"),
    (
        "validity-cites",
        f"cod:inSetting :setting ; pol:effectiveFrom {DAY} ;\n    pol:cites :statement",
        f"pol:effectiveFrom {DAY}",
    ),
    ("validity-setting", "cod:inSetting :setting", "cod:inSetting :payer"),
    ("code-system-has-a-label", 'rdfs:label "system"@en ;', ""),
    ("code-system-has-a-field", "cod:field cod:modifier", "cod:field clm:modifier"),
    ("code-system-has-a-noun", 'cod:noun "modifier" ;', ""),
    ("code-system-has-a-namespace", "https://example.org/", "https://example.org"),
    ("code-system-repair", "cod:repair cod:add", "cod:repair cod:modifier"),
    (
        "effective-from",
        f"pol:checks clm:Line ;\n    pol:effectiveFrom {DAY}",
        "pol:checks clm:Line ; pol:effectiveFrom '2025-01-01'",
    ),
    ("effective-from", 'pol:effectiveFrom "2025-06-01"', 'pol:effectiveFrom "2025-06-31"'),
    ("effective-until", '"2025-12-31"^^xsd:date', '"2025-12-31"^^xsd:date , "2026-12-31"^^xsd:date'),
    ("effective-earliest", f"pol:effectiveEarliest {DAY}", "pol:effectiveEarliest 2025"),
    ("effective-latest", '"2025-02-01"^^xsd:date', '"February"'),
    ("ends-earliest", '"2025-10-01"^^xsd:date', '"2025-10"^^xsd:gYearMonth'),
    ("ends-latest", '"2025-11-01"^^xsd:date', '"2025-11-01"'),
    ("implemented-on", '"2025-07-01"^^xsd:date', '"2025-07-01T00:00:00"^^xsd:dateTime'),
    ("published-on", f"pol:publishedEarliest {DAY} ; pol:publishedLatest", "pol:publishedOn 2025 ; pol:implementedOn"),
    ("published-earliest", f"pol:publishedEarliest {DAY}", "pol:publishedEarliest '2025'"),
    ("published-latest", '"2025-01-03"^^xsd:date', "'2025'"),
    ("verified-on", '"2025-05-01"^^xsd:date', '"2025-05-01"'),
    ("effective-from-is-not-after-effective-until", '"2025-12-31"^^xsd:date', '"2024-12-31"^^xsd:date'),
    ("effective-earliest-is-not-after-effective-latest", '"2025-02-01"^^xsd:date', '"2024-02-01"^^xsd:date'),
    ("ends-earliest-is-not-after-ends-latest", '"2025-11-01"^^xsd:date', '"2025-09-01"^^xsd:date'),
    ("published-earliest-is-not-after-published-latest", '"2025-01-03"^^xsd:date', '"2024-12-31"^^xsd:date'),
    ("effective-from-has-no-bounds", "pol:severity pol:Review", f"pol:effectiveEarliest {DAY}"),
    ("effective-until-has-no-bounds", "pol:severity pol:Review", f"pol:endsEarliest {DAY}"),
    ("published-on-has-no-bounds", "pol:versionOf :policy ;", f"pol:versionOf :policy ; pol:publishedOn {DAY} ;"),
)


def test_a_small_register_conforms() -> None:
    assert faults(Graph().parse(data=SMALL, format="turtle")) == []


@pytest.mark.parametrize(("shape", "old", "new"), BROKEN)
def test_a_broken_register_is_told(shape: str, old: str, new: str) -> None:
    assert SMALL.count(old) == 1, "the text to break stands there once"
    found = faults(Graph().parse(data=SMALL.replace(old, new), format="turtle"))
    assert shape in {fault for fault, _, _ in found}


def test_each_shape_is_seen_to_fail() -> None:
    graph = parsed(SHAPE_FILE)
    # The example of a shape is held against it by tests/test_lint.py.
    told = {SHAPE[shape] for shape, _, _ in BROKEN} | set(graph.subjects(SKOS.example))
    assert {str(shape) for shape in graph.subjects(SH.message) if shape not in told} == set()


# --- Names ------------------------------------------------------------------------------------------------------------


@cache
def defined() -> set[Node]:
    return {node for part in ("ontology", "policies", "shapes") for node in union(part).subjects(RDF.type)}


@pytest.mark.parametrize("path", TURTLE_FILES, ids=name)
def test_each_name_is_defined(path: Path) -> None:
    used = {o for _, p, o in parsed(path) if ours(o) and p not in (OWL.versionIRI, RDF.type)}
    used |= {p for _, p, _ in parsed(path) if ours(p)}
    used |= {o for o in parsed(path).objects(None, RDF.type) if ours(o)}
    assert {str(node) for node in used - defined()} == set()


@pytest.mark.parametrize("path", POLICY_FILES, ids=name)
def test_each_thing_has_a_kind(path: Path) -> None:
    graph = parsed(path)
    assert {str(s) for s in graph.subjects() if ours(s) and (s, RDF.type, None) not in graph} == set()


def test_each_thing_stands_in_one_file() -> None:
    files: dict[Node, list[str]] = {}
    for path in POLICY_FILES:
        for subject in set(parsed(path).subjects()):
            files.setdefault(subject, []).append(name(path))
    assert {str(subject): where for subject, where in files.items() if len(where) > 1} == {}


@pytest.mark.parametrize("path", POLICY_FILES, ids=name)
def test_no_blank_nodes(path: Path) -> None:
    graph = parsed(path)
    cells = set(graph.subjects(RDF.first))
    assert [node for triple in graph for node in triple if isinstance(node, BNode) and node not in cells] == []


PREFIX = re.compile(r"^PREFIX\s+(\S*):\s+<([^>]*)>", re.MULTILINE)


@pytest.mark.parametrize("path", TURTLE_FILES, ids=name)
def test_prefixes_mean_the_same_everywhere(path: Path) -> None:
    shared = dict(PREFIX.findall((BASE / "ontology" / "prefixes.ttl").read_text("utf-8")))
    bound = PREFIX.findall(path.read_text("utf-8"))
    assert bound or not parsed(path)
    assert {p: iri for p, iri in bound if p and p in shared and shared[p] != iri} == {}


@pytest.mark.parametrize("path", sorted((BASE / "policies").rglob("*-*-*.ttl")), ids=name)
def test_a_version_is_named_after_its_file(path: Path) -> None:
    versions = set(parsed(path).subjects(RDF.type, POL.PolicyVersion))
    iri = URIRef(f"{ROOT}policy/{path.relative_to(BASE / 'policies').with_suffix('').as_posix()}")
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", path.stem):
        assert versions == {iri}
        provisions = {s for kind in (POL.Provision, POL.Amendment) for s in parsed(path).subjects(RDF.type, kind)}
        assert {str(p) for p in provisions if not p.startswith(f"{iri}#")} == set()
    else:
        assert versions == set()


# --- Days and labels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TURTLE_FILES, ids=name)
def test_every_value_fits_its_datatype(path: Path) -> None:
    assert [o for o in parsed(path).objects() if isinstance(o, Literal) and o.ill_typed] == []


def test_labels_of_provisions_are_short() -> None:
    graph = union("policies")
    rules = {s for kind in (POL.Provision, POL.Amendment) for s in graph.subjects(RDF.type, kind)}
    assert {str(s) for s in rules if not 0 < len(graph.value(s, RDFS.label, default="")) <= 90} == set()


# --- The ledger -------------------------------------------------------------------------------------------------------

CITING = (POL.cites, RDFS.seeAlso)


def statements() -> set[Node]:
    return set(union("policies").subjects(RDF.type, POL.Statement))


def test_every_statement_is_cited_or_says_why_not() -> None:
    graph = union("policies")
    cited = {o for predicate in CITING for o in graph.objects(None, predicate)}
    reasoned = set(graph.subjects(POL.notEncoded))
    assert {str(s).removeprefix(ROOT) for s in statements() - cited - reasoned} == set()


def test_no_rule_rests_on_a_statement_that_is_not_encoded() -> None:
    graph = union("policies")
    rules = {s for kind in (POL.Provision, POL.Amendment) for s in graph.subjects(RDF.type, kind)}
    reasoned = set(graph.subjects(POL.notEncoded))
    assert {(str(s), str(o)) for s, o in graph.subject_objects(POL.cites) if s in rules and o in reasoned} == set()


@needs_corpus
@pytest.mark.parametrize("document", WHOLE_DOCUMENTS)
def test_every_statement_of_a_document_is_in_the_register(document: str) -> None:
    with (CORPUS / "statements.tsv").open(encoding="utf-8", newline="") as file:
        wanted = {row["id"] for row in csv.DictReader(file, delimiter="\t") if row["document"] == document}
    assert wanted
    assert wanted - {str(s).removeprefix(f"{ROOT}statement/") for s in statements()} == set()


def test_quotes_of_text_that_is_not_public_are_short() -> None:
    graph = union("policies")
    for statement, quote in graph.subject_objects(POL.quote):
        publisher = str(graph.value(graph.value(statement, DCTERMS.isPartOf), DCTERMS.publisher))
        if not publisher.startswith(PUBLIC_TEXT):
            assert len(quote.split()) <= 12, f"{statement}: {quote}"


# --- Nothing about one payer, code or day in code or shapes -----------------------------------------------------------


@cache
def particulars() -> re.Pattern[str]:
    """What only data may say: codes of four characters or more, payers' names, statement ids, days.

    Shorter codes would be found in any text. Claim forms are what readers read, not what policies say.
    """
    graph = union("policies")
    words = {
        str(notation)
        for code, notation in graph.subject_objects(SKOS.notation)
        if len(notation) >= 4 and graph.value(code, SKOS.inScheme) not in NAMES_AND_FORMS
    }
    payers = set(graph.subjects(RDF.type, POL.Payer)) - NAMES_AND_FORMS
    words |= {str(label) for payer in payers for label in graph.objects(payer, RDFS.label)}
    words |= {str(s).removeprefix(f"{ROOT}statement/") for s in statements()}
    several = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    return re.compile(rf"(?<![\w.])(?:{several}|\d{{4}}-\d{{2}}-\d{{2}})(?![\w])", re.IGNORECASE)


def told(text: str) -> list[str]:
    return [found for found in particulars().findall(text) if found not in CALENDAR_ENDS]


def spoken(source: str) -> Iterator[tuple[int, str]]:
    """Names and texts of Python code, without comments, docstrings and the examples of ``help`` texts."""
    tree = ast.parse(source)
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for keyword in (
        node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg in ("help", "epilog")
    ):
        silent |= {id(node) for node in ast.walk(keyword.value)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in silent:
            yield node.lineno, str(node.value)
        elif isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr


@pytest.mark.parametrize("path", sorted((BASE / "src").rglob("*.py")), ids=name)
def test_no_code_speaks_of_one_payer_code_or_day(path: Path) -> None:
    assert [(line, found) for line, text in spoken(path.read_text("utf-8")) for found in told(text)] == []


@pytest.mark.parametrize("path", sorted((BASE / "shapes").glob("*.ttl")), ids=name)
def test_no_shape_speaks_of_one_payer_code_or_day(path: Path) -> None:
    spoken_of = [str(n) for s, p, o in parsed(path) if p not in (SH.message, SKOS.example) for n in (s, p, o)]
    assert sorted({found for text in spoken_of for found in told(text)}) == []


def test_code_and_shapes_that_do_are_found() -> None:
    notation = next(str(n) for n in sorted(union("policies").objects(None, SKOS.notation)) if len(n) == 5)
    statement = str(min(statements(), key=str)).removeprefix(f"{ROOT}statement/")
    code = f'"""Such as {notation}."""\nif code == "{notation}" and day > "2025-06-25":\n'
    code += f'    cite("{statement}", "Medicare")\n'
    assert [found for _, text in spoken(code) for found in told(text)] == [
        notation,
        "2025-06-25",
        statement,
        "Medicare",
    ]
    assert told("0001-01-01 9999-12-31 any payer 837I") == []


@pytest.mark.parametrize("kind", [POL.Provision, POL.Statement, COD.Code, POL.Payer])
def test_there_is_something_to_test(kind: URIRef) -> None:
    assert set(union("policies").subjects(RDF.type, kind))
