"""Turtle as authors write it: the graph that rdflib reads, the place of everything, and faults that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from rdflib import RDF, RDFS, Graph, Literal, URIRef
from rdflib.compare import isomorphic

from chartulary.namespaces import POL
from chartulary.turtle import Document, TurtleFault, read, shared_prefixes

BASE = Path(__file__).resolve().parents[1]
FILES = sorted(
    path
    for folder in ("docs/example", "ontology", "policies/codes", "policies/medicare", "policies/sources", "shapes")
    for path in (BASE / folder).rglob("*.ttl")
    if path.stat().st_size < 60_000
)
NAME = "https://x.example/kx#"
GOOD = """\
# about the file

PREFIX : <https://x.example/kx#>
PREFIX pol: <https://pol.example/#>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>

# above kx
:kx
    a pol:Provision ;
    rdfs:label "The line carries KX"@en ;
    # above about
    pol:about :c , :d ,   # beside d
        :e ;
    pol:from "2025-01-01"^^xsd:date ;   # beside from
    pol:cites :s .

:next   # beside next
    a pol:Shows ;
    pol:member [ a pol:X ; pol:y ( :a :b ) ] ;
    pol:expects :y .
"""


def test_there_are_files_to_read() -> None:
    assert len(FILES) > 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(BASE).as_posix())
def test_reads_the_graph_that_rdflib_reads(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found, expected = read(text).graph(), Graph().parse(data=text, format="turtle")
    assert len(found) == len(expected) > 0 or path.name == "prefixes.ttl"
    assert set(found) == set(expected) or isomorphic(found, expected)


@pytest.mark.parametrize(
    "text",
    [
        "@prefix : <https://x/> . :a :b :c .",
        "@base <https://x/> . <a> <#b> <> .",
        "BASE <https://x/y/> prefix p: <z#> p:a a <../q> .",
        '<https://x/a> <https://x/b> \'c\', "c"@en-GB, \'\'\'a\n\'b\'\'\'@en, """say ""no"" """, true, false .',
        "<https://x/a> <https://x/b> 1, -1, +1.5, .5, 1e3, 1.E-3, -.5E+2 .",
        r"<https://x/a> <https://x/b> 'tab\t quote\" \u00e9 \U0001F600 back\\' ; <https://x/\u0062> 'c' .",
        "PREFIX p: <https://x/> p:a.b p:c-d p:%41 , p:\\,x , p:1 , p:a:b . p: p: p: .",
        "PREFIX : <https://x/> [] :a [] . [ :b :c ] . [ :b :d ] :e ( ) .",
        "PREFIX : <https://x/> ( 1 [ :a ( 2 ) ] ) :b _:n . _:n :c _:n.m ; ; .",
        "PREFIX : <https://x/> :a :b 1.:c :d 'e'^^<https://x/f>;:g 'h'^^:i,:j.#end",
        "PREFIX : <https://x/>\r\n:a :b 'c' .\r\n",
        "PREFIX p: <https://x/> PREFIX p: <https://y/> p:a p:b p:c .",
        "",
    ],
)
def test_reads_all_of_turtle(text: str) -> None:
    found = read(text).graph()
    assert isomorphic(found, Graph().parse(data=text, format="turtle", publicID=""))


# --- Places and comments ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def document() -> Document:
    return read(GOOD, source="kx.ttl")


def test_knows_the_line_of_everything(document: Document) -> None:
    kx, about, cites = URIRef(NAME + "kx"), URIRef("https://pol.example/#about"), URIRef("https://pol.example/#cites")
    assert document.line_of(kx) == 9
    assert document.line_of(kx, RDF.type) == 10
    assert document.line_of(kx, about) == 13
    assert document.line_of(kx, about, URIRef(NAME + "e")) == 14
    assert document.line_of(kx, about, URIRef(NAME + "nothing")) == 13
    assert document.line_of(kx, RDFS.comment) == 9
    assert document.line_of(URIRef(NAME + "nothing"), cites) is None
    (inner,) = document.graph().subjects(RDF.type, URIRef("https://pol.example/#X"))
    assert document.line_of(inner) == 20
    place = document.place_of(kx, about, URIRef(NAME + "d"))
    assert place and (place.line, place.column) == (13, 20)


def test_comments_belong_to_what_they_stand_at(document: Document) -> None:
    assert document.head == ("# about the file",)
    kx, after = document.blocks
    assert kx.comments == ("# above kx",)
    assert after.comments == ("# beside next",)
    by_name = {predicate.term.rpartition("#")[2]: predicate for predicate in kx.predicates}
    assert by_name["about"].comments == ("# above about",)
    assert [each.comment for each in by_name["about"].objects] == ["", "# beside d", ""]
    assert [each.comment for each in by_name["from"].objects] == ["# beside from"]
    assert document.loose == ()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (":a :b :c .\n# d", "below"),
        (":a :b # d\n:c .", "inside"),
        (":a :b ( :c # d\n) .", "inside"),
        (":a :b [ :c :d ; # e\n:f :g ] .", "inside"),
        (":a :b :c ,\n# d\n:e .", "inside"),
        ("PREFIX p: <q> # d\n:a :b :c .", "among the prefixes"),
        ("# d\nPREFIX p: <q>\n:a :b :c .", "among the prefixes"),
    ],
)
def test_tells_of_comments_that_belong_to_nothing(text: str, where: str) -> None:
    (loose,) = read("PREFIX : <https://x/>\n" + text).loose
    assert where in loose.where
    assert text.split("\n")[loose.place.line - 2].index("#") == loose.place.column - 1


# --- Faults -----------------------------------------------------------------------------------------------------------

LABEL = '"The line carries KX"@en ;'
FAULTS = [
    ("pol:cites :s .", "pol:cites :s", "16:17", "a full stop is missing here, before :next on line 18"),
    ("pol:cites :s .", "pol:cites :s ;", "16:18", "a full stop belongs here instead of the semicolon"),
    ("pol:cites :s .", "pol:cites :s ,", "16:18", "a full stop belongs here instead of the comma"),
    (LABEL, LABEL[:-2], "11:40", "a semicolon is missing here, before pol:about"),
    (
        LABEL,
        LABEL[:-1] + ".",
        "11:41",
        "a semicolon belongs here instead of the full stop: line 13 goes on with pol:about",
    ),
    (LABEL, LABEL[:-1] + ",", "11:41", "a semicolon belongs here instead of the comma: line 13 goes on with pol:about"),
    (LABEL, '"The line carries KX@en ;', "11:16", "the quotation mark opened here is never closed"),
    (LABEL, '"""The line carries KX"@en ;', "11:16", "the three quotation marks opened here are never closed"),
    (LABEL, 'The line carries KX"@en ;', "11:16", "texts stand in quotation marks"),
    (LABEL, '"The "line" carries KX"@en ;', "11:22", 'inside a text a quotation mark is written \\"'),
    (LABEL, "“The line carries KX”@en ;", "11:16", "typographic quotation mark"),
    (LABEL, '"The line\ncarries KX"@en ;', "11:16", "the quotation mark opened here is never closed"),
    (LABEL, '"The line carries KX"@ ;', "11:37", "a language (such as en) is missing"),
    (LABEL, '"The \\line carries KX"@en ;', "11:21", "\\l means nothing here"),
    (":c , :d ,", ":c :d ,", "13:17", "a comma is missing here, before :d"),
    (":e ;", ":e", "14:11", "a semicolon is missing here, before pol:from"),
    ('"^^xsd', '"^xsd', "15:26", "two carets"),
    ("^^xsd:date", " xsd:date", "15:26", "two carets (^^) belong between a text and its datatype xsd:date"),
    ("^^xsd:date", "^^xsdd:date", "15:28", "the prefix xsdd: is not declared; did you mean xsd:?"),
    ('"2025-01-01"^^xsd:date', "2025-01-01", "15:14", 'a day is written "yyyy-mm-dd"^^xsd:date'),
    ("a pol:Provision ;", "a Provision ;", "10:7", "Provision is no name"),
    ("a pol:Provision ;", "a plo:Provision ;", "10:7", "the prefix plo: is not declared; did you mean pol:?"),
    ("a pol:Provision ;", "a stmt:Provision ;", "10:7", "add PREFIX stmt: <https://w3id.org/chartulary/statement/>"),
    (":next   #", "next   #", "18:1", "next is no name"),
    (":next   #", "#", "16:18", "a semicolon belongs here instead of the full stop: line 19 goes on with a"),
    ("a pol:Shows ;", "pol:Shows ;", "19:14", "the object of pol:Shows is missing"),
    ("pol:expects :y .", "pol:expects .", "21:16", "the object of pol:expects is missing"),
    ("pol:expects :y .", "pol:expects :y , .", "21:20", "nothing follows this comma"),
    ("pol:expects :y .", "pol:expects :y", "21:19", "the file ends within a statement: a full stop is missing"),
    ("( :a :b ) ]", "( :a :b ]", "20:34", "the bracket opened here is never closed"),
    ("( :a :b ) ]", "( :a , :b ) ]", "20:39", "members of a list have no commas"),
    ("( :a :b ) ]", "( :a :b )", "20:16", "the square bracket opened here is never closed"),
    (":s .", ":s ] .", "16:18", "nothing was opened that this ] closes"),
    ("PREFIX pol:", "PREFIX pol", "4:11", "a colon is missing after the prefix pol"),
    ("PREFIX pol:", "PREFX pol:", "4:1", "did you mean PREFIX?"),
    ("<https://pol.example/#>", "<https://pol.example/#> .", "4:37", "PREFIX takes no full stop"),
    ("<https://pol.example/#>", "<https://pol.example/#", "4:13", "the angle bracket opened here is never closed"),
    ("<https://pol.example/#>", "<https://pol. example/#>", "4:26", "a space cannot stand in an IRI"),
    ("PREFIX : <https://x.example/kx#>\n", "", "8:1", "the empty prefix : is not declared"),
    ("pol:about :c", "about :c", "13:5", "about is no name"),
    ("pol:about :c", '"about" :c', "13:5", 'a predicate is missing between the semicolon and "about"'),
    ("pol:about :c", "pol:about True", "13:15", "True is written true"),
    ("pol:about :c", "pol:about {:c}", "13:15", "the character { means nothing here"),
]


@pytest.mark.parametrize(
    ("old", "new", "place", "message"), FAULTS, ids=[f"{new} {place}" for _, new, place, _ in FAULTS]
)
def test_fault(old: str, new: str, place: str, message: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(TurtleFault) as caught:
        read(GOOD.replace(old, new, 1), source="kx.ttl")
    fault = caught.value
    assert message in fault.message
    assert str(fault) == f"kx.ttl:{place}: {fault.message}"
    assert f"{fault.line}:{fault.column}" == place


@pytest.mark.parametrize(
    "text", ["[] .", ":a :b .", ":a .", "a :b :c .", '"a" :b :c .', ":a _:b :c .", ":a :b \\c .", ":a :b <\\u0020> ."]
)
def test_refuses_what_is_no_turtle(text: str) -> None:
    with pytest.raises(TurtleFault):
        read("PREFIX : <https://x/>\n" + text)


def test_nesting_without_end_is_a_fault_too() -> None:
    with pytest.raises(TurtleFault, match="too deeply"):
        read("<a> <b> " + "[ <b> " * 5000)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert len(read("\ufeffPREFIX : <https://x/> :a :b :c .").triples) == 1


def test_shared_prefixes_are_those_of_the_ontology() -> None:
    assert shared_prefixes()["pol"] == str(POL)
    assert "" not in shared_prefixes()
    assert read("PREFIX : <x> :a :b 1 .").triples[0][0][2] == Literal(1)
