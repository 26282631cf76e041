"""Claims as Turtle and JSON-LD: what passes, what it becomes, how faults are worded, and the way back."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import urllib.request
from dataclasses import fields, is_dataclass, replace
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdflib import RDF, Graph
from rdflib.compare import isomorphic
from strategies import claims

from chartulary import Register
from chartulary.claim import Claim, Diagnosis, Document, Event, Line, Note, Payer, Procedure, ValueCode
from chartulary.errors import Problem
from chartulary.graph import claim_graph
from chartulary.namespaces import CLM, ROOT
from chartulary.readers import read_claims, read_claims_from
from chartulary.readers.rdf import _PATHS, CONTEXT_IRI, TERMS, claim_to_turtle, read_rdf

DATA = Path(__file__).parent / "data" / "rdf"
CONTEXT: dict[str, Any] = json.loads(files("chartulary").joinpath("claim.context.jsonld").read_text("utf-8"))[
    "@context"
]
PREFIXES = "".join(
    f"PREFIX {prefix}: <{iri}>\n"
    for prefix, iri in {
        "clm": str(CLM),
        "rdf": str(RDF),
        "xsd": "http://www.w3.org/2001/XMLSchema#",
        **{prefix: ROOT + path for prefix, path in _PATHS.items()},
    }.items()
)
JSON_LD = "application/ld+json"


def items(body: str) -> list[Claim | Problem]:
    return list(read_rdf(PREFIXES + body, source="f", media_type="text/turtle"))


def turtle(properties: str, more: str = "") -> Claim:
    (item,) = items(f"<#c> a clm:Claim ; clm:id 'C' ; {properties} .\n{more}")
    assert isinstance(item, Claim), item
    return item


def faults(properties: str, more: str = "") -> list[tuple[str, str]]:
    found = items(f"<#c> a clm:Claim ; clm:id 'C' ; clm:diagnosis icd10:C83.31 ; {properties} .\n{more}")
    assert all(isinstance(item, Problem) for item in found), found
    return [(item.where, item.message) for item in found if isinstance(item, Problem)]


def json_ld(document: object) -> list[Claim | Problem]:
    text = document if isinstance(document, str) else json.dumps(document)
    return list(read_rdf(text, source="f", media_type=JSON_LD))


def one(**properties: object) -> Claim:
    document = {"@context": CONTEXT_IRI, "@id": "#c", "@type": "Claim", "id": "C", "diagnosis": "C83.31", **properties}
    (item,) = json_ld(document)
    assert isinstance(item, Claim), item
    return item


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in this file may open a connection."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    for owner, name in (
        (socket, "create_connection"),
        (socket, "getaddrinfo"),
        (socket.socket, "connect"),
        (urllib.request, "urlopen"),
        (urllib.request.OpenerDirector, "open"),
    ):
        monkeypatch.setattr(owner, name, refuse)


# --- the examples ---


@pytest.mark.parametrize("name", ["outpatient-38228.ttl", "outpatient-38228.jsonld"])
def test_example(name: str) -> None:
    (claim,) = read_claims(DATA / name)
    assert isinstance(claim, Claim)
    assert (claim.id, claim.where, claim.form, claim.bill_type) == ("C-1041", "#c1", "837I", "0131")
    assert claim.payer == Payer(name="medicare")
    assert (claim.setting, claim.product, claim.patient.age) == ("outpatient", "tisagenlecleucel", 67)
    assert claim.diagnoses == (Diagnosis(code="C83.31", kind="principal"),)
    assert claim.findings == (("facility-rems-enrolled", True), ("expanded-access", False))
    day = date(2025, 6, 25)
    shared = {"first_day": day, "last_day": day, "units": Decimal(1)}
    assert claim.lines == (
        Line(number=1, code="38228", modifiers=("KX",), revenue_code="0874", charge=Decimal("8500.00"), **shared),
        Line(number=2, code="Q2042", revenue_code="0891", charge=Decimal("475000.00"), **shared),
    )


def test_both_examples_are_the_same_graph() -> None:
    """Also for other tools: the context alone makes IRIs of the codes."""
    linked = json.loads((DATA / "outpatient-38228.jsonld").read_text("utf-8"), parse_float=str)
    linked["@context"] = CONTEXT
    one, other = (
        Graph().parse(data=text, format=form, publicID="http://example.org/")
        for text, form in (
            ((DATA / "outpatient-38228.ttl").read_text("utf-8"), "turtle"),
            (json.dumps(linked), "json-ld"),
        )
    )
    for graph in (one, other):  # an amount may be an integer in Turtle, but 1.0 and 1 are the same
        for s, p, o in list(graph):
            if p in (CLM.units, CLM.totalCharge, CLM.charge):
                graph.set((s, p, type(o)(Decimal(str(o)).normalize())))
    assert isomorphic(one, other)


def test_the_examples_are_validated_as_the_same_claim_from_json(register: Register) -> None:
    (claim,) = read_claims(DATA / "outpatient-38228.ttl")
    assert isinstance(claim, Claim)
    graph = claim_graph(claim, register.snapshot().coding)
    for property, value in ((CLM.payer, "payer/medicare"), (CLM.diagnosis, "code/icd-10-cm/C83.31")):
        assert [str(o) for o in graph.objects(None, property)] == [ROOT + value]


def test_a_bad_day_costs_its_claim_alone() -> None:
    problem, claim = read_claims(DATA / "one-good-one-bad.ttl")
    assert isinstance(problem, Problem)
    assert problem.where == "#bad-1, clm:dateOfService"
    assert problem.message == "must be a day written year-month-day, such as 2025-06-25, not '2025-13-45'"
    assert isinstance(claim, Claim)
    assert (claim.id, claim.request, claim.payer) == ("PA-7", "prior-authorization", Payer(name="Medicare"))
    assert claim.documents == (Document(kind="hiv-serology", date=date(2025, 8, 30), result="negative"),)


# --- values ---


@pytest.mark.parametrize(
    "value",
    ["modifier:KX", "'KX'", "'KX'@en", "[ rdf:value modifier:KX ]", "<KX>", "<modifier:KX>", f"<{ROOT}code/x/KX>"],
)
def test_a_code_is_an_iri_or_text(value: str) -> None:
    assert turtle(f"clm:line [ clm:modifier {value} ]").lines[0].modifiers == ("KX",)


def test_iris_are_decoded() -> None:
    claim = turtle(f"clm:diagnosis <{ROOT}code/icd-10-cm/C83%2E31> ; clm:product <{ROOT}product/a%20b>")
    assert claim.diagnoses[0].code == "C83.31"
    assert claim.product == "a b"


@pytest.mark.parametrize(
    ("properties", "payer"),
    [
        ("clm:payer payer:medicare", Payer(name="medicare")),
        ("clm:payer 'Medicare Part B'", Payer(name="Medicare Part B")),
        ("clm:payerName 'Medicare'", Payer(name="Medicare")),
        ("clm:payer [ clm:name payer:medicare ; clm:id 'A1' ]", Payer(name="medicare", id="A1")),
        ("clm:payer <#p>", Payer(name="Medicare", filing_indicator="MB")),
        ("clm:payer 'Medicare' ; clm:payerName 'Medicare'", Payer(name="Medicare")),
    ],
)
def test_payer(properties: str, payer: Payer) -> None:
    claim = turtle(f"{properties} ; clm:drg drg:018", "<#p> clm:name 'Medicare' ; clm:filingIndicator 'MB' .")
    assert (claim.payer, claim.drg) == (payer, "018")


def test_details_as_nodes_or_bare() -> None:
    claim = turtle(
        """clm:procedure pcs:XW033C3 , [ clm:code pcs:XW043C3 ; clm:date "2025-06-25Z"^^xsd:date ] ;
        clm:note "first" , note:expand-acc-use , [ clm:text "third" ; clm:location "FL80" ] ;
        clm:event event:denial , [ clm:kind event:submission ; clm:date "2025-06-30"^^xsd:date ] ;
        clm:event [ clm:event event:denial ; clm:date "2025-07-30"^^xsd:date ] ;
        clm:valueCode [ clm:codeAsSent "86" ; clm:amount .5 ]"""
    )
    assert claim.procedures == (Procedure(code="XW033C3"), Procedure(code="XW043C3", date=date(2025, 6, 25)))
    assert claim.notes == (Note(text="first"), Note(text="expand acc use"), Note(text="third", location="FL80"))
    assert claim.history == (
        Event(kind="denial"),
        Event(kind="submission", date=date(2025, 6, 30)),
        Event(kind="denial", date=date(2025, 7, 30)),
    )
    assert claim.value_codes == (ValueCode(code="86", amount=Decimal("0.5")),)


def test_a_note_of_the_register_is_found_again(register: Register) -> None:
    coding = register.snapshot().coding
    notes = [code for code in register.snapshot().graph.subjects() if str(code).startswith(ROOT + "note/")]
    assert notes
    for note in set(notes):
        claim = turtle(f"clm:note <{note}> ; clm:drg '018'")
        assert (None, CLM.note, note) in claim_graph(claim, coding)


def test_findings() -> None:
    claim = turtle(
        """clm:drg "018" ; clm:finding finding:expanded-access , [ clm:name "access" ; clm:value "central vein" ] ,
        [ clm:name finding:x ; clm:value false ] , [ clm:name "score" ; clm:value 8.50 ] ,
        [ clm:name "units" ; clm:value 8 ] , [ clm:name "test" ; clm:value "2025-06-25"^^xsd:date ] ,
        [ clm:name "labs" ; clm:only "CBC" , "HIV" ] , [ clm:name "few" ; clm:only "CBC" ] ;
        clm:noFinding "y" ; clm:noneFound finding:z"""
    )
    found = {name: sorted(value) if isinstance(value, tuple) else value for name, value in claim.findings}
    assert found == {
        "expanded-access": True, "access": "central vein", "x": False, "y": False, "z": None,
        "score": "8.50", "units": "8", "test": "2025-06-25", "labs": ["CBC", "HIV"], "few": ["CBC"],
    }  # fmt: skip


def test_numbers_give_the_order() -> None:
    claim = turtle(
        "clm:line <#b> , <#a> ; clm:diagnosis [ clm:number 2 ; clm:code 'A' ] , [ clm:number 1 ; clm:code 'B' ]",
        "<#a> clm:number 1 . <#b> clm:number 2 .",
    )
    assert [line.number for line in claim.lines] == [1, 2]
    assert [diagnosis.code for diagnosis in claim.diagnoses] == ["B", "A"]


def test_what_is_not_ours_is_ignored() -> None:
    claim = turtle("a <http://schema.org/Thing> ; rdf:foo 1 ; <http://schema.org/line> 'x' ; clm:diagnosis icd10:Z00.6")
    assert claim.diagnoses == (Diagnosis(code="Z00.6"),)


def test_a_claim_without_id_takes_the_name_of_its_node() -> None:
    named, blank = items("<#C-7> a clm:Claim ; clm:drg '018' . [] a clm:Claim ; clm:drg '018' .")
    assert isinstance(named, Claim)
    assert isinstance(blank, Claim)
    assert (named.id, named.where, blank.id, blank.where) == ("C-7", "#C-7", "f #2", "claim 2")


def test_a_triple_stated_twice_counts_once() -> None:
    claim = turtle(
        "clm:line <#l> , <#l> ; clm:setting setting:inpatient , setting:inpatient", "<#l> clm:modifier 'KX', 'KX' ."
    )
    assert [line.modifiers for line in claim.lines] == [("KX",)]
    assert claim.setting == "inpatient"


# --- faults ---


@pytest.mark.parametrize(
    ("properties", "where", "message"),
    [
        ("clm:setings 'x'", "#c", "clm:setings is not a property of a claim; did you mean clm:setting?"),
        ("clm:charge 1", "#c", "clm:charge is not a property of a claim but of a line"),
        ("clm:xyzzy 1", "#c", "clm:xyzzy is not a property of a claim"),
        ("clm:line [ clm:modifer 'KX' ]", "#c, clm:line 1",
         "clm:modifer is not a property of a line; did you mean clm:modifier?"),
        ("clm:line <#l>", "#c, clm:line", "gives no node with the properties of a line"),
        ("clm:line 'x'", "#c, clm:line", "gives no node with the properties of a line"),
        ("clm:payer <#l>", "#c, clm:payer", "refers to something that is not described here"),
        ("clm:line [ clm:charge 8.5e3 ]", "#c, clm:line 1, clm:charge",
         "a binary float is not exact; write a decimal such as 475000.00"),
        ("clm:line [ clm:charge 'much' ]", "#c, clm:line 1, clm:charge", "must be an amount such as 475000.00"),
        ("clm:line [ clm:number 'one' ]", "#c, clm:line 1, clm:number", "must be a whole number from 1"),
        ("clm:line [ clm:revenueCode 874 ]", "#c, clm:line 1, clm:revenueCode",
         'must be four digits as text with the leading zero, such as "0874"; write "0874" as text'),
        ("clm:admission '2025-02-02' ; clm:discharge '2025-02-01'", "#c, clm:discharge",
         "2025-02-01 is before admission 2025-02-02"),
        ("clm:line [ clm:lastDay '2025-02-02' ]", "#c, clm:line 1", "clm:lastDay stands without clm:firstDay"),
        ("clm:setting 'a' , 'b'", "#c, clm:setting", "has more than one value"),
        ("clm:finding 'x' ; clm:noFinding 'x'", "#c", "a finding is said to be two different things"),
        ("clm:finding [ clm:name 'x' ]", "#c, clm:finding",
         "must be the name of a finding, or for clm:finding a node with clm:name and clm:value (or clm:only)"),
        ("clm:finding [ clm:name 'x' ; clm:value 'a' ; clm:only 'b' ]", "#c, clm:finding",
         "must be the name of a finding, or for clm:finding a node with clm:name and clm:value (or clm:only)"),
        ("clm:noFinding [ clm:name 'x' ; clm:only 'b' ]", "#c, clm:noFinding",
         "must be the name of a finding, or for clm:finding a node with clm:name and clm:value (or clm:only)"),
        ("clm:diagnosis cpt:38228", "#c, clm:diagnosis", "must be a icd10: IRI, not cpt:"),
        ("clm:diagnosis <http://example.org/C83.31>", "#c, clm:diagnosis",
         "an IRI outside the register; give the code or name as text"),
        ("clm:setting []", "#c, clm:setting", "must be one value, not a node"),
        ("clm:donorType 'sea'", "#c, clm:donorType", "must be one of autologous, allogeneic"),
        ("clm:billType <#x>", "#c, clm:billType", "must be a literal, not an IRI"),
        (r"clm:donorType '\u0007'", "#c, clm:donorType", "a control character in text"),
        ("clm:procedure [ clm:kind 'other' ]", "#c, clm:procedure 1", "clm:code is missing"),
        ("clm:setting <<( <#a> <#b> <#c> )>>", "#c, clm:setting", "must be one value, not a node"),
    ],
)  # fmt: skip
def test_fault(properties: str, where: str, message: str) -> None:
    assert faults(properties) == [(where, message)]


def test_a_line_belongs_to_one_claim() -> None:
    first, second = items("<#a> a clm:Claim ; clm:line <#l> . <#b> a clm:Claim ; clm:line <#l> . <#l> clm:number 1 .")
    assert isinstance(first, Claim)
    assert str(second) == "f, #b, clm:line: this line stands in another claim already"


def test_at_most_ten_problems_a_claim() -> None:
    assert len(faults(" ; ".join(f"clm:a{n} 1" for n in range(50)))) == 10


def test_a_word_longer_than_the_parser_takes() -> None:
    (problem,) = items("<#c> clm:id '" + "x" * 20_000_000 + "' .")
    assert str(problem) == "f: a text or word that is too long"


def test_no_claim() -> None:
    (problem,) = items("<#c> a <http://example.org/Claim> .")
    assert "no claim in this graph" in str(problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<#a> <#b>\n\n  <#c>", "f, line 3, column 7: the text ends too early"),
        ("<#a>\na clm:Claim .", "f, line 2, column 3: the prefix clm: is not declared"),
        ('<#a>\n"Jane Doe" 1 .', "f, line 2, column 1: what stands here cannot be a predicate; is something missing"),
        ("<#a> <#b> 'x\n' .", "f, line 1, column 13: not well-formed: Line jumps are not allowed in string literals"),
        ("\x00", None),
        ("\ud800", None),
    ],
)  # fmt: skip
def test_syntax_error(text: str, problem: str | None) -> None:
    (item,) = read_rdf(text, source="f", media_type="text/turtle")
    assert isinstance(item, Problem)
    if problem:
        assert str(item).startswith(problem)


# --- JSON-LD ---


def test_json_ld_takes_plain_codes_compact_iris_and_nodes() -> None:
    for code in ("KX", "modifier:KX", {"@id": ROOT + "code/modifier/KX"}, {"@value": "KX"}):
        assert one(line={"modifier": code}).lines[0].modifiers == ("KX",)
    for code in ("38228", "cpt:38228", {"@id": "cpt:38228"}):
        assert one(line={"procedureCode": code}).lines[0].code == "38228"
    for payer in ("medicare", {"name": "medicare"}, {"name": {"@id": ROOT + "payer/medicare"}}):
        assert one(payer=payer).payer == Payer(name="medicare")
    assert one(payer="Medicare Part B").payer == Payer(name="Medicare Part B")
    assert one(event=["submission", "submitted"]).history == (Event(kind="submission"), Event(kind="submitted"))
    assert one(valueCode={"code": "86", "amount": 1}).value_codes == (ValueCode(code="86", amount=Decimal(1)),)


def test_json_ld_money_is_exact() -> None:
    text = '{"@context": "CONTEXT", "@type": "Claim", "line": {"charge": 1234567890.10, "units": 1e2}}'
    (claim,) = json_ld(text.replace("CONTEXT", CONTEXT_IRI))
    assert isinstance(claim, Claim)
    assert (str(claim.lines[0].charge), claim.lines[0].units) == ("1234567890.10", 100)


def test_json_ld_with_a_context_of_its_own() -> None:
    (claim,) = json_ld(
        {
            "@context": {"@version": 1.1, "c": str(CLM), "m": ROOT + "code/modifier/"},
            "@graph": [
                {"@id": "#c", "@type": "c:Claim", "c:line": {"@id": "#l"}},
                {"@id": "#l", "c:modifier": {"@id": "m:KX"}},
            ],
        }
    )
    assert isinstance(claim, Claim)
    assert claim.lines[0].modifiers == ("KX",)


def test_json_ld_list_of_many_claims() -> None:
    """Our context stands in each of them; it must not be written out each time."""
    text = json.dumps([{"@context": CONTEXT_IRI, "@type": "Claim", "drg": "018"} for _ in range(1500)])
    assert sum(isinstance(item, Claim) for item in read_claims_from(text.encode(), source="f")) == 1500
    (problem,) = json_ld([{"@context": [CONTEXT_IRI], "@type": "Claim"} for _ in range(1500)])
    assert "give it once, above a @graph" in str(problem)


def test_json_ld_misspelt_property_inside_a_code() -> None:
    document = {"@context": CONTEXT_IRI, "@id": "#c", "@type": "Claim", "payer": {"filingIndicater": "MB"}}
    (problem,) = json_ld(document)
    assert str(problem).endswith("is not a property of a payer; did you mean clm:filingIndicator?")


REMOTE = "https://example.org/context.jsonld"


@pytest.mark.parametrize(
    "context",
    [
        REMOTE,
        "context.jsonld",
        [CONTEXT_IRI, REMOTE],
        {"@import": REMOTE},
        [{"@import": CONTEXT_IRI}],
        {"line": {"@id": str(CLM.line), "@context": REMOTE}},
        {"Claim": {"@id": str(CLM.Claim), "@context": [{}, {"a": {"@id": "b:c", "@context": {"@import": REMOTE}}}]}},
        1.5,
    ],
)
def test_no_remote_context(context: object) -> None:
    within = {"@context": CONTEXT_IRI, "@type": "Claim", "line": {"@context": context, "number": 1}}
    for document in ({"@context": context, "@type": "Claim"}, [{"@context": context}], within):
        (problem,) = json_ld(document)
        assert isinstance(problem, Problem)
        assert re.search("not fetched|not followed|must be an object", problem.message)


def test_owl_imports_are_not_followed() -> None:
    text = f"<> <http://www.w3.org/2002/07/owl#imports> <{REMOTE}> . <#c> a clm:Claim ; clm:drg '018' ."
    assert [type(item) for item in items(text)] == [Claim]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200 + "]" * 200, "nested more than 100 levels deep"),
        ('{"@context": {}, "a": ' * 200, "the text ends too early"),
        ('{"@id": 5, "a": 1}', "not well-formed: @id value must be a string"),
        ('{"a": 1, "a": 2}', "field 'a' stands twice in one object"),
        ("{", "the text ends too early"),
        ("null", "no claim in this graph"),
        ("[]", "no claim in this graph"),
    ],
)
def test_bad_json_ld(text: str, message: str) -> None:
    (problem,) = json_ld(text)
    assert isinstance(problem, Problem)
    assert problem.message.startswith(message)


def test_context_says_what_the_table_says() -> None:
    types = {"day": "xsd:date", "amount": "xsd:decimal", "count": "xsd:integer"}
    names = {name: term for terms in reversed(TERMS.values()) for name, term in terms.items()}
    assert {term for term in CONTEXT if CONTEXT[term] == f"clm:{term}" or isinstance(CONTEXT[term], dict)} == {
        *names,
        *TERMS,
    }
    for name, term in names.items():
        entry = CONTEXT[name] if isinstance(CONTEXT[name], dict) else {"@id": CONTEXT[name]}
        assert entry["@id"] == f"clm:{name}"
        inner = next(iter(TERMS[term.kind].values())) if term.kind in TERMS else term
        if term.kind in types:
            assert entry["@type"] == types[term.kind]
        elif "@vocab" in entry.get("@context", {}):
            assert entry["@context"] == {"@vocab": ROOT + _PATHS[inner.schemes]}
            assert entry["@type"] == "@vocab"
        else:
            assert entry.get("@type") in ("@id", "@vocab", None)
    assert all(CONTEXT[prefix] == ROOT + path for prefix, path in _PATHS.items() if prefix not in names)


# --- limits ---


@pytest.mark.parametrize("opening", ["[ <#b> ", "( ", "<< <#a> <#b> ", "<<( <#a> <#b> ", "{| <#b> ", "{ "])
@pytest.mark.parametrize("closed", [True, False])
def test_deep_turtle(opening: str, closed: bool) -> None:
    closing = {"[": "]", "(": ")", "<<": ">>", "<<(": ")>>", "{|": "|}", "{": "}"}[opening.split()[0]]
    deep = f"<#a> <#b> {opening * 50_000} 1 {closing * 50_000 if closed else ''} ."
    threads = []
    found: list[list[Claim | Problem]] = []
    for size in (256 * 1024, 0):  # also on a small stack
        threading.stack_size(size)
        threads.append(threading.Thread(target=lambda: found.append(items(deep))))
        threads[-1].start()
        threading.stack_size(0)
    for thread in threads:
        thread.join()
    assert [[type(item) for item in each] for each in found] == [[Problem], [Problem]]


def test_cycles() -> None:
    for text in ("<#c> a clm:Claim ; clm:line <#c> .", "<#c> a clm:Claim ; rdf:value <#c> ; clm:payer <#c> ."):
        assert all(isinstance(item, Problem) for item in items(text))
    assert isinstance(items("<#c> a clm:Claim ; clm:setting _:x . _:x rdf:value _:x .")[0], Problem)


@pytest.mark.parametrize(
    "body",
    [
        "".join(f"<#{n}> a clm:Claim ; clm:payer <#p> . <#p> clm:a{n} 1 .\n" for n in range(5000)),
        "".join(f"<#{n}> a clm:Claim ; clm:line <#l> . <#l> clm:note 'n{n}' .\n" for n in range(5000)),
        "".join(f"<#c> a clm:Claim ; clm:line [ clm:number {n} ] .\n" for n in range(50_000)),
        "<#c> a clm:Claim ; clm:description '" + "x" * 5_000_000 + "' .",
        "<#c> a clm:Claim " + "; clm:setting 'a' " * 100_000 + ".",
        "<#c> " * 500_000,
        "x" * 5_000_000,
    ],
)
def test_time_grows_with_the_text_only(body: str) -> None:
    start = time.perf_counter()
    assert items(body)
    assert time.perf_counter() - start < 20


def test_large_file_of_claims() -> None:
    text = claim_to_turtle(turtle("clm:diagnosis icd10:C83.31 ; clm:line [ clm:procedureCode cpt:38228 ]"))
    body = text.split("\n\n")[1]
    start = time.perf_counter()
    found = items("".join(body.replace("claim:C>", f"claim:{n}>") for n in range(2000)))
    assert sum(isinstance(item, Claim) for item in found) == 2000
    assert time.perf_counter() - start < 20


# --- the way back ---


@settings(suppress_health_check=list(HealthCheck))
@given(claims())
def test_round_trip(claim: Claim) -> None:
    text = claim_to_turtle(claim)
    (back,) = read_rdf(text, source=claim.source, media_type="text/turtle")
    assert isinstance(back, Claim), (back, text)
    assert replace(back, where=claim.where) == claim
    assert claim_to_turtle(back) == text
    (recognised,) = read_claims_from(text.encode(), source=claim.source)
    assert recognised == back


def unordered(value: Any) -> Any:
    """A claim as plain data in which the order of repeated values does not count, but for diagnoses and lines."""
    if is_dataclass(value):
        plain = {field.name: unordered(getattr(value, field.name)) for field in fields(value)}
        return {
            name: sorted(item, key=repr) if isinstance(item, list) and name not in ("diagnoses", "lines") else item
            for name, item in plain.items()
        }
    return [unordered(item) for item in value] if isinstance(value, tuple) else value


@settings(suppress_health_check=list(HealthCheck), max_examples=25)
@given(claims())
def test_round_trip_by_way_of_json_ld(claim: Claim) -> None:
    """JSON-LD as another tool writes it, in an order of its own."""
    graph = Graph().parse(data=claim_to_turtle(claim), format="turtle")
    (back,) = json_ld(graph.serialize(format="json-ld"))
    assert isinstance(back, Claim), back
    assert unordered(replace(back, source="", where="")) == unordered(replace(claim, source="", where=""))


def test_written_text_is_pleasant() -> None:
    text = claim_to_turtle(turtle("clm:diagnosis icd10:C83.31 ; clm:line [ clm:modifier 'KX', [ rdf:value 'KX' ] ]"))
    assert text.endswith(
        """
<urn:chartulary:claim:C>
    a clm:Claim ;
    clm:id "C" ;
    clm:request request:claim ;
    clm:diagnosis [ clm:code icd10:C83.31 ; clm:kind "other" ] ;
    clm:line [
        a clm:Line ;
        clm:number 1 ;
        clm:modifier modifier:KX , [ rdf:value modifier:KX ]
    ] .
"""
    )


def test_a_code_of_another_system_is_not_called_one_of_ours() -> None:
    claim = Claim(id="C", source="f", diagnoses=(Diagnosis(code="202.80", system="BK"),))
    text = claim_to_turtle(claim)
    assert 'clm:codeAsSent "202.80" ; clm:system "BK"' in text
    assert "icd10" not in text


# --- never an exception ---

PIECES = st.sampled_from(
    ["<#c> ", "a clm:Claim ", "; ", ". ", ", ", "[ ", "] ", "( ", ") ", "<<( ", ")>> ", "clm:line ", "clm:payer ",
     "clm:finding ", "rdf:value ", "_:x ", "'x' ", "1.5 ", "1e5 ", '"2025-06-25"^^xsd:date ', '"""', "@prefix ", "\\"]
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join) | st.text())
def test_any_turtle(text: str) -> None:
    for item in items(text):
        assert "\n" not in str(item)
    assert list(read_rdf(text, source="f", media_type="text/turtle"))


KEYS = st.sampled_from(
    ["@id", "@type", "@value", "@list", "@graph", "@reverse", "@nest", "@included", "@language", "@version", "@context",
     *TERMS["Claim"], *TERMS["Line"], "name", "code"]
)  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["Claim", "#c", "KX", "\n", "@none", "xsd:date", "_:x", CONTEXT_IRI])
)


@given(
    st.dictionaries(
        KEYS | st.text(), st.recursive(LEAVES, lambda v: st.lists(v) | st.dictionaries(KEYS, v), max_leaves=20)
    )
)
def test_any_json_ld(document: dict[str, object]) -> None:
    for text in (json.dumps({"@context": CONTEXT_IRI, "@type": "Claim", **document}), json.dumps(document)):
        found = json_ld(text)
        assert found
        assert all("\n" not in str(item) for item in found if isinstance(item, Problem))


@given(st.text())
def test_any_text_as_json_ld(text: str) -> None:
    assert json_ld(text)
